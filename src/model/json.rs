//! JSON read strictly: no duplicate keys, no nesting without end, numbers kept to the letter.

use std::borrow::Cow;
use std::{fmt, io};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

/// A JSON object whose values stay the bytes they were.
#[derive(Debug, Default)]
pub struct RawObject<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> RawObject<'a> {
    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for RawObject<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(deserializer.deserialize_map(RawObjectVisitor { inner: None })?.0)
    }
}

/// Reads an object and, in the same pass, the members of the object that stands in it under this key; of null there are none.
pub struct WithInnerObject<'n>(pub &'n str);

impl<'de> DeserializeSeed<'de> for WithInnerObject<'_> {
    /// The other members, and those of the inner object.
    type Value = (RawObject<'de>, RawObject<'de>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(RawObjectVisitor { inner: Some(self.0) })
    }
}

struct RawObjectVisitor<'n> {
    /// The key of an object that is read as well.
    inner: Option<&'n str>,
}

impl<'de> Visitor<'de> for RawObjectVisitor<'_> {
    type Value = (RawObject<'de>, RawObject<'de>);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut seen = std::collections::HashSet::new();
        let mut entries: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
        let mut inner: Option<RawObject<'de>> = None;
        while let Some(Key(key)) = map.next_key()? {
            if entries.len() == SMALL_OBJECT {
                seen = entries.iter().map(|(key, _)| key.clone()).collect();
            }
            let is_inner = self.inner == Some(key.as_ref());
            let is_known = match entries.len() < SMALL_OBJECT {
                _ if is_inner => inner.is_some(),
                true => entries.iter().any(|(known, _)| *known == key),
                false => !seen.insert(key.clone()),
            };
            if is_known {
                return Err(A::Error::custom(format_args!("the key {key:?} stands here twice")));
            }
            if is_inner {
                inner = Some(map.next_value::<Option<_>>()?.unwrap_or_default());
            } else {
                entries.push((key, map.next_value()?));
            }
        }
        Ok((RawObject(entries), inner.unwrap_or_default()))
    }
}

/// Members of an object up to which looking at each of them is cheaper than hashing a key.
const SMALL_OBJECT: usize = 8;

/// The value of `key`, as [`Map::get`] has it. Nothing is hashed if the object is small, as most are.
#[must_use]
pub fn member<'v>(object: &'v Map<String, Value>, key: &str) -> Option<&'v Value> {
    match object.len() <= SMALL_OBJECT {
        true => object.iter().find(|(name, _)| *name == key).map(|(_, value)| value),
        false => object.get(key),
    }
}

/// A key that borrows where it can; `Cow` alone would always copy.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads exactly one JSON value. Rejected: duplicate keys, lone surrogates, invalid UTF-8, anything after the value,
/// nesting beyond what `serde_json` follows (128).
///
/// # Errors
/// Says what is wrong and where, by line and column.
///
/// # Examples
/// ```
/// use pillion::model::json::parse_strict;
///
/// assert_eq!(parse_strict(br#"{"a":1}"#).unwrap()["a"], 1);
/// // Two readers would choose differently.
/// assert!(parse_strict(br#"{"a":1,"a":2}"#).is_err());
/// ```
pub fn parse_strict(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = StrictValue.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// The same for a value whose syntax has been checked: a text without escapes is only copied, and most keys are integers.
///
/// # Errors
/// Says what is wrong and where, by line and column.
pub fn parse_checked(text: &str) -> Result<Value, serde_json::Error> {
    match plain_text(text) {
        Some(plain) => Ok(Value::String(plain.to_owned())),
        None => short_integer(text).map_or_else(|| parse_strict(text.as_bytes()), |integer| Ok(integer.into())),
    }
}

/// The text that this JSON is, if its syntax has been checked and it has no escapes.
#[must_use]
pub fn plain_text(json: &str) -> Option<&str> {
    let plain = json.strip_prefix('"')?.strip_suffix('"')?;
    memchr::memchr(b'\\', plain.as_bytes()).is_none().then_some(plain)
}

/// A number that is nothing but digits, and few enough of them.
fn short_integer(text: &str) -> Option<u64> {
    let is_short = matches!(text.as_bytes(), [b'0'] | [b'1'..=b'9', ..]) && text.len() < 19;
    is_short.then(|| text.parse().ok()).flatten()
}

/// Writes a value as `serde_json` does. Texts without anything to escape, which is nearly all, are found by vector
/// instructions and copied as a whole.
pub fn write_value(value: &Value, json: &mut Vec<u8>) {
    match value {
        Value::Null => json.extend_from_slice(b"null"),
        Value::Bool(true) => json.extend_from_slice(b"true"),
        Value::Bool(false) => json.extend_from_slice(b"false"),
        Value::Number(number) => json.extend_from_slice(number.as_str().as_bytes()),
        Value::String(text) => write_text(text, json),
        Value::Array(items) => {
            json.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    json.push(b',');
                }
                write_value(item, json);
            }
            json.push(b']');
        }
        Value::Object(object) => write_object(object, json),
    }
}

/// Writes an object as `serde_json` does.
pub fn write_object(object: &Map<String, Value>, json: &mut Vec<u8>) {
    json.push(b'{');
    for (index, (name, value)) in object.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        write_text(name, json);
        json.push(b':');
        write_value(value, json);
    }
    json.push(b'}');
}

/// Writes a text as a JSON string.
pub fn write_text(text: &str, json: &mut Vec<u8>) {
    let must_be_escaped = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
    let start = json.len();
    json.push(b'"');
    for piece in text.as_bytes().chunks(PIECE_BYTES) {
        // All of it, because a loop that can end early is not compiled to vector instructions.
        if piece.iter().fold(false, |found, byte| found | must_be_escaped(byte)) {
            json.truncate(start);
            // Writing to memory cannot fail.
            let _ = serde_json::to_writer(json, text);
            return;
        }
        json.extend_from_slice(piece);
    }
    json.push(b'"');
}

/// What is copied while it is still in the processor's nearest cache.
const PIECE_BYTES: usize = 16 * 1024;

/// The bytes that a value takes as JSON.
#[must_use]
pub fn json_length(value: &Value) -> usize {
    struct Counter(usize);
    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    if let Value::Number(number) = value {
        return number.as_str().len();
    }
    let mut counter = Counter(0);
    // Counting cannot fail.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

/// How `serde_json` hands over a number whose text it has kept.
const NUMBER_TOKEN: &str = "$serde_json::private::Number";

struct StrictValue;

impl<'de> DeserializeSeed<'de> for StrictValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictValue {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    // Small integers come as such; everything else comes with its text.
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(StrictValue)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if key == NUMBER_TOKEN && object.is_empty() {
                let text: String = entries.next_value()?;
                return text.parse::<Number>().map(Value::Number).map_err(A::Error::custom);
            }
            let value = entries.next_value_seed(StrictValue)?;
            if member(&object, &key).is_some() {
                return Err(A::Error::custom(format_args!("the key {key:?} stands here twice")));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// How much is in a JSON text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// Bytes of the text.
    pub bytes: usize,
    /// Lists and objects.
    pub containers: usize,
    /// Elements of lists and keys of objects, in all of them together; an empty one counts as if it had one.
    pub elements: usize,
}

/// Measures `text`, or gives `None` if any value in it is nested deeper than `depth_max` lists and objects. Looks only at
/// brackets and commas outside strings, so it costs one pass, no stack and no memory.
#[must_use]
pub fn measure(text: &[u8], max_depth: usize) -> Option<Measure> {
    let (mut depth, mut containers, mut commas) = (0_usize, 0, 0);
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => rest = after_string(rest),
            b'[' | b'{' => {
                containers += 1;
                depth += 1;
                if depth > max_depth {
                    return None;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' => commas += 1,
            _ => {}
        }
    }
    Some(Measure { bytes: text.len(), containers, elements: commas + containers })
}

/// Is any value in `text` nested deeper than `depth_max` lists and objects?
#[must_use]
pub fn is_deeper_than(text: &[u8], max_depth: usize) -> bool {
    measure(text, max_depth).is_none()
}

/// What follows the end of the string that `text` begins inside of.
fn after_string(mut text: &[u8]) -> &[u8] {
    while let Some(at) = memchr::memchr2(b'"', b'\\', text) {
        match text.get(at..).unwrap_or_default() {
            [b'"', after @ ..] => return after,
            [_, _, after @ ..] => text = after,
            _ => break,
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        // `serde_json` writes an exponent's sign out (`1e400` comes back as `1e+400`); every digit stays.
        for text in [
            "2",
            "-7",
            "{\"a\":[1,18446744073709551615]}",
            "123456789012345678901234567890",
            "1e+400",
            "-0",
            "1.10",
            "0.1234567890123456789012345678901234",
        ] {
            let value = parse_strict(text.as_bytes()).map(|value| value.to_string());
            assert_eq!(value.ok().as_deref(), Some(text));
        }
    }

    #[test]
    fn anything_but_one_strict_value_is_rejected() {
        let cases: &[&[u8]] = &[
            b"",
            b"{",
            b"{\"a\":1",
            b"1 2",
            b"NaN",
            b"{\"a\":1,\"a\":2}",
            b"{\"b\":{\"a\":1,\"a\":2}}",
            br#""\ud800""#,
            b"\"\xff\"",
            b"\xef\xbb\xbf{}",
            b"[1,]",
        ];
        for case in cases {
            assert!(parse_strict(case).is_err(), "{:?} was taken", String::from_utf8_lossy(case));
        }
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert!(parse_strict(deep.as_bytes()).is_err());
    }

    #[test]
    fn values_are_written_as_the_library_writes_them() {
        let deep =
            r#"{"a":[1,-0.50,1e+400,true,false,null,[],{}],"b\"\\\n\u0001\u007f":{"ü€😀":"plain, and / too"},"":""}"#;
        for text in [deep, "\"\"", "7", "null"] {
            let (mut written, value) = (Vec::new(), parse_strict(text.as_bytes()).unwrap_or_default());
            write_value(&value, &mut written);
            assert_eq!(String::from_utf8(written).ok(), serde_json::to_string(&value).ok(), "{text}");
        }
        let long = "é".repeat(PIECE_BYTES);
        let around = |middle: &str| format!("{long}{middle}{long}");
        let bytes = (0..=255_u8).map(|byte| format!("a{}z", char::from(byte)));
        for text in bytes.chain([around(""), around("\""), format!("{long}\n")]) {
            let mut written = b"[".to_vec();
            write_text(&text, &mut written);
            let expected = serde_json::to_string(&text).map(|json| format!("[{json}"));
            assert_eq!(String::from_utf8(written).ok(), expected.ok(), "{:?}", text.get(..3));
        }
    }

    #[test]
    fn checked_texts_are_read_as_all_others() {
        let texts = [r#""plain ü""#, r#""\""#, r#""\u00e9\\""#, "\"\"", r#"{"a":[1.0]}"#, "1e5", "null"];
        let integers = ["0", "7", "-7", "-0", "2147483648", "999999999999999999", "18446744073709551616"];
        for text in texts.into_iter().chain(integers) {
            let raw: Option<&RawValue> = serde_json::from_str(text).ok();
            assert_eq!(raw.and_then(|raw| parse_checked(raw.get()).ok()), parse_strict(text.as_bytes()).ok(), "{text}");
        }
        assert!(["", "01", "+1", "1 2", "é"].iter().all(|text| parse_checked(text).is_err()));
        let lone: Option<&RawValue> = serde_json::from_str(r#""\ud800""#).ok();
        assert!(lone.is_some_and(|raw| parse_checked(raw.get()).is_err()));
    }

    #[test]
    fn depth_is_counted_outside_strings() {
        assert!(!is_deeper_than(br#"{"a":["[[[[\"[["]}"#, 2));
        assert!(is_deeper_than(br#"{"a":[[1]]}"#, 2));
    }

    #[test]
    fn values_are_counted_outside_strings() {
        for (text, containers, elements) in [
            ("7", 0, 0),
            ("[]", 1, 1),
            ("[1,2,3]", 1, 3),
            (r#"{"a":[1,",[{"],"b":{"c":null}}"#, 3, 5),
            (r#""[,{\",[""#, 0, 0),
        ] {
            let wanted = Measure { bytes: text.len(), containers, elements };
            assert_eq!(measure(text.as_bytes(), 9), Some(wanted), "{text}");
        }
    }

    #[test]
    fn an_inner_object_is_read_in_the_same_pass() {
        let read = |text: &str| {
            let mut deserializer = serde_json::Deserializer::from_str(text);
            let (object, inner) = WithInnerObject("v").deserialize(&mut deserializer).ok()?;
            let shown = |object: RawObject<'_>| {
                object.0.iter().map(|(key, raw)| format!("{key}={raw}")).collect::<Vec<_>>().join(" ")
            };
            Some(format!("{} / {}", shown(object), shown(inner)))
        };
        let many = (0..20).map(|index| format!(r#""k{index}":1,"#)).collect::<String>();
        for (text, wanted) in [
            (r#"{"a":1,"v":{"x": [1.0] ,"y":"z"},"b":{"v":2}}"#.to_owned(), Some(r#"a=1 b={"v":2} / x=[1.0] y="z""#)),
            (r#"{"v":null}"#.to_owned(), Some(" / ")),
            (r#"{"a":1}"#.to_owned(), Some("a=1 / ")),
            (r#"{"v":[1]}"#.to_owned(), None),
            (r#"{"v":null,"v":{}}"#.to_owned(), None),
            (r#"{"v":{"x":1,"x":1}}"#.to_owned(), None),
            (r#"{"a":1,"v":{},"a":1}"#.to_owned(), None),
            (format!(r#"{{{many}"v":{{"x":1}},"k3":1}}"#), None),
        ] {
            assert_eq!(read(&text).as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn a_raw_object_borrows_and_rejects_duplicate_keys() {
        let object: RawObject<'_> = serde_json::from_str(r#"{"a": 1.0 ,"b":"x"}"#).unwrap_or_default();
        assert_eq!(object.get("a").map(RawValue::get), Some("1.0"));
        assert!(matches!(object.0.first(), Some((Cow::Borrowed("a"), _))));
        assert!(serde_json::from_str::<RawObject<'_>>(r#"{"a":1,"a":2}"#).is_err());
    }
}
