//! The cached handler call: serves a query from the response cache, with request coalescing and stale-while-revalidate.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, SET_COOKIE};
use serde_json::{Map, Value, json};

use crate::action::handler_error::HandlerResponseError;
use crate::action::handler_response::HandlerResponse;
use crate::action::header_precedence;
use crate::execution::authorize::AuthorizedCall;
use crate::execution::context::ExecutionContext;
use crate::execution::detached::DetachedExecution;
use crate::handler::cache_key::Dependencies;
use crate::handler::failure::{Attempted, CallFailure, ExchangeFacts};
use crate::handler::result::HandlerResult;
use crate::handler::{complete, failure, retry};
use crate::handler_client::exchange::HandlerHttpResponse;
use crate::model::label::Label;
use crate::model::traffic::CacheRules;
use crate::protocol::header_json;
use crate::request::response::ClientHeaders;
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
    let key = dependencies.template(rules.by.as_deref(), None).key(allowed.input());
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
        Ok(kept) => complete::complete_cached(execution, allowed, &kept.value, kept.headers.clone()).await,
        Err(fill) => fetch(execution, allowed, rules, fill).await,
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
    let Ok((HandlerResponse { value, errors }, _charge)) = complete::read(execution, allowed, response) else { return };
    if errors.is_empty() {
        let headers = complete::client_headers(allowed, Some(response));
        keep(execution, rules, &headers, vec![(fill, Arc::new(value))]).await;
    }
}

/// May the values of this response be cached?
#[must_use]
pub(crate) fn is_storable(response: &HandlerHttpResponse) -> bool {
    let says_no = response.headers.get_all(CACHE_CONTROL).iter().any(|value| {
        let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
        ["no-store", "no-cache", "private"].iter().any(|word| text.contains(word))
    });
    !says_no && !response.headers.contains_key(SET_COOKIE)
}

/// Stores the values of one response, each under its own key.
pub(crate) async fn keep(
    execution: &ExecutionContext<'_>,
    rules: &CacheRules,
    headers: &ClientHeaders,
    values: Vec<(&FillGuard, Arc<Value>)>,
) {
    let (mut fresh, mut stale) = (rules.fresh, rules.stale);
    if let Some(shared) = &execution.services.traffic.redis {
        let listed = header_list(headers);
        let text = |value: &Value| json!({ "value": value, "headers": listed }).to_string();
        let entries = values.iter().map(|(fill, value)| (fill.key().shared(), text(value))).collect();
        shared.put_all(entries, rules.fresh + rules.stale).await;
        (fresh, stale) = (rules.fresh.min(NEAR), Duration::ZERO);
    }
    for (fill, value) in values {
        fill.keep(Arc::new(CachedResponse::new(value, headers.clone(), fresh, stale)));
    }
}

/// How long a replica caches an entry from Redis, where others may have purged it.
const NEAR: Duration = Duration::from_secs(1);

/// What another replica has kept.
async fn from_redis(
    execution: &ExecutionContext<'_>,
    fill: &FillGuard,
    rules: &CacheRules,
) -> Option<Arc<CachedResponse>> {
    let entry = execution.services.traffic.redis.as_ref()?.get(&fill.key().shared()).await?;
    keep_shared(entry, fill, rules)
}

/// Keeps an entry of Redis, whose remaining lifetime stands beside its text.
pub(crate) fn keep_shared(
    (text, left): (String, Duration),
    fill: &FillGuard,
    rules: &CacheRules,
) -> Option<Arc<CachedResponse>> {
    let mut read: Map<String, Value> = serde_json::from_str(&text).ok()?;
    // A stale entry is revalidated by one of the replicas or by several.
    let fresh = left.checked_sub(rules.stale)?;
    let headers = read_headers(read.get("headers")?);
    let value = Arc::new(read.remove("value")?);
    let kept = Arc::new(CachedResponse::new(value, headers, fresh.min(NEAR), Duration::ZERO));
    fill.keep(Arc::clone(&kept));
    Some(kept)
}

fn header_list(headers: &ClientHeaders) -> Value {
    headers.iter().map(|(name, value)| json!([name.as_str(), header_json::to_json(value)])).collect()
}

fn read_headers(list: &Value) -> ClientHeaders {
    let entry = |entry: &Value| Some((entry[0].as_str()?.parse().ok()?, header_json::from_json(&entry[1])?));
    list.as_array().into_iter().flatten().filter_map(entry).collect()
}
