//! The client's side of the proxy: connections, HTTP/1.1, framing, bodies, deadlines, admission, CORS.

pub mod admission;
pub mod body;
pub mod buffer_pool;
pub mod client_address;
pub mod compression;
pub mod connection_deadline;
pub mod connection_weight;
pub mod cors;
pub mod framing_stream;
pub mod head_size_limit;
pub mod http1_framing;
pub mod http1_session;
pub mod http2_stream_timeout;
pub mod open_connection;
pub mod partial_head;
pub mod request_head_checks;
pub mod session;
pub mod write_response;
