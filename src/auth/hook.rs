//! Calls the auth hook (webhook authentication), and caches its responses if that is configured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, SET_COOKIE, USER_AGENT};
use quick_cache::sync::Cache;
use reqwest::{Client, Request, Url};
use tokio::sync::Semaphore;

use crate::auth::authenticated::Authenticated;
use crate::auth::lifetime::lifetime;
use crate::http_client::read_body;
use crate::model::label::Label;
use crate::protocol::client_headers;
use crate::session::hook::{HookCache, HookMode, HookRules, failed, forwarded_headers, post_body, read};
use crate::session::{Session, SessionError};
use crate::telemetry::labels::HookOutcome;
use crate::telemetry::metrics::Metrics;

/// The hook.
pub(crate) struct Hook {
    url: Url,
    rules: Arc<HookRules>,
    slots: Semaphore,
    kept: Cache<CallerKey, CachedSession>,
    metrics: Arc<Metrics>,
}

/// The digest of everything that is sent to the hook, so that no credential is stored.
type CallerKey = [u8; 32];

#[derive(Clone)]
struct CachedSession {
    session: Session,
    until: Instant,
}

/// Cached responses.
const KEPT_MAX: usize = 10_000;

/// Bytes of a cached response, so that all of them together have a bound.
const KEPT_BYTES_MAX: usize = 8 * 1024;

/// Bytes of a response.
const RESPONSE_BYTES_MAX: usize = 1024 * 1024;

/// Questions at one time.
const AT_ONCE: usize = 256;

impl Hook {
    /// Sends nothing yet.
    ///
    /// # Errors
    /// When its address is invalid; the message leaves the address out, because it may hold a password.
    pub(crate) fn new(rules: Arc<HookRules>, metrics: Arc<Metrics>) -> Result<Self, String> {
        let url = rules.url.expose().parse::<Url>().ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or("auth.hook: this is not an http or https address")?;
        Ok(Self { url, rules, slots: Semaphore::new(AT_ONCE), kept: Cache::new(KEPT_MAX), metrics })
    }

    /// Authenticates the sender of these headers. `request` is the part of the GraphQL request that the hook may see,
    /// as JSON.
    ///
    /// # Errors
    /// [`SessionError`], also when no response comes.
    pub(crate) async fn authenticate(
        &self,
        client: &Client,
        headers: &HeaderMap,
        request: impl FnOnce() -> Option<String>,
    ) -> Result<Authenticated, SessionError> {
        let forwarded = forwarded_headers(&self.rules, headers);
        let key = self.rules.cache.as_ref().map(|cache| caller_key(cache, &forwarded));
        if let Some(session) = key.and_then(|key| self.kept_session(&key)) {
            self.count(HookOutcome::Cached);
            return Ok(Authenticated { session, set_cookies: Vec::new(), expires: None });
        }
        let sends_request = self.rules.sends_request && self.rules.mode == HookMode::Post && key.is_none();
        let request = if sends_request { request() } else { None };
        let exchange = self.exchange(client, &forwarded, request.as_deref());
        let exchanged = tokio::time::timeout(self.rules.timeout, exchange).await.unwrap_or(None);
        let Some((status, set_cookies, body)) = exchanged else {
            self.count(HookOutcome::Failure);
            return Err(failed());
        };
        let response = read(status, &body).inspect_err(|error| {
            self.count(if error.status == 401 { HookOutcome::Denied } else { HookOutcome::Invalid });
        })?;
        self.count(HookOutcome::Success);
        let time = lifetime(response.cache_control.as_deref(), response.expires.as_deref()).unwrap_or_default();
        // A cookie is meant for this one response.
        let may_keep = set_cookies.is_empty() && body.len() <= KEPT_BYTES_MAX;
        if let (Some(key), Some(cache), true) = (key, &self.rules.cache, may_keep) {
            self.keep(key, &response.session, time.min(cache.time_max));
        }
        Ok(Authenticated { session: response.session, set_cookies, expires: None })
    }

    fn kept_session(&self, key: &CallerKey) -> Option<Session> {
        let kept = self.kept.get(key)?;
        (Instant::now() < kept.until).then_some(kept.session)
    }

    fn keep(&self, key: CallerKey, session: &Session, time: Duration) {
        if !time.is_zero() {
            self.kept.insert(key, CachedSession { session: session.clone(), until: Instant::now() + time });
        }
    }

    fn count(&self, outcome: HookOutcome) {
        self.metrics.auth_hook_requests.with_label_values(&[outcome.label()]).inc();
    }

    /// Status, cookies and body of the response. The request only reads, so it may be retried.
    async fn exchange(
        &self,
        client: &Client,
        forwarded: &HeaderMap,
        request: Option<&str>,
    ) -> Option<(u16, Vec<HeaderValue>, Bytes)> {
        let _slot = self.slots.acquire().await.ok()?;
        for _ in 0..self.rules.attempts {
            if let Ok(response) = client.execute(self.question(forwarded, request)).await {
                let status = response.status().as_u16();
                let cookies = response.headers().get_all(SET_COOKIE).iter().cloned().collect();
                if let Ok(body) = read_body(response, RESPONSE_BYTES_MAX).await {
                    return Some((status, cookies, body));
                }
            }
        }
        None
    }

    fn question(&self, forwarded: &HeaderMap, request: Option<&str>) -> Request {
        let mut question = match self.rules.mode {
            HookMode::Get => {
                let mut question = Request::new(Method::GET, self.url.clone());
                *question.headers_mut() = forwarded.clone();
                question
            }
            HookMode::Post => {
                let mut question = Request::new(Method::POST, self.url.clone());
                question.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                *question.body_mut() = Some(post_body(forwarded, request).into());
                question
            }
        };
        question.headers_mut().insert(USER_AGENT, HeaderValue::from_static(client_headers::USER_AGENT));
        question
    }
}

/// Names and values with their lengths before them, so that no two callers look the same.
fn caller_key(cache: &HookCache, forwarded: &HeaderMap) -> CallerKey {
    let mut digest = Context::new(&SHA256);
    for name in &cache.headers {
        let values = forwarded.get_all(name);
        digest.update(&values.iter().count().to_le_bytes());
        for value in values {
            digest.update(&value.len().to_le_bytes());
            digest.update(value.as_bytes());
        }
    }
    let mut key = CallerKey::default();
    key.iter_mut().zip(digest.finish().as_ref()).for_each(|(byte, digested)| *byte = *digested);
    key
}
