//! Merges an export of our metadata with that of the upstream.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::config::document::Document;
use crate::config::json_nodes::list;
use crate::config::stored_lists::StoredLists;
use crate::metadata_api::export;
use crate::model::json::RawObject;

/// The response to `export_metadata`: the upstream's with ours in it, or ours alone. `version` is that of our own metadata.
#[must_use]
pub(crate) fn merged_export(
    document: &Document,
    upstreams: Option<&RawValue>,
    is_wrapped: bool,
    version: u32,
) -> String {
    let Some(upstreams) = upstreams else {
        let mut metadata = json!({ "version": 3, "sources": [] });
        if let Value::Object(members) = &mut metadata {
            members.insert("actions".into(), export::actions(document).into());
            members.insert("custom_types".into(), export::custom_types(document).into());
            if !document.inherited_roles.is_empty() {
                members.insert("inherited_roles".into(), document.inherited_roles.clone().into());
            }
            let stored = document.stored.entries().filter(|(_, entries)| !entries.is_empty());
            members.extend(stored.map(|(key, entries)| (key.to_owned(), entries.clone().into())));
        }
        let wrapped = || json!({ "resource_version": version, "metadata": metadata });
        return if is_wrapped { wrapped().to_string() } else { metadata.to_string() };
    };
    let Ok(members) = serde_json::from_str::<RawObject<'_>>(upstreams.get()) else { return upstreams.get().to_owned() };
    if !is_wrapped {
        return merged(document, &members);
    }
    let entries = members.0.iter().map(|(key, value)| match serde_json::from_str::<RawObject<'_>>(value.get()) {
        Ok(metadata) if key == "metadata" => entry(key, &merged(document, &metadata)),
        _ => entry(key, value.get()),
    });
    format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
}

fn entry(key: &str, json: &str) -> String {
    format!("{}:{json}", Value::from(key))
}

/// The upstream's metadata, byte for byte, with our actions, types and stored documents among its own. Of two with one name ours
/// wins: the upstream never receives an action.
fn merged(document: &Document, upstreams: &RawObject<'_>) -> String {
    let own = [
        ("actions", Value::from(export::actions(document))),
        ("custom_types", Value::from(export::custom_types(document))),
    ];
    let theirs = |key: &str| upstreams.get(key).and_then(|value| serde_json::from_str::<Value>(value.get()).ok());
    let stored = united_documents(document, &theirs);
    let mut entries: Vec<String> = Vec::new();
    for (key, value) in &upstreams.0 {
        match own.iter().find(|(own, _)| own == key) {
            Some((_, own)) => entries.push(entry(key, &combined(&theirs(key).unwrap_or_default(), own).to_string())),
            None => match stored.iter().find(|(own, _)| own == key) {
                Some((_, all)) => entries.push(entry(key, &all.to_string())),
                None => entries.push(entry(key, value.get())),
            },
        }
    }
    for (key, own) in own.iter().chain(&stored) {
        let is_empty = list(own).is_empty() && own.as_object().is_none_or(Map::is_empty);
        if upstreams.get(key).is_none() && !is_empty {
            entries.push(entry(key, &own.to_string()));
        }
    }
    format!("{{{}}}", entries.join(","))
}

/// The lists of stored documents to which we have something to add.
fn united_documents(document: &Document, theirs: &dyn Fn(&str) -> Option<Value>) -> Vec<(&'static str, Value)> {
    let read = document.stored.entries().filter_map(|(key, _)| Some((key.to_owned(), theirs(key)?)));
    let all = document.stored.united_with(&StoredLists::of_export(&read.collect()));
    let united = document.stored.entries().zip(all.entries()).filter(|((_, own), _)| !own.is_empty());
    united.map(|(_, (key, all))| (key, all.clone().into())).collect()
}

/// Lists by name, and objects of such lists.
fn combined(theirs: &Value, own: &Value) -> Value {
    match (theirs, own) {
        (Value::Array(theirs), Value::Array(own)) => {
            let is_ours = |entry: &&Value| own.iter().any(|one| one["name"] == entry["name"]);
            theirs.iter().filter(|entry| !is_ours(entry)).chain(own).cloned().collect()
        }
        (Value::Object(theirs), Value::Object(own)) => {
            let mut all = theirs.clone();
            for (key, own) in own {
                let combined = all.get(key).map_or_else(|| own.clone(), |theirs| combined(theirs, own));
                all.insert(key.clone(), combined);
            }
            all.into()
        }
        _ => own.clone(),
    }
}
