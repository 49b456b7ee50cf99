//! A handler call whose response is read but not completed: one call may be for many rows, and others complete its value.

use crate::action::handler_error::HandlerResponseError;
use crate::action::handler_response::HandlerResponse;
use crate::execution::authorize::AuthorizedCall;
use crate::execution::context::ExecutionContext;
use crate::handler::failure::{Attempted, CallFailure, ExchangeFacts};
use crate::handler::{failure, policy, read_response, retry};
use crate::handler_client::exchange::HandlerHttpResponse;
use crate::memory::Charge;
use crate::model::label::Label;
use crate::telemetry::labels::CallOutcome;

/// The result of a call, not completed.
pub(crate) struct RawResult<'e> {
    /// The handler's value with the errors beside it, or why there is none.
    pub value: Result<HandlerResponse, HandlerResponseError>,
    /// The response, of whose body only what may be shown is left.
    pub response: Option<HandlerHttpResponse>,
    /// What is known of the exchange.
    pub facts: ExchangeFacts,
    /// What the value holds of the memory budget.
    pub charge: Charge<'e>,
}

/// Makes the call under all policies of its action, but for the response cache.
pub(crate) async fn call<'e>(execution: &ExecutionContext<'e>, allowed: &AuthorizedCall) -> RawResult<'e> {
    let attempted = match policy::check_rate_limit(execution, allowed).await {
        Ok(()) => retry::call(execution, allowed).await,
        Err(rejected) => Attempted::not_sent(rejected.into()),
    };
    read(execution, allowed, attempted)
}

fn read<'e>(execution: &ExecutionContext<'e>, allowed: &AuthorizedCall, attempted: Attempted) -> RawResult<'e> {
    let Attempted { response, attempts, began } = attempted;
    let status = response.as_ref().map(|response| response.status.as_u16()).ok();
    let facts = ExchangeFacts { status, attempts, duration: began.elapsed() };
    let mut response = match response {
        Ok(response) => response,
        Err(error) => return RawResult { value: Err(error), response: None, facts, charge: Charge::default() },
    };
    let (value, charge) = match read_response::read_to_keep(execution, allowed, &response) {
        Ok((value, charge)) => (Ok(value), charge),
        Err(error) => (Err(error), Charge::default()),
    };
    let length = read_response::make_way_for_json(execution, &mut response);
    execution.context.release(length);
    RawResult { value, response: Some(response), facts, charge }
}

/// Counts a call that has ended, and logs it if it failed.
pub(crate) fn record(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    facts: ExchangeFacts,
    failed: Option<&CallFailure>,
) {
    match failed {
        None => read_response::count(execution, allowed, CallOutcome::Success.label()),
        Some(failed) => {
            read_response::count(execution, allowed, failed.kind.label());
            failure::log(execution, allowed, failed, facts);
        }
    }
}
