//! Fills the arguments of an action that have presets: constants, session variables and templates over the session.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::graphql::coerce::coerce_argument;
use crate::kriti::eval::{Environment, evaluate};
use crate::model::json::parse_strict;
use crate::model::preset::{Preset, PresetValue};
use crate::model::types::{InputValue, TypeRef, Types};
use crate::session::Session;

/// The variable that holds all session variables in a template.
const SESSION_VARIABLES: &str = "$session_variables";

/// The variables of a template.
pub const SCOPE: [&str; 1] = [SESSION_VARIABLES];

/// Why an argument has no value. Values of the session are not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresetError {
    /// The session lacks the variable, and the argument needs a value.
    #[error("the argument \"{argument}\" is filled from the session, which has no variable \"{variable}\"")]
    NoVariable {
        /// The argument.
        argument: String,
        /// The session variable.
        variable: String,
    },
    /// The value does not fit.
    #[error("the argument \"{argument}\" is filled from the session, whose value is not of type {ty}")]
    Unfit {
        /// The argument.
        argument: String,
        /// Its type.
        ty: String,
    },
    /// The template has no value for this session.
    #[error("the argument \"{argument}\" is filled by a template, which has no value for this session")]
    Template {
        /// The argument.
        argument: String,
    },
}

/// The arguments of a call in the order of `definitions`: those that the client has given, and the presets. An optional
/// argument whose session variable is not there has its default, or none.
///
/// # Errors
/// [`PresetError`].
pub fn fill(
    types: &Types,
    definitions: &[InputValue],
    presets: &[Preset],
    session: &Session,
    mut given: Map<String, Value>,
    max_template_output: usize,
) -> Result<Map<String, Value>, PresetError> {
    let mut values = Map::new();
    for definition in definitions {
        let preset = presets.iter().find(|preset| preset.argument == definition.name);
        let value = match preset {
            Some(preset) => value_of(types, definition, &preset.value, session, max_template_output)?,
            None => given.swap_remove(&definition.name),
        };
        values.extend(value.map(|value| (definition.name.clone(), value)));
    }
    Ok(values)
}

fn value_of(
    types: &Types,
    definition: &InputValue,
    preset: &PresetValue,
    session: &Session,
    max_template_output: usize,
) -> Result<Option<Value>, PresetError> {
    let argument = || definition.name.clone();
    let value = match preset {
        PresetValue::Constant(value) => return Ok(Some(value.clone())),
        PresetValue::SessionVariable(name) => match session.variable(name) {
            Some(text) => of_text(&definition.ty, text),
            None if definition.default.is_some() || definition.ty.is_nullable() => {
                return Ok(definition.default.clone());
            }
            None => return Err(PresetError::NoVariable { argument: argument(), variable: name.clone() }),
        },
        PresetValue::Template(template) => {
            let variables = serde_json::to_value(session).unwrap_or_default();
            let environment = Environment {
                variables: vec![(SESSION_VARIABLES, Cow::Borrowed(&variables))],
                session_variable: &|name| session.variable(name).map(str::to_owned),
            };
            evaluate(template, &environment, max_template_output)
                .map_err(|_| PresetError::Template { argument: argument() })?
        }
    };
    let unfit = |_| PresetError::Unfit { argument: argument(), ty: definition.ty.to_string() };
    coerce_argument(types, definition, value).map(Some).map_err(unfit)
}

/// Session variables are texts: one is read as a number or boolean where the type is one, and as the elements of a list in
/// JSON or as PostgreSQL writes arrays, `{1,2}`.
pub(crate) fn of_text(ty: &TypeRef, text: &str) -> Value {
    match ty.nullable() {
        TypeRef::List(inner) => list_of_text(inner, text),
        TypeRef::Named(name) if matches!(name.as_str(), "Int" | "Float" | "Boolean") => {
            let value = parse_strict(text.as_bytes()).ok();
            value.filter(|value| value.is_number() || value.is_boolean()).unwrap_or_else(|| Value::from(text))
        }
        TypeRef::Named(_) | TypeRef::NonNull(_) => Value::from(text),
    }
}

fn list_of_text(inner: &TypeRef, text: &str) -> Value {
    if let Ok(list @ Value::Array(_)) = parse_strict(text.as_bytes()) {
        return list;
    }
    match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        Some("") => Value::Array(Vec::new()),
        Some(items) => items.split(',').map(|item| of_text(inner, item.trim().trim_matches('"'))).collect(),
        None => Value::Array(vec![of_text(inner, text)]),
    }
}
