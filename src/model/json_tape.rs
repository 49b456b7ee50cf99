//! Reads JSON text into a tape: where each value and key stands, in the order of the text.

use std::borrow::Cow;
use std::collections::HashSet;

use bytes::Bytes;

use crate::model::strict_json::{literal_end, number_end, read_list, read_object, read_string, skip_space, unescaped};

/// A text, and what stands in it.
#[derive(Default)]
pub(super) struct Tape {
    /// Valid JSON.
    pub(super) text: Bytes,
    /// Values and keys in the order of the text.
    pub(super) parts: Vec<Part>,
}

/// A value, or the key of a member, which comes before its value.
#[derive(Clone, Copy)]
pub(super) struct Part {
    /// Its first byte in the text.
    pub(super) start: u32,
    /// The byte after its last one.
    pub(super) end: u32,
    /// The part after all that stand within it.
    pub(super) next: u32,
    /// The elements or members that stand directly within it.
    pub(super) count: u32,
}

/// Why bytes are no value: not JSON, or JSON that two readers would read differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one JSON value with distinct keys")]
pub struct NotStrictJson;

/// Members of an object up to which comparing all keys is cheaper than hashing them.
const SMALL_OBJECT: usize = 8;

/// Most texts have fewer parts than one for so many bytes.
const BYTES_PER_PART: usize = 8;

impl Tape {
    /// Reads exactly one value with at most so many lists and objects around one another.
    ///
    /// # Errors
    /// [`NotStrictJson`].
    pub(super) fn read(text: Bytes, max_depth: usize) -> Result<Self, NotStrictJson> {
        let json = std::str::from_utf8(&text).map_err(|_| NotStrictJson)?;
        // Positions have 32 bits.
        u32::try_from(text.len()).map_err(|_| NotStrictJson)?;
        let mut reader = Reader { json, parts: Vec::with_capacity(1 + text.len() / BYTES_PER_PART) };
        let end = reader.value(skip_space(json.as_bytes(), 0), max_depth).ok_or(NotStrictJson)?;
        if skip_space(json.as_bytes(), end) != text.len() {
            return Err(NotStrictJson);
        }
        let parts = reader.parts;
        Ok(Self { text, parts })
    }

    /// A copy of the part at `index`, with all that stand within it.
    pub(super) fn detached(&self, index: usize) -> Self {
        let Some(part) = self.parts.get(index) else { return Self::default() };
        let text = self.text.get(part.start as usize..part.end as usize).unwrap_or_default();
        let parts = self.parts.get(index..part.next as usize).unwrap_or_default();
        let first = u32::try_from(index).unwrap_or_default();
        let moved = parts.iter().map(|inner| Part {
            start: inner.start - part.start,
            end: inner.end - part.start,
            next: inner.next - first,
            count: inner.count,
        });
        Self { text: Bytes::copy_from_slice(text), parts: moved.collect() }
    }
}

/// Reads a text part by part. The recursion is as deep as the value, which is limited.
struct Reader<'j> {
    json: &'j str,
    parts: Vec<Part>,
}

impl Reader<'_> {
    /// Reads the value at `start`, and gives where it ends.
    fn value(&mut self, start: usize, depth_left: usize) -> Option<usize> {
        let bytes = self.json.as_bytes();
        let index = self.open(start)?;
        let (end, count) = match bytes.get(start)? {
            // Escapes that are no text are rejected here, once for all that read it.
            b'"' => (read_string(self.json, start)?.1, 0),
            b'{' => self.object(start, index, depth_left.checked_sub(1)?)?,
            b'[' => self.list(start, depth_left.checked_sub(1)?)?,
            b't' => (literal_end(bytes, start, b"true")?, 0),
            b'f' => (literal_end(bytes, start, b"false")?, 0),
            b'n' => (literal_end(bytes, start, b"null")?, 0),
            _ => (number_end(bytes, start)?, 0),
        };
        self.close(index, end, count)
    }

    fn open(&mut self, start: usize) -> Option<usize> {
        let start = u32::try_from(start).ok()?;
        self.parts.push(Part { start, end: start, next: 0, count: 0 });
        Some(self.parts.len() - 1)
    }

    fn close(&mut self, index: usize, end: usize, count: u32) -> Option<usize> {
        let next = u32::try_from(self.parts.len()).ok()?;
        let part = self.parts.get_mut(index)?;
        (part.end, part.next, part.count) = (u32::try_from(end).ok()?, next, count);
        Some(end)
    }

    fn list(&mut self, start: usize, depth_left: usize) -> Option<(usize, u32)> {
        let mut count = 0;
        let end = read_list(self.json, start, |element| {
            count += 1;
            self.value(element, depth_left)
        })?;
        Some((end, count))
    }

    fn object(&mut self, start: usize, index: usize, depth_left: usize) -> Option<(usize, u32)> {
        let mut count = 0;
        let end = read_object(self.json, start, |member| {
            count += 1;
            let key = self.open(member.quoted.start)?;
            self.close(key, member.quoted.end, 0)?;
            self.value(member.value, depth_left)
        })?;
        (!self.has_duplicate_keys(index, count)).then_some((end, count))
    }

    /// Does the object at `index`, with so many members, have one key twice?
    fn has_duplicate_keys(&self, index: usize, count: u32) -> bool {
        if count < 2 {
            return false;
        }
        let mut at = index + 1;
        let mut keys = (0..count).filter_map(|_| {
            let key = self.parts.get(at)?;
            at = self.parts.get(key.next as usize)?.next as usize;
            unescaped(self.json.get(key.start as usize..key.end as usize)?)
        });
        if count as usize <= SMALL_OBJECT {
            let mut seen: [Cow<'_, str>; SMALL_OBJECT] = Default::default();
            return keys.enumerate().any(|(index, key)| {
                let (before, rest) = seen.split_at_mut(index);
                let is_known = before.contains(&key);
                if let Some(place) = rest.first_mut() {
                    *place = key;
                }
                is_known
            });
        }
        let mut seen = HashSet::with_capacity(count as usize);
        keys.any(|key| !seen.insert(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::json::parse_strict;

    fn is_read(text: &str) -> bool {
        Tape::read(Bytes::copy_from_slice(text.as_bytes()), 127).is_ok()
    }

    #[test]
    fn values_are_read_or_rejected_as_by_the_tree_reader() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let keys = |count: usize| (0..count).map(|index| format!(r#""k{index}":{index},"#)).collect::<String>();
        for text in [
            "",
            "{",
            "7",
            "-0",
            "1E9",
            "01",
            "1 2",
            "NaN",
            "null",
            "true",
            "nul",
            " [ ] ",
            "[1,]",
            "[1 2]",
            "{\"a\"}",
            "{a:1}",
            "{\"a\":1,}",
            r#"{"a":1,"a":2}"#,
            r#"{"b":{"a":1,"\u0061":2}}"#,
            r#"{"a":{"b":[1,{"c":null}]}}"#,
            r#""\ud800""#,
            r#"{"\ud800":1}"#,
            r#""\ud83d\ude00 \/ \n""#,
            "\"\n\"",
            "\u{feff}{}",
            " { \"a\" : [ 1.10 , \"x\" ] } ",
        ] {
            assert_eq!(is_read(text), parse_strict(text.as_bytes()).is_ok(), "{text}");
        }
        for text in [
            nested(127),
            nested(128),
            nested(10_000),
            format!("{{{}\"last\":1}}", keys(20)),
            format!("{{{}\"k3\":1}}", keys(20)),
            format!("{{{}\"k3\":1}}", keys(6)),
            format!("{{{}\"last\":1}}", keys(6)),
        ] {
            assert_eq!(is_read(&text), parse_strict(text.as_bytes()).is_ok(), "{text}");
        }
        assert!(Tape::read(Bytes::from_static(b"\"\xff\""), 9).is_err());
    }
}
