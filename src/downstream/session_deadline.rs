//! The way of a connection's deadline through pingora: from the stream that is handed to pingora to the callbacks that
//! pingora makes for a request on it. Everything else of ours takes the deadline as an argument.
//!
//! A callback gets a session and a context that is made without knowing its connection. What a session has of its
//! connection is pingora's digest, and the one place in it for data of others is in the digest of a CONNECT proxy. Clients'
//! connections never have such a proxy, so the place is free.

use std::sync::Arc;

use http::StatusCode;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::protocols::raw_connect::ProxyDigest;

use crate::downstream::connection_deadline::ConnectionDeadline;

/// A digest that carries the deadline of a connection.
#[must_use]
pub(crate) fn digest_with(deadline: Arc<ConnectionDeadline>) -> Option<Arc<ProxyDigest>> {
    let unused = ResponseHeader::build(StatusCode::OK, Some(0)).ok()?;
    Some(Arc::new(ProxyDigest::new(Box::new(unused), Some(Box::new(deadline)))))
}

/// The deadline of the connection that a session is on. A session of HTTP/2 has none: after the first request, the client is
/// waited for by h2 and pingora.
#[must_use]
pub(crate) fn deadline_of(session: &ServerSession) -> Option<&Arc<ConnectionDeadline>> {
    session.digest()?.proxy_digest.as_ref()?.user_data.as_ref()?.downcast_ref()
}
