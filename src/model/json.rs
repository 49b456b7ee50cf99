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
        struct RawObjectVisitor;
        impl<'de> Visitor<'de> for RawObjectVisitor {
            type Value = RawObject<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut seen = std::collections::HashSet::new();
                let mut entries: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    if entries.len() == SMALL_OBJECT {
                        seen = entries.iter().map(|(key, _)| key.clone()).collect();
                    }
                    let is_known = match entries.len() < SMALL_OBJECT {
                        true => entries.iter().any(|(known, _)| *known == key),
                        false => !seen.insert(key.clone()),
                    };
                    if is_known {
                        return Err(A::Error::custom(format_args!("the key {key:?} stands here twice")));
                    }
                    entries.push((key, map.next_value()?));
                }
                Ok(RawObject(entries))
            }
        }
        deserializer.deserialize_map(RawObjectVisitor)
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
    fn a_raw_object_borrows_and_rejects_duplicate_keys() {
        let object: RawObject<'_> = serde_json::from_str(r#"{"a": 1.0 ,"b":"x"}"#).unwrap_or_default();
        assert_eq!(object.get("a").map(RawValue::get), Some("1.0"));
        assert!(matches!(object.0.first(), Some((Cow::Borrowed("a"), _))));
        assert!(serde_json::from_str::<RawObject<'_>>(r#"{"a":1,"a":2}"#).is_err());
    }
}
