//! Walks JSON text by byte positions. The text is known to be valid, so that only its structure is looked at; where it
//! is not, the walk ends early and finds less.

use std::borrow::Cow;
use std::ops::Range;

/// A member of an object.
#[derive(Clone, Debug)]
pub(crate) struct Member<'j> {
    /// Its key, unescaped.
    pub key: Cow<'j, str>,
    /// From the key's opening quote to the end of the value.
    pub range: Range<usize>,
    /// The value.
    pub value: Range<usize>,
}

/// The members of the object that begins at `start`; none if there is something else.
pub(crate) fn members(json: &str, start: usize) -> impl Iterator<Item = Member<'_>> {
    let mut at = open(json, start, b'{');
    std::iter::from_fn(move || {
        let key_start = skip_space(json, at?);
        if byte(json, key_start)? != b'"' {
            return None;
        }
        let key_end = string_end(json, key_start);
        let colon = skip_space(json, key_end);
        let value = value_at(json, skip_space(json, colon + 1));
        at = after_comma(json, value.end);
        let key = unescaped(json.get(key_start..key_end)?)?;
        Some(Member { key, range: key_start..value.end, value })
    })
}

/// The elements of the list that begins at `start`; none if there is something else.
pub(crate) fn elements(json: &str, start: usize) -> impl Iterator<Item = Range<usize>> + use<'_> {
    let mut at = open(json, start, b'[');
    std::iter::from_fn(move || {
        let start = skip_space(json, at?);
        if byte(json, start)? == b']' {
            return None;
        }
        let value = value_at(json, start);
        at = after_comma(json, value.end);
        Some(value)
    })
}

/// The value that begins at or after the white space at `start`.
pub(crate) fn value_at(json: &str, start: usize) -> Range<usize> {
    let start = skip_space(json, start);
    let end = match byte(json, start) {
        Some(b'"') => string_end(json, start),
        Some(b'{' | b'[') => nested_end(json, start),
        _ => {
            let rest = json.as_bytes().get(start..).unwrap_or_default();
            let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
            start + rest.iter().position(is_end).unwrap_or(rest.len())
        }
    };
    start..end
}

fn byte(json: &str, at: usize) -> Option<u8> {
    json.as_bytes().get(at).copied()
}

fn open(json: &str, start: usize, bracket: u8) -> Option<usize> {
    let start = skip_space(json, start);
    (byte(json, start)? == bracket).then_some(start + 1)
}

fn after_comma(json: &str, end: usize) -> Option<usize> {
    let end = skip_space(json, end);
    (byte(json, end)? == b',').then_some(end + 1)
}

fn skip_space(json: &str, start: usize) -> usize {
    let rest = json.as_bytes().get(start..).unwrap_or_default();
    start + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// After the closing quote of the string that begins at `start`.
fn string_end(json: &str, start: usize) -> usize {
    let bytes = json.as_bytes();
    let mut at = start + 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        match bytes.get(at + found) {
            Some(b'"') => return at + found + 1,
            _ => at += found + 2,
        }
    }
    json.len()
}

/// After the bracket that closes the one at `start`.
fn nested_end(json: &str, start: usize) -> usize {
    let bytes = json.as_bytes();
    let (mut at, mut depth) = (start, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(json, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    json.len()
}

/// The text of a string, given with its quotes.
fn unescaped(quoted: &str) -> Option<Cow<'_, str>> {
    match quoted.contains('\\') {
        true => serde_json::from_str::<String>(quoted).ok().map(Cow::Owned),
        false => quoted.get(1..quoted.len().checked_sub(1)?).map(Cow::Borrowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_elements_are_found_by_position() {
        let json = r#" {"a" : [1, {"b]": "}\"" } ,[ ] ], "\u0063":null,"d":"\\"} "#;
        let found: Vec<_> = members(json, 0)
            .map(|member| (member.key.into_owned(), json.get(member.value).expect("a value")))
            .collect();
        let wanted = [("a", r#"[1, {"b]": "}\"" } ,[ ] ]"#), ("c", "null"), ("d", r#""\\""#)];
        assert_eq!(found, wanted.map(|(key, value)| (key.to_owned(), value)));
        let list = members(json, 0).next().expect("a member").value;
        let items: Vec<_> = elements(json, list.start).filter_map(|item| json.get(item)).collect();
        assert_eq!(items, ["1", r#"{"b]": "}\"" }"#, "[ ]"]);
    }

    #[test]
    fn broken_text_ends_the_walk() {
        for json in ["", "{", "{\"", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":\"\\", "[", "[1", "[[", "{]", "[}", "7", "é"]
        {
            assert!(members(json, 0).count() <= 1 && elements(json, 0).count() <= 1, "{json}");
            assert!(value_at(json, 0).end <= json.len().max(1), "{json}");
        }
    }
}
