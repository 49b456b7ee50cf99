//! Reads `query_collections.yaml` of Hasura's metadata folder: named documents in named collections. Allow lists and REST
//! endpoints refer to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::yaml::{Fields, Node};
use crate::model::source::{Diagnostic, SourceLocation};

/// The collections by their names.
pub type QueryCollections = BTreeMap<String, QueryCollection>;

/// One collection: its documents by their names.
pub type QueryCollection = BTreeMap<String, StoredDocument>;

/// A document of a collection.
#[derive(Clone, Debug)]
pub struct StoredDocument {
    /// Its text.
    pub text: Arc<str>,
    /// Where its entry stands.
    pub place: SourceLocation,
}

/// Reads the file's list. Two collections, or two documents of one collection, of the same name are an error at the second.
#[must_use]
pub fn read(file: &Node, diagnostics: &mut Vec<Diagnostic>) -> QueryCollections {
    let mut collections = QueryCollections::new();
    for node in file.list("query_collections.yaml", diagnostics) {
        let Some(fields) = Fields::of(node, "a query collection", diagnostics) else { continue };
        let name = fields.required_text("name", diagnostics);
        fields.ignore("comment");
        let queries = fields.get("definition").and_then(|definition| {
            let fields = Fields::of(definition, "\"definition\"", diagnostics)?;
            let queries = fields.get("queries");
            fields.finish(diagnostics);
            queries
        });
        fields.finish(diagnostics);
        let documents = queries.map(|queries| read_documents(queries, diagnostics)).unwrap_or_default();
        let Some(name) = name else { continue };
        if collections.contains_key(&name) {
            node.reject(format!("the query collection '{name}' is defined twice"), "rename one of them", diagnostics);
            continue;
        }
        collections.insert(name, documents);
    }
    collections
}

fn read_documents(queries: &Node, diagnostics: &mut Vec<Diagnostic>) -> QueryCollection {
    let mut documents = QueryCollection::new();
    for node in queries.list("\"queries\"", diagnostics) {
        let Some(fields) = Fields::of(node, "a query", diagnostics) else { continue };
        let name = fields.required_text("name", diagnostics);
        let text = fields.required_text("query", diagnostics);
        fields.finish(diagnostics);
        let (Some(name), Some(text)) = (name, text) else { continue };
        if documents.contains_key(&name) {
            let message = format!("the collection has two queries named '{name}'");
            node.reject(message, "rename one of them", diagnostics);
            continue;
        }
        documents.insert(name, StoredDocument { text: text.into(), place: node.place.clone() });
    }
    documents
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml::parse;
    use crate::model::source::Source;

    fn read_text(text: &str) -> (QueryCollections, Vec<String>) {
        let node = parse(&Arc::new(Source::new("query_collections.yaml", text))).expect("YAML");
        let mut diagnostics = Vec::new();
        let collections = read(&node, &mut diagnostics);
        (collections, diagnostics.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn documents_are_found_by_collection_and_name() {
        let text =
            "- name: shop\n  comment: all\n  definition:\n    queries:\n      - name: a\n        query: \"{ a }\"\n";
        let (collections, errors) = read_text(text);
        assert_eq!(errors, [""; 0]);
        assert_eq!(&*collections["shop"]["a"].text, "{ a }");
        assert_eq!(collections["shop"]["a"].place.line, 5);
        assert!(read_text("").0.is_empty());
    }

    #[test]
    fn each_error_has_its_place() {
        for (text, wanted) in [
            ("a: 1", ":1:1: error: \"query_collections.yaml\" must be a list"),
            (
                "- {name: a}\n- {name: a}",
                "query_collections.yaml:2:3: error: the query collection 'a' is defined twice",
            ),
            ("- {definition: {queries: []}}", "a query collection has no \"name\""),
            (
                "- name: a\n  definition:\n    queries:\n    - {name: q, query: '{ a }'}\n    - {name: q, query: '{ b }'}",
                ":5:7: error: the collection has two queries named 'q'",
            ),
            ("- {name: a, definition: {queries: [{name: q}]}}", "a query has no \"query\""),
        ] {
            let (_, errors) = read_text(text);
            assert!(errors.iter().any(|error| error.contains(wanted)), "{text}: {errors:?}");
        }
    }
}
