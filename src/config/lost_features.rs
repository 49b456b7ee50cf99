//! Features of Hasura that other files of its metadata configure, and that do not work for documents with actions: warnings
//! that say what is lost.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::stored_documents::StoredDocuments;
use crate::config::yaml::Node;
use crate::documents::enforcement::Enforcement;
use crate::documents::trusted::TrustedDocuments;
use crate::graphql::collect_fields::root_fields;
use crate::graphql::document::{kind_of, parse};
use crate::graphql::root_types::RootTypes;
use crate::model::action::ActionSchema;
use crate::model::limits::Limits;
use crate::model::response::Dialect;
use crate::model::source::{Diagnostic, SourceLocation};

/// Documents of collections that call actions, by collection and name.
type StoredQueries<'d> = BTreeMap<(&'d str, &'d str), StoredQuery<'d>>;

/// A document of a collection that calls actions.
struct StoredQuery<'d> {
    place: &'d SourceLocation,
    actions: BTreeSet<String>,
}

/// What of the allow list does not work as it may be meant to: one that is not enforced, or one that is enforced and empty.
#[must_use]
pub fn lost_features(
    schema: &ActionSchema,
    documents: &StoredDocuments,
    trusted: &TrustedDocuments,
    enforcement: Enforcement,
) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    if matches!(enforcement, Enforcement::Actions | Enforcement::All) && trusted.is_empty() {
        let what = if enforcement == Enforcement::All { "every document" } else { "every document with an action" };
        let message = format!("no document is trusted, so {what} of a role but admin is rejected");
        let help = "give documents.folder or allow_list.yaml, or set documents.only: log";
        warnings.push(Diagnostic::warning(None, message, help));
    }
    if enforcement != Enforcement::Off {
        return warnings;
    }
    let entries = documents.allow_list.iter().flat_map(Node::items);
    let allowed: BTreeSet<String> = entries.filter_map(|entry| entry.member("collection")?.scalar_text()).collect();
    for ((collection, name), query) in stored_queries(schema, documents) {
        if !allowed.contains(collection) {
            continue;
        }
        let message = format!(
            "the query '{name}' of the collection '{collection}' with the action {} is in the allow list, which is not \
             enforced: documents with actions are served whether they are listed or not",
            listed(&query.actions)
        );
        let help = "set HASURA_GRAPHQL_ENABLE_ALLOWLIST as for Hasura, or documents.only";
        warnings.push(Diagnostic::warning(Some(query.place.clone()), message, help));
    }
    warnings
}

fn listed(actions: &BTreeSet<String>) -> String {
    let quoted: Vec<String> = actions.iter().map(|name| format!("'{name}'")).collect();
    quoted.join(", ")
}

fn stored_queries<'d>(schema: &ActionSchema, documents: &'d StoredDocuments) -> StoredQueries<'d> {
    let mut stored = StoredQueries::new();
    for (collection, queries) in &documents.collections {
        for (name, document) in queries {
            let actions = actions_of(schema, &document.text);
            if !actions.is_empty() {
                stored.insert((collection, name), StoredQuery { place: &document.place, actions });
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
