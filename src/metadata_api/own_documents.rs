//! Which stored documents the upstream cannot execute: those that select an action, or a field that `fields` of `pillion.yaml`
//! adds. They are kept here only, because they would make the metadata of an upstream inconsistent.

use apollo_compiler::ast::{Definition, Selection};
use serde_json::Value;

use crate::config::document::Document;
use crate::config::settings::Settings;
use crate::graphql::collect_fields::root_fields;
use crate::graphql::document::{self, kind_of, parse};
use crate::graphql::root_types::RootTypes;
use crate::model::action::OperationKind;
use crate::model::limits::Limits;
use crate::model::response::Dialect;

/// Knows our names apart from those of the upstream.
#[derive(Debug)]
pub(crate) struct OwnDocuments {
    /// Before the names of actions.
    prefix: String,
    /// The names of extension fields.
    fields: Vec<String>,
    limits: Limits,
}

impl OwnDocuments {
    /// Those of these settings.
    #[must_use]
    pub(crate) fn new(settings: &Settings) -> Self {
        let fields = settings.extension_fields.iter().map(|field| field.name.clone()).collect();
        Self { prefix: settings.prefixes.fields.clone(), fields, limits: settings.limits.clone() }
    }

    /// The limits of documents.
    #[must_use]
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Does this document select an action of `metadata`, or any field with the name of an extension field? One that cannot
    /// be parsed is not ours to judge.
    #[must_use]
    pub(crate) fn includes(&self, metadata: &Document, text: &str) -> bool {
        let Ok(document) = parse(text, &self.limits) else { return false };
        let roots = RootTypes::usual(Dialect::Hasura);
        let is_action = |kind: OperationKind, field: &str| {
            let name = field.strip_prefix(self.prefix.as_str());
            name.and_then(|name| metadata.action(name)).is_some_and(|action| is_on_root(action.get("definition"), kind))
        };
        let calls = document.operations().iter().any(|operation| {
            let kind = kind_of(operation);
            let fields = root_fields(&document, operation, roots.of(kind));
            fields.iter().any(|field| is_action(kind, &field.name))
        });
        calls || self.selects_field(&document)
    }

    fn selects_field(&self, document: &document::Document) -> bool {
        !self.fields.is_empty()
            && document.syntax_tree().definitions.iter().any(|definition| match definition {
                Definition::OperationDefinition(operation) => self.is_selected(&operation.selection_set),
                Definition::FragmentDefinition(fragment) => self.is_selected(&fragment.selection_set),
                _ => false,
            })
    }

    /// The parser's limit bounds the recursion.
    fn is_selected(&self, selection_set: &[Selection]) -> bool {
        selection_set.iter().any(|selection| match selection {
            Selection::Field(field) => {
                self.fields.iter().any(|name| field.name == name.as_str()) || self.is_selected(&field.selection_set)
            }
            Selection::InlineFragment(inline) => self.is_selected(&inline.selection_set),
            Selection::FragmentSpread(_) => false,
        })
    }
}

/// The result of an asynchronous action is queried, or subscribed to, under its own name.
fn is_on_root(definition: Option<&Value>, kind: OperationKind) -> bool {
    let member = |key: &str| definition.and_then(|definition| definition.get(key)).and_then(Value::as_str);
    let own = if member("type") == Some("query") { OperationKind::Query } else { OperationKind::Mutation };
    own == kind || kind != OperationKind::Mutation && member("kind") == Some("asynchronous")
}
