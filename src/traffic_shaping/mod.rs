//! Traffic shaping: rate limit, concurrency limit, circuit breaker and response cache of actions. Their state outlives
//! a reload that does not concern them. Also the limits of one client (`per_client_limit.rs`).

pub(crate) mod circuit_breaker;
pub(crate) mod concurrency_limit;
pub(crate) mod per_client_limit;
pub(crate) mod rate_limit;
pub(crate) mod redis;
mod redis_commands;
mod redis_connection;
mod redis_link;
pub(crate) mod response_cache;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tower::retry::budget::TpsBudget;

use crate::model::action::{Action, ActionSchema};
use crate::model::traffic::RateLimit;
use crate::traffic_shaping::circuit_breaker::CircuitBreaker;
use crate::traffic_shaping::concurrency_limit::ConcurrencyLimit;
use crate::traffic_shaping::rate_limit::CallRateLimiter;

/// The traffic policies of all actions.
#[derive(Default)]
pub(crate) struct TrafficPolicies(HashMap<String, Arc<ActionPolicies>>);

/// The traffic policies of one action.
pub(crate) struct ActionPolicies {
    /// How many calls may run at one time.
    pub concurrency_limit: ConcurrencyLimit,
    /// Rejects calls while the handler fails; `None` if disabled.
    pub circuit_breaker: Option<CircuitBreaker>,
    /// Retries make up at most a tenth of all calls.
    pub retries: TpsBudget,
    /// Rate limits.
    pub limiters: Vec<CallRateLimiter>,
    made_for: MadeFor,
}

/// The key of a policy's state.
#[derive(PartialEq)]
struct MadeFor(usize, usize, Duration, Option<Duration>, Vec<RateLimit>);

/// The part of the calls that may be tried again.
const RETRY_PART: f32 = 0.1;

/// Calls that may be tried again in a second although there are few.
const RETRIES_MIN: u32 = 1;

/// For how long calls count.
const RETRY_WINDOW: Duration = Duration::from_secs(10);

impl TrafficPolicies {
    /// The policies of these actions. Policies that have not changed keep their state.
    #[must_use]
    pub(crate) fn after(&self, schema: &ActionSchema) -> Self {
        let policies = schema.actions.values().map(|action| {
            let wanted = made_for(action);
            let known = self.0.get(&action.name).filter(|known| known.made_for == wanted);
            let policies = known.cloned().unwrap_or_else(|| Arc::new(ActionPolicies::new(wanted)));
            (action.name.clone(), policies)
        });
        Self(policies.collect())
    }

    /// Those of an action.
    #[must_use]
    pub(crate) fn of(&self, action: &Action) -> Option<&Arc<ActionPolicies>> {
        self.0.get(&action.name)
    }

    /// All of them, by the action's name.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &ActionPolicies)> {
        self.0.iter().map(|(name, policies)| (name.as_str(), policies.as_ref()))
    }
}

fn made_for(action: &Action) -> MadeFor {
    let rules = &action.policies;
    MadeFor(
        rules.max_concurrent_calls,
        rules.max_queued_calls,
        rules.queue_timeout,
        rules.circuit_breaker_reset_timeout,
        rules.rate_limits.clone(),
    )
}

impl ActionPolicies {
    fn new(made_for: MadeFor) -> Self {
        let MadeFor(calls, waiting, wait, pause, limits) = &made_for;
        Self {
            concurrency_limit: ConcurrencyLimit::new(*calls, *waiting, *wait),
            circuit_breaker: pause.map(CircuitBreaker::new),
            retries: TpsBudget::new(RETRY_WINDOW, RETRIES_MIN, RETRY_PART),
            limiters: limits.iter().cloned().map(CallRateLimiter::new).collect(),
            made_for,
        }
    }
}
