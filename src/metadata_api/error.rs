//! Errors of the metadata API, in Hasura's form.

use serde_json::{Map, Value, json};

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// Hasura's code.
    pub code: String,
    /// In one sentence.
    pub error: String,
    /// Where in the request.
    pub path: String,
    /// The objects that would be inconsistent.
    pub internal: Option<Box<Value>>,
}

impl ApiError {
    /// An error in a command's arguments.
    #[must_use]
    pub(crate) fn new(code: &str, error: impl Into<String>) -> Self {
        Self { status: 400, code: code.into(), error: error.into(), path: "$.args".into(), internal: None }
    }

    /// A command that is not well-formed, at this path within its arguments.
    #[must_use]
    pub(crate) fn parse(path: impl Into<String>, error: impl Into<String>) -> Self {
        Self { path: path.into(), ..Self::new("parse-failed", error) }
    }

    /// The same at another path.
    #[must_use]
    pub(crate) fn at(self, path: &str) -> Self {
        Self { path: path.into(), ..self }
    }

    /// The same as a part of something larger, which starts at `prefix`.
    #[must_use]
    pub(crate) fn within(mut self, prefix: &str) -> Self {
        self.path = format!("{prefix}{}", self.path.strip_prefix('$').unwrap_or(&self.path));
        self
    }

    /// As a client reads it.
    #[must_use]
    pub(crate) fn to_json(&self) -> Value {
        let mut json = Map::new();
        json.insert("error".into(), self.error.as_str().into());
        json.insert("path".into(), self.path.as_str().into());
        json.insert("code".into(), self.code.as_str().into());
        json.extend(self.internal.clone().map(|internal| ("internal".to_owned(), *internal)));
        json.into()
    }
}

/// Reads the members of an object, with Hasura's error messages.
pub(crate) struct Members<'m> {
    members: &'m Map<String, Value>,
    path: String,
}

impl<'m> Members<'m> {
    /// The members of `value`, which stands at `path`.
    ///
    /// # Errors
    /// When it is no object.
    pub(crate) fn of(value: &'m Value, path: impl Into<String>) -> Result<Self, ApiError> {
        let path = path.into();
        match value {
            Value::Object(members) => Ok(Self { members, path }),
            other => Err(ApiError::parse(path, format!("expected Object, but encountered {}", kind_of(other)))),
        }
    }

    /// The path of a member.
    #[must_use]
    pub(crate) fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// A member; null counts as none.
    #[must_use]
    pub(crate) fn get(&self, key: &str) -> Option<&'m Value> {
        self.members.get(key).filter(|value| !value.is_null())
    }

    /// A member that must be there.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn required(&self, key: &str) -> Result<&'m Value, ApiError> {
        self.get(key).ok_or_else(|| ApiError::parse(&self.path, format!("the key '{key}' was not present")))
    }

    /// A string that must be there.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn text(&self, key: &str) -> Result<&'m str, ApiError> {
        let value = self.required(key)?;
        value.as_str().ok_or_else(|| self.unexpected(key, "String", value))
    }

    /// A string, if it is there.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn optional_text(&self, key: &str) -> Result<Option<&'m str>, ApiError> {
        self.get(key).map(|_| self.text(key)).transpose()
    }

    /// A boolean.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn flag(&self, key: &str, default: bool) -> Result<bool, ApiError> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_bool().ok_or_else(|| self.unexpected(key, "Bool", value))
    }

    /// A list; none is empty.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn list(&self, key: &str) -> Result<&'m [Value], ApiError> {
        let Some(value) = self.get(key) else { return Ok(&[]) };
        value.as_array().map(Vec::as_slice).ok_or_else(|| self.unexpected(key, "Array", value))
    }

    fn unexpected(&self, key: &str, wanted: &str, value: &Value) -> ApiError {
        ApiError::parse(self.path(key), format!("expected {wanted}, but encountered {}", kind_of(value)))
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "Null",
        Value::Bool(_) => "Boolean",
        Value::Number(_) => "Number",
        Value::String(_) => "String",
        Value::Array(_) => "Array",
        Value::Object(_) => "Object",
    }
}

/// The response to a command that was carried out.
#[must_use]
pub(crate) fn success() -> Value {
    json!({ "message": "success" })
}
