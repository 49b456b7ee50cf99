//! A JWK set (JWKS): fetched from its address, refreshed before it expires, one fetch at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, EXPIRES};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::auth::lifetime::lifetime;
use crate::auth::token::{Token, VerifyingKey};
use crate::http_client::{TransportFault, fault_of, read_body, shown_url};
use crate::model::error_kind::{ErrorKind, Reason};
use crate::model::label::Label;
use crate::session::SessionError;
use crate::telemetry::availability::Dependency;
use crate::telemetry::labels::FetchOutcome;
use crate::telemetry::metrics::Metrics;

/// The keys at one address.
pub(crate) struct KeySet {
    url: reqwest::Url,
    client: reqwest::Client,
    metrics: Arc<Metrics>,
    /// Replaced whole; a failed fetch leaves the last good one.
    keys: ArcSwap<Vec<Value>>,
    /// Held while a fetch is under way, so that there is only one.
    last_fetch: Mutex<Option<Instant>>,
    /// The server of the set.
    server: Dependency,
}

/// Bytes of a key set.
const SET_BYTES_MAX: usize = 1024 * 1024;

/// One in each set.
const SERVER: fn() -> Dependency =
    || Dependency::new("JWKS unavailable: the last keys stay in use", "JWKS available again");

/// How long a fetch may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// How often, at most, an unknown key id causes a fetch, for all clients together.
const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(30);

/// When to fetch again after a fetch that failed, or that had no lifetime.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);
const DEFAULT_INTERVAL: Duration = Duration::from_secs(600);

impl KeySet {
    /// A set without keys yet.
    ///
    /// # Errors
    /// When `url` is none.
    pub(crate) fn new(url: &str, client: reqwest::Client, metrics: Arc<Metrics>) -> Result<Self, String> {
        let url = url.parse::<reqwest::Url>().map_err(|_| format!("jwk_url: \"{url}\" is not an address"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("jwk_url: \"{url}\" is not an http or https address"));
        }
        Ok(Self { url, client, metrics, keys: ArcSwap::default(), last_fetch: Mutex::new(None), server: SERVER() })
    }

    /// Where it is fetched from.
    pub(crate) fn url(&self) -> &reqwest::Url {
        &self.url
    }

    /// Checks a token's signature; a key that is not known yet is looked for once.
    ///
    /// # Errors
    /// When no key fits.
    pub(crate) async fn check(&self, token: &Token) -> Result<(), SessionError> {
        if let Some(result) = self.check_known(token) {
            return result;
        }
        self.fetch_for_unknown_key().await;
        self.check_known(token).unwrap_or_else(|| Err(SessionError::jwt("JWSError JWSNoValidSignatures")))
    }

    /// `None` if no key of this id is known.
    fn check_known(&self, token: &Token) -> Option<Result<(), SessionError>> {
        let keys = self.keys.load();
        let mut tried = None;
        for jwk in keys.iter() {
            let id = jwk.get("kid").and_then(Value::as_str);
            if token.key_id.is_some() && id.is_some() && token.key_id.as_deref() != id {
                continue;
            }
            let Some(key) = VerifyingKey::from_jwk(jwk, &token.algorithm) else { continue };
            match key.check(token) {
                Ok(()) => return Some(Ok(())),
                Err(error) => tried = Some(Err(error)),
            }
        }
        tried
    }

    async fn fetch_for_unknown_key(&self) {
        let mut last_fetch = self.last_fetch.lock().await;
        // A task that waited for the lock finds the keys that the previous holder has fetched.
        if last_fetch.is_some_and(|at| at.elapsed() < UNKNOWN_KEY_INTERVAL) {
            return;
        }
        self.fetch(&mut last_fetch).await.ok();
    }

    /// Fetches the set and returns when to refresh it: a little before it expires, so that no request waits for it.
    ///
    /// # Errors
    /// Why it could not be had; it has been logged and counted.
    pub(crate) async fn refresh(&self) -> Result<Duration, Reason> {
        let mut last_fetch = self.last_fetch.lock().await;
        self.fetch(&mut last_fetch).await
    }

    /// When to try again after a failure.
    #[must_use]
    pub(crate) fn retry_interval() -> Duration {
        RETRY_INTERVAL
    }

    async fn fetch(&self, last_fetch: &mut Option<Instant>) -> Result<Duration, Reason> {
        *last_fetch = Some(Instant::now());
        let fetched = tokio::time::timeout(FETCH_TIMEOUT, self.fetch_untimed()).await;
        let fetched = fetched.unwrap_or_else(|_| Err(TransportFault::Timeout.reason()));
        let outcome = if fetched.is_ok() { FetchOutcome::Success } else { FetchOutcome::Failure };
        self.metrics.jwks_fetches.with_label_values(&[outcome.label()]).inc();
        let url = shown_url(&self.url);
        let (keys, interval) = fetched.inspect_err(|reason| self.server.missed(&url, reason))?;
        self.server.found(&url);
        self.keys.store(Arc::new(keys));
        Ok(interval)
    }

    async fn fetch_untimed(&self) -> Result<(Vec<Value>, Duration), Reason> {
        let response = self.client.get(self.url.clone()).send().await.map_err(|error| fault_of(&error).reason())?;
        if !response.status().is_success() {
            return Err(Reason::new(ErrorKind::HttpStatus, format!("status {}", response.status().as_u16())));
        }
        let interval = refresh_interval(response.headers());
        let body = read_body(response, SET_BYTES_MAX).await.map_err(TransportFault::reason)?;
        let not_json = |_| Reason::new(ErrorKind::NotJson, "the JWK set is not JSON");
        let set: Value = serde_json::from_slice(&body).map_err(not_json)?;
        match set.get("keys").and_then(Value::as_array) {
            Some(keys) if !keys.is_empty() => Ok((keys.clone(), interval)),
            _ => Err(Reason::new(ErrorKind::WrongShape, "there are no keys in the JWK set")),
        }
    }
}

/// A tenth before the end, never more often than once a second.
fn refresh_interval(headers: &HeaderMap) -> Duration {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let lifetime = lifetime(text(CACHE_CONTROL), text(EXPIRES)).unwrap_or(DEFAULT_INTERVAL);
    (lifetime - lifetime / 10).clamp(Duration::from_secs(1), Duration::from_secs(86_400))
}
