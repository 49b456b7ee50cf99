//! The cached handler call: serves a query from the response cache, with request coalescing and stale-while-revalidate.

use std::sync::Arc;

use crate::action::handler_error::HandlerResponseError;
use crate::action::handler_response::HandlerResponse;
use crate::action::header_precedence;
use crate::execution::authorize::AuthorizedCall;
use crate::execution::context::ExecutionContext;
use crate::execution::detached::DetachedExecution;
use crate::handler::cache_entries::{is_storable, keep, keep_shared};
use crate::handler::cache_key::Dependencies;
use crate::handler::failure::{Attempted, CallFailure, ExchangeFacts};
use crate::handler::result::HandlerResult;
use crate::handler::{complete, failure, read_response, retry};
use crate::handler_client::exchange::HandlerHttpResponse;
use crate::model::label::Label;
use crate::model::traffic::CacheRules;
use crate::telemetry::labels::CacheOutcome;
use crate::traffic_shaping::response_cache::{CacheLookup, CachedResponse, FillGuard};

/// Returns the cached response, or makes the call.
pub(crate) async fn run(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    rules: &CacheRules,
) -> HandlerResult {
    let action = allowed.action();
    let headers = header_precedence::storable_headers(&action.headers, execution.context.caller.to_handlers());
    let query = &execution.context.query;
    let dependencies = Dependencies { action, session: execution.session, headers: &headers, query };
    let key = dependencies
        .template(rules.by.as_deref(), None)
        .key_with_data(allowed.input(), allowed.data().map(AsRef::as_ref));
    // A caller that cannot wait for the leader's fetch reaches its own timeout.
    let looked = tokio::time::timeout_at(
        execution.context.deadline.into(),
        execution.services.traffic.responses.get_or_lead(&key),
    )
    .await;
    let (label, found) = match looked.unwrap_or(CacheLookup::Nothing) {
        CacheLookup::Fresh(kept) => (CacheOutcome::Hit, Ok(kept)),
        CacheLookup::Stale(kept, fill) => {
            if let Some(fill) = fill {
                refresh(execution, allowed, rules, fill);
            }
            (CacheOutcome::Stale, Ok(kept))
        }
        CacheLookup::Miss(fill) => match from_redis(execution, &fill, rules).await {
            Some(kept) => (CacheOutcome::Hit, Ok(kept)),
            None => (CacheOutcome::Miss, Err(Some(fill))),
        },
        CacheLookup::Nothing => (CacheOutcome::Miss, Err(None)),
    };
    execution
        .services
        .metrics
        .response_cache_lookups
        .with_label_values(&[allowed.action().name.as_str(), label.label()])
        .inc();
    match found {
        Ok(kept) => {
            note_freshness(execution, allowed, rules, &kept);
            complete::complete_cached(execution, allowed, &kept.value, kept.headers.clone()).await
        }
        Err(fill) => fetch(execution, allowed, rules, fill).await,
    }
}

/// For the headers of a response to a GET. What handlers are told of the client's headers is not among those it varies by.
fn note_freshness(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    rules: &CacheRules,
    kept: &CachedResponse,
) {
    if execution.context.is_get && !allowed.action().headers.forward_client_headers {
        let left = kept.fresh_left();
        execution.context.freshness.note(left, rules.fresh.saturating_sub(left));
    }
}

async fn fetch(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    rules: &CacheRules,
    fill: Option<FillGuard>,
) -> HandlerResult {
    let attempted = retry::call(execution, allowed).await;
    if let Some(fill) = fill {
        fill.release_waiters();
        store(execution, allowed, rules, &fill, &attempted.response).await;
    }
    complete::complete(execution, allowed, attempted).await
}

/// Fetches another response while the old one is given.
fn refresh(execution: &ExecutionContext<'_>, allowed: &AuthorizedCall, rules: &CacheRules, fill: FillGuard) {
    let detached = DetachedExecution::of(execution, allowed.action().timeout);
    let (allowed, rules) = (allowed.clone(), rules.clone());
    tokio::spawn(async move {
        let execution = detached.context();
        let Attempted { response, attempts, began } = retry::call(&execution, &allowed).await;
        fill.release_waiters();
        store(&execution, &allowed, &rules, &fill, &response).await;
        if let Err(error) = response {
            let facts = ExchangeFacts { status: None, attempts, duration: began.elapsed() };
            failure::log(&execution, &allowed, &CallFailure::of_response(&error), facts);
        }
    });
}

/// Stores a cacheable response: a value, for all callers with the same key.
async fn store(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    rules: &CacheRules,
    fill: &FillGuard,
    response: &Result<HandlerHttpResponse, HandlerResponseError>,
) {
    let Ok(response) = response else { return };
    if !is_storable(response) {
        return;
    }
    let Ok((HandlerResponse { value, errors }, _charge)) = read_response::read(execution, allowed, response) else {
        return;
    };
    if errors.is_empty() {
        let headers = read_response::client_headers(allowed, Some(response));
        keep(execution, rules, &headers, vec![(fill, value)]).await;
    }
}

/// What another replica has kept.
async fn from_redis(
    execution: &ExecutionContext<'_>,
    fill: &FillGuard,
    rules: &CacheRules,
) -> Option<Arc<CachedResponse>> {
    let entry = execution.services.traffic.redis.as_ref()?.get(&fill.key().shared()).await?;
    keep_shared(entry, fill, rules)
}
