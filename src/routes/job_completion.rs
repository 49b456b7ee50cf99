//! `POST /v1/actions/ID/complete` and `…/fail`: the completion callback by which handlers report the result of a job.

use http::Method;
use serde_json::json;

use crate::downstream::body;
use crate::downstream::body::BodyError;
use crate::downstream::session::DownstreamSession;
use crate::job_runner::completion::{JobCompletion, complete};
use crate::job_runner::run_job::TOKEN_HEADER;
use crate::memory::Share;
use crate::routes::gateway::{Gateway, RequestState};
use crate::routes::graphql_request::{read_context, send_json};
use crate::routes::reject::reject_and_close;
use crate::telemetry::request_kind::RequestKind;

/// The job that a path is about, and whether it is reported as failed.
fn read_path(path: &str) -> Option<(&str, bool)> {
    let (id, verb) = path.strip_prefix("/v1/actions/")?.split_once('/')?;
    match verb {
        "complete" => Some((id, false)),
        "fail" => Some((id, true)),
        _ => None,
    }
}

/// Is this a report?
#[must_use]
pub(crate) fn matches(gateway: &Gateway, downstream: &DownstreamSession<'_>) -> bool {
    let head = downstream.head();
    head.method == Method::POST && read_path(head.uri.path()).is_some() && gateway.services.jobs().is_ok()
}

/// Takes it.
///
/// # Errors
/// When the connection to the handler broke.
pub(crate) async fn serve(
    gateway: &Gateway,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    share: &Share,
) -> pingora::Result<bool> {
    let limits = &gateway.services.configured().settings.limits;
    let body = match body::read(downstream, limits.max_handler_response_size, share, false).await {
        Ok(body) => body,
        Err(BodyError::Broken(error)) => return Err(error.into_down()),
        Err(BodyError::Rejected(error)) => return reject_and_close(gateway, downstream, ctx, error).await,
    };
    if let Err(error) = ctx.admission.body_has_arrived(&gateway.services, share) {
        return reject_and_close(gateway, downstream, ctx, error).await;
    }
    let context = read_context(gateway, downstream, ctx);
    let head = downstream.head();
    let (id, is_failure) = read_path(head.uri.path()).unwrap_or_default();
    let token = head.headers.get(TOKEN_HEADER).and_then(|token| token.to_str().ok()).unwrap_or_default();
    let (status, response) =
        match complete(&gateway.services, &JobCompletion { id, token, is_failure, body: &body }).await {
            Ok(()) => (200, json!({ "message": "success" })),
            Err(error) => (error.status(), json!({ "error": error.to_string(), "path": "$", "code": error.code() })),
        };
    send_json(downstream, ctx, &context, RequestKind::JobCompletion, status, response.to_string()).await
}
