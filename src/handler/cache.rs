//! The cached handler call: serves a query from the response cache, with request coalescing and stale-while-revalidate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CACHE_CONTROL, SET_COOKIE};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::action::handler_error::HandlerResponseError;
use crate::action::handler_response::HandlerResponse;
use crate::action::header_precedence;
use crate::execution::authorize::AuthorizedCall;
use crate::execution::context::ExecutionContext;
use crate::graphql::plan::Plan;
use crate::handler::cache_key::Dependencies;
use crate::handler::failure::{Attempted, CallFailure, ExchangeFacts};
use crate::handler::result::HandlerResult;
use crate::handler::{complete, failure, retry};
use crate::handler_client::exchange::HandlerHttpResponse;
use crate::memory::MemoryOwner;
use crate::model::action::OperationKind;
use crate::model::label::Label;
use crate::model::request::GraphqlRequest;
use crate::model::traffic::CacheRules;
use crate::protocol::header_json;
use crate::protocol::trace::TraceContext;
use crate::request::context::RequestContext;
use crate::request::response::ClientHeaders;
use crate::request::step_times::RunningTime;
use crate::telemetry::labels::CacheOutcome;
use crate::traffic_shaping::response_cache::{CacheLookup, CachedResponse, FillGuard};

/// Returns the cached response, or makes the call.
pub(crate) async fn run(
    execution: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    rules: &CacheRules,
) -> HandlerResult {
    let action = allowed.action();
    let dependencies = Dependencies {
        action,
        session: execution.session,
        input: allowed.input(),
        headers: &header_precedence::storable_headers(&action.headers, execution.context.caller.to_handlers()),
        query: &execution.context.query,
    };
    let key = dependencies.key(rules.by.as_deref());
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
    let (services, snapshot, session) =
        (Arc::clone(execution.services), Arc::clone(execution.snapshot), execution.session.clone());
    let caller = Arc::clone(&execution.context.caller);
    let (query, document) = (execution.context.query.clone(), execution.request.query.clone().into_owned());
    let (allowed, rules) = (allowed.clone(), rules.clone());
    tokio::spawn(async move {
        let trace = TraceContext::read(&caller.headers, Uuid::new_v4().as_u128());
        let deadline = Instant::now() + allowed.action().timeout;
        let share = Some(Arc::new(services.memory.empty(MemoryOwner::default())));
        let context = RequestContext { share, query, ..RequestContext::detached(caller, trace, deadline) };
        let request = GraphqlRequest::of_document(document);
        let plan = Plan::empty(OperationKind::Query);
        let execution = ExecutionContext {
            services: &services,
            snapshot: &snapshot,
            context: &context,
            session: &session,
            request: &request,
            plan: &plan,
            merged: None,
            operation_name: None,
            upstream_time: RunningTime::default(),
            handler_time: RunningTime::default(),
        };
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
    let says_no = response.headers.get_all(CACHE_CONTROL).iter().any(|value| {
        let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
        ["no-store", "no-cache", "private"].iter().any(|word| text.contains(word))
    });
    if says_no || response.headers.contains_key(SET_COOKIE) {
        return;
    }
    let Ok((HandlerResponse { value, errors }, _charge)) = complete::read(execution, allowed, response) else { return };
    if !errors.is_empty() {
        return;
    }
    let headers = complete::client_headers(allowed, Some(response));
    let Some(shared) = &execution.services.traffic.redis else {
        fill.keep(Arc::new(CachedResponse::new(value, headers, rules.fresh, rules.stale)));
        return;
    };
    let text = json!({ "value": value, "headers": header_list(&headers) }).to_string();
    shared.put(&fill.key().shared(), text, rules.fresh + rules.stale).await;
    fill.keep(Arc::new(CachedResponse::new(value, headers, rules.fresh.min(NEAR), Duration::ZERO)));
}

/// How long a replica caches an entry from Redis, where others may have purged it.
const NEAR: Duration = Duration::from_secs(1);

/// What another replica has kept.
async fn from_redis(
    execution: &ExecutionContext<'_>,
    fill: &FillGuard,
    rules: &CacheRules,
) -> Option<Arc<CachedResponse>> {
    let (text, left) = execution.services.traffic.redis.as_ref()?.get(&fill.key().shared()).await?;
    let mut read: Map<String, Value> = serde_json::from_str(&text).ok()?;
    // A stale entry is revalidated by one of the replicas or by several.
    let fresh = left.checked_sub(rules.stale)?;
    let headers = read_headers(read.get("headers")?);
    let kept = Arc::new(CachedResponse::new(read.remove("value")?, headers, fresh.min(NEAR), Duration::ZERO));
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
