//! Why a value does not fit its type, and where: in the words of graphql-js, and in Hasura's.
//!
//! Text that a client sent is not repeated, because it may be a secret that was put into the wrong place; an enum's value
//! is, because it is a name.

use serde_json::Value;

use crate::graphql::suggestions::{did_you_mean, did_you_mean_enum_value};
use crate::model::response::Dialect;

/// A value that its type does not take.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
#[error("{message}")]
pub struct CoerceError {
    /// The error, with graphql-js's message.
    pub message: String,
    /// The same with Hasura's message.
    pub hasura_message: String,
    /// Hasura's path to it: `$.variableValues.input.id`.
    pub path: String,
    /// The byte of the document where the variable or the argument stands.
    pub offset: Option<usize>,
}

impl CoerceError {
    /// The message in this dialect.
    #[must_use]
    pub fn message_in(&self, dialect: Dialect) -> &str {
        match dialect {
            Dialect::Hasura => &self.hasura_message,
            Dialect::Standard => &self.message,
        }
    }
}

/// What is wrong with a value.
#[derive(Debug)]
pub(crate) enum ValueMismatch<'m> {
    /// A variable that has to be there is not.
    VariableMissing { ty: String },
    /// A field of an input object, or an argument, that has to be there is not.
    Missing { field: &'m str, ty: String },
    /// Null where it may not be.
    Null { ty: String },
    /// A field that the input object does not have; `known` are those that it has.
    UnknownField { field: &'m str, type_name: &'m str, known: Vec<&'m str> },
    /// Something else than an object.
    NotAnObject { type_name: &'m str, found: &'m Value },
    /// Something else than one of `known`, the values of an enum. `is_name` if it is written as one.
    NotInEnum { type_name: &'m str, found: &'m Value, is_name: bool, known: Vec<&'m str> },
    /// Something that a built-in scalar does not take.
    NotOfScalar { type_name: &'m str, found: &'m Value },
    /// A OneOf Input Object needs exactly one key.
    NotOneKey { type_name: &'m str },
    /// The only key of a OneOf Input Object is null.
    OneKeyIsNull { type_name: &'m str, field: &'m str },
    /// JSON that is read strictly and breaks a rule.
    Json(String),
}

impl ValueMismatch<'_> {
    fn standard(&self) -> String {
        match self {
            Self::VariableMissing { ty } => format!("a value of type \"{ty}\" was not provided."),
            Self::Missing { field, ty } => format!("Field \"{field}\" of required type \"{ty}\" was not provided."),
            Self::Null { ty } => format!("Expected non-nullable type \"{ty}\" not to be null."),
            Self::UnknownField { field, type_name, known } => {
                let suggested = did_you_mean(field, known.iter().copied());
                format!("Field \"{field}\" is not defined by type \"{type_name}\".{suggested}")
            }
            Self::NotAnObject { type_name, .. } => format!("Expected type \"{type_name}\" to be an object."),
            Self::NotInEnum { type_name, found: Value::String(text), is_name: true, known } => {
                let suggested = did_you_mean_enum_value(text, known.iter().copied());
                format!("Value {} does not exist in \"{type_name}\" enum.{suggested}", quoted_name(text))
            }
            Self::NotInEnum { type_name, found, .. } => {
                let what = if found.is_string() { "non-enum" } else { "non-string" };
                format!("Enum \"{type_name}\" cannot represent {what} value: {}.", brief(found))
            }
            Self::NotOfScalar { type_name, found } => {
                let what = match (*type_name, found) {
                    ("Int", Value::Number(number)) if is_integer(number.as_str()) => "non 32-bit signed integer value",
                    ("Int", _) => "non-integer value",
                    ("Float", _) => "non numeric value",
                    ("String", _) => "a non string value",
                    ("Boolean", _) => "a non boolean value",
                    _ => "value",
                };
                format!("{type_name} cannot represent {what}: {}", brief(found))
            }
            Self::NotOneKey { type_name } => {
                format!("Exactly one key must be specified for OneOf type \"{type_name}\".")
            }
            Self::OneKeyIsNull { field, .. } => format!("Field \"{field}\" must be non-null."),
            Self::Json(reason) => reason.clone(),
        }
    }

    fn hasura(&self) -> String {
        match self {
            Self::VariableMissing { .. } => "expecting a value for non-nullable variable".into(),
            Self::Missing { field, .. } => format!("missing required field '{field}'"),
            Self::Null { ty } => format!("unexpected null value for type '{}'", ty.trim_end_matches('!')),
            Self::UnknownField { field, type_name, .. } => {
                format!("field '{field}' not found in type: '{type_name}'")
            }
            Self::NotAnObject { type_name, found } => mismatch("an object", type_name, found),
            Self::NotInEnum { type_name, found, is_name, known } => {
                let known: Vec<String> = known.iter().map(|value| format!("'{value}'")).collect();
                let found = match found {
                    Value::String(text) if *is_name => quoted_name(text).replace('"', "'"),
                    other => kind_of(other).into(),
                };
                format!("expected one of the values [{}] for type '{type_name}', but found {found}", known.join(", "))
            }
            Self::NotOfScalar { type_name, found } => {
                let expected = match *type_name {
                    "Int" => "a 32-bit integer",
                    "Float" => "a float",
                    "String" => "a string",
                    "Boolean" => "a boolean",
                    _ => "a String or a 32-bit integer",
                };
                mismatch(expected, type_name, found)
            }
            Self::OneKeyIsNull { type_name, field } => {
                format!("unexpected null value for field '{field}' of type '{type_name}'")
            }
            // Hasura has no such types, and reads JSON in another way.
            Self::NotOneKey { .. } | Self::Json(_) => self.standard(),
        }
    }

    /// The value, if it may be shown.
    fn shown(&self) -> Option<String> {
        match self {
            Self::Null { .. } | Self::OneKeyIsNull { .. } => Some("null".into()),
            Self::NotInEnum { found: Value::String(text), is_name: true, .. } => {
                is_name(text).then(|| quoted_name(text))
            }
            Self::NotInEnum { found, .. } | Self::NotOfScalar { found, .. } | Self::NotAnObject { found, .. } => {
                matches!(found, Value::Null | Value::Bool(_) | Value::Number(_)).then(|| brief(found))
            }
            _ => None,
        }
    }
}

fn mismatch(expected: &str, type_name: &str, found: &Value) -> String {
    format!("expected {expected} for type '{type_name}', but found {}", kind_of(found))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if is_integer(number.as_str()) => "an integer",
        Value::Number(_) => "a float",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Is a number written without fraction and exponent?
pub(crate) fn is_integer(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Characters of a value in a message.
const SHOWN_MAX: usize = 64;

/// A name that a client has sent. Anything that is no name, or very long, is shown as text only.
fn quoted_name(text: &str) -> String {
    if is_name(text) { format!("\"{text}\"") } else { "of this text".into() }
}

fn is_name(text: &str) -> bool {
    text.len() <= SHOWN_MAX && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A value as it may stand in an error: short, and without its contents where they could be long or secret.
fn brief(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) if number.as_str().len() <= SHOWN_MAX => number.to_string(),
        Value::Number(_) => "that number".into(),
        other => kind_of(other).into(),
    }
}

/// The owner of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Variable,
    Argument,
    Default,
}

/// Where a value stands. It is rendered for errors only, because nearly every value is valid.
#[derive(Clone, Copy)]
pub(crate) struct ValuePath<'a> {
    holder: Holder,
    name: &'a str,
    step: ValueStep<'a>,
    above: Option<&'a ValuePath<'a>>,
    offset: Option<usize>,
}

/// From the place above to a place.
#[derive(Clone, Copy)]
enum ValueStep<'a> {
    /// The variable or the argument itself.
    Root,
    Field(&'a str),
    Item(usize),
}

impl<'a> ValuePath<'a> {
    /// Of a whole variable, argument or default.
    pub(crate) fn root(holder: Holder, name: &'a str, offset: Option<usize>) -> Self {
        Self { holder, name, step: ValueStep::Root, above: None, offset }
    }

    pub(crate) fn field<'p>(&'p self, name: &'p str) -> ValuePath<'p> {
        ValuePath { step: ValueStep::Field(name), above: Some(self), ..*self }
    }

    pub(crate) fn item(&self, index: usize) -> ValuePath<'_> {
        ValuePath { step: ValueStep::Item(index), above: Some(self), ..*self }
    }

    /// From the root on: `.items[2].id`.
    fn steps(&self) -> String {
        let above = self.above.map(ValuePath::steps).unwrap_or_default();
        match self.step {
            ValueStep::Root => above,
            ValueStep::Field(name) => format!("{above}.{name}"),
            ValueStep::Item(index) => format!("{above}[{index}]"),
        }
    }

    fn hasura_path(&self) -> String {
        let (name, steps) = (self.name, self.steps());
        match self.holder {
            Holder::Variable => format!("$.variableValues.{name}{steps}"),
            Holder::Argument => format!("$.args.{name}{steps}"),
            Holder::Default => format!("${steps}"),
        }
    }

    pub(crate) fn reject(&self, misfit: &ValueMismatch<'_>) -> CoerceError {
        let (name, steps) = (self.name, self.steps());
        let (message, hasura_message, path) = match (self.holder, misfit) {
            (Holder::Variable, ValueMismatch::VariableMissing { ty }) => (
                format!("Variable \"${name}\" of required type \"{ty}\" was not provided."),
                format!("{}: \"{name}\"", misfit.hasura()),
                "$".into(),
            ),
            (Holder::Variable, ValueMismatch::Null { ty }) if steps.is_empty() => {
                let message = format!("Variable \"${name}\" of non-null type \"{ty}\" must not be null.");
                (message, misfit.hasura(), self.hasura_path())
            }
            _ => {
                let holder = match self.holder {
                    Holder::Variable => format!("Variable \"${name}\""),
                    Holder::Argument => format!("Argument \"{name}\""),
                    Holder::Default => format!("Default of \"{name}\""),
                };
                let shown = misfit.shown().map(|shown| format!(" {shown}")).unwrap_or_default();
                let at = if steps.is_empty() { String::new() } else { format!(" at \"{name}{steps}\"") };
                let message = format!("{holder} got invalid value{shown}{at}; {}", misfit.standard());
                (message, misfit.hasura(), self.hasura_path())
            }
        };
        CoerceError { message, hasura_message, path, offset: self.offset }
    }
}
