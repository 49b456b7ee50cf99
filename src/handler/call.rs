//! One handler call of a document: sends it, interprets the response, and records its metrics.

use crate::execution::authorize::AuthorizedCall;
use crate::execution::context::ExecutionContext;
use crate::handler::complete::complete;
use crate::handler::failure::Attempted;
use crate::handler::result::HandlerResult;
use crate::handler::{cache, policy, retry};

/// Makes the call, shapes its response and has the rows fetched that belong to it.
pub(crate) async fn run(execution: &ExecutionContext<'_>, allowed: &AuthorizedCall) -> HandlerResult {
    if let Err(rejected) = policy::check_rate_limit(execution, allowed).await {
        return complete(execution, allowed, Attempted::not_sent(rejected.into())).await;
    }
    if let Some(rules) = &allowed.action().policies.cache {
        // Boxed: rare, and otherwise every call carries the size of this future.
        return Box::pin(cache::run(execution, allowed, rules)).await;
    }
    let attempted = retry::call(execution, allowed).await;
    complete(execution, allowed, attempted).await
}
