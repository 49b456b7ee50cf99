//! Relationships from a handler's response to the upstream: collects the keys, builds the queries for their rows, and
//! puts each row into its place.
//!
//! All rows of a response are fetched together. The lookup of a single row has an alias of its own; the rows of an
//! object relationship over several keys come as one list with their keys beside them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::action::key_text::{key_text, key_text_of};
use crate::graphql::literal::untyped;
use crate::graphql::merge::{UpstreamResult, read_upstream_result};
use crate::graphql::relationship_selection::{RelationshipSelection, VariableText};
use crate::graphql::response_shape::FieldShape;
use crate::model::json::RawObject;
use crate::model::json_value::{JsonKind, JsonNode};
use crate::model::response::{Location, PathSegment};
use crate::model::types::{Lookup, LookupPiece};

/// Keys in one request to the upstream.
pub const KEYS_PER_REQUEST: usize = 1_000;

/// What the key columns of a row are called beside what the client selects of it.
const KEY_ALIAS: &str = "pillion_key_";

/// Something that went wrong with the rows of one key.
#[derive(Clone, Debug, PartialEq)]
pub struct RelatedError {
    /// The upstream's error, or ours.
    pub message: String,
    /// Where below the relationship's field.
    pub path: Vec<PathSegment>,
    /// The upstream's extensions, or those of our own error.
    pub extensions: Map<String, Value>,
    /// What follows the relationship's own field in a path of Hasura's.
    pub hasura_path: Option<String>,
    /// Where in the document, if it is known better than by the relationship's field.
    pub location: Option<Location>,
}

impl RelatedError {
    /// Our own error.
    #[must_use]
    pub fn new(code: &str, message: String) -> Self {
        let extensions = Map::from_iter([("code".to_owned(), Value::from(code))]);
        Self { message, path: Vec::new(), extensions, hasura_path: Some(String::new()), location: None }
    }
}

/// What the upstream has for one key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RelatedRows<'r> {
    /// JSON; `None` is null.
    pub json: Option<Cow<'r, str>>,
    /// What is missing in it, and why.
    pub errors: Cow<'r, [RelatedError]>,
}

/// Where the rows of a relationship come from while a response is shaped.
pub trait RowSource {
    /// The rows that belong to `object`, an object of the handler's response.
    fn rows(&mut self, field: &Arc<RelationshipSelection>, object: JsonNode<'_>) -> RelatedRows<'_>;
}

/// A key, normalized for comparison: a number and a string of the same digits are equal.
type KeyText = String;

/// The keys that a response has for one field.
#[derive(Debug)]
struct RowField {
    field: Arc<RelationshipSelection>,
    /// The values of the key's fields.
    keys: IndexMap<KeyText, Vec<Value>>,
}

/// All rows that a response needs. Filled while it is shaped for the first time.
#[derive(Debug, Default)]
pub struct RowKeys {
    /// By the identity of the selected field.
    fields: IndexMap<usize, RowField>,
    count: usize,
}

impl RowSource for RowKeys {
    fn rows(&mut self, field: &Arc<RelationshipSelection>, object: JsonNode<'_>) -> RelatedRows<'_> {
        let new = || RowField { field: Arc::clone(field), keys: IndexMap::new() };
        let wanted = self.fields.entry(identity(field)).or_insert_with(new);
        if let Key::Values(text, values) = key_of(field, object)
            && wanted.keys.insert(text, values).is_none()
        {
            self.count += 1;
        }
        // Whatever it is, it fits: this response is thrown away.
        RelatedRows { json: Some("{}".into()), errors: Cow::default() }
    }
}

fn identity(field: &Arc<RelationshipSelection>) -> usize {
    Arc::as_ptr(field).addr()
}

/// The keys of an object for the rows that belong to it.
enum Key {
    /// These rows.
    Values(KeyText, Vec<Value>),
    /// None: a field of the key is null.
    Null,
    /// A field of the key can be no column's value.
    Unfit(String),
}

fn key_of(field: &RelationshipSelection, object: JsonNode<'_>) -> Key {
    let mut text = String::new();
    let mut values = Vec::new();
    for name in field.relationship.lookup.key_fields() {
        let Some(value) = object.get(name).filter(|value| !value.is_null()) else {
            // Aggregates over no rows are computed by the upstream.
            return if field.is_aggregate { Key::Values("null".into(), Vec::new()) } else { Key::Null };
        };
        let is_list_of_scalars = || value.kind() == JsonKind::List && value.items().all(is_scalar);
        let may_be_list = matches!(field.relationship.lookup, Lookup::RootField { .. });
        // The keys of an object would become part of the document, and a handler does not write documents.
        if !(is_scalar(value) || may_be_list && is_list_of_scalars()) {
            return Key::Unfit(name.to_owned());
        }
        // The length keeps two fields apart whatever they hold.
        let said = key_text_of(value);
        let _ = write!(text, "{}:{said}", said.len());
        values.push(value.to_tree());
    }
    Key::Values(text, values)
}

fn is_scalar(value: JsonNode<'_>) -> bool {
    !matches!(value.kind(), JsonKind::List | JsonKind::Object)
}

/// One root field of a request for rows.
#[derive(Debug)]
struct Entry {
    /// Which of the wanted fields.
    field: usize,
    /// Which of its keys; several come as one list.
    keys: Vec<usize>,
    /// Is each row to be found by the key beside it?
    is_list: bool,
}

/// One request for rows.
#[derive(Debug, Default)]
pub struct RowQuery {
    entries: Vec<Entry>,
}

impl RowKeys {
    /// Has the response a place for rows at all?
    #[must_use]
    pub fn is_needed(&self) -> bool {
        !self.fields.is_empty()
    }

    /// How many keys there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The requests that fetch all of it.
    #[must_use]
    pub fn requests(&self) -> Vec<RowQuery> {
        let mut requests = Requests::default();
        for (index, wanted) in self.fields.values().enumerate() {
            let keys: Vec<usize> = (0..wanted.keys.len()).collect();
            requests.add(index, wanted, &keys, wanted.keys.len() > 1 && comes_as_list(&wanted.field));
        }
        requests.done
    }

    /// The requests for keys that came without a row of their own in a list: it may be that the upstream spells them in
    /// another way, or that the role may read so many rows only.
    #[must_use]
    pub fn requests_for_missing(&self, found: &RowSet) -> Vec<RowQuery> {
        let mut requests = Requests::default();
        for (index, wanted) in self.fields.values().enumerate() {
            let is_missing = |key: &usize| !found.rows.contains_key(&(index, *key));
            let missing: Vec<usize> = (0..wanted.keys.len()).filter(is_missing).collect();
            requests.add(index, wanted, &missing, false);
        }
        requests.done
    }

    /// The document of a request, and the client's variables that it uses. `is_null` is true of a variable without a
    /// value.
    #[must_use]
    pub fn document(&self, request: &RowQuery, is_null: &dyn Fn(&VariableText) -> bool) -> (String, Vec<String>) {
        let mut body = String::new();
        let mut fragments: IndexMap<&str, &str> = IndexMap::new();
        let mut variables: IndexMap<&str, Cow<'_, VariableText>> = IndexMap::new();
        for (alias, entry) in request.entries.iter().enumerate() {
            let Some((_, wanted)) = self.fields.get_index(entry.field) else { continue };
            let field = wanted.field.as_ref();
            fragments.extend(field.fragments.iter().map(|(name, text)| (name.as_str(), text.as_str())));
            for variable in &field.variables {
                variables.entry(&variable.name).or_insert(Cow::Borrowed(variable));
            }
            let filter = field.where_argument.as_ref().filter(|filter| !filter.variable.as_ref().is_some_and(is_null));
            if let Some(variable) = filter.and_then(|filter| filter.variable.as_ref()) {
                let known = variables.entry(&variable.name).or_insert(Cow::Borrowed(variable));
                // It becomes an element of a list that has no nulls.
                if !known.ty.ends_with('!') {
                    known.to_mut().ty.push('!');
                }
            }
            let filter = filter.map(|filter| filter.text.as_str());
            let keys: Vec<&[Value]> = entry
                .keys
                .iter()
                .filter_map(|key| wanted.keys.get_index(*key))
                .map(|(_, values)| values.as_slice())
                .collect();
            let _ = write!(body, " {}", alias_of(alias));
            push_field(&mut body, field, filter, &keys, entry.is_list);
        }
        let mut text = String::from("query");
        let mut open = "(";
        for variable in variables.values() {
            let _ = write!(text, "{open}${}: {}", variable.name, variable.ty);
            if let Some(default) = &variable.default {
                let _ = write!(text, " = {default}");
            }
            open = ", ";
        }
        text.push_str(if open == "(" { " {" } else { ") {" });
        text.push_str(&body);
        text.push_str(" }");
        for fragment in fragments.values() {
            let _ = write!(text, "\n{fragment}");
        }
        (text, variables.keys().map(|name| (*name).to_owned()).collect())
    }
}

/// The query for one row or list of rows, with the names of fields in place of their values.
#[must_use]
pub fn sample(field: &RelationshipSelection) -> String {
    let names: Vec<Value> =
        field.relationship.lookup.key_fields().map(|name| Value::from(format!("<{name}>"))).collect();
    let filter = field.where_argument.as_ref().map(|filter| filter.text.as_str());
    let mut text = String::new();
    push_field(&mut text, field, filter, &[&names], false);
    text.trim_start_matches(": ").to_owned()
}

fn alias_of(index: usize) -> String {
    format!("r{index}")
}

#[derive(Default)]
struct Requests {
    done: Vec<RowQuery>,
    /// Keys in the last of them.
    keys: usize,
    /// About how long its document is.
    bytes: usize,
}

/// Approximate bytes of one document that fetches rows.
const DOCUMENT_BYTES: usize = 1024 * 1024;

/// Bytes that a key takes beside what the client has written: values, aliases, names.
const KEY_BYTES: usize = 128;

impl Requests {
    fn add(&mut self, field: usize, wanted: &RowField, keys: &[usize], is_list: bool) {
        let written = if is_list { 0 } else { wanted.field.selection.len() + wanted.field.arguments_length() };
        let bytes = KEY_BYTES + written;
        let mut left = keys;
        while !left.is_empty() {
            if self.done.is_empty() || self.keys >= KEYS_PER_REQUEST || self.bytes >= DOCUMENT_BYTES {
                self.done.push(RowQuery::default());
                (self.keys, self.bytes) = (0, 0);
            }
            let room = (DOCUMENT_BYTES - self.bytes).div_ceil(bytes).min(KEYS_PER_REQUEST - self.keys);
            let (now, later) = left.split_at(left.len().min(room));
            left = later;
            self.keys += now.len();
            self.bytes += now.len() * bytes;
            let Some(request) = self.done.last_mut() else { return };
            if is_list {
                request.entries.push(Entry { field, keys: now.to_vec(), is_list });
            } else {
                request.entries.extend(now.iter().map(|key| Entry { field, keys: vec![*key], is_list }));
            }
        }
    }
}

/// A list is right for rows of which there is one for each key. Of many rows the upstream may give a role only so many,
/// which would then count for all keys together.
fn comes_as_list(field: &RelationshipSelection) -> bool {
    matches!(field.relationship.lookup, Lookup::Table { is_array: false, .. })
}

fn push_field(
    text: &mut String,
    field: &RelationshipSelection,
    filter: Option<&str>,
    keys: &[&[Value]],
    is_list: bool,
) {
    let lookup = &field.relationship.lookup;
    let _ = write!(text, ": {}", lookup.root_field());
    if field.is_aggregate {
        text.push_str(crate::model::types::AGGREGATE);
    }
    let mut arguments = match lookup {
        Lookup::Table { field_mapping, is_array, .. } => {
            let condition = condition(field_mapping, keys);
            let filter = filter.map_or(condition.clone(), |filter| format!("{{_and: [{filter}, {condition}]}}"));
            let mut arguments = vec![format!("where: {filter}")];
            if !is_array {
                // One more than there may be, so that too many are noticed, and never all of a table.
                arguments.push(format!("limit: {}", keys.len() + 1));
            }
            arguments
        }
        Lookup::RootField { text, .. } => given_arguments(text, keys).into_iter().collect(),
    };
    arguments.extend(field.arguments.iter().cloned());
    if !arguments.is_empty() {
        let _ = write!(text, "({})", arguments.join(", "));
    }
    text.push_str(&field.directives);
    let key_columns = match lookup {
        Lookup::Table { field_mapping, .. } if is_list => {
            field_mapping.values().enumerate().fold(String::new(), |mut columns, (index, column)| {
                let _ = write!(columns, "{KEY_ALIAS}{index}: {column} ");
                columns
            })
        }
        _ => String::new(),
    };
    if !field.selection.is_empty() || is_list {
        let _ = write!(text, " {{ {}{key_columns}}}", field.selection);
    }
}

/// `{id: {_eq: 1}}`, `{id: {_in: [1, 2]}}`, `{_or: [{a: {_eq: 1}, b: {_eq: 2}}, …]}`.
fn condition(field_mapping: &IndexMap<String, String>, keys: &[&[Value]]) -> String {
    let columns: Vec<&str> = field_mapping.values().map(String::as_str).collect();
    if let ([column], [_, _, ..]) = (columns.as_slice(), keys) {
        let values: Vec<String> = keys.iter().filter_map(|key| key.first()).map(untyped).collect();
        return format!("{{{column}: {{_in: [{}]}}}}", values.join(", "));
    }
    let equal = |key: &[Value]| {
        if key.is_empty() {
            // A key with a null in it equals nothing.
            return columns.first().map_or_else(String::new, |column| format!("{{{column}: {{_in: []}}}}"));
        }
        let pairs: Vec<String> =
            columns.iter().zip(key).map(|(column, value)| format!("{column}: {{_eq: {}}}", untyped(value))).collect();
        format!("{{{}}}", pairs.join(", "))
    };
    match keys {
        [only] => equal(only),
        several => format!("{{_or: [{}]}}", several.iter().map(|key| equal(key)).collect::<Vec<_>>().join(", ")),
    }
}

/// The values of a key stand in the order in which its fields stand in the text.
fn given_arguments(pieces: &[LookupPiece], keys: &[&[Value]]) -> Option<String> {
    let mut values = keys.first()?.iter();
    let mut text = String::new();
    for piece in pieces {
        match piece {
            LookupPiece::Text(piece) => text.push_str(piece),
            LookupPiece::Field(_) => text.push_str(&untyped(values.next()?)),
        }
    }
    (!text.is_empty()).then_some(text)
}

/// What the upstream has returned so far.
#[derive(Debug, Default)]
pub struct RowSet {
    rows: HashMap<(usize, usize), (Option<String>, Vec<RelatedError>)>,
}

/// The rows of one key in a [`RowSet`].
pub type RowId = (usize, usize);

impl RowSet {
    /// The rows in which extension fields stand, with their shapes and their JSON.
    pub fn with_extension_fields<'r>(
        &'r self,
        wanted: &'r RowKeys,
    ) -> impl Iterator<Item = (RowId, &'r FieldShape, &'r str)> {
        self.rows.iter().filter_map(|(id, (json, _))| {
            let (_, field) = wanted.fields.get_index(id.0)?;
            Some((*id, field.field.shape.as_ref()?, json.as_deref()?))
        })
    }

    /// The rows of a key with their extension fields, and what went wrong with those.
    pub fn replace(&mut self, id: RowId, json: Option<String>, errors: Vec<RelatedError>) {
        if let Some((known, known_errors)) = self.rows.get_mut(&id) {
            *known = json;
            known_errors.extend(errors);
        }
    }

    /// This request has no response.
    pub fn fail(&mut self, request: &RowQuery, error: &RelatedError) {
        for entry in &request.entries {
            for key in &entry.keys {
                self.rows.insert((entry.field, *key), (None, vec![error.clone()]));
            }
        }
    }

    /// Adds the upstream's response to a request.
    ///
    /// # Errors
    /// When it is not the response of a GraphQL server.
    pub fn read(&mut self, wanted: &RowKeys, request: &RowQuery, body: &[u8]) -> Result<(), Box<RelatedError>> {
        let response =
            read_upstream_result(body).map_err(|error| RelatedError::new("upstream-error", error.to_string()))?;
        let errors = Errors::read(&response);
        for (index, entry) in request.entries.iter().enumerate() {
            let alias = alias_of(index);
            let value = response.data.get(alias.as_str()).copied();
            let own = errors.by_alias.get(&alias).map(Vec::as_slice).unwrap_or_default();
            let Some((_, wanted)) = wanted.fields.get_index(entry.field) else { continue };
            if value.is_none() && own.is_empty() {
                let message = || "the upstream's response lacks rows that were requested".to_owned();
                let general = errors.general.clone().unwrap_or_else(|| RelatedError::new("upstream-error", message()));
                self.note_all(entry, None, &[general]);
            } else if entry.is_list && own.is_empty() {
                self.read_list(wanted, entry, value);
            } else if entry.is_list {
                self.note_all(entry, None, own);
            } else {
                self.read_one(&wanted.field, entry, value, own);
            }
        }
        Ok(())
    }

    fn note_all(&mut self, entry: &Entry, json: Option<&str>, errors: &[RelatedError]) {
        for key in &entry.keys {
            self.rows.insert((entry.field, *key), (json.map(str::to_owned), errors.to_vec()));
        }
    }

    fn read_one(&mut self, field: &RelationshipSelection, entry: &Entry, value: Option<&str>, errors: &[RelatedError]) {
        let json = value.filter(|json| *json != "null");
        let is_object = matches!(field.relationship.lookup, Lookup::Table { is_array: false, .. });
        let Some(json) = json.filter(|_| is_object) else { return self.note_all(entry, json, errors) };
        match serde_json::from_str::<Vec<&RawValue>>(json).as_deref() {
            Ok([]) => self.note_all(entry, None, errors),
            Ok([row]) => {
                // What the client selects is an object, the first of a list only to the upstream.
                let mut errors = errors.to_vec();
                errors.iter_mut().filter(|error| !error.path.is_empty()).for_each(|error| drop(error.path.remove(0)));
                self.note_all(entry, Some(row.get()), &errors);
            }
            Ok(_) => self.note_all(entry, None, &[too_many(field)]),
            Err(_) => self.note_all(entry, None, &[not_rows()]),
        }
    }

    /// Rows with their keys beside them. A key without a row stays open and is fetched on its own.
    fn read_list(&mut self, wanted: &RowField, entry: &Entry, value: Option<&str>) {
        let rows = value.and_then(|value| serde_json::from_str::<Vec<RawObject<'_>>>(value).ok());
        let Some(rows) = rows else { return self.note_all(entry, None, &[not_rows()]) };
        let mut seen: IndexSet<usize> = IndexSet::new();
        for row in &rows {
            let Some((key, json)) = split_key(row) else { return self.note_all(entry, None, &[not_rows()]) };
            // A key that was not requested is one of ours in another spelling.
            let Some(index) = wanted.keys.get_index_of(&key).filter(|index| entry.keys.contains(index)) else {
                continue;
            };
            let found =
                if seen.insert(index) { (Some(json), Vec::new()) } else { (None, vec![too_many(&wanted.field)]) };
            self.rows.insert((entry.field, index), found);
        }
    }
}

/// A row without its key columns, and the values of these.
fn split_key(row: &RawObject<'_>) -> Option<(KeyText, String)> {
    let mut key = String::new();
    let mut json = String::from("{");
    for (name, value) in &row.0 {
        if name.starts_with(KEY_ALIAS) {
            let value: Value = serde_json::from_str(value.get()).ok()?;
            let said = key_text(&value);
            let _ = write!(key, "{}:{said}", said.len());
        } else {
            let comma = if json.len() > 1 { "," } else { "" };
            let _ = write!(json, "{comma}\"{name}\":{}", value.get());
        }
    }
    json.push('}');
    (!key.is_empty()).then_some((key, json))
}

fn too_many(field: &RelationshipSelection) -> RelatedError {
    let Lookup::Table { table, .. } = &field.relationship.lookup else { return not_rows() };
    let name = &field.relationship.name;
    let message = format!("the object relationship \"{name}\" has more than one row of \"{}\"", table.name);
    RelatedError::new("unexpected", message)
}

fn not_rows() -> RelatedError {
    RelatedError::new("upstream-error", "the upstream responded with something that is no list of rows".into())
}

/// The errors of a response by the alias they belong to.
struct Errors {
    by_alias: HashMap<String, Vec<RelatedError>>,
    /// The first that belongs to none.
    general: Option<RelatedError>,
}

impl Errors {
    fn read(response: &UpstreamResult<'_>) -> Self {
        let mut errors = Self { by_alias: HashMap::new(), general: None };
        for raw in &response.errors {
            let Ok(Value::Object(mut object)) = serde_json::from_str::<Value>(raw.get()) else { continue };
            let message = match object.remove("message") {
                Some(Value::String(message)) => message,
                _ => "the upstream gave no rows, and no reason".into(),
            };
            let extensions = match object.remove("extensions") {
                Some(Value::Object(extensions)) => extensions,
                _ => Map::new(),
            };
            let (alias, path) = match object.remove("path") {
                Some(Value::Array(path)) => split_path(path),
                _ => (None, Vec::new()),
            };
            let told = extensions.get("path").and_then(Value::as_str).and_then(split_hasura_path);
            let (told_alias, hasura_path) = told.map_or((None, None), |(alias, rest)| (Some(alias), Some(rest)));
            let error = RelatedError { message, path, extensions, hasura_path, location: None };
            match alias.or(told_alias) {
                Some(alias) => errors.by_alias.entry(alias).or_default().push(error),
                None => errors.general = errors.general.or(Some(error)),
            }
        }
        errors
    }
}

fn split_path(path: Vec<Value>) -> (Option<String>, Vec<PathSegment>) {
    let mut segments = path.into_iter();
    let alias = segments.next().and_then(|first| first.as_str().map(str::to_owned));
    let rest = segments.filter_map(|segment| match segment {
        Value::String(name) => Some(PathSegment::Field(name)),
        Value::Number(index) => index.as_u64().and_then(|index| usize::try_from(index).ok()).map(PathSegment::Index),
        _ => None,
    });
    (alias, rest.collect())
}

/// `$.selectionSet.r0.args.where` is something about the arguments of `r0`.
fn split_hasura_path(path: &str) -> Option<(String, String)> {
    let rest = path.strip_prefix("$.selectionSet.")?;
    let end = rest.find(['.', '[']).unwrap_or(rest.len());
    let (alias, rest) = rest.split_at(end);
    Some((alias.to_owned(), rest.to_owned()))
}

/// Gives each place of a response the rows that were found for it.
pub struct FoundRows<'f> {
    /// What was requested.
    pub wanted: &'f RowKeys,
    /// The rows that came back.
    pub found: &'f RowSet,
}

impl RowSource for FoundRows<'_> {
    fn rows(&mut self, field: &Arc<RelationshipSelection>, object: JsonNode<'_>) -> RelatedRows<'_> {
        let text = match key_of(field, object) {
            Key::Values(text, _) => text,
            Key::Null => return no_rows(field),
            Key::Unfit(name) => {
                let message = format!("the field \"{name}\" has a value that no column can be compared with");
                let errors = vec![RelatedError::new("unexpected", message)];
                return RelatedRows { json: None, errors: errors.into() };
            }
        };
        let known = self.wanted.fields.get_full(&identity(field));
        let key = known.and_then(|(index, _, wanted)| Some((index, wanted.keys.get_index_of(&text)?)));
        match key.and_then(|key| self.found.rows.get(&key)) {
            Some((json, errors)) => {
                RelatedRows { json: json.as_deref().map(Cow::Borrowed), errors: errors.as_slice().into() }
            }
            None => no_rows(field),
        }
    }
}

/// What stands where no row belongs to an object.
fn no_rows(field: &RelationshipSelection) -> RelatedRows<'static> {
    let is_list = field.relationship.lookup.is_array() && !field.is_aggregate;
    RelatedRows { json: is_list.then(|| "[]".into()), errors: Cow::default() }
}
