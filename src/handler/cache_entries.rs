//! Entries of the response cache: whether a response may be one, and how it is kept, here and in Redis.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, SET_COOKIE};
use serde_json::{Value, json};

use crate::execution::context::ExecutionContext;
use crate::handler_client::exchange::HandlerHttpResponse;
use crate::model::json::RawObject;
use crate::model::json_value::JsonValue;
use crate::model::traffic::CacheRules;
use crate::protocol::header_json;
use crate::request::response::ClientHeaders;
use crate::traffic_shaping::response_cache::{CachedResponse, FillGuard};

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
    values: Vec<(&FillGuard, JsonValue)>,
) {
    let (mut fresh, mut stale) = (rules.fresh, rules.stale);
    if let Some(shared) = &execution.services.traffic.redis {
        let listed = header_list(headers).to_string();
        let text = |value: &JsonValue| format!(r#"{{"value":{value},"headers":{listed}}}"#);
        let entries = values.iter().map(|(fill, value)| (fill.key().shared(), text(value))).collect();
        shared.put_all(entries, rules.fresh + rules.stale).await;
        (fresh, stale) = (rules.fresh.min(NEAR), Duration::ZERO);
    }
    for (fill, value) in values {
        let kept = CachedResponse::new(&value, headers.clone(), fresh, stale).fresh_for(rules.fresh);
        fill.keep(Arc::new(kept));
    }
}

/// How long a replica caches an entry from Redis, where others may have purged it.
const NEAR: Duration = Duration::from_secs(1);

/// Keeps an entry of Redis, whose remaining lifetime stands beside its text.
pub(crate) fn keep_shared(
    (text, left): (String, Duration),
    fill: &FillGuard,
    rules: &CacheRules,
) -> Option<Arc<CachedResponse>> {
    let read: RawObject<'_> = serde_json::from_str(&text).ok()?;
    // A stale entry is revalidated by one of the replicas or by several.
    let fresh = left.checked_sub(rules.stale)?;
    let headers = read_headers(&serde_json::from_str(read.get("headers")?.get()).ok()?);
    let value = JsonValue::parse(read.get("value")?.get().to_owned().into()).ok()?;
    let kept = CachedResponse::new(&value, headers, fresh.min(NEAR), Duration::ZERO).fresh_for(fresh);
    let kept = Arc::new(kept);
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
