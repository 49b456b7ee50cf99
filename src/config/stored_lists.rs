//! The stored documents of metadata as lists of JSON, in the form in which Hasura exports them: query collections, the allow
//! list and REST endpoints. Commands of the metadata API edit them.

use serde_json::{Map, Value};

use crate::config::json_nodes::{list, node_of};
use crate::config::stored_documents::{DocumentFiles, FILES};
use crate::config::yaml::Node;

/// Query collections, the allow list and REST endpoints.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredLists {
    /// Each with `name`, `definition.queries` and `comment`.
    pub query_collections: Vec<Value>,
    /// Each with `collection` and `scope`.
    pub allow_list: Vec<Value>,
    /// Each with `name`, `url`, `methods`, `definition.query` and `comment`.
    pub rest_endpoints: Vec<Value>,
}

/// The members of an export that hold the lists, in the order of [`FILES`].
pub const KEYS: [&str; 3] = ["query_collections", "allowlist", "rest_endpoints"];

impl StoredLists {
    /// The contents of the files.
    #[must_use]
    pub fn of_files(files: &DocumentFiles) -> Self {
        let read =
            |node: &Option<Node>| node.as_ref().map(Node::to_json).as_ref().map(list).unwrap_or_default().to_vec();
        Self {
            query_collections: read(&files.query_collections),
            allow_list: read(&files.allow_list),
            rest_endpoints: read(&files.rest_endpoints),
        }
    }

    /// The same as files that stand nowhere.
    #[must_use]
    pub fn to_files(&self) -> DocumentFiles {
        let node = |values: &Vec<Value>| Some(node_of(&values.clone().into()));
        DocumentFiles {
            query_collections: node(&self.query_collections),
            allow_list: node(&self.allow_list),
            rest_endpoints: node(&self.rest_endpoints),
        }
    }

    /// The lists in an export, whatever else that holds.
    #[must_use]
    pub fn of_export(export: &Map<String, Value>) -> Self {
        let get = |key: &str| export.get(key).map(list).unwrap_or_default().to_vec();
        let [collections, allow_list, endpoints] = KEYS;
        Self { query_collections: get(collections), allow_list: get(allow_list), rest_endpoints: get(endpoints) }
    }

    /// The lists with their members in an export.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, &Vec<Value>)> {
        KEYS.into_iter().zip([&self.query_collections, &self.allow_list, &self.rest_endpoints])
    }

    /// The lists with the names of their files.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &Vec<Value>)> {
        FILES.into_iter().zip([&self.query_collections, &self.allow_list, &self.rest_endpoints])
    }

    /// Everything that either holds, once: of two queries, entries or endpoints with one name this one's.
    #[must_use]
    pub fn united_with(&self, theirs: &Self) -> Self {
        let mut collections = united(&self.query_collections, &theirs.query_collections, "name");
        for collection in &mut collections {
            let name = collection["name"].as_str().unwrap_or_default().to_owned();
            let queries = united(self.queries(&name), theirs.queries(&name), "name");
            set_queries(collection, queries);
        }
        Self {
            query_collections: collections,
            allow_list: united(&self.allow_list, &theirs.allow_list, "collection"),
            rest_endpoints: united(&self.rest_endpoints, &theirs.rest_endpoints, "name"),
        }
    }

    /// Is there a collection of this name?
    #[must_use]
    pub fn has_collection(&self, name: &str) -> bool {
        self.query_collections.iter().any(|collection| collection["name"] == *name)
    }

    /// The queries of a collection, each with `name` and `query`.
    #[must_use]
    pub fn queries(&self, collection: &str) -> &[Value] {
        let found = self.query_collections.iter().find(|known| known["name"] == *collection);
        found.map(queries_of).unwrap_or_default()
    }

    /// The text of a query.
    #[must_use]
    pub fn query(&self, collection: &str, name: &str) -> Option<&str> {
        self.queries(collection).iter().find(|query| query["name"] == *name)?["query"].as_str()
    }

    /// Has the allow list an entry for this collection?
    #[must_use]
    pub fn allows(&self, collection: &str) -> bool {
        self.allow_list.iter().any(|entry| entry["collection"] == *collection)
    }

    /// Is there an endpoint of this name?
    #[must_use]
    pub fn has_endpoint(&self, name: &str) -> bool {
        self.rest_endpoints.iter().any(|endpoint| endpoint["name"] == *name)
    }

    /// Replaces the queries of a collection, if there is one of this name.
    pub fn change_queries(&mut self, collection: &str, change: impl FnOnce(&mut Vec<Value>)) {
        let Some(found) = self.query_collections.iter_mut().find(|known| known["name"] == *collection) else { return };
        let mut queries = queries_of(found).to_vec();
        change(&mut queries);
        set_queries(found, queries);
    }
}

/// The collection and the name of the query that an endpoint executes.
#[must_use]
pub fn reference(endpoint: &Value) -> (&str, &str) {
    let name = |pointer: &str| endpoint.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    (name("/definition/query/collection_name"), name("/definition/query/query_name"))
}

/// The queries of a collection.
#[must_use]
pub fn queries_of(collection: &Value) -> &[Value] {
    collection.pointer("/definition/queries").map(list).unwrap_or_default()
}

/// Replaces the queries of a collection.
pub fn set_queries(collection: &mut Value, queries: Vec<Value>) {
    if let Some(collection) = collection.as_object_mut() {
        let definition = [("queries".to_owned(), Value::Array(queries))];
        collection.insert("definition".into(), Value::Object(definition.into_iter().collect()));
    }
}

/// Theirs in their order, ours in their places, and then what only we have.
fn united(ours: &[Value], theirs: &[Value], key: &str) -> Vec<Value> {
    let is_same = |one: &Value, other: &Value| one[key] == other[key];
    let mut all: Vec<Value> =
        theirs.iter().map(|entry| ours.iter().find(|own| is_same(own, entry)).unwrap_or(entry).clone()).collect();
    let is_new = |own: &&Value| !theirs.iter().any(|entry| is_same(own, entry));
    all.extend(ours.iter().filter(is_new).cloned());
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lists(json: &Value) -> StoredLists {
        StoredLists::of_export(json.as_object().expect("an object"))
    }

    #[test]
    fn a_union_has_everything_once() {
        let query = |name: &str, text: &str| json!({ "name": name, "query": text });
        let ours = lists(&json!({
            "query_collections": [
                { "name": "b", "definition": { "queries": [query("x", "{ ours }"), query("y", "{ y }")] } },
                { "name": "c", "definition": { "queries": [] } },
            ],
            "allowlist": [{ "collection": "b", "scope": { "global": true } }],
            "rest_endpoints": [{ "name": "e", "url": "ours" }],
        }));
        let theirs = lists(&json!({
            "query_collections": [
                { "name": "a", "definition": { "queries": [query("z", "{ z }")] } },
                { "name": "b", "definition": { "queries": [query("w", "{ w }"), query("x", "{ theirs }")] }, "comment": "no" },
            ],
            "allowlist": [{ "collection": "a" }, { "collection": "b" }],
            "rest_endpoints": [{ "name": "d", "url": "d" }, { "name": "e", "url": "theirs" }],
        }));
        let wanted = lists(&json!({
            "query_collections": [
                { "name": "a", "definition": { "queries": [query("z", "{ z }")] } },
                { "name": "b", "definition": { "queries": [query("w", "{ w }"), query("x", "{ ours }"), query("y", "{ y }")] } },
                { "name": "c", "definition": { "queries": [] } },
            ],
            "allowlist": [{ "collection": "a" }, { "collection": "b", "scope": { "global": true } }],
            "rest_endpoints": [{ "name": "d", "url": "d" }, { "name": "e", "url": "ours" }],
        }));
        assert_eq!(ours.united_with(&theirs), wanted);
        assert_eq!(ours.united_with(&StoredLists::default()), ours);
        assert_eq!(StoredLists::default().united_with(&theirs), theirs);
    }
}
