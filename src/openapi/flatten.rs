//! The properties of an object schema, those of its `allOf` included.

use std::collections::HashSet;

use indexmap::IndexMap;

use crate::config::yaml::{Data, Node};
use crate::model::source::SourceLocation;
use crate::openapi::document::Document;
use crate::openapi::problem::Problem;

/// Schemas inside one another by `allOf`.
const DEPTH_MAX: usize = 32;

/// What an object has.
#[derive(Debug, Default)]
pub(crate) struct Flat<'d> {
    /// By name, in the order of the document.
    pub(crate) properties: IndexMap<&'d str, &'d Node>,
    /// The names of those that must be there.
    pub(crate) required: HashSet<&'d str>,
}

/// All properties of an object schema.
pub(crate) fn flatten<'d>(document: &Document<'d>, schema: &'d Node) -> Result<Flat<'d>, Problem> {
    let mut flat = Flat::default();
    add(document, schema, &mut flat, &mut HashSet::new(), DEPTH_MAX)?;
    Ok(flat)
}

fn add<'d>(
    document: &Document<'d>,
    schema: &'d Node,
    flat: &mut Flat<'d>,
    seen: &mut HashSet<(usize, usize)>,
    depth_left: usize,
) -> Result<(), Problem> {
    let schema = document.follow(schema)?;
    if !seen.insert(key_of(schema)) {
        return Ok(());
    }
    if depth_left == 0 {
        return Err(Problem::at(schema, "allOf is nested too deeply", "flatten it"));
    }
    if schema.member("oneOf").or(schema.member("anyOf")).is_some() {
        return Err(Problem::at(schema, "alternatives (oneOf, anyOf) inside allOf or beside properties", ""));
    }
    if !is_object(schema) {
        return Err(Problem::at(schema, "allOf of something that is not an object", ""));
    }
    for part in schema.member("allOf").map(Node::items).unwrap_or_default().iter().filter(|part| says_something(part)) {
        add(document, part, flat, seen, depth_left - 1)?;
    }
    for (name, _, property) in schema.member("properties").map(Node::entries).unwrap_or_default() {
        flat.properties.insert(name, property);
    }
    flat.required
        .extend(schema.member("required").map(Node::items).unwrap_or_default().iter().filter_map(Node::as_text));
    Ok(())
}

/// Where a schema stands: what tells it from all others.
pub(crate) fn key_of(schema: &Node) -> (usize, usize) {
    let SourceLocation { line, column, .. } = schema.place;
    (line, column)
}

/// Is it an object, as far as it says what it is?
pub(crate) fn is_object(schema: &Node) -> bool {
    match types_of(schema).as_slice() {
        [] => schema.member("enum").is_none() && schema.member("items").is_none(),
        types => *types == ["object"],
    }
}

/// `type` without null; 3.1 has lists.
pub(crate) fn types_of(schema: &Node) -> Vec<&str> {
    let Some(node) = schema.member("type") else { return Vec::new() };
    let all = match &node.data {
        Data::List(items) => items.iter().filter_map(Node::as_text).collect(),
        _ => node.as_text().into_iter().collect::<Vec<_>>(),
    };
    all.into_iter().filter(|name| *name != "null").collect()
}

/// Does a part of `allOf` say what a value is? A description or `nullable` alone does not.
pub(crate) fn says_something(part: &Node) -> bool {
    const KEYS: [&str; 10] =
        ["$ref", "type", "properties", "required", "items", "enum", "const", "allOf", "oneOf", "anyOf"];
    KEYS.iter().any(|key| part.member(key).is_some())
}
