//! Walks JSON text that may not be valid: finds where values end, as [RFC 8259](https://www.rfc-editor.org/rfc/rfc8259) has
//! it, or that there is none. Nesting takes no stack, and nothing is copied but keys with escapes.

use std::borrow::Cow;

/// Reads the members of the object at `start`. `value` gets each key with the place of its value, and gives where that ends.
/// Gives the end of the object; `None` if there is no valid one, or if `value` gives that.
pub(crate) fn read_object<'j>(
    json: &'j str,
    start: usize,
    mut value: impl FnMut(Cow<'j, str>, usize) -> Option<usize>,
) -> Option<usize> {
    let bytes = json.as_bytes();
    if *bytes.get(start)? != b'{' {
        return None;
    }
    let mut at = skip_space(bytes, start + 1);
    if bytes.get(at) == Some(&b'}') {
        return Some(at + 1);
    }
    loop {
        let key_end = string_end(bytes, at)?;
        let key = unescaped(json.get(at..key_end)?)?;
        at = skip_space(bytes, value(key, after_colon(bytes, key_end)?)?);
        match bytes.get(at)? {
            b',' => at = skip_space(bytes, at + 1),
            b'}' => return Some(at + 1),
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
        let end = read_object(json, 0, |key, start| {
            let end = value_end(json.as_bytes(), start)?;
            found.push((key.into_owned(), json.get(start..end)?));
            Some(end)
        });
        assert_eq!(end, Some(json.len()));
        let wanted = [("a", r#"[1, {"b]": "}\""}]"#), ("c", "null"), ("d", r#""\\""#)];
        assert_eq!(found, wanted.map(|(key, value)| (key.to_owned(), value)));
    }
}
