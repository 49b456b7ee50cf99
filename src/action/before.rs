//! Decides what the upstream's response to `before` of an action means for a call: the values of the query's variables, the
//! requirements of the caller's role, and the data for the handler. Pure, and closed in doubt: whatever is missing or wrong
//! is a reason not to call.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::action::presets::{SCOPE, of_text};
use crate::graphql::before_query::{operation_text, prefix};
use crate::graphql::merge::{UpstreamResult, read_upstream_result};
use crate::kriti::eval::{Environment, evaluate};
use crate::model::before::{Before, BeforeQuery, BeforeVariable, Requirement, VariableSource};
use crate::model::error_kind::{ErrorKind, Reason};
use crate::session::Session;

/// Why a call is not made. `Display` may be shown to any client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeforeError {
    /// A requirement is not met.
    #[error("{message}")]
    Denied {
        /// The root field.
        field: String,
        /// The message of the action's author.
        message: String,
    },
    /// A variable of the query has no value in this call: an optional argument or a session variable that is not there.
    #[error("the call needs a value for \"{variable}\", which the request does not give")]
    NoValue {
        /// The variable.
        variable: String,
    },
    /// No usable response of the upstream.
    #[error("{message}, so the action was not called")]
    NoResponse {
        /// The code of such an error.
        code: &'static str,
        /// What went wrong, for the client.
        message: String,
        /// The same for operators.
        reason: Reason,
        /// Does the failure have its line in the log already?
        is_logged: bool,
    },
    /// The upstream was not asked, which is a bug.
    #[error("the upstream was not asked, so the action was not called")]
    NotAsked,
}

/// The code of a call that its caller's session or data do not allow.
const PERMISSION_DENIED: &str = "permission-denied";

/// The code of a call for which the upstream has no usable response.
const UPSTREAM_ERROR: &str = "upstream-error";

impl BeforeError {
    /// The response has errors for the call, or lacks a field.
    fn unusable(message: &str) -> Self {
        let reason = Reason::new(ErrorKind::BeforeFailed, message.to_owned());
        Self::NoResponse { code: UPSTREAM_ERROR, message: message.to_owned(), reason, is_logged: false }
    }

    /// Its code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Denied { .. } | Self::NoValue { .. } => PERMISSION_DENIED,
            Self::NoResponse { code, .. } => code,
            Self::NotAsked => "unexpected",
        }
    }

    /// The cause, for metrics and logs.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Denied { .. } | Self::NoValue { .. } => ErrorKind::PermissionDenied,
            Self::NoResponse { reason, .. } => reason.kind(),
            Self::NotAsked => ErrorKind::Internal,
        }
    }

    /// What happened, for operators, without any value of the request or response.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::Denied { field, .. } => format!("not called: \"{field}\" of before is not as required"),
            Self::NoValue { variable } => format!("not called: the variable ${variable} of before has no value"),
            Self::NoResponse { reason, .. } => format!("not called: before: {}", reason.text()),
            Self::NotAsked => "not called: before was not asked".to_owned(),
        }
    }

    /// Was it decided by the caller's data, rather than by a failure?
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. } | Self::NoValue { .. })
    }

    /// Does it have its line in the log already?
    #[must_use]
    pub fn is_logged(&self) -> bool {
        matches!(self, Self::NoResponse { is_logged: true, .. })
    }
}

/// For what the query of an action is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// For a call that is made at once: requirements and data.
    Call,
    /// For one that is accepted to run later: requirements only.
    Accept,
    /// For a job that runs: data only.
    Job,
}

/// The requirements that count at this moment for this role.
#[must_use]
pub fn requirements<'b>(before: &'b Before, moment: Moment, role: &str) -> &'b [Requirement] {
    if moment == Moment::Job { &[] } else { before.require.of(role) }
}

/// Does anything depend on the response?
#[must_use]
pub fn is_needed(before: &Before, moment: Moment, role: &str) -> bool {
    !requirements(before, moment, role).is_empty() || moment != Moment::Accept && before.has_data()
}

/// The values of the query's variables in a call with these arguments. A variable without a value has its default; one that
/// has none keeps the call from being made, because a filter without its value is none.
///
/// # Errors
/// [`BeforeError::NoValue`].
pub fn variable_values(
    before: &Before,
    input: &Map<String, Value>,
    session: &Session,
    max_template_output: usize,
) -> Result<Map<String, Value>, BeforeError> {
    let mut values = Map::new();
    for variable in &before.variables {
        match value_of(variable, input, session, max_template_output) {
            Some(value) if !value.is_null() => drop(values.insert(variable.name.clone(), value)),
            _ if variable.has_default => {}
            _ => return Err(BeforeError::NoValue { variable: variable.name.clone() }),
        }
    }
    Ok(values)
}

fn value_of(
    variable: &BeforeVariable,
    input: &Map<String, Value>,
    session: &Session,
    max_template_output: usize,
) -> Option<Value> {
    match &variable.source {
        VariableSource::Constant(value) => Some(value.clone()),
        VariableSource::SessionVariable(name) => Some(of_text(&variable.ty, session.variable(name)?)),
        VariableSource::Template(template) => {
            let variables = serde_json::to_value(session).unwrap_or_default();
            let environment = Environment {
                variables: SCOPE.iter().map(|name| (*name, Cow::Borrowed(&variables))).collect(),
                session_variable: &|name| session.variable(name).map(str::to_owned),
            };
            evaluate(template, &environment, max_template_output).ok()
        }
        VariableSource::Argument(path) => {
            let (argument, rest) = path.split_first()?;
            rest.iter().try_fold(input.get(argument)?, |value, segment| value.get(segment)).cloned()
        }
    }
}

/// One query of a request to the upstream.
#[derive(Clone, Copy, Debug)]
pub struct AskedQuery<'q> {
    /// The query.
    pub query: &'q BeforeQuery,
    /// The values of its variables.
    pub variables: &'q Map<String, Value>,
}

/// The JSON of the request that asks all these queries. Values go as variables, never into the document.
#[must_use]
pub fn request_json(queries: &[AskedQuery<'_>]) -> String {
    let texts: Vec<&BeforeQuery> = queries.iter().map(|asked| asked.query).collect();
    let document = Value::from(operation_text(&texts));
    let variables: Map<String, Value> = queries
        .iter()
        .enumerate()
        .flat_map(|(index, asked)| {
            let prefix = prefix_of(index, queries.len());
            asked.variables.iter().map(move |(name, value)| (format!("{prefix}{name}"), value.clone()))
        })
        .collect();
    if variables.is_empty() {
        return format!("{{\"query\":{document}}}");
    }
    format!("{{\"query\":{document},\"variables\":{}}}", Value::Object(variables))
}

fn prefix_of(index: usize, count: usize) -> String {
    if count == 1 { String::new() } else { prefix(index) }
}

/// What a response has for each of the queries that were asked: its root fields by response name.
pub type QueryResults = Vec<Result<Map<String, Value>, BeforeError>>;

/// Reads the response to the request for these queries. An error at a root field of one of them concerns that one; any other
/// concerns all.
#[must_use]
pub fn read_results(queries: &[&BeforeQuery], body: &[u8]) -> QueryResults {
    let all = |message: &str| queries.iter().map(|_| Err(BeforeError::unusable(message))).collect();
    let Ok(result) = read_upstream_result(body) else {
        return all("the upstream's response is not a GraphQL response");
    };
    let places: Option<Vec<String>> = result.errors.iter().map(|error| root_field_of(error.get())).collect();
    let Some(places) = places.filter(|_| result.has_data && !result.data_is_null) else {
        return all(HAS_ERRORS);
    };
    let names: Vec<Vec<String>> =
        queries.iter().enumerate().map(|(index, query)| aliases(index, query, queries.len())).collect();
    if places.iter().any(|place| !names.iter().flatten().any(|name| name == place)) {
        return all(HAS_ERRORS);
    }
    queries.iter().zip(&names).map(|(query, names)| read_one(query, names, &result, &places)).collect()
}

const HAS_ERRORS: &str = "the upstream's response to the query before the call has errors";

/// The root field that an error is about; nothing if it is about none.
fn root_field_of(error: &str) -> Option<String> {
    let error: Value = serde_json::from_str(error).ok()?;
    Some(error.get("path")?.get(0)?.as_str()?.to_owned())
}

fn aliases(index: usize, query: &BeforeQuery, count: usize) -> Vec<String> {
    let prefix = prefix_of(index, count);
    query.fields.iter().map(|field| format!("{prefix}{}", field.response_name)).collect()
}

fn read_one(
    query: &BeforeQuery,
    names: &[String],
    result: &UpstreamResult<'_>,
    places: &[String],
) -> Result<Map<String, Value>, BeforeError> {
    if places.iter().any(|place| names.contains(place)) {
        return Err(BeforeError::unusable(HAS_ERRORS));
    }
    let mut fields = Map::new();
    for (field, name) in query.fields.iter().zip(names) {
        let value = result.data.get(name.as_str()).and_then(|raw| serde_json::from_str(raw).ok());
        let Some(value) = value else {
            return Err(BeforeError::unusable("the upstream's response to the query before the call is not whole"));
        };
        fields.insert(field.response_name.clone(), value);
    }
    Ok(fields)
}

/// The first requirement that is not met.
///
/// # Errors
/// [`BeforeError::Denied`].
pub fn check(requirements: &[Requirement], fields: &Map<String, Value>) -> Result<(), BeforeError> {
    let unmet = requirements.iter().find(|one| !fields.get(&one.field).is_some_and(is_met));
    let denied = |one: &Requirement| BeforeError::Denied { field: one.field.clone(), message: one.message.clone() };
    unmet.map_or(Ok(()), |one| Err(denied(one)))
}

/// Is the value neither null, false, 0 nor an empty list? An object with one member is judged by that: a connection without
/// nodes and an aggregate whose count is 0 are objects, and nothing. The upstream's JSON is not nested deeper than its reader
/// follows.
fn is_met(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => match members.values().next() {
            Some(only) if members.len() == 1 => is_met(only),
            other => other.is_some(),
        },
        Value::Bool(true) | Value::String(_) => true,
    }
}

/// What the handler gets as `data`; nothing if nothing is sent.
#[must_use]
pub fn sent_data(before: &Before, fields: &Map<String, Value>) -> Option<Value> {
    let sent = before.send.iter().map(|name| (name.clone(), fields.get(name).cloned().unwrap_or_default()));
    (!before.send.is_empty()).then(|| Value::Object(sent.collect()))
}
