//! Retries of a handler call, with backoff, jitter and a budget, where another attempt is harmless.

use std::time::{Duration, Instant};

use tower::retry::budget::Budget;
use uuid::Uuid;

use crate::action::handler_error::{HandlerResponseError, TransportError};
use crate::execution::authorize::AuthorizedCall;
use crate::execution::context::ExecutionContext;
use crate::handler::exchange;
use crate::handler::exchange::Measured;
use crate::handler::failure::Attempted;
use crate::handler::policy::attempt;
use crate::handler_client::exchange::HandlerHttpResponse;

/// Makes the call as soon as there is a place for it, and again where that is harmless.
pub(crate) async fn call(execution: &ExecutionContext<'_>, allowed: &AuthorizedCall) -> Attempted {
    let (_measured, began) = (Measured::begin(execution, allowed), Instant::now());
    let action = allowed.action();
    let Some(policies) = execution.snapshot.policies.of(action) else {
        let response = exchange::exchange(execution, allowed, &message_id(allowed)).await;
        return Attempted { response, attempts: 1, began };
    };
    policies.retries.deposit();
    // The same for each attempt: it is the same message.
    let id = message_id(allowed);
    let mut attempts = 1;
    let mut left = if allowed.replay().is_allowed() { action.policies.max_retries } else { 0 };
    loop {
        let response = attempt(execution, allowed, policies, &id).await;
        if left == 0 || !is_worth_retrying(&response) || !policies.retries.withdraw() {
            return Attempted { response, attempts, began };
        }
        let pause = RETRY_PAUSE.mul_f64(1.0 + chance());
        if Instant::now() + pause >= execution.context.deadline {
            return Attempted { response, attempts, began };
        }
        execution.services.metrics.handler_retries.with_label_values(&[&action.name]).inc();
        tokio::time::sleep(pause).await;
        left -= 1;
        attempts += 1;
    }
}

/// The shortest backoff before another attempt; jitter adds up to as much again.
const RETRY_PAUSE: Duration = Duration::from_millis(25);

pub(crate) fn chance() -> f64 {
    f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}

/// What a signed message is known by; others have no need of it.
fn message_id(allowed: &AuthorizedCall) -> String {
    match allowed.action().policies.signing_keys.is_empty() {
        true => String::new(),
        false => format!("msg_{}", Uuid::new_v4().simple()),
    }
}

/// Might another attempt go better? After a timeout there is no time left for one.
fn is_worth_retrying(response: &Result<HandlerHttpResponse, HandlerResponseError>) -> bool {
    match response {
        Ok(response) => matches!(response.status.as_u16(), 502..=504),
        Err(HandlerResponseError::NoResponse(fault)) => {
            matches!(fault, TransportError::Connect(_) | TransportError::Broken(_))
        }
        Err(_) => false,
    }
}
