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
use crate::http_client::{TransportFault, read_body};
use crate::session::SessionError;
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
}

/// Bytes of a key set.
const SET_BYTES_MAX: usize = 1024 * 1024;

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
        Ok(Self { url, client, metrics, keys: ArcSwap::default(), last_fetch: Mutex::new(None) })
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
    /// Why it could not be had.
    pub(crate) async fn refresh(&self) -> Result<Duration, String> {
        let mut last_fetch = self.last_fetch.lock().await;
        self.fetch(&mut last_fetch).await
    }

    /// When to try again after a failure.
    #[must_use]
    pub(crate) fn retry_interval() -> Duration {
        RETRY_INTERVAL
    }

    async fn fetch(&self, last_fetch: &mut Option<Instant>) -> Result<Duration, String> {
        *last_fetch = Some(Instant::now());
        let fetched = tokio::time::timeout(FETCH_TIMEOUT, self.fetch_untimed()).await;
        let fetched = fetched.unwrap_or_else(|_| Err("it did not respond in time".into()));
        let outcome = if fetched.is_ok() { "success" } else { "failure" };
        self.metrics.jwks_fetches.with_label_values(&[outcome]).inc();
        let (keys, interval) = fetched.map_err(|reason| format!("Error fetching JWK from {}: {reason}", self.url))?;
        self.keys.store(Arc::new(keys));
        Ok(interval)
    }

    async fn fetch_untimed(&self) -> Result<(Vec<Value>, Duration), String> {
        let response = self.client.get(self.url.clone()).send().await.map_err(|_| "the connection failed")?;
        if !response.status().is_success() {
            return Err(format!("Non-2xx response on fetching JWK: {}", response.status().as_u16()));
        }
        let interval = refresh_interval(response.headers());
        let body = read_body(response, SET_BYTES_MAX).await.map_err(|fault| match fault {
            TransportFault::TooLarge => "the set is larger than 1 MiB".to_owned(),
            _ => "the connection failed".to_owned(),
        })?;
        let set: Value = serde_json::from_slice(&body).map_err(|_| "it is not JSON".to_owned())?;
        match set.get("keys").and_then(Value::as_array) {
            Some(keys) if !keys.is_empty() => Ok((keys.clone(), interval)),
            _ => Err("there are no keys in it".into()),
        }
    }
}

/// A tenth before the end, never more often than once a second.
fn refresh_interval(headers: &HeaderMap) -> Duration {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let lifetime = lifetime(text(CACHE_CONTROL), text(EXPIRES)).unwrap_or(DEFAULT_INTERVAL);
    (lifetime - lifetime / 10).clamp(Duration::from_secs(1), Duration::from_secs(86_400))
}
