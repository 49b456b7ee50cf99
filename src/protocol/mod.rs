//! GraphQL protocols: HTTP, WebSocket, multipart, trace context, header rules. Pure.

pub mod client_headers;
pub mod content_coding;
pub mod document_finder;
pub mod event_stream;
pub mod graphql_ws;
pub mod header_json;
pub mod hop_by_hop;
pub mod http;
pub mod http1;
pub mod media_type;
pub mod multipart;
pub mod origin;
pub mod query_string;
pub mod trace;
