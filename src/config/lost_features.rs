//! Features of Hasura that other files of its metadata configure (allow list, query collections, REST endpoints), and that
//! do not work for documents with actions: warnings that say what is lost.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::yaml::{Data, Node};
use crate::graphql::collect_fields::root_fields;
use crate::graphql::document::{kind_of, parse};
use crate::graphql::root_types::RootTypes;
use crate::model::action::ActionSchema;
use crate::model::limits::Limits;
use crate::model::response::Dialect;
use crate::model::source::{Diagnostic, SourceLocation};

/// The files of Hasura's metadata that hold documents or refer to them, as far as they are there.
#[derive(Debug, Default)]
pub struct HasuraFiles {
    /// `query_collections.yaml`.
    pub query_collections: Option<Node>,
    /// `allow_list.yaml`.
    pub allow_list: Option<Node>,
    /// `rest_endpoints.yaml`.
    pub rest_endpoints: Option<Node>,
    /// `HASURA_GRAPHQL_ENABLE_ALLOWLIST`.
    pub enables_allow_list: bool,
}

/// A document of a collection that calls actions.
struct StoredQuery<'n> {
    place: &'n SourceLocation,
    actions: BTreeSet<String>,
}

/// By collection and name.
type StoredQueries<'n> = BTreeMap<(String, String), StoredQuery<'n>>;

/// What of Hasura's other features does not work for actions.
#[must_use]
pub fn lost_features(schema: &ActionSchema, files: &HasuraFiles) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    if files.enables_allow_list && !schema.actions.is_empty() {
        warnings.push(Diagnostic::warning(
            None,
            "HASURA_GRAPHQL_ENABLE_ALLOWLIST has no effect on documents with actions: they are served whether they are in \
             the allow list or not, and an upstream with the same setting rejects its part of them",
            "deny unknown documents before Pillion, and leave the upstream's allow list off",
        ));
    }
    let stored = stored_queries(schema, files.query_collections.as_ref());
    let mut reported = BTreeSet::new();
    for (node, key) in references(files.rest_endpoints.as_ref(), &endpoint_query) {
        let Some(query) = stored.get(&key) else { continue };
        let message = format!(
            "this REST endpoint runs the query '{}' with the action {}: the upstream serves it, and knows no actions",
            key.1,
            listed(&query.actions)
        );
        let help = "let its clients send the query to the GraphQL path of Pillion";
        warnings.push(Diagnostic::warning(Some(node.place.clone()), message, help));
        reported.insert(key);
    }
    let allowed: BTreeSet<String> =
        references(files.allow_list.as_ref(), &allowed_collection).into_iter().map(|(_, name)| name).collect();
    for (key, query) in stored.iter().filter(|(key, _)| allowed.contains(&key.0) || !reported.contains(*key)) {
        let (collection, name) = key;
        let (actions, place) = (listed(&query.actions), Some(query.place.clone()));
        let (effect, help) = if allowed.contains(collection) {
            (
                "is in the allow list, which is not applied to documents with actions; the upstream gets a part of it that \
                 is not in its allow list",
                "deny unknown documents before Pillion, and leave the upstream's allow list off",
            )
        } else {
            ("has an effect in the upstream only, which knows no actions", "remove it, or send it to Pillion")
        };
        let message = format!("the query '{name}' of the collection '{collection}' with the action {actions} {effect}");
        warnings.push(Diagnostic::warning(place, message, help));
    }
    warnings
}

fn listed(actions: &BTreeSet<String>) -> String {
    let quoted: Vec<String> = actions.iter().map(|name| format!("'{name}'")).collect();
    quoted.join(", ")
}

fn stored_queries<'n>(schema: &ActionSchema, collections: Option<&'n Node>) -> StoredQueries<'n> {
    let mut stored = StoredQueries::new();
    for collection in collections.map(items).unwrap_or_default() {
        let Some(name) = text(collection, &["name"]) else { continue };
        for query in at(collection, &["definition", "queries"]).map(items).unwrap_or_default() {
            let (Some(query_name), Some(document)) = (text(query, &["name"]), text(query, &["query"])) else {
                continue;
            };
            let actions = actions_of(schema, &document);
            if !actions.is_empty() {
                stored.insert((name.clone(), query_name), StoredQuery { place: &query.place, actions });
            }
        }
    }
    stored
}

/// The actions at the root of a document. One that cannot be parsed is not ours to judge.
fn actions_of(schema: &ActionSchema, text: &str) -> BTreeSet<String> {
    let Ok(document) = parse(text, &Limits::default()) else { return BTreeSet::new() };
    let roots = RootTypes::usual(Dialect::Hasura);
    let mut actions = BTreeSet::new();
    for operation in document.operations() {
        let kind = kind_of(operation);
        let fields = root_fields(&document, operation, roots.of(kind));
        let called = fields.iter().filter_map(|field| schema.action(kind, &field.name));
        actions.extend(called.map(|action| action.name.clone()));
    }
    actions
}

fn references<'n, T>(list: Option<&'n Node>, read: &dyn Fn(&Node) -> Option<T>) -> Vec<(&'n Node, T)> {
    list.map(items).unwrap_or_default().iter().filter_map(|node| Some((node, read(node)?))).collect()
}

fn endpoint_query(endpoint: &Node) -> Option<(String, String)> {
    let of = |key| text(endpoint, &["definition", "query", key]);
    Some((of("collection_name")?, of("query_name")?))
}

fn allowed_collection(entry: &Node) -> Option<String> {
    text(entry, &["collection"])
}

fn items(node: &Node) -> &[Node] {
    if let Data::List(items) = &node.data { items } else { &[] }
}

fn at<'n>(node: &'n Node, path: &[&str]) -> Option<&'n Node> {
    path.iter().try_fold(node, |node, wanted| match &node.data {
        Data::Map(entries) => entries.iter().find(|(key, ..)| key == wanted).map(|(_, _, value)| value),
        _ => None,
    })
}

fn text(node: &Node, path: &[&str]) -> Option<String> {
    at(node, path)?.scalar_text()
}
