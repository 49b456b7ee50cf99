//! Reads the files of a documents folder: `.graphql` files, Apollo's persisted query manifest, and Relay's persisted queries
//! (`{"id": "text"}`).

use std::ops::Range;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::documents::audience::Audience;
use crate::documents::listed::ListedDocument;
use crate::graphql::document::{Document, parse, range_of};
use crate::graphql::variable_uses::Uses;
use crate::model::json::RawObject;
use crate::model::limits::Limits;
use crate::model::source::{Diagnostic, Source, SourceLocation};

/// The endings of the files that are read.
pub const ENDINGS: [&str; 3] = ["graphql", "gql", "json"];

/// The documents of one file. Those of a `.graphql` file are parsed later, so that what is wrong with one is found there.
#[must_use]
pub fn read(source: &Arc<Source>, limits: &Limits, diagnostics: &mut Vec<Diagnostic>) -> Vec<ListedDocument> {
    if source.name.ends_with(".json") { read_json(source, diagnostics) } else { read_graphql(source, limits) }
}

/// The whole file is a document; of several operations in it, each is one as well, with the fragments that it uses.
fn read_graphql(source: &Arc<Source>, limits: &Limits) -> Vec<ListedDocument> {
    let listed = |text: &str, offset: usize| ListedDocument {
        id: None,
        name: None,
        text: text.into(),
        place: SourceLocation::at_offset(source, offset),
        is_verbatim: text.len() == source.text.len(),
        audience: Audience::Everyone,
    };
    let mut found = vec![listed(&source.text, 0)];
    if let Ok(document) = parse(&source.text, limits)
        && document.operations().len() > 1
    {
        for operation in document.operations() {
            let Some(range) = range_of(operation) else { continue };
            let text = with_fragments(&document, range.clone(), &Uses::of_operation(&document, operation));
            found.push(listed(&text, range.start));
        }
    }
    found
}

fn with_fragments(document: &Document, operation: Range<usize>, uses: &Uses<'_>) -> String {
    let mut used: Vec<&str> = uses.fragments.iter().copied().collect();
    used.sort_unstable_by_key(|name| document.fragment(name).and_then(range_of).map_or(0, |range| range.start));
    let mut text = document.text.get(operation).unwrap_or_default().to_owned();
    for range in used.into_iter().filter_map(|name| document.fragment(name).and_then(range_of)) {
        text.push('\n');
        text.push_str(document.text.get(range).unwrap_or_default());
    }
    text
}

/// The `format` of Apollo's manifest.
const APOLLO: &str = "apollo-persisted-query-manifest";

fn read_json(source: &Arc<Source>, diagnostics: &mut Vec<Diagnostic>) -> Vec<ListedDocument> {
    const HELP: &str = "it must be Apollo's persisted query manifest or Relay's persisted queries: {\"id\": \"text\"}";
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
    let members: RawObject<'_> = match serde_json::from_str(text) {
        Ok(members) => members,
        Err(error) => {
            let place = SourceLocation::new(source, error.line().max(1), error.column().max(1));
            let message = format!("this is no list of documents: {error}");
            diagnostics.push(Diagnostic::error(Some(place), message, HELP));
            return Vec::new();
        }
    };
    let text_of = |key: &str| members.get(key).and_then(text_of);
    match text_of("format").as_deref() {
        Some(APOLLO) if members.get("version").is_some_and(|version| version.get() == "1") => {
            read_apollo(source, &members, diagnostics)
        }
        Some(APOLLO) => {
            let place = members.get("version").map_or(0, |version| offset_of(source, version));
            let place = SourceLocation::at_offset(source, place);
            let message = "the version of this manifest is not 1";
            diagnostics.push(Diagnostic::error(Some(place), message, "generate it in version 1"));
            Vec::new()
        }
        _ => read_relay(source, &members, diagnostics),
    }
}

fn read_apollo(
    source: &Arc<Source>,
    members: &RawObject<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<ListedDocument> {
    let operations = members.get("operations");
    let list: Option<Vec<&RawValue>> = operations.and_then(|operations| serde_json::from_str(operations.get()).ok());
    let Some(list) = list else {
        let place = SourceLocation::at_offset(source, operations.map_or(0, |operations| offset_of(source, operations)));
        let message = "the manifest has no list \"operations\"";
        diagnostics.push(Diagnostic::error(Some(place), message, "generate it again"));
        return Vec::new();
    };
    let mut found = Vec::with_capacity(list.len());
    for operation in list {
        let place = SourceLocation::at_offset(source, offset_of(source, operation));
        let members: RawObject<'_> = serde_json::from_str(operation.get()).unwrap_or_default();
        let text_of = |key: &str| members.get(key).and_then(text_of);
        let (Some(id), Some(text)) = (text_of("id"), text_of("body")) else {
            let message = "this operation has no \"id\" or no \"body\", which are strings";
            diagnostics.push(Diagnostic::error(Some(place), message, "generate the manifest again"));
            continue;
        };
        found.push(ListedDocument {
            id: Some(id),
            name: text_of("name"),
            text: text.into(),
            place,
            is_verbatim: false,
            audience: Audience::Everyone,
        });
    }
    found
}

fn read_relay(source: &Arc<Source>, members: &RawObject<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<ListedDocument> {
    let mut found = Vec::with_capacity(members.0.len());
    for (id, value) in &members.0 {
        let place = SourceLocation::at_offset(source, offset_of(source, value));
        let Some(text) = text_of(value) else {
            let message = format!("the document {id:?} is no string");
            let help = "a manifest has documents by their ids, or is Apollo's, with \"format\" and \"operations\"";
            diagnostics.push(Diagnostic::error(Some(place), message, help));
            continue;
        };
        found.push(ListedDocument {
            id: Some(id.clone().into_owned()),
            name: None,
            text: text.into(),
            place,
            is_verbatim: false,
            audience: Audience::Everyone,
        });
    }
    found
}

fn text_of(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// Where a value begins, which is a part of the file's text.
fn offset_of(source: &Source, value: &RawValue) -> usize {
    (value.get().as_ptr() as usize).saturating_sub(source.text.as_ptr() as usize)
}
