//! Writes lists of documents for an upstream that has a list of its own: Hasura's query collections, Apollo's persisted query
//! manifest, Relay's persisted queries.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::documents::audience::Audience;
use crate::documents::document_hash::DocumentHash;
use crate::graphql::document::parse;
use crate::model::limits::Limits;

/// A document of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedDocument {
    /// A name for it; it need not be unique.
    pub name: String,
    /// `query`, `mutation` or `subscription`.
    pub kind: &'static str,
    /// The text, exactly as it is sent.
    pub text: String,
    /// Who may send it.
    pub audience: Audience,
}

/// `query_collections.yaml`, a collection for each set of roles, with what `allow_list.yaml` needs in comments before it. Hasura
/// compares documents by their syntax tree, so they are printed for people.
#[must_use]
pub fn hasura(documents: &[ExportedDocument]) -> String {
    let mut collections: BTreeMap<String, (Option<String>, Vec<&ExportedDocument>)> = BTreeMap::new();
    for document in documents {
        let roles = match &document.audience {
            Audience::Everyone => None,
            Audience::Roles(roles) => Some(roles.iter().cloned().collect::<Vec<_>>()),
        };
        let name = roles.as_ref().map_or(COLLECTION.to_owned(), |roles| format!("{COLLECTION}-{}", roles.join("-")));
        let listed = roles.map(|roles| {
            roles.iter().map(|role| Value::from(role.as_str()).to_string()).collect::<Vec<_>>().join(", ")
        });
        collections.entry(name).or_insert_with(|| (listed, Vec::new())).1.push(document);
    }
    let mut text = String::from(
        "# What Pillion sends to Hasura of its trusted documents, as query_collections.yaml. Add to allow_list.yaml:\n",
    );
    for (name, (roles, _)) in &collections {
        let scope =
            roles.as_ref().map_or("{global: true}".to_owned(), |roles| format!("{{global: false, roles: [{roles}]}}"));
        let _ = writeln!(text, "#   - {{collection: {}, scope: {scope}}}", Value::from(name.as_str()));
    }
    for (name, (_, documents)) in &collections {
        let _ = write!(text, "- name: {}\n  definition:\n    queries:\n", Value::from(name.as_str()));
        let mut names = BTreeMap::new();
        for document in documents {
            let count = names.entry(&document.name).or_insert(0_usize);
            *count += 1;
            let name = if *count > 1 { format!("{}_{count}", document.name) } else { document.name.clone() };
            let _ = write!(text, "      - name: {}\n        query: |-\n", Value::from(name));
            for line in pretty(&document.text).lines() {
                let indent = if line.is_empty() { "" } else { "          " };
                let _ = writeln!(text, "{indent}{line}");
            }
        }
    }
    text
}

/// The name of the collections.
const COLLECTION: &str = "pillion";

fn pretty(text: &str) -> String {
    parse(text, &Limits::default()).map_or_else(|_| text.to_owned(), |document| document.syntax_tree().to_string())
}

/// Apollo's manifest. Ids are the hashes of the texts.
#[must_use]
pub fn apollo(documents: &[ExportedDocument]) -> String {
    let operation = |document: &ExportedDocument| {
        let ExportedDocument { name, kind, text, .. } = document;
        json!({ "id": DocumentHash::of(text.as_bytes()).to_string(), "name": name, "type": kind, "body": text })
    };
    let operations: Vec<Value> = documents.iter().map(operation).collect();
    format!("{:#}\n", json!({ "format": "apollo-persisted-query-manifest", "version": 1, "operations": operations }))
}

/// Relay's persisted queries. Ids are the hashes of the texts.
#[must_use]
pub fn relay(documents: &[ExportedDocument]) -> String {
    let of = |document: &ExportedDocument| {
        (DocumentHash::of(document.text.as_bytes()).to_string(), Value::from(document.text.as_str()))
    };
    format!("{:#}\n", Value::Object(documents.iter().map(of).collect::<Map<_, _>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents() -> Vec<ExportedDocument> {
        let document = |text: &str, audience: &Audience| ExportedDocument {
            name: "A".into(),
            kind: "query",
            text: text.into(),
            audience: audience.clone(),
        };
        let customers = Audience::Roles(["customer".to_owned(), "clerk".to_owned()].into());
        vec![
            document("query A { user     }", &Audience::Everyone),
            document("query A {      users }", &Audience::Everyone),
            document("query A { own }", &customers),
        ]
    }

    #[test]
    fn hasura_gets_collections_by_roles() {
        let wanted = "\
# What Pillion sends to Hasura of its trusted documents, as query_collections.yaml. Add to allow_list.yaml:
#   - {collection: \"pillion\", scope: {global: true}}
#   - {collection: \"pillion-clerk-customer\", scope: {global: false, roles: [\"clerk\", \"customer\"]}}
- name: \"pillion\"
  definition:
    queries:
      - name: \"A\"
        query: |-
          query A {
            user
          }
      - name: \"A_2\"
        query: |-
          query A {
            users
          }
- name: \"pillion-clerk-customer\"
  definition:
    queries:
      - name: \"A\"
        query: |-
          query A {
            own
          }
";
        assert_eq!(hasura(&documents()), wanted);
    }

    #[test]
    fn manifests_have_the_exact_texts_by_their_hashes() {
        let hash = DocumentHash::of(b"query A { user     }").to_string();
        let manifest: Value = serde_json::from_str(&apollo(&documents())).expect("JSON");
        let first = json!({ "id": hash, "name": "A", "type": "query", "body": "query A { user     }" });
        assert_eq!(manifest["operations"][0], first);
        let manifest: Value = serde_json::from_str(&relay(&documents())).expect("JSON");
        assert_eq!(manifest[&hash], "query A { user     }");
    }
}
