//! The list of trusted documents: found by their normal form, as an allow-list is, and by the ids under which clients name them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::documents::audience::Audience;
use crate::documents::document_hash::DocumentHash;
use crate::documents::listed::ListedDocument;
use crate::documents::normal_form::normal_form;
use crate::graphql::check_document::check_document;
use crate::graphql::document::{Document, DocumentError, parse};
use crate::model::limits::Limits;
use crate::model::source::{Diagnostic, SourceLocation};

/// All trusted documents.
#[derive(Clone, Debug, Default)]
pub struct TrustedDocuments {
    documents: Vec<ListedDocument>,
    audiences: HashMap<DocumentHash, Audience>,
    texts: HashMap<String, Arc<str>>,
}

/// The hash algorithm that an id may begin with: `sha256:…`.
const ALGORITHM: &str = "sha256:";

/// Bytes of the longest id that is looked up.
const ID_BYTES_MAX: usize = 1024;

impl TrustedDocuments {
    /// Reads and checks the documents. Two of them with one id must be the same document.
    #[must_use]
    pub fn new(listed: Vec<ListedDocument>, limits: &Limits, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut list = Self::default();
        let mut places: HashMap<String, SourceLocation> = HashMap::new();
        for document in listed {
            let form = match read(&document.text, limits) {
                Ok(parsed) => normal_form(parsed.syntax_tree()),
                Err(error) => {
                    diagnostics.push(diagnostic(&document, &error));
                    continue;
                }
            };
            let audience = list.audiences.entry(form).or_insert_with(|| document.audience.clone());
            audience.extend(&document.audience);
            if let Some(id) = &document.id {
                let known = list.texts.insert(id.clone(), Arc::clone(&document.text));
                if known.is_some_and(|known| known != document.text) {
                    let first = places.get(id).map(|place| format!(" ({}:{})", place.source.name, place.line));
                    let message = format!("another document has the id {id:?}{}", first.unwrap_or_default());
                    diagnostics.push(Diagnostic::error(Some(document.place.clone()), message, "remove one of them"));
                }
                places.entry(id.clone()).or_insert_with(|| document.place.clone());
            }
            let hash = DocumentHash::of(document.text.as_bytes()).to_string();
            list.texts.entry(hash).or_insert_with(|| Arc::clone(&document.text));
            list.documents.push(document);
        }
        list
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// All of them, in the order of the files.
    #[must_use]
    pub fn documents(&self) -> &[ListedDocument] {
        &self.documents
    }

    /// Who may send this document; `None` if it is not listed.
    #[must_use]
    pub fn audience(&self, document: &Document) -> Option<&Audience> {
        if self.audiences.is_empty() {
            return None;
        }
        self.audiences.get(&normal_form(document.syntax_tree()))
    }

    /// The text of the document with this id: the list's own, or the hash of the text, with or without `sha256:`.
    #[must_use]
    pub fn text(&self, id: &str) -> Option<&Arc<str>> {
        if id.len() > ID_BYTES_MAX {
            return None;
        }
        self.texts.get(id).or_else(|| self.texts.get(id.strip_prefix(ALGORITHM)?))
    }
}

/// Parses a listed document, and checks what needs no schema.
fn read(text: &str, limits: &Limits) -> Result<Document, DocumentError> {
    let document = parse(text, limits)?;
    if document.operations().is_empty() {
        return Err(DocumentError::NotOneOperation);
    }
    check_document(&document, limits)?;
    Ok(document)
}

fn diagnostic(listed: &ListedDocument, error: &DocumentError) -> Diagnostic {
    const HELP: &str = "correct the document, or remove it from the list";
    let named = listed.name.as_ref().map(|name| format!(" '{name}'")).unwrap_or_default();
    let (message, offset) = match error {
        DocumentError::Invalid { diagnostics, .. } => {
            let first = diagnostics.first();
            let place = first.and_then(|first| first.location).filter(|_| !listed.is_verbatim);
            let place = place.map(|place| format!("line {}, column {}: ", place.line, place.column));
            let text = first.map(|first| first.message.clone()).unwrap_or_default();
            (format!("{}{text}", place.unwrap_or_default()), first.and_then(|first| first.offset))
        }
        DocumentError::NotOneOperation => ("it has no operation".to_owned(), None),
        other => (other.to_string(), None),
    };
    let place = match offset.filter(|_| listed.is_verbatim) {
        Some(offset) => SourceLocation::at_offset(&listed.place.source, offset),
        None => listed.place.clone(),
    };
    Diagnostic::error(Some(place), format!("the trusted document{named} is not valid: {message}"), HELP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::manifest;
    use crate::model::source::Source;

    fn list(files: &[(&str, &str)]) -> (TrustedDocuments, Vec<String>) {
        let (limits, mut diagnostics) = (Limits::default(), Vec::new());
        let read = files
            .iter()
            .flat_map(|(name, text)| manifest::read(&Arc::new(Source::new(*name, *text)), &limits, &mut diagnostics));
        let read: Vec<ListedDocument> = read.collect();
        let list = TrustedDocuments::new(read, &limits, &mut diagnostics);
        (list, diagnostics.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn documents_are_found_by_id_by_hash_and_by_form() {
        let relay = r#"{"one": "query A { user { name } quote }"}"#;
        let (list, errors) = list(&[("relay.json", relay), ("b.graphql", "query B { quote }\nquery C { b }")]);
        assert_eq!(errors, [""; 0]);
        assert_eq!(list.text("one").map(AsRef::as_ref), Some("query A { user { name } quote }"));
        let hash = DocumentHash::of(b"query A { user { name } quote }").to_string();
        assert!(list.text(&hash).is_some() && list.text(&format!("sha256:{hash}")).is_some());
        assert!(list.text("two").is_none() && list.text(&"x".repeat(10_000_000)).is_none());
        let audience = |text: &str| list.audience(&parse(text, &Limits::default()).expect("a document")).cloned();
        for listed in [
            "query A { user { name } quote }",
            "query B { quote __typename }",
            "query C { b }",
            "query B { quote } query C { b }",
        ] {
            assert_eq!(audience(listed), Some(Audience::Everyone), "{listed}");
        }
        for unlisted in ["query A { quote user { name } }", "query D { b }", "{ quote }"] {
            assert_eq!(audience(unlisted), None, "{unlisted}");
        }
    }

    #[test]
    fn each_error_has_its_place() {
        for (name, text, wanted) in [
            ("a.graphql", "query A {\n  quote(\n}", "a.graphql:3:1: error: the trusted document is not valid: "),
            ("a.graphql", "fragment F on Q { a }", "it has no operation"),
            ("a.graphql", "{ ...F }", "a.graphql:1:3"),
            ("m.json", "{\n \"a\": \"{ x }\",\n \"a\": \"{ x }\"}", "m.json:3:"),
            ("m.json", "{\n \"a\": 1}", "m.json:2:7: "),
            ("m.json", "{\n \"a\": \"{ x\"}", "m.json:2:7: error: the trusted document is not valid: line 1, column "),
            ("m.json", "[1]", "m.json:1:1: "),
            ("m.json", "{", "m.json:1:1: "),
            ("m.json", r#"{"format": "apollo-persisted-query-manifest", "version": 2, "operations": []}"#, "version"),
            (
                "m.json",
                "{\"format\": \"apollo-persisted-query-manifest\", \"version\": 1, \"operations\": [\n\
                 {\"id\": \"1\", \"name\": \"A\", \"type\": \"query\", \"body\": \"query A { a }\"},\n\
                 {\"id\": \"1\", \"name\": \"B\", \"type\": \"query\", \"body\": \"query B { b }\"}]}",
                "m.json:3:1: error: another document has the id \"1\" (m.json:2)",
            ),
        ] {
            let (_, errors) = list(&[(name, text)]);
            assert!(errors.iter().any(|error| error.contains(wanted)), "{text}: {errors:?}");
        }
    }
}
