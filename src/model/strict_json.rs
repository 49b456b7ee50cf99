//! Walks JSON text that may not be valid: finds where values end, as [RFC 8259](https://www.rfc-editor.org/rfc/rfc8259) has
//! it, or that there is none. Nesting takes no stack, and nothing is copied but keys with escapes.

use std::borrow::Cow;
use std::ops::Range;

/// The key of a member, and where its value begins.
#[derive(Clone, Debug)]
pub(crate) struct MemberKey<'j> {
    /// The key, unescaped.
    pub key: Cow<'j, str>,
    /// Where it stands, with its quotes.
    pub quoted: Range<usize>,
    /// The first byte of the value.
    pub value: usize,
}

/// Reads the members of the object at `start`. `value` gets each key and gives where its value ends. Gives the end of the
/// object; `None` if there is no valid one, or if `value` gives that.
pub(crate) fn read_object<'j>(
    json: &'j str,
    start: usize,
    mut value: impl FnMut(MemberKey<'j>) -> Option<usize>,
) -> Option<usize> {
    let bytes = json.as_bytes();
    read_between(bytes, start, *b"{}", |at| {
        let (key, key_end) = read_string(json, at)?;
        value(MemberKey { key, quoted: at..key_end, value: after_colon(bytes, key_end)? })
    })
}

/// Reads the elements of the list at `start`. `element` gets where each begins and gives where it ends. Gives the end of the
/// list; `None` if there is no valid one, or if `element` gives that.
pub(crate) fn read_list(json: &str, start: usize, element: impl FnMut(usize) -> Option<usize>) -> Option<usize> {
    read_between(json.as_bytes(), start, *b"[]", element)
}

/// Reads what stands between these brackets, with commas.
#[inline]
fn read_between(
    bytes: &[u8],
    start: usize,
    [open, close]: [u8; 2],
    mut item: impl FnMut(usize) -> Option<usize>,
) -> Option<usize> {
    if *bytes.get(start)? != open {
        return None;
    }
    let mut at = skip_space(bytes, start + 1);
    if bytes.get(at) == Some(&close) {
        return Some(at + 1);
    }
    loop {
        at = skip_space(bytes, item(at)?);
        match *bytes.get(at)? {
            b',' => at = skip_space(bytes, at + 1),
            end if end == close => return Some(at + 1),
            _ => return None,
        }
    }
}

/// The end of the value that begins at `start`; `None` if there is no valid one.
pub(crate) fn value_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut around = Containers::default();
    let mut at = start;
    loop {
        at = match bytes.get(at)? {
            b'"' => string_end(bytes, at)?,
            b'{' => match skip_space(bytes, at + 1) {
                end if bytes.get(end) == Some(&b'}') => end + 1,
                key => {
                    around.open(true);
                    at = after_key(bytes, key)?;
                    continue;
                }
            },
            b'[' => match skip_space(bytes, at + 1) {
                end if bytes.get(end) == Some(&b']') => end + 1,
                element => {
                    around.open(false);
                    at = element;
                    continue;
                }
            },
            b't' => literal_end(bytes, at, b"true")?,
            b'f' => literal_end(bytes, at, b"false")?,
            b'n' => literal_end(bytes, at, b"null")?,
            _ => number_end(bytes, at)?,
        };
        // A value ends here, and perhaps what is around it.
        loop {
            let Some(is_object) = around.innermost() else { return Some(at) };
            at = skip_space(bytes, at);
            match (bytes.get(at)?, is_object) {
                (b',', true) => {
                    at = after_key(bytes, skip_space(bytes, at + 1))?;
                    break;
                }
                (b',', false) => {
                    at = skip_space(bytes, at + 1);
                    break;
                }
                (b'}', true) | (b']', false) => {
                    around.close();
                    at += 1;
                }
                _ => return None,
            }
        }
    }
}

/// The objects and lists around a place, one bit for each.
#[derive(Default)]
struct Containers {
    /// The innermost ones; the last is the lowest bit.
    bits: u64,
    /// How many of the bits are used.
    count: u32,
    /// Those around, 64 at a time.
    outer: Vec<u64>,
}

impl Containers {
    fn open(&mut self, is_object: bool) {
        if self.count == u64::BITS {
            self.outer.push(self.bits);
            self.count = 0;
        }
        self.bits = self.bits << 1 | u64::from(is_object);
        self.count += 1;
    }

    /// Is it an object?
    fn innermost(&self) -> Option<bool> {
        (self.count > 0).then_some(self.bits & 1 == 1)
    }

    fn close(&mut self) {
        self.bits >>= 1;
        self.count -= 1;
        if self.count == 0
            && let Some(outer) = self.outer.pop()
        {
            (self.bits, self.count) = (outer, u64::BITS);
        }
    }
}

/// The first byte at or after `at` that is no white space.
#[inline]
pub(crate) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    // Most bytes are no white space, which one comparison tells.
    while let Some(byte) = bytes.get(at)
        && *byte <= b' '
        && matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
    {
        at += 1;
    }
    at
}

/// Where the value of the key at `at` begins.
fn after_key(bytes: &[u8], at: usize) -> Option<usize> {
    after_colon(bytes, string_end(bytes, at)?)
}

fn after_colon(bytes: &[u8], at: usize) -> Option<usize> {
    let colon = skip_space(bytes, at);
    (*bytes.get(colon)? == b':').then(|| skip_space(bytes, colon + 1))
}

pub(crate) fn literal_end(bytes: &[u8], at: usize, literal: &[u8]) -> Option<usize> {
    let end = at + literal.len();
    (bytes.get(at..end)? == literal).then_some(end)
}

/// [Numbers](https://www.rfc-editor.org/rfc/rfc8259#section-6).
// Inlined: as calls, this and the end of strings cost the merge 4 % of its instructions.
#[inline]
pub(crate) fn number_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + usize::from(bytes.get(start) == Some(&b'-'));
    at = match bytes.get(at)? {
        b'0' => at + 1,
        b'1'..=b'9' => digits_end(bytes, at + 1),
        _ => return None,
    };
    if bytes.get(at) == Some(&b'.') {
        at = some_digits_end(bytes, at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        at = some_digits_end(bytes, at + usize::from(matches!(bytes.get(at), Some(b'+' | b'-'))))?;
    }
    Some(at)
}

fn digits_end(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b'0'..=b'9')) {
        at += 1;
    }
    at
}

fn some_digits_end(bytes: &[u8], at: usize) -> Option<usize> {
    let end = digits_end(bytes, at);
    (end > at).then_some(end)
}

/// After the closing quote of the string that begins at `start`.
#[inline]
pub(crate) fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    if *bytes.get(start)? != b'"' {
        return None;
    }
    let mut at = start + 1;
    // Most keys and many values are shorter than eight bytes.
    if let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        at += plain_bytes(*word);
        if bytes.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
    }
    long_string_end(bytes, at)
}

/// The same from a byte within the string.
#[inline(never)]
fn long_string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = plain_end(bytes, at);
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at = escape_end(bytes, at + 1)?,
            // A control character.
            _ => return None,
        }
    }
}

/// After the escape whose first character after the backslash is at `at`.
fn escape_end(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
        b'u' => {
            let digits = bytes.get(at + 1..at + 5)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(at + 5)
        }
        _ => None,
    }
}

/// Where the first quote, backslash or control character at or after `at` stands, or the end. Eight bytes are looked at
/// together.
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        match plain_bytes(*word) {
            8 => at += 8,
            count => return at + count,
        }
    }
    while bytes.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | ..0x20)) {
        at += 1;
    }
    at
}

/// How many of these bytes come before the first one that ends a plain piece of a string.
#[inline]
fn plain_bytes(word: [u8; 8]) -> usize {
    const LOW: u64 = u64::MAX / 255;
    const HIGH: u64 = LOW << 7;
    let word = u64::from_le_bytes(word);
    // A quote becomes 0x20 and a space 0x22; control characters stay below.
    let quote_or_control = (word ^ (LOW * 0x02)).wrapping_sub(LOW * 0x21);
    let backslash = (word ^ (LOW * 0x5c)).wrapping_sub(LOW);
    // The highest bit of each such byte. Those above the lowest one that is set may be wrong.
    let found = (quote_or_control | backslash) & !word & HIGH;
    found.trailing_zeros() as usize / 8
}

/// The text of the string that begins at `start`, and where it ends; `None` if there is no valid one, or if its escapes are
/// no text.
#[inline]
pub(crate) fn read_string(json: &str, start: usize) -> Option<(Cow<'_, str>, usize)> {
    let bytes = json.as_bytes();
    // As most keys are: no escape is looked for again.
    if bytes.get(start) == Some(&b'"')
        && let Some(word) = bytes.get(start + 1..).and_then(<[u8]>::first_chunk)
    {
        let end = start + 1 + plain_bytes(*word);
        if bytes.get(end) == Some(&b'"') {
            return Some((Cow::Borrowed(json.get(start + 1..end)?), end + 1));
        }
    }
    let end = string_end(bytes, start)?;
    Some((unescaped(json.get(start..end)?)?, end))
}

/// The text of a string, given with its quotes.
pub(crate) fn unescaped(quoted: &str) -> Option<Cow<'_, str>> {
    match quoted.contains('\\') {
        true => serde_json::from_str::<String>(quoted).ok().map(Cow::Owned),
        false => quoted.get(1..quoted.len().checked_sub(1)?).map(Cow::Borrowed),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn what_ends_is_what_others_read_as_well() {
        let deep = "[".repeat(1_000) + &"]".repeat(1_000);
        let mixed = "[{\"a\":".repeat(100) + "1" + &"}]".repeat(100);
        for text in [
            "0",
            "-0.5e+7",
            "1E9",
            "01",
            "-",
            "1.",
            "1e",
            ".5",
            "+1",
            "true",
            "nul",
            "nullx",
            "\"\"",
            "\"a\\u00e9\\n\"",
            "\"\\ud800\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\n\"",
            "\"a\tb\"",
            "\"12345678\"",
            "\"1234567\\\"\"",
            "\"é\u{7f}\u{2028}\"",
            "\"a! #[]\"",
            "\"a\u{1f}234567\"",
            "\"ééé\u{1}ééé\"",
            "\"é\\\"é345678901\"",
            "\"",
            "{}",
            "{ }",
            "[ ]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":1,\"a\":[{}, [] ,\"]\"]}",
            "[1}",
            "{\"a\":1]",
            "",
            " ",
            "]",
            &deep,
            &mixed,
            "[[",
            "{\"a\":[",
        ] {
            let wanted = serde_json::from_str::<&RawValue>(text).ok().map(|_| text.len());
            let found = value_end(text.as_bytes(), 0).filter(|end| *end == text.len());
            assert_eq!(found, wanted, "{text}");
        }
    }

    #[test]
    fn members_are_read_with_their_keys() {
        let json = r#"{"a" : [1, {"b]": "}\""}] , "\u0063":null,"d":"\\" }"#;
        let mut found = Vec::new();
        let end = read_object(json, 0, |member| {
            let end = value_end(json.as_bytes(), member.value)?;
            found.push((member.key.into_owned(), json.get(member.quoted.start..end)?));
            Some(end)
        });
        assert_eq!(end, Some(json.len()));
        let wanted = [("a", r#""a" : [1, {"b]": "}\""}]"#), ("c", r#""\u0063":null"#), ("d", r#""d":"\\""#)];
        assert_eq!(found, wanted.map(|(key, member)| (key.to_owned(), member)));
    }

    #[test]
    fn strings_are_read_with_their_ends() {
        for (json, wanted) in [
            (r#""""#, Some("")),
            (r#""abc", "#, Some("abc")),
            (r#""12345678" "#, Some("12345678")),
            (r#""1234567\u0038" "#, Some("12345678")),
            (r#""a\"b" 12345678"#, Some("a\"b")),
            (r#""é\ud83d\ude00é""#, Some("é\u{1f600}é")),
            (r#""\ud800" 12345"#, None),
            ("\"a\n\"12345678", None),
            ("abc", None),
            ("\"abc", None),
            ("", None),
        ] {
            let read = read_string(json, 0);
            assert_eq!(read.as_ref().map(|(text, _)| text.as_ref()), wanted, "{json}");
            assert_eq!(read.map(|(_, end)| end), wanted.and(string_end(json.as_bytes(), 0)), "{json}");
        }
    }

    #[test]
    fn elements_are_read() {
        for (json, wanted) in [
            (r#"[1, {"b]": "}\"" } ,[ ] ]"#, Some(vec!["1", r#"{"b]": "}\"" }"#, "[ ]"])),
            ("[ ]", Some(Vec::new())),
            ("[1,]", None),
            ("[1 2]", None),
            ("[1}", None),
            ("[", None),
            ("{}", None),
        ] {
            let mut found = Vec::new();
            let end = read_list(json, 0, |start| {
                let end = value_end(json.as_bytes(), start)?;
                found.push(json.get(start..end)?);
                Some(end)
            });
            assert_eq!(end.map(|end| (end, found)), wanted.map(|wanted| (json.len(), wanted)), "{json}");
        }
    }
}
