//! The traffic policies around a handler call: rate limit, concurrency limit, circuit breaker, and retry where another
//! attempt is harmless.

use std::time::{Duration, Instant};

use crate::action::handler_error::{HandlerResponseError, TransportError};
use crate::execution::authorize::AuthorizedCall;
use crate::execution::context::ExecutionContext;
use crate::handler::{exchange, failure};
use crate::handler_client::exchange::HandlerHttpResponse;
use crate::memory;
use crate::model::action::Action;
use crate::model::error_kind::ErrorKind;
use crate::model::label::Label;
use crate::model::network::ClientNetworks;
use crate::model::traffic::{RateKey, TrafficPolicy, TrafficRejection};
use crate::runtime::services::Services;
use crate::telemetry::logs::milliseconds;
use crate::traffic_shaping::ActionPolicies;
use crate::traffic_shaping::circuit_breaker::{CallPermit, CircuitState, CircuitTransition, WaitBudget};
use crate::traffic_shaping::rate_limit::{CallRateLimiter, Caller};

/// Counts a call that a client wants.
///
/// # Errors
/// [`TrafficRejection`], if there were too many.
pub(crate) async fn check_rate_limit(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
) -> Result<(), TrafficRejection> {
    let action = allowed.action();
    let Some(policies) = execution.snapshot.policies.of(action) else { return Ok(()) };
    for limiter in &policies.limiters {
        let who = rate_limit_key(execution, limiter);
        let counted = match &execution.services.traffic.redis {
            None => limiter.count(who),
            // Boxed: otherwise every call carries the size of this future.
            Some(shared) => match memory::boxed(|| limiter.count_shared(shared, &action.name, who)).await {
                Ok(counted) => counted,
                Err(_) => store_unavailable(execution, allowed)?,
            },
        };
        if let Err(retry_after) = counted {
            let limit = limiter.limit().shown();
            let message = format!("rate limit exceeded: {limit}; 0 calls remain");
            return Err(reject(
                execution,
                allowed,
                TrafficRejection { policy: TrafficPolicy::RateLimit, message, retry_after },
            ));
        }
    }
    Ok(())
}

/// Redis did not count it.
fn store_unavailable(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
) -> Result<Result<(), Duration>, TrafficRejection> {
    let action = allowed.action();
    execution.services.metrics.rate_limit_store_errors.with_label_values(&[&action.name]).inc();
    if !action.policies.denies_when_store_unavailable {
        return Ok(Ok(()));
    }
    let message = "the rate limit store is unavailable".to_owned();
    let rejected = TrafficRejection { policy: TrafficPolicy::RateLimit, message, retry_after: Duration::from_secs(1) };
    Err(reject(execution, allowed, rejected))
}

fn rate_limit_key<'r>(execution: &'r ExecutionContext<'_>, limiter: &CallRateLimiter) -> Caller<'r> {
    match &limiter.limit().by {
        RateKey::All => Caller::Named(""),
        RateKey::Address => {
            let address = execution.context.caller.address;
            address.map_or(Caller::Named(""), |address| Caller::At(ClientNetworks::of(address)))
        }
        RateKey::Variable(name) => Caller::Named(execution.session.variable(name).unwrap_or_default()),
    }
}

pub(crate) async fn attempt(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    policies: &ActionPolicies,
    id: &str,
) -> Result<HandlerHttpResponse, HandlerResponseError> {
    let budget = waiting_time(execution, allowed);
    let permit = policies.circuit_breaker.as_ref().map(|breaker| breaker.try_acquire(budget)).transpose();
    let permit = permit.map_err(|retry_after| {
        let message = "the circuit breaker of this action is open, because its handler fails".to_owned();
        reject(execution, allowed, TrafficRejection { policy: TrafficPolicy::Breaker, message, retry_after })
    })?;
    if permit.as_ref().is_some_and(CallPermit::is_first_trial) {
        let (host, port) = failure::peer_of(allowed.action());
        let action = allowed.action().name.as_str();
        tracing::info!(action, server.address = host, server.port = port, "circuit breaker half-open");
    }
    let Some(_running) = policies.concurrency_limit.acquire().await else {
        let message = "too many calls of this action at one time".to_owned();
        let rejected =
            TrafficRejection { policy: TrafficPolicy::Concurrency, message, retry_after: Duration::from_secs(1) };
        return Err(reject(execution, allowed, rejected).into());
    };
    let response = exchange::exchange(execution, allowed, id).await;
    match (permit, is_healthy(&response, budget)) {
        (Some(permit), Some(is_well)) => {
            if let Some(transition) = permit.record(is_well) {
                log_transition(allowed.action(), transition, &response);
            }
        }
        // Dropped without a result, so that the next caller becomes the trial.
        (permit, _) => drop(permit),
    }
    response
}

/// A circuit breaker has opened or closed.
fn log_transition(
    action: &Action,
    transition: CircuitTransition,
    response: &Result<HandlerHttpResponse, HandlerResponseError>,
) {
    let (host, port) = failure::peer_of(action);
    let action = action.name.as_str();
    match transition {
        CircuitTransition::Opened(pause) => {
            let (kind, message) = match response {
                Ok(response) => (ErrorKind::HttpStatus, format!("status {}", response.status.as_u16())),
                Err(error) => (error.kind(), error.detail()),
            };
            tracing::warn!(
                error.kind = kind.label(),
                error.message = message,
                action,
                server.address = host,
                server.port = port,
                reset_timeout_ms = milliseconds(pause),
                "circuit breaker opened"
            );
        }
        CircuitTransition::Closed(duration) => tracing::info!(
            action,
            server.address = host,
            server.port = port,
            open_ms = milliseconds(duration),
            "circuit breaker closed"
        ),
    }
}

/// Does the call wait for its handler's full timeout? A client may have requested less time, or calls before this one
/// in its document may have used it up. If the operator gives all requests less time than the action has, that is the
/// full timeout.
fn waiting_time(execution: &ExecutionContext<'_>, allowed: &AuthorizedCall) -> WaitBudget {
    let (context, action) = (execution.context, allowed.action());
    let left = context.deadline.saturating_duration_since(Instant::now()).min(allowed.timeout());
    let most = action.timeout.min(execution.snapshot.catalog.limits.request_timeout);
    // A little has passed since the request began.
    let is_nearly_all = left >= most.mul_f64(0.9) && !context.is_clients_deadline;
    if left >= action.timeout || is_nearly_all { WaitBudget::Full } else { WaitBudget::Short }
}

/// Forgets callers that have not called for long, from time to time. Never returns.
pub(crate) async fn remove_idle_limiters(services: &Services) {
    loop {
        tokio::time::sleep(FORGET_INTERVAL).await;
        let snapshot = services.snapshot.load_full();
        snapshot.policies.all().flat_map(|(_, policies)| &policies.limiters).for_each(CallRateLimiter::forget);
    }
}

/// How often that is done.
const FORGET_INTERVAL: Duration = Duration::from_secs(60);

/// Says how policies stand, for who looks at metrics now.
pub(crate) fn update_gauges(services: &Services) {
    let (open, waiting) = (&services.metrics.circuit_breaker_state, &services.metrics.handler_calls_queued);
    services.metrics.cache_bytes.set(i64::try_from(services.traffic.responses.bytes()).unwrap_or(i64::MAX));
    open.reset();
    waiting.reset();
    for (action, policies) in services.snapshot.load().policies.all() {
        waiting
            .with_label_values(&[action])
            .set(i64::try_from(policies.concurrency_limit.waiting()).unwrap_or(i64::MAX));
        if let Some(circuit_breaker) = &policies.circuit_breaker {
            let state = match circuit_breaker.state() {
                CircuitState::Closed => 0.0,
                CircuitState::HalfOpen => 1.0,
                CircuitState::Open => 2.0,
            };
            open.with_label_values(&[action]).set(state);
        }
    }
}

/// Records that a policy rejected the call, and passes the rejection on.
fn reject(execution: &ExecutionContext<'_>, allowed: &AuthorizedCall, rejected: TrafficRejection) -> TrafficRejection {
    let labels = [allowed.action().name.as_str(), rejected.policy.label()];
    execution.services.metrics.handler_calls_rejected.with_label_values(&labels).inc();
    rejected
}

/// Does the call show that the handler is healthy? An error of its own is no failure. A call that was not sent shows
/// nothing, and neither does a timeout that came before the handler's own.
fn is_healthy(response: &Result<HandlerHttpResponse, HandlerResponseError>, budget: WaitBudget) -> Option<bool> {
    match response {
        Ok(response) => Some(!response.status.is_server_error()),
        Err(HandlerResponseError::NoResponse(TransportError::Connect(_) | TransportError::Broken(_))) => Some(false),
        Err(HandlerResponseError::NoResponse(TransportError::Timeout)) => (budget == WaitBudget::Full).then_some(false),
        Err(HandlerResponseError::NoResponse(TransportError::TooLarge { .. })) => Some(true),
        Err(_) => None,
    }
}
