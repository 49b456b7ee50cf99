//! The response cache of actions: handlers' responses to queries, with stale-while-revalidate and request coalescing
//! (single flight).

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use http::header::{HeaderName, HeaderValue};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::model::json_value::JsonValue;

/// Everything that a response depends on. Only its digest is kept, for some of it may be a credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The action.
    pub action: Arc<str>,
    digest: [u8; 32],
}

impl Key {
    /// For an action, and what else the response depends on: values of JSON, each as text.
    #[must_use]
    pub fn new(action: &Arc<str>, parts: &[&str]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(part.as_bytes());
            // No text of a value ends with one.
            context.update(b"\n");
        }
        let digest = context.finish();
        Self { action: Arc::clone(action), digest: digest.as_ref().first_chunk().copied().unwrap_or_default() }
    }

    /// As it is called in Redis.
    #[must_use]
    pub fn shared(&self) -> String {
        let hex: String = self.digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("pillion:cache:{}:{hex}", self.action)
    }
}

/// A response that is kept.
#[derive(Debug)]
pub(crate) struct CachedResponse {
    /// The handler's value.
    pub value: JsonValue,
    /// What of its headers is for clients.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Bytes of the value.
    pub bytes: usize,
    fresh_until: Instant,
    stale_until: Instant,
    /// Until when it is fresh, also where it must be looked up again before.
    expires: Instant,
}

impl CachedResponse {
    /// Good for `fresh`, and after that for `stale` while another is fetched.
    #[must_use]
    pub(crate) fn new(
        value: &JsonValue,
        headers: Vec<(HeaderName, HeaderValue)>,
        fresh: Duration,
        stale: Duration,
    ) -> Self {
        let now = Instant::now();
        let value = value.detached();
        let bytes = value.bytes();
        let fresh_until = now + fresh;
        Self { value, headers, bytes, fresh_until, stale_until: fresh_until + stale, expires: fresh_until }
    }

    /// The same that is fresh for so long in all, although it is kept here for less.
    #[must_use]
    pub(crate) fn fresh_for(self, fresh: Duration) -> Self {
        Self { expires: Instant::now() + fresh, ..self }
    }

    /// How long it is still fresh.
    #[must_use]
    pub(crate) fn fresh_left(&self) -> Duration {
        self.expires.saturating_duration_since(Instant::now())
    }
}

/// The result of a lookup.
pub(crate) enum CacheLookup {
    /// A response that is good.
    Fresh(Arc<CachedResponse>),
    /// A stale one that may still be served; the leader revalidates it.
    Stale(Arc<CachedResponse>, Option<FillGuard>),
    /// Nothing; this caller is the leader that fetches it, and others wait.
    Miss(FillGuard),
    /// Nothing: the leader has failed.
    Nothing,
}

/// The responses.
pub(crate) struct ResponseCache {
    kept: Cache<Key, Arc<CachedResponse>, ByBytes>,
    /// Whether the leader has its response; the channel closes when the fill is over.
    flights: DashMap<Key, watch::Receiver<bool>>,
}

/// The leader's duty to fetch a response. Waiters go on when it is dropped; if there is no response until then, one of
/// them becomes the leader.
pub(crate) struct FillGuard {
    cache: Arc<ResponseCache>,
    key: Key,
    has_response: watch::Sender<bool>,
}

/// A fetch of another caller.
pub(crate) struct Flight(watch::Receiver<bool>);

impl Flight {
    /// Waits until it is over. Had the leader a response, cacheable or not?
    pub(crate) async fn has_landed(self) -> bool {
        let Self(mut flight) = self;
        // It fails when the leader is done.
        while flight.changed().await.is_ok() {}
        *flight.borrow()
    }
}

impl Drop for FillGuard {
    fn drop(&mut self) {
        self.cache.flights.remove(&self.key);
    }
}

impl FillGuard {
    /// There is a response, cacheable or not: waiters go on.
    pub(crate) fn release_waiters(&self) {
        self.has_response.send_replace(true);
    }

    /// The response has been fetched.
    pub(crate) fn keep(&self, kept: Arc<CachedResponse>) {
        self.release_waiters();
        self.cache.kept.insert(self.key.clone(), kept);
    }

    /// Its key.
    #[must_use]
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Arc<CachedResponse>> for ByBytes {
    fn weight(&self, _: &Key, kept: &Arc<CachedResponse>) -> u64 {
        512 + kept.bytes as u64
    }
}

/// Bytes of the smallest responses, to estimate their number.
const ENTRY_BYTES: usize = 2 * 1024;

impl ResponseCache {
    /// With room for so many bytes.
    #[must_use]
    pub(crate) fn new(bytes_max: usize) -> Self {
        let kept = Cache::with_weighter((bytes_max / ENTRY_BYTES).max(16), bytes_max as u64, ByBytes);
        Self { kept, flights: DashMap::new() }
    }

    /// Looks a response up. A miss waits while another caller fetches the same.
    pub(crate) async fn get_or_lead(self: &Arc<Self>, key: &Key) -> CacheLookup {
        loop {
            if let Some(found) = self.known(key) {
                return found;
            }
            let flight = match self.fill(key) {
                Ok(fill) => return CacheLookup::Miss(fill),
                Err(flight) => flight,
            };
            if flight.has_landed().await {
                return self.known(key).unwrap_or(CacheLookup::Nothing);
            }
        }
    }

    /// The same without waiting.
    ///
    /// # Errors
    /// Another caller fetches it.
    pub(crate) fn try_get_or_lead(self: &Arc<Self>, key: &Key) -> Result<CacheLookup, Flight> {
        match self.known(key) {
            Some(found) => Ok(found),
            None => self.fill(key).map(CacheLookup::Miss),
        }
    }

    /// A response that may be served.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<CachedResponse>> {
        self.kept.get(key).filter(|kept| kept.stale_until > Instant::now())
    }

    fn known(self: &Arc<Self>, key: &Key) -> Option<CacheLookup> {
        let (kept, now) = (self.kept.get(key)?, Instant::now());
        if kept.fresh_until > now {
            return Some(CacheLookup::Fresh(kept));
        }
        (kept.stale_until > now).then(|| CacheLookup::Stale(kept, self.fill(key).ok()))
    }

    fn fill(self: &Arc<Self>, key: &Key) -> Result<FillGuard, Flight> {
        match self.flights.entry(key.clone()) {
            Entry::Occupied(flight) => Err(Flight(flight.get().clone())),
            Entry::Vacant(place) => {
                let (has_response, flight) = watch::channel(false);
                place.insert(flight);
                Ok(FillGuard { cache: Arc::clone(self), key: key.clone(), has_response })
            }
        }
    }

    /// Forgets all responses of an action, or of all.
    pub(crate) fn purge(&self, action: Option<&str>) {
        self.kept.retain(|key, _| action.is_some_and(|action| action != &*key.action));
    }

    /// Bytes that are kept, as far as they are counted.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.kept.weight()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key_of(action: &str, part: &str) -> Key {
        Key::new(&action.into(), &[part])
    }

    fn kept(number: u64) -> Arc<CachedResponse> {
        Arc::new(CachedResponse::new(&JsonValue::from(&json!(number)), Vec::new(), 10 * SECOND, 5 * SECOND))
    }

    fn describe(found: &CacheLookup) -> String {
        match found {
            CacheLookup::Fresh(kept) => format!("fresh {}", kept.value),
            CacheLookup::Stale(kept, fill) => format!("stale {} {}", kept.value, fill.is_some()),
            CacheLookup::Miss(_) => "fill".into(),
            CacheLookup::Nothing => "nothing".into(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_is_fresh_then_stale_then_gone() {
        let cache = Arc::new(ResponseCache::new(1 << 20));
        let key = key_of("a", "x");
        let CacheLookup::Miss(fill) = cache.get_or_lead(&key).await else { panic!("this caller leads") };
        fill.keep(kept(1));
        drop(fill);
        assert_eq!(describe(&cache.get_or_lead(&key).await), "fresh 1");
        tokio::time::advance(11 * SECOND).await;
        let first = cache.get_or_lead(&key).await;
        assert_eq!(
            (describe(&first), describe(&cache.get_or_lead(&key).await)),
            ("stale 1 true".into(), "stale 1 false".into())
        );
        drop(first);
        tokio::time::advance(5 * SECOND).await;
        assert_eq!(describe(&cache.get_or_lead(&key).await), "fill");
        assert_eq!(describe(&cache.get_or_lead(&key_of("b", "x")).await), "fill");
    }

    #[tokio::test(start_paused = true)]
    async fn one_fetches_and_others_wait() {
        let cache = Arc::new(ResponseCache::new(1 << 20));
        let key = key_of("a", "1");
        let CacheLookup::Miss(fill) = cache.get_or_lead(&key).await else { panic!("this caller leads") };
        let follower = |cache: &Arc<ResponseCache>| {
            let (cache, key) = (Arc::clone(cache), key.clone());
            tokio::spawn(async move { describe(&cache.get_or_lead(&key).await) })
        };
        let (one, two) = (follower(&cache), follower(&cache));
        tokio::time::advance(SECOND).await;
        fill.keep(kept(7));
        drop(fill);
        assert_eq!((one.await.expect("one"), two.await.expect("two")), ("fresh 7".into(), "fresh 7".into()));
        // A failed leader stores nothing, and no waiter fetches again.
        cache.purge(Some("other"));
        assert_eq!(describe(&cache.get_or_lead(&key).await), "fresh 7");
        cache.purge(Some("a"));
        let CacheLookup::Miss(fill) = cache.get_or_lead(&key).await else { panic!("it was purged") };
        let (one, two) = (follower(&cache), follower(&cache));
        tokio::time::advance(SECOND).await;
        fill.release_waiters();
        drop(fill);
        assert_eq!((one.await.expect("one"), two.await.expect("two")), ("nothing".into(), "nothing".into()));
        // A leader that is cancelled before its response hands over to a waiter.
        let CacheLookup::Miss(fill) = cache.get_or_lead(&key).await else { panic!("this caller leads") };
        let next = follower(&cache);
        tokio::time::advance(SECOND).await;
        drop(fill);
        assert_eq!(next.await.expect("next"), "fill");
    }

    #[test]
    fn memory_is_bounded() {
        let cache = Arc::new(ResponseCache::new(64 * 1024));
        for number in 0..10_000 {
            cache.kept.insert(key_of("a", &number.to_string()), kept(number));
        }
        assert!(cache.bytes() <= 64 * 1024, "{}", cache.bytes());
    }
}
