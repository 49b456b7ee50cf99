//! Reads `allow_list.yaml` of Hasura's metadata folder: which query collections may be sent, by everyone or by certain roles.

use std::collections::BTreeSet;

use crate::config::query_collections::QueryCollections;
use crate::config::yaml::{Fields, Node};
use crate::documents::audience::Audience;
use crate::documents::listed::ListedDocument;
use crate::model::source::Diagnostic;

/// The documents of the collections that the file's list names.
#[must_use]
pub fn read(file: &Node, collections: &QueryCollections, diagnostics: &mut Vec<Diagnostic>) -> Vec<ListedDocument> {
    let mut listed = Vec::new();
    for node in file.list("allow_list.yaml", diagnostics) {
        let Some(fields) = Fields::of(node, "an entry of the allow list", diagnostics) else { continue };
        let name = fields.required_text("collection", diagnostics);
        let audience = fields.get("scope").map_or(Some(Audience::Everyone), |scope| read_scope(scope, diagnostics));
        fields.finish(diagnostics);
        let (Some(name), Some(audience)) = (name, audience) else { continue };
        let Some(collection) = collections.get(&name) else {
            let message = format!("there is no query collection '{name}'");
            node.reject(message, "add it to query_collections.yaml, or remove this entry", diagnostics);
            continue;
        };
        listed.extend(collection.iter().map(|(name, document)| ListedDocument {
            id: None,
            name: Some(name.clone()),
            text: document.text.clone(),
            place: document.place.clone(),
            is_verbatim: false,
            audience: audience.clone(),
        }));
    }
    listed
}

/// `{global: true}`, or `{global: false, roles: […]}`.
fn read_scope(scope: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<Audience> {
    let fields = Fields::of(scope, "\"scope\"", diagnostics)?;
    let is_global = fields.bool("global", diagnostics).unwrap_or_else(|| fields.get("roles").is_none());
    let has_roles = fields.get("roles").is_some();
    let roles: BTreeSet<String> =
        fields.list("roles", diagnostics).iter().filter_map(|role| Some(role.as_text()?.to_owned())).collect();
    fields.finish(diagnostics);
    match (is_global, roles.is_empty()) {
        (true, _) if has_roles => {
            scope.reject("a global scope has no roles", "remove \"roles\", or set global: false", diagnostics);
            None
        }
        (true, _) => Some(Audience::Everyone),
        (false, true) => {
            scope.reject("a scope that is not global has no roles", "list the roles, or set global: true", diagnostics);
            None
        }
        (false, false) => Some(Audience::Roles(roles)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{query_collections, yaml};
    use crate::model::source::Source;

    fn read_text(text: &str) -> (Vec<(String, Audience)>, Vec<String>) {
        let parse = |name: &str, text: &str| yaml::parse(&Arc::new(Source::new(name, text))).expect("YAML");
        let mut diagnostics = Vec::new();
        let collections = "- {name: shop, definition: {queries: [{name: a, query: '{ a }'}]}}\n- {name: none}";
        let collections = query_collections::read(&parse("query_collections.yaml", collections), &mut diagnostics);
        let listed = read(&parse("allow_list.yaml", text), &collections, &mut diagnostics);
        let listed = listed.into_iter().map(|one| (one.text.to_string(), one.audience)).collect();
        (listed, diagnostics.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn collections_are_for_everyone_or_for_roles() {
        let roles = |names: &[&str]| Audience::Roles(names.iter().map(|name| (*name).to_owned()).collect());
        for (text, wanted) in [
            ("- collection: shop", Audience::Everyone),
            ("- {collection: shop, scope: {global: true}}", Audience::Everyone),
            ("- {collection: shop, scope: {global: false, roles: [b, a]}}", roles(&["a", "b"])),
        ] {
            assert_eq!(read_text(text), (vec![("{ a }".into(), wanted)], Vec::new()), "{text}");
        }
        assert_eq!(read_text("- collection: none"), Default::default());
    }

    #[test]
    fn each_error_has_its_place() {
        for (text, wanted) in [
            ("- collection: other", "allow_list.yaml:1:3: error: there is no query collection 'other'"),
            ("- {scope: {global: true}}", "allow_list.yaml:1:3"),
            ("- {collection: shop, scope: {global: false}}", "a scope that is not global has no roles"),
            ("- {collection: shop, scope: {global: true, roles: [a]}}", "a global scope has no roles"),
        ] {
            let (listed, errors) = read_text(text);
            assert!(listed.is_empty() && errors.iter().any(|error| error.contains(wanted)), "{text}: {errors:?}");
        }
    }
}
