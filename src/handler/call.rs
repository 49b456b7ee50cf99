//! One webhook call of a document: what is sent, what its response means, and what is counted about it.

use crate::execution::authorize::AuthorizedCall;
use crate::execution::context::ExecutionContext;
use crate::handler::complete::complete;
use crate::handler::result::HandlerResult;
use crate::handler::{cache, policy, retry};

/// Makes the call, shapes its response and has the rows fetched that belong to it.
pub async fn run(execution: &ExecutionContext<'_>, allowed: &AuthorizedCall) -> HandlerResult {
    if let Err(rejected) = policy::check_rate_limit(execution, allowed).await {
        return complete(execution, allowed, Err(rejected.into())).await;
    }
    if let Some(rules) = &allowed.action().guards.cache {
        // In a box of its own: it is rare, and every call carries the room for what its future may become.
        return Box::pin(cache::run(execution, allowed, rules)).await;
    }
    let response = retry::call(execution, allowed).await;
    complete(execution, allowed, response).await
}
