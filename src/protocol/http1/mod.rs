//! HTTP/1.1 heads and framing, for the server and the client: one reader of heads and their fields, one of lengths, one of
//! chunk sizes. Each is as strict as the specification allows. Pure.

pub mod chunked;
pub mod framing;
pub mod head;
pub mod response;
pub mod strict;
pub mod usual_request;
