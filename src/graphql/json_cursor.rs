//! Walks JSON text by byte positions. The text is known to be valid, so that only its structure is looked at; where it
//! is not, the walk ends early and finds less.

use std::borrow::Cow;
use std::ops::Range;

use crate::model::strict_json::{self, unescaped};

/// A member of an object.
#[derive(Clone, Debug)]
pub(crate) struct Member<'j> {
    /// Its key, unescaped.
    pub key: Cow<'j, str>,
    /// The key's opening quote.
    start: usize,
    /// The value.
    pub value: Range<usize>,
}

impl Member<'_> {
    /// From the key's opening quote to the end of the value.
    pub(crate) fn range(&self) -> Range<usize> {
        self.start..self.value.end
    }
}

/// The key of a member, and where its value begins.
#[derive(Clone, Debug)]
pub(crate) struct MemberKey<'j> {
    /// The key, unescaped.
    pub key: Cow<'j, str>,
    start: usize,
    /// The first byte of the value.
    pub value: usize,
}

impl<'j> MemberKey<'j> {
    /// The member, whose value ends here.
    pub(crate) fn until(self, end: usize) -> Member<'j> {
        Member { key: self.key, start: self.start, value: self.value..end }
    }
}

/// Walks the members of an object. The caller says where each value ends, so that it is read once.
pub(crate) struct ObjectCursor<'j> {
    json: &'j str,
    at: usize,
}

impl<'j> ObjectCursor<'j> {
    /// The object that begins at or after the white space at `start`; `None` if there is something else.
    pub(crate) fn open(json: &'j str, start: usize) -> Option<Self> {
        let start = skip_space(json, start);
        (byte(json, start)? == b'{').then_some(Self { json, at: start + 1 })
    }

    /// The next member's key, as long as there is one.
    pub(crate) fn next_key(&mut self) -> Option<MemberKey<'j>> {
        let start = skip_space(self.json, self.at);
        self.at = start;
        if byte(self.json, start)? != b'"' {
            return None;
        }
        let key_end = strict_json::string_end(self.json.as_bytes(), start)?;
        let colon = skip_space(self.json, key_end);
        let value = skip_space(self.json, colon + 1);
        let key = unescaped(self.json.get(start..key_end)?)?;
        Some(MemberKey { key, start, value })
    }

    /// The value of the last key ends here.
    pub(crate) fn value_ended(&mut self, end: usize) {
        self.at = after_comma(self.json, end);
    }

    /// After the object, once no key is left.
    pub(crate) fn end(&self) -> usize {
        (self.at + 1).min(self.json.len())
    }
}

/// Walks the elements of a list. The caller says where each of them ends.
pub(crate) struct ListCursor<'j> {
    json: &'j str,
    at: usize,
}

impl<'j> ListCursor<'j> {
    /// The list that begins at or after the white space at `start`; `None` if there is something else.
    pub(crate) fn open(json: &'j str, start: usize) -> Option<Self> {
        let start = skip_space(json, start);
        (byte(json, start)? == b'[').then_some(Self { json, at: start + 1 })
    }

    /// Where the next element begins, as long as there is one.
    pub(crate) fn next_element(&mut self) -> Option<usize> {
        self.at = skip_space(self.json, self.at);
        (!matches!(byte(self.json, self.at)?, b']' | b'}')).then_some(self.at)
    }

    /// The last element ends here.
    pub(crate) fn element_ended(&mut self, end: usize) {
        self.at = after_comma(self.json, end);
    }

    /// After the list, once no element is left.
    pub(crate) fn end(&self) -> usize {
        (self.at + 1).min(self.json.len())
    }
}

/// The members of the object that begins at `start`; none if there is something else.
pub(crate) fn members(json: &str, start: usize) -> impl Iterator<Item = Member<'_>> {
    let mut object = ObjectCursor::open(json, start);
    std::iter::from_fn(move || {
        let object = object.as_mut()?;
        let key = object.next_key()?;
        let end = value_end(json, key.value);
        object.value_ended(end);
        Some(key.until(end))
    })
}

/// Where the value begins that stands at or after the white space at `start`.
pub(crate) fn value_start(json: &str, start: usize) -> usize {
    skip_space(json, start)
}

/// Where the value ends that begins at `start`.
pub(crate) fn value_end(json: &str, start: usize) -> usize {
    strict_json::value_end(json.as_bytes(), start).unwrap_or(json.len())
}

fn byte(json: &str, at: usize) -> Option<u8> {
    json.as_bytes().get(at).copied()
}

/// After the comma behind the value that ends at `end`, or at the bracket that is there instead.
fn after_comma(json: &str, end: usize) -> usize {
    let end = skip_space(json, end);
    if byte(json, end) == Some(b',') { end + 1 } else { end }
}

fn skip_space(json: &str, start: usize) -> usize {
    strict_json::skip_space(json.as_bytes(), start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(json: &str, start: usize) -> Vec<Range<usize>> {
        let Some(mut list) = ListCursor::open(json, start) else { return Vec::new() };
        let mut found = Vec::new();
        while let Some(start) = list.next_element() {
            let end = value_end(json, start);
            list.element_ended(end);
            found.push(start..end);
        }
        found
    }

    #[test]
    fn members_and_elements_are_found_by_position() {
        let json = r#" {"a" : [1, {"b]": "}\"" } ,[ ] ], "\u0063":null,"d":"\\"} "#;
        let found: Vec<_> = members(json, 0)
            .map(|member| (member.key.into_owned(), json.get(member.value).expect("a value")))
            .collect();
        let wanted = [("a", r#"[1, {"b]": "}\"" } ,[ ] ]"#), ("c", "null"), ("d", r#""\\""#)];
        assert_eq!(found, wanted.map(|(key, value)| (key.to_owned(), value)));
        let list = members(json, 0).next().expect("a member").value;
        let items: Vec<_> = elements(json, list.start).into_iter().filter_map(|item| json.get(item)).collect();
        assert_eq!(items, ["1", r#"{"b]": "}\"" }"#, "[ ]"]);
    }

    #[test]
    fn broken_text_ends_the_walk() {
        for json in ["", "{", "{\"", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":\"\\", "[", "[1", "[[", "{]", "[}", "7", "é"]
        {
            assert!(members(json, 0).count() <= 1 && elements(json, 0).len() <= 1, "{json}");
            assert!(value_end(json, 0) <= json.len().max(1), "{json}");
        }
    }
}
