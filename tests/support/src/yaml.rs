//! YAML as JSON, for fixtures.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Number, Value};

/// Reads one document. Numbers that are no 64-bit integers are better written as JSON text.
pub fn read(text: &str) -> Result<Value, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    documents.first().map(json_of).ok_or_else(|| "the file is empty".to_owned())
}

fn json_of(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Boolean(value)) => Value::Bool(*value),
        Yaml::Value(Scalar::Integer(value)) => Value::from(*value),
        Yaml::Value(Scalar::FloatingPoint(value)) => {
            Number::from_f64(value.into_inner()).map_or(Value::Null, Value::Number)
        }
        Yaml::Value(Scalar::String(text)) => Value::from(text.as_ref()),
        Yaml::Sequence(items) => Value::Array(items.iter().map(json_of).collect()),
        Yaml::Mapping(entries) => Value::Object(
            entries.iter().map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), json_of(value))).collect(),
        ),
        _ => Value::Null,
    }
}
