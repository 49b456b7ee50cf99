//! One handler call of a document: sends it, interprets the response, and records its metrics.

use crate::action::before::Moment;
use crate::execution::authorize::{AuthorizedCall, Cleared};
use crate::execution::context::ExecutionContext;
use crate::handler::complete::{complete, complete_cached};
use crate::handler::failure::Attempted;
use crate::handler::result::HandlerResult;
use crate::handler::{before, cache, policy, retry};
use crate::memory;
use crate::request::response::ClientHeaders;

/// Makes the call, shapes its response and has the rows fetched that belong to it.
pub(crate) async fn run(execution: &ExecutionContext<'_>, allowed: &AuthorizedCall) -> HandlerResult {
    if let Err(rejected) = policy::check_rate_limit(execution, allowed).await {
        return complete(execution, allowed, Attempted::not_sent(rejected.into())).await;
    }
    if allowed.action().before.is_some() {
        // Boxed: rare, and otherwise every call carries the size of this future.
        return memory::boxed(|| run_after_before(execution, allowed)).await;
    }
    cached(execution, allowed).await
}

/// Asks the upstream, unless that was done for the whole document, and then makes the call.
async fn run_after_before(execution: &ExecutionContext<'_>, allowed: &AuthorizedCall) -> HandlerResult {
    let asked;
    let allowed = match allowed.needs_clearance() {
        true => {
            asked = before::clear(execution, allowed, Moment::Call).await;
            &asked
        }
        false => allowed,
    };
    match allowed.clearance() {
        Err(error) => complete(execution, allowed, Attempted::not_sent(error.into())).await,
        Ok(Cleared { response: Some(value), .. }) => {
            complete_cached(execution, allowed, value, ClientHeaders::new()).await
        }
        Ok(_) => cached(execution, allowed).await,
    }
}

async fn cached(execution: &ExecutionContext<'_>, allowed: &AuthorizedCall) -> HandlerResult {
    if let Some(rules) = &allowed.action().policies.cache {
        // Boxed: rare, and otherwise every call carries the size of this future.
        return memory::boxed(|| cache::run(execution, allowed, rules)).await;
    }
    let attempted = retry::call(execution, allowed).await;
    complete(execution, allowed, attempted).await
}
