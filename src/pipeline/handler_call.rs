//! One webhook call of a document: what is sent, what its response means, and what is counted about it.

use crate::pipeline::authorize::AuthorizedCall;
use crate::pipeline::complete_response::complete;
use crate::pipeline::execution_context::ExecutionContext;
use crate::pipeline::handler_result::HandlerResult;
use crate::pipeline::{cached_call, call_policy};

/// Makes the call, shapes its response and has the rows fetched that belong to it.
pub async fn run(execution: &ExecutionContext<'_>, allowed: &AuthorizedCall) -> HandlerResult {
    if let Err(rejected) = call_policy::check_rate_limit(execution, allowed).await {
        return complete(execution, allowed, Err(rejected.into())).await;
    }
    if let Some(rules) = &allowed.action().guards.cache {
        // In a box of its own: it is rare, and every call carries the room for what its future may become.
        return Box::pin(cached_call::run(execution, allowed, rules)).await;
    }
    let response = call_policy::call(execution, allowed).await;
    complete(execution, allowed, response).await
}
