//! The client's side of the proxy: connections, HTTP/1.1, framing, bodies, deadlines, admission, CORS.

pub(crate) mod admission;
pub(crate) mod body;
pub(crate) mod buffer_pool;
pub(crate) mod client_address;
pub(crate) mod compression;
pub(crate) mod connection_deadline;
pub(crate) mod connection_weight;
pub(crate) mod cors;
pub(crate) mod framing_stream;
pub(crate) mod head_size_limit;
pub(crate) mod http1_session;
pub(crate) mod http2_stream_timeout;
pub(crate) mod open_connection;
pub(crate) mod partial_head;
pub(crate) mod request_head_checks;
pub(crate) mod session;
pub(crate) mod session_deadline;
#[cfg(test)]
mod test_connection;
pub(crate) mod write_response;
