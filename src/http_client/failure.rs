//! Classifies failures of outbound connections: finds DNS, TLS and operating system errors in the error chains of the HTTP
//! libraries, and keeps the words of the cause. The words around it may hold a URL, so they are left out.

use std::error::Error;
use std::io;

use crate::model::error_kind::{ErrorKind, Reason};

/// The resolver gave no address that may be connected to.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct ResolveError {
    /// [`ErrorKind::Dns`] or [`ErrorKind::AddressDenied`].
    pub kind: ErrorKind,
    /// Why not.
    pub text: String,
}

/// The cause of an error, and its words. `otherwise` is for causes that are not known.
#[must_use]
pub(crate) fn reason_of(error: &(dyn Error + 'static), otherwise: ErrorKind) -> Reason {
    let mut kind = None;
    let mut cause = error;
    let mut depth = 0;
    loop {
        kind = kind.or_else(|| kind_of(cause));
        match inner(cause) {
            Some(next) if depth < CHAIN_MAX => cause = next,
            _ => break,
        }
        depth += 1;
    }
    // The words of the innermost error: those around it say "error sending request" and may name the URL.
    let text =
        if cause.is::<reqwest::Error>() { "the request could not be sent".to_owned() } else { cause.to_string() };
    Reason::new(kind.unwrap_or(otherwise), text)
}

/// Errors in one chain; a longer one would be a ring.
const CHAIN_MAX: usize = 16;

/// The cause of an error. [`io::Error`] passes over the error that it was made of.
fn inner<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(custom) => Some(custom),
        None => error.source(),
    }
}

fn kind_of(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    if let Some(resolve) = error.downcast_ref::<ResolveError>() {
        return Some(resolve.kind);
    }
    if error.is::<rustls::Error>() {
        return Some(ErrorKind::Tls);
    }
    if let Some(http) = error.downcast_ref::<hyper::Error>() {
        return kind_of_hyper(http);
    }
    error.downcast_ref::<io::Error>().and_then(kind_of_io)
}

fn kind_of_hyper(error: &hyper::Error) -> Option<ErrorKind> {
    if error.is_parse() {
        return Some(ErrorKind::InvalidHttp);
    }
    (error.is_incomplete_message() || error.is_closed()).then_some(ErrorKind::ConnectionClosed)
}

/// `None` if what is inside says more, or if it says nothing.
fn kind_of_io(error: &io::Error) -> Option<ErrorKind> {
    if error.get_ref().is_some_and(|custom| custom.downcast_ref::<rustls::Error>().is_some()) {
        return Some(ErrorKind::Tls);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(ErrorKind::ConnectionRefused),
        io::ErrorKind::TimedOut => Some(ErrorKind::ConnectTimeout),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => Some(ErrorKind::Unreachable),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            Some(ErrorKind::ConnectionReset)
        }
        io::ErrorKind::UnexpectedEof => Some(ErrorKind::ConnectionClosed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_cause_counts() {
        let os = |code| io::Error::from_raw_os_error(code);
        let tls = || io::Error::other(rustls::Error::General("unknown authority".into()));
        let dns = ResolveError { kind: ErrorKind::Dns, text: "Name or service not known".into() };
        let cases: Vec<(Box<dyn Error>, ErrorKind, &str)> = vec![
            (Box::new(os(111)), ErrorKind::ConnectionRefused, "Connection refused (os error 111)"),
            (Box::new(os(104)), ErrorKind::ConnectionReset, "Connection reset by peer (os error 104)"),
            (Box::new(os(113)), ErrorKind::Unreachable, "No route to host (os error 113)"),
            (Box::new(os(24)), ErrorKind::ConnectionFailed, "Too many open files (os error 24)"),
            (Box::new(io::Error::from(io::ErrorKind::TimedOut)), ErrorKind::ConnectTimeout, "timed out"),
            (Box::new(tls()), ErrorKind::Tls, "unexpected error: unknown authority"),
            (Box::new(io::Error::other(tls())), ErrorKind::Tls, "unexpected error: unknown authority"),
            (Box::new(io::Error::other(dns)), ErrorKind::Dns, "Name or service not known"),
        ];
        for (error, kind, text) in cases {
            let reason = reason_of(error.as_ref(), ErrorKind::ConnectionFailed);
            assert_eq!((reason.kind(), reason.text()), (kind, text));
        }
    }
}
