//! The store of automatic persisted queries (APQ): texts of documents by their hash, bounded in memory by bytes, and in Redis if
//! replicas share them. Only texts are stored, each under its own hash, so hashes of nothing take no memory.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::config::document_settings::PersistedQueries;
use crate::documents::document_hash::DocumentHash;
use crate::traffic_shaping::redis::RedisStore;

/// The store.
pub(crate) struct PersistedQueryStore {
    texts: Cache<DocumentHash, Arc<str>, ByBytes>,
    is_shared: bool,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<DocumentHash, Arc<str>> for ByBytes {
    fn weight(&self, _: &DocumentHash, text: &Arc<str>) -> u64 {
        128 + text.len() as u64
    }
}

/// Bytes of a usual text, to estimate their number.
const TEXT_BYTES: usize = 1024;

/// How long Redis keeps a text after its last registration. A client whose document is forgotten registers it again.
const KEPT_FOR: Duration = Duration::from_hours(24);

impl PersistedQueryStore {
    /// An empty one. Without settings it never has anything.
    #[must_use]
    pub(crate) fn new(settings: Option<PersistedQueries>) -> Self {
        let bytes_max = settings.map_or(0, |settings| settings.max_size);
        let texts = Cache::with_weighter((bytes_max / TEXT_BYTES).max(16), bytes_max as u64, ByBytes);
        Self { texts, is_shared: settings.is_some_and(|settings| settings.is_shared) }
    }

    /// The text with this hash.
    pub(crate) async fn get(&self, redis: Option<&RedisStore>, hash: DocumentHash) -> Option<Arc<str>> {
        if let Some(text) = self.texts.get(&hash) {
            return Some(text);
        }
        let (text, _) = redis.filter(|_| self.is_shared)?.get(&key_of(hash)).await?;
        // Others may write into Redis as well.
        if DocumentHash::of(text.as_bytes()) != hash {
            return None;
        }
        let text: Arc<str> = text.into();
        self.texts.insert(hash, Arc::clone(&text));
        Some(text)
    }

    /// Stores a text under its hash.
    pub(crate) async fn register(&self, redis: Option<&RedisStore>, hash: DocumentHash, text: &str) {
        if self.texts.get(&hash).is_some() {
            return;
        }
        self.texts.insert(hash, text.into());
        if let Some(redis) = redis.filter(|_| self.is_shared) {
            redis.put_all(vec![(key_of(hash), text.to_owned())], KEPT_FOR).await;
        }
    }

    /// Bytes that are stored, as far as they are counted.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.texts.weight()
    }
}

fn key_of(hash: DocumentHash) -> String {
    format!("pillion:apq:{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_is_bounded_and_unknown_hashes_take_none() {
        let store = PersistedQueryStore::new(Some(PersistedQueries { is_shared: false, max_size: 64 * 1024 }));
        for number in 0..100_000_u32 {
            assert!(store.get(None, DocumentHash::of(&number.to_le_bytes())).await.is_none());
        }
        assert_eq!(store.bytes(), 0);
        for number in 0..10_000 {
            let text = format!("{{ a{number} }}");
            store.register(None, DocumentHash::of(text.as_bytes()), &text).await;
        }
        assert!((1..=64 * 1024).contains(&store.bytes()), "{}", store.bytes());
        let text = "{ a9999 }";
        assert_eq!(store.get(None, DocumentHash::of(text.as_bytes())).await.as_deref(), Some(text));
        let off = PersistedQueryStore::new(None);
        off.register(None, DocumentHash::of(text.as_bytes()), text).await;
        assert!(off.get(None, DocumentHash::of(text.as_bytes())).await.is_none());
    }
}
