//! The introspection cache: responses that consist of introspection alone, rendered before for the same merged schema and
//! the same selection. The role, the upstream's response and the actions decide through the merged schema, variables
//! through the compiled selection.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::graphql::introspect::Introspection;
use crate::request::encoded_body::ReusedBody;

/// What decides such a response.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct IntrospectionKey {
    /// The id of the merged schema, which no other one has.
    pub merged_schema: u64,
    /// Each root field in the order of the response.
    pub fields: Vec<(String, IntrospectionField)>,
}

/// A root field of introspection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum IntrospectionField {
    /// `__schema` or `__type`, compiled for the variables of a request.
    Compiled(Arc<Introspection>),
    /// `__typename` of the root.
    TypeName,
}

/// Responses by what decides them, bounded by their bytes.
pub(crate) struct IntrospectionCache(Cache<IntrospectionKey, Arc<ReusedBody>, ByBytes>);

#[derive(Clone)]
struct ByBytes;

impl Weighter<IntrospectionKey, Arc<ReusedBody>> for ByBytes {
    fn weight(&self, _: &IntrospectionKey, body: &Arc<ReusedBody>) -> u64 {
        KEY_BYTES + body.bytes_max() as u64
    }
}

/// What a key takes: the selection of the usual query has 40 fields.
const KEY_BYTES: u64 = 8 * 1024;

impl IntrospectionCache {
    /// An empty one for so many bytes.
    #[must_use]
    pub(crate) fn new(bytes_max: usize) -> Self {
        // So few that they are not spread over shards, of which each would hold a part of the bytes only.
        Self(Cache::with_weighter(16, bytes_max as u64, ByBytes))
    }

    /// The response, if it has been rendered.
    #[must_use]
    pub(crate) fn get(&self, key: &IntrospectionKey) -> Option<Arc<ReusedBody>> {
        self.0.get(key)
    }

    /// Remembers a response, in place of others if need be; one that is larger than the cache is not.
    pub(crate) fn insert(&self, key: IntrospectionKey, body: Arc<ReusedBody>) {
        self.0.insert(key, body);
    }

    /// Bytes that are reserved for what is in it.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.0.weight()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn key(merged_schema: u64) -> IntrospectionKey {
        IntrospectionKey { merged_schema, fields: vec![("kind".to_owned(), IntrospectionField::TypeName)] }
    }

    #[test]
    fn it_is_bounded_by_bytes_and_takes_nothing_larger() {
        let cache = IntrospectionCache::new(1024 * 1024);
        let body = |bytes: usize| Arc::new(ReusedBody::new(Bytes::from(vec![b' '; bytes])));
        for schema in 0..100 {
            cache.insert(key(schema), body(100 * 1024));
            assert!(cache.bytes() <= 1024 * 1024, "{} after {schema}", cache.bytes());
        }
        assert!(cache.get(&key(99)).is_some());
        cache.insert(key(100), body(2 * 1024 * 1024));
        assert!(cache.get(&key(100)).is_none());
    }
}
