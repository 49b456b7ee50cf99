//! The functions of Kriti templates, each from one value to one value.

use serde_json::{Map, Number, Value};

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// Is there nothing in it?
    Empty,
    /// How much is in it?
    Size,
    /// The other way round.
    Inverse,
    /// The first element or character.
    Head,
    /// All but the first.
    Tail,
    /// For comparing without case.
    ToCaseFold,
    /// In lower case.
    ToLower,
    /// In upper case.
    ToUpper,
    /// Each word with a capital.
    ToTitle,
    /// `[[k, v], …]` to `{k: v, …}`.
    FromPairs,
    /// `{k: v, …}` to `[[k, v], …]`.
    ToPairs,
    /// A list without its nulls.
    RemoveNulls,
    /// A list of lists, strings or objects as one.
    Concat,
    /// Percent-encodes everything that a URL cannot hold as it is.
    EscapeUri,
    /// True for false.
    Not,
    /// The session variable of this name.
    SessionVariable,
}

/// By name.
const FUNCTIONS: [(&str, Function); 16] = [
    ("empty", Function::Empty),
    ("size", Function::Size),
    ("inverse", Function::Inverse),
    ("head", Function::Head),
    ("tail", Function::Tail),
    ("toCaseFold", Function::ToCaseFold),
    ("toLower", Function::ToLower),
    ("toUpper", Function::ToUpper),
    ("toTitle", Function::ToTitle),
    ("fromPairs", Function::FromPairs),
    ("toPairs", Function::ToPairs),
    ("removeNulls", Function::RemoveNulls),
    ("concat", Function::Concat),
    ("escapeUri", Function::EscapeUri),
    ("not", Function::Not),
    ("getSessionVariable", Function::SessionVariable),
];

impl Function {
    /// The names of all functions.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FUNCTIONS.iter().map(|(name, _)| *name)
    }

    /// The function of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, function)| *function)
    }
}

/// Applies a function.
///
/// # Errors
/// Why it has no value for this one; the message leaves the value out.
pub fn apply(
    function: Function,
    value: &Value,
    session_variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Value, String> {
    match function {
        Function::Empty => empty(value).map(Value::Bool),
        Function::Size => Ok(size(value)),
        Function::Inverse => inverse(value),
        Function::Head => head(value),
        Function::Tail => tail(value),
        // Upper case first makes one letter of those that have several small forms.
        Function::ToCaseFold => text(value).map(|text| text.to_uppercase().to_lowercase().into()),
        Function::ToLower => text(value).map(|text| text.to_lowercase().into()),
        Function::ToUpper => text(value).map(|text| text.to_uppercase().into()),
        Function::ToTitle => text(value).map(|text| title(text).into()),
        Function::FromPairs => from_pairs(value),
        Function::ToPairs => to_pairs(value),
        Function::RemoveNulls => {
            Ok(list(value)?.iter().filter(|item| !item.is_null()).cloned().collect::<Vec<_>>().into())
        }
        Function::Concat => concat(value),
        Function::EscapeUri => text(value).map(|text| escape_uri(text).into()),
        Function::Not => value.as_bool().map(|value| Value::Bool(!value)).ok_or_else(|| expected("Boolean", value)),
        Function::SessionVariable => {
            let name = text(value)?;
            let found = session_variable(&name.to_ascii_lowercase());
            found.map(Value::String).ok_or_else(|| format!("Session variable \"{name}\" not found"))
        }
    }
}

/// The kind of a value, in the words of the language.
#[must_use]
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "Object",
        Value::Array(_) => "Array",
        Value::String(_) => "String",
        Value::Number(_) => "Number",
        Value::Bool(_) => "Boolean",
        Value::Null => "Null",
    }
}

/// One kind was wanted, another is there.
#[must_use]
pub fn expected(kind: &str, found: &Value) -> String {
    format!("expected a value of type '{kind}', but found one of type '{}'", kind_of(found))
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| expected("String", value))
}

fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| expected("Array", value))
}

fn empty(value: &Value) -> Result<bool, String> {
    Ok(match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.trim().is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Null => true,
        Value::Bool(_) => return Err("emptiness is not defined for a Boolean".into()),
    })
}

fn size(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.len().into(),
        Value::Array(items) => items.len().into(),
        Value::String(text) => text.chars().count().into(),
        Value::Number(number) => Value::Number(number.clone()),
        Value::Bool(value) => u8::from(*value).into(),
        Value::Null => 0.into(),
    }
}

fn inverse(value: &Value) -> Result<Value, String> {
    Ok(match value {
        Value::Object(_) | Value::Null => value.clone(),
        Value::Array(items) => items.iter().rev().cloned().collect::<Vec<_>>().into(),
        Value::String(text) => text.chars().rev().collect::<String>().into(),
        Value::Bool(value) => (!value).into(),
        Value::Number(number) => {
            let reciprocal = number.as_f64().map(|number| 1.0 / number).and_then(Number::from_f64);
            reciprocal.map(Value::Number).ok_or("this number has no reciprocal")?
        }
    })
}

fn head(value: &Value) -> Result<Value, String> {
    match value {
        Value::Array(items) => items.first().cloned().ok_or_else(|| "Empty array".into()),
        Value::String(text) => {
            text.chars().next().map(|first| first.to_string().into()).ok_or_else(|| "Empty string".into())
        }
        _ => Err("Expected an array or string".into()),
    }
}

fn tail(value: &Value) -> Result<Value, String> {
    match value {
        Value::Array(items) => {
            items.split_first().map(|(_, rest)| rest.to_vec().into()).ok_or_else(|| "Empty array".into())
        }
        Value::String(text) => {
            let mut characters = text.chars();
            characters.next().map(|_| characters.as_str().into()).ok_or_else(|| "Empty string".into())
        }
        _ => Err("Expected an array or string".into()),
    }
}

fn title(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut in_word = false;
    for character in text.chars() {
        if in_word {
            titled.extend(character.to_lowercase());
        } else {
            titled.extend(character.to_uppercase());
        }
        in_word = character.is_alphabetic() || in_word && character == '\'';
    }
    titled
}

fn from_pairs(value: &Value) -> Result<Value, String> {
    const SHAPE: &str = "Expected an array of shape [ [k1,v1], [k2,v2] ... ] - With String keys.";
    let pairs = list(value)?.iter().map(|pair| match pair.as_array().map(Vec::as_slice) {
        Some([Value::String(key), value]) => Ok((key.clone(), value.clone())),
        _ => Err(SHAPE.to_owned()),
    });
    pairs.collect::<Result<Map<_, _>, _>>().map(Value::Object)
}

fn to_pairs(value: &Value) -> Result<Value, String> {
    let fields = value.as_object().ok_or_else(|| expected("Object", value))?;
    let pair = |(key, value): (&String, &Value)| Value::Array(vec![key.as_str().into(), value.clone()]);
    Ok(fields.iter().map(pair).collect::<Vec<_>>().into())
}

/// Of objects, the last one that has a key counts.
fn concat(value: &Value) -> Result<Value, String> {
    let parts = list(value)?;
    let mixed = || "Expected an array of arrays, of strings or of objects".to_owned();
    match parts.first() {
        None => Ok(Value::Array(Vec::new())),
        Some(Value::Array(_)) => {
            let lists = parts.iter().map(|part| part.as_array().ok_or_else(mixed));
            Ok(lists.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().cloned().collect::<Vec<_>>().into())
        }
        Some(Value::String(_)) => {
            let texts = parts.iter().map(|part| part.as_str().ok_or_else(mixed));
            texts.collect::<Result<String, _>>().map(Value::String)
        }
        Some(Value::Object(_)) => {
            let objects = parts.iter().map(|part| part.as_object().ok_or_else(mixed));
            let objects = objects.collect::<Result<Vec<_>, _>>()?;
            let mut all = Map::new();
            for (key, value) in objects.into_iter().flatten() {
                all.insert(key.clone(), value.clone());
            }
            Ok(Value::Object(all))
        }
        Some(_) => Err(mixed()),
    }
}

/// <https://www.rfc-editor.org/rfc/rfc3986#section-2.3>: unreserved characters stay.
#[must_use]
pub fn escape_uri(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, RESERVED).to_string()
}
