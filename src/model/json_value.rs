//! A JSON value as its text with the positions of its parts, read in one pass. A tree has an allocation for each part and a copy of
//! each string; this has one for all, and parts are written by copying their bytes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use serde_json::Value;

use crate::model::json::{parse_strict, write_value};
pub use crate::model::json_tape::NotStrictJson;
use crate::model::json_tape::{Part, Tape};
use crate::model::strict_json::unescaped;

/// A value, or a part of one, that may be kept. Cloning it copies nothing.
#[derive(Clone)]
pub struct JsonValue {
    tape: Arc<Tape>,
    index: usize,
}

/// Lists and objects around one another, as `serde_json` has it.
const DEPTH_MAX: usize = 127;

/// The same for values that we make ourselves: a template may put what was read into more of them.
const OWN_DEPTH_MAX: usize = 512;

/// Members of an object up to which a lookup looks at all of them.
const LISTED_MEMBERS_MAX: usize = 16;

impl JsonValue {
    /// Reads exactly one value. Rejected is what [`parse_strict`] rejects: duplicate keys, lone surrogates, invalid UTF-8,
    /// anything after the value, nesting deeper than 127; and a text of 4 GiB or more.
    ///
    /// # Errors
    /// [`NotStrictJson`].
    ///
    /// # Examples
    /// ```
    /// use pillion::model::json_value::JsonValue;
    ///
    /// let value = JsonValue::parse(r#"{"a": [1.50]}"#.into()).unwrap();
    /// assert_eq!(value.node().get("a").unwrap().to_string(), "[1.50]");
    /// assert!(JsonValue::parse(r#"{"a":1,"a":2}"#.into()).is_err());
    /// ```
    pub fn parse(text: Bytes) -> Result<Self, NotStrictJson> {
        Self::read(text, DEPTH_MAX)
    }

    fn read(text: Bytes, max_depth: usize) -> Result<Self, NotStrictJson> {
        Ok(Self { tape: Arc::new(Tape::read(text, max_depth)?), index: 0 })
    }

    /// The value, to look at.
    #[must_use]
    pub fn node(&self) -> JsonNode<'_> {
        JsonNode { tape: &self.tape, index: self.index }
    }

    /// A part of it, to keep.
    fn part(&self, index: usize) -> Self {
        Self { tape: Arc::clone(&self.tape), index }
    }

    /// The value of a member.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Self> {
        self.node().get(key).map(|node| self.part(node.index))
    }

    /// The elements of a list; nothing else has any.
    #[must_use]
    pub fn items(&self) -> impl ExactSizeIterator<Item = Self> {
        self.node().items().map(|node| self.part(node.index))
    }

    /// The same without what stands around it, which would be kept as well.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { tape: Arc::new(self.tape.detached(self.index)), index: 0 }
    }

    /// What it takes in memory, with what stands around it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.tape.text.len() + self.tape.parts.capacity() * size_of::<Part>()
    }
}

impl Default for JsonValue {
    /// Null.
    fn default() -> Self {
        // Nothing was read: a part that is not there is null.
        static NOTHING: LazyLock<Arc<Tape>> = LazyLock::new(Arc::default);
        Self { tape: Arc::clone(&NOTHING), index: 0 }
    }
}

impl From<&Value> for JsonValue {
    /// The same value. It was made of one that was read, so that it is not nested much deeper; if it is, this is null.
    fn from(tree: &Value) -> Self {
        let mut text = Vec::new();
        write_value(tree, &mut text);
        Self::read(text.into(), OWN_DEPTH_MAX).unwrap_or_default()
    }
}

impl PartialEq for JsonValue {
    /// Are they the same values? White space and escapes may differ.
    fn eq(&self, other: &Self) -> bool {
        self.node().to_tree() == other.node().to_tree()
    }
}

impl fmt::Display for JsonValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node().fmt(formatter)
    }
}

impl fmt::Debug for JsonValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonKind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    List,
    /// An object.
    Object,
}

/// A place in a value.
#[derive(Clone, Copy)]
pub struct JsonNode<'t> {
    tape: &'t Tape,
    index: usize,
}

impl<'t> JsonNode<'t> {
    fn part(self) -> Option<Part> {
        self.tape.parts.get(self.index).copied()
    }

    /// Its text as it was read, with the white space in it.
    #[must_use]
    pub fn raw(self) -> &'t str {
        // All of the text was checked, and parts begin and end with ASCII.
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }

    /// The same, for those that compare or copy it.
    fn bytes(self) -> &'t [u8] {
        let Some(Part { start, end, .. }) = self.part() else { return b"null" };
        self.tape.text.get(start as usize..end as usize).unwrap_or_default()
    }

    /// What it is.
    #[must_use]
    pub fn kind(self) -> JsonKind {
        match self.bytes().first() {
            Some(b'"') => JsonKind::String,
            Some(b'[') => JsonKind::List,
            Some(b'{') => JsonKind::Object,
            Some(b't' | b'f') => JsonKind::Bool,
            Some(b'-' | b'0'..=b'9') => JsonKind::Number,
            _ => JsonKind::Null,
        }
    }

    /// Is it null?
    #[must_use]
    pub fn is_null(self) -> bool {
        self.kind() == JsonKind::Null
    }

    /// How many elements or members it has.
    #[must_use]
    pub fn len(self) -> usize {
        self.part().map_or(0, |part| part.count as usize)
    }

    /// Has it neither elements nor members?
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The content of a string.
    #[must_use]
    pub fn as_text(self) -> Option<Cow<'t, str>> {
        (self.kind() == JsonKind::String).then(|| unescaped(self.raw()).unwrap_or_default())
    }

    /// The elements of a list; nothing else has any.
    #[must_use]
    pub fn items(self) -> Items<'t> {
        let left = if self.kind() == JsonKind::List { self.len() } else { 0 };
        Items { next: self.child(), left }
    }

    /// The members of an object, each with its key; nothing else has any.
    #[must_use]
    pub fn members(self) -> Members<'t> {
        let left = if self.kind() == JsonKind::Object { self.len() } else { 0 };
        Members { next: self.child(), left }
    }

    /// The value of a member.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Self> {
        self.members().find(|(known, _)| known.is_key(key)).map(|(_, value)| value)
    }

    /// Is this key the key `name`, which has no character that must be escaped?
    #[must_use]
    pub fn is_key(self, name: &str) -> bool {
        let [b'"', content @ .., b'"'] = self.bytes() else { return false };
        let has_escapes = || memchr::memchr(b'\\', content).is_some();
        content == name.as_bytes() || has_escapes() && self.as_text().is_some_and(|key| key == name)
    }

    fn child(self) -> Self {
        Self { index: self.index + 1, ..self }
    }

    /// The part after all that stand within this one.
    fn after(self) -> Self {
        Self { index: self.part().map_or(usize::MAX, |part| part.next as usize), ..self }
    }

    /// The same value as a tree.
    #[must_use]
    pub fn to_tree(self) -> Value {
        parse_strict(self.bytes()).unwrap_or_default()
    }

    /// Writes it without white space; scalars are copied.
    pub fn write(self, json: &mut Vec<u8>) {
        match self.kind() {
            JsonKind::List => {
                json.push(b'[');
                for (index, item) in self.items().enumerate() {
                    if index > 0 {
                        json.push(b',');
                    }
                    item.write(json);
                }
                json.push(b']');
            }
            JsonKind::Object => {
                json.push(b'{');
                for (index, (key, value)) in self.members().enumerate() {
                    if index > 0 {
                        json.push(b',');
                    }
                    json.extend_from_slice(key.bytes());
                    json.push(b':');
                    value.write(json);
                }
                json.push(b'}');
            }
            _ => json.extend_from_slice(self.bytes()),
        }
    }
}

impl fmt::Display for JsonNode<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut json = Vec::new();
        self.write(&mut json);
        formatter.write_str(&String::from_utf8_lossy(&json))
    }
}

/// See [`JsonNode::items`].
#[derive(Clone)]
pub struct Items<'t> {
    next: JsonNode<'t>,
    left: usize,
}

impl<'t> Iterator for Items<'t> {
    type Item = JsonNode<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let item = self.next;
        self.next = item.after();
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Items<'_> {}

/// See [`JsonNode::members`].
#[derive(Clone)]
pub struct Members<'t> {
    next: JsonNode<'t>,
    left: usize,
}

impl<'t> Iterator for Members<'t> {
    type Item = (JsonNode<'t>, JsonNode<'t>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let key = self.next;
        let value = key.after();
        self.next = value.after();
        Some((key, value))
    }
}

/// The members of an object, to look several of them up.
pub struct MemberLookup<'t> {
    object: JsonNode<'t>,
    /// If there are so many that looking at all of them each time is dearer.
    by_key: Option<HashMap<Cow<'t, str>, JsonNode<'t>>>,
}

impl<'t> MemberLookup<'t> {
    /// Those of this object.
    #[must_use]
    pub fn of(object: JsonNode<'t>) -> Self {
        let text = |(key, value): (JsonNode<'t>, JsonNode<'t>)| (key.as_text().unwrap_or_default(), value);
        let by_key = (object.len() > LISTED_MEMBERS_MAX).then(|| object.members().map(text).collect());
        Self { object, by_key }
    }

    /// The value of a member.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<JsonNode<'t>> {
        match &self.by_key {
            Some(by_key) => by_key.get(key).copied(),
            None => self.object.get(key),
        }
    }

    /// The object itself.
    #[must_use]
    pub fn node(&self) -> JsonNode<'t> {
        self.object
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Option<JsonValue> {
        JsonValue::parse(Bytes::copy_from_slice(text.as_bytes())).ok()
    }

    #[test]
    fn parts_are_found_and_copied_as_they_were() {
        let value = read(r#"{ "a" : [ 1.50, {"b": "\u0041"}, null ], "\u0063": 1E9, "d": {} }"#).unwrap_or_default();
        let node = value.node();
        assert_eq!(value.to_string(), r#"{"a":[1.50,{"b":"\u0041"},null],"\u0063":1E9,"d":{}}"#);
        assert_eq!(node.get("c").map(JsonNode::raw), Some("1E9"));
        assert_eq!(node.get("x").map(JsonNode::raw), None);
        let list = node.get("a").map(|list| list.items().map(JsonNode::kind).collect::<Vec<_>>());
        assert_eq!(list, Some(vec![JsonKind::Number, JsonKind::Object, JsonKind::Null]));
        let text = value.get("a").and_then(|list| list.items().nth(1)).and_then(|object| object.get("b"));
        assert_eq!(text.as_ref().and_then(|text| text.node().as_text()).as_deref(), Some("A"));
        assert_eq!((node.len(), node.items().len(), node.get("d").map(JsonNode::is_empty)), (3, 0, Some(true)));
    }

    #[test]
    fn a_detached_part_is_the_same_value() {
        let value = read(r#"[0, {"a": [1, {"b": "c"}], "d": 2}, 3]"#).unwrap_or_default();
        for part in value.items().chain([value.clone()]) {
            assert_eq!(part.detached(), part);
            assert_eq!(part.detached().to_string(), part.to_string());
            assert_eq!(part.detached().tape.text, part.node().raw().as_bytes());
        }
        let inner = value.items().nth(1).and_then(|object| object.detached().get("a"));
        assert_eq!(inner.map(|list| list.detached().to_string()).as_deref(), Some(r#"[1,{"b":"c"}]"#));
    }

    #[test]
    fn trees_are_taken_however_they_were_made() {
        let tree = json!({ "a\"": [1, null, { "b": "\n" }], "c": 1.5 });
        assert_eq!(JsonValue::from(&tree).node().to_tree(), tree);
        assert!(JsonValue::default().node().is_null());
        assert_eq!(JsonValue::default(), read("null").unwrap_or_default());
        assert_eq!(JsonValue::default().detached().to_string(), "null");
        let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(JsonValue::from(&deep).to_string(), deep.to_string());
    }
}
