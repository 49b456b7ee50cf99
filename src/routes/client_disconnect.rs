//! Client disconnect: cancels work whose only reader has disconnected.

use std::pin::Pin;

use pingora::{Error, ErrorType};

use crate::downstream::session::DownstreamSession;
use crate::execution::access_log;
use crate::execution::prepared_request::PreparedRequest;
use crate::model::action::OperationKind;
use crate::request::context::RequestContext;
use crate::request::response::Response;
use crate::routes::gateway::{Gateway, RequestState};
use crate::telemetry::request_kind::RequestKind;

/// May this work be cancelled at any moment? Work that has started to write is finished.
#[must_use]
pub(crate) fn may_be_cancelled(prepared_request: &PreparedRequest<'_>) -> bool {
    prepared_request.kind().is_some_and(|kind| kind != OperationKind::Mutation)
}

/// Runs `work` for as long as the client is connected. `None`: it has disconnected. `work` is borrowed, because a
/// future that is moved takes its size twice.
pub(crate) async fn unless_disconnected<T>(
    downstream: &mut DownstreamSession<'_>,
    work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        // It ends with the connection; bytes that arrive before are kept for the next request.
        () = downstream.gone() => None,
    }
}

/// The same for what `may_be_given_up`; other work is done to its end.
pub(crate) async fn unless_cancelled<T>(
    downstream: &mut DownstreamSession<'_>,
    may_be_given_up: bool,
    work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    if may_be_given_up { unless_disconnected(downstream, work).await } else { Some(work.await) }
}

/// The error for pingora when the client has disconnected.
#[must_use]
pub(crate) fn disconnected_error() -> Box<Error> {
    Error::explain(ErrorType::ConnectionClosed, "before its response").into_down()
}

/// Writes the log line of a request whose client has disconnected.
///
/// # Errors
/// Always: the client has disconnected.
pub(crate) fn log_disconnect(
    gateway: &Gateway,
    ctx: &mut RequestState,
    context: &RequestContext,
) -> pingora::Result<bool> {
    let response = Response::new(CLIENT_CLOSED, Vec::new(), "client_closed");
    ctx.kind = RequestKind::ClientClosed;
    access_log::record(&gateway.services, &response, context);
    Err(disconnected_error())
}

/// The status that nginx logs in this case; it is never sent.
const CLIENT_CLOSED: u16 = 499;
