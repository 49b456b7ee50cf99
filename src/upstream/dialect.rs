//! Detects the upstream's dialect from its response to one small query.

use serde_json::Value;

use crate::graphql::root_types::RootTypes;
use crate::model::response::Dialect;

/// The query: the names of the root types. Every GraphQL server supports it unless it forbids introspection.
pub(crate) const QUESTION: &str =
    r#"{"query":"{__typename __schema{queryType{name} mutationType{name} subscriptionType{name}}}"}"#;

/// The query that servers that forbid introspection still support.
pub(crate) const SMALL_QUESTION: &str = r#"{"query":"{__typename}"}"#;

/// What a response shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DetectedUpstream {
    /// Its error format.
    pub dialect: Dialect,
    /// The names of its root types, as far as it reports them.
    pub roots: RootTypes,
}

/// Reads the response to either query. `None` if it shows nothing.
#[must_use]
pub(crate) fn read(body: &[u8]) -> Option<DetectedUpstream> {
    let response: Value = serde_json::from_slice(body).ok()?;
    let name = |pointer: &str| response.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let query = name("/data/__schema/queryType/name").or_else(|| name("/data/__typename"));
    let Some(query) = query else {
        // Without a credential Hasura says only this, and no other server words it so.
        let path = response.pointer("/errors/0/extensions/path").and_then(Value::as_str);
        let code = response.pointer("/errors/0/extensions/code").and_then(Value::as_str);
        return (path.is_some_and(|path| path.starts_with('$')) && code.is_some())
            .then(|| upstream("query_root", None, None));
    };
    let upstream =
        upstream(&query, name("/data/__schema/mutationType/name"), name("/data/__schema/subscriptionType/name"));
    // One type cannot be both; such a response is not to be trusted.
    (upstream.roots.query != upstream.roots.mutation).then_some(upstream)
}

fn upstream(query: &str, mutation: Option<String>, subscription: Option<String>) -> DetectedUpstream {
    let (roots, dialect) = RootTypes::of_upstream(query, mutation, subscription);
    DetectedUpstream { dialect, roots }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_are_told_apart() {
        let read = |body: &str| read(body.as_bytes());
        let hasura = read(r#"{"data":{"__typename":"query_root"}}"#).expect("an upstream");
        assert_eq!((hasura.dialect, hasura.roots.mutation.as_str()), (Dialect::Hasura, "mutation_root"));
        let other = read(r#"{"data":{"__schema":{"queryType":{"name":"RootQuery"},"mutationType":{"name":"M"}}}}"#);
        let other = other.expect("an upstream");
        assert_eq!((other.roots.query.as_str(), other.roots.mutation.as_str()), ("RootQuery", "M"));
        let closed = r#"{"errors":[{"extensions":{"path":"$","code":"access-denied"},"message":"no"}]}"#;
        assert_eq!(read(closed).map(|upstream| upstream.dialect), Some(Dialect::Hasura));
        assert_eq!(read(r#"{"errors":[{"message":"no"}]}"#), None);
        assert_eq!(read(r#"{"data":{"__typename":"Mutation"}}"#), None);
        assert_eq!(read("<html>"), None);
    }
}
