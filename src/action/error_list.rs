//! Parses a handler's list of GraphQL errors in its response body, bounded in number and size.

use serde_json::{Map, Value};

use crate::action::handler_error::{
    ErrorExtensions, HandlerError, HandlerResponseError, MESSAGE_BYTES_MAX, UNEXPECTED, cut,
};
use crate::model::response::PathSegment;

/// Segments of one error's path. No selection is deeper.
const PATH_MAX: usize = 64;

/// Bytes of one error's extensions. Larger ones were seen to be stack traces; they are left out.
const EXTENSIONS_BYTES_MAX: usize = 16 * 1024;

/// Does a list hold errors, good or bad? Handlers reject with lists of other things, too.
#[must_use]
pub fn is_meant(list: &[Value]) -> bool {
    list.iter().any(|entry| entry.get("message").is_some())
}

/// Reads `list`, of which at most `errors_max` are kept.
///
/// # Errors
/// [`HandlerResponseError::MalformedErrors`], also for an empty list: it rejects without saying why.
pub fn read(list: Vec<Value>, max_errors: usize) -> Result<Vec<HandlerError>, HandlerResponseError> {
    let count = list.len();
    if count == 0 {
        return Err(malformed("the list is empty"));
    }
    let entries = list.into_iter().take(max_errors).enumerate();
    let mut errors = entries.map(|(index, entry)| entry_of(index, entry)).collect::<Result<Vec<_>, _>>()?;
    if count > errors.len() {
        let message = format!("… and {} more errors", count - errors.len());
        errors.push(HandlerError { message, path: Vec::new(), extensions: UNEXPECTED.into() });
    }
    Ok(errors)
}

fn malformed(reason: &str) -> HandlerResponseError {
    HandlerResponseError::MalformedErrors { reason: reason.to_owned() }
}

fn entry_of(index: usize, entry: Value) -> Result<HandlerError, HandlerResponseError> {
    let Value::Object(mut entry) = entry else { return Err(malformed(&format!("errors[{index}] is not an object"))) };
    let Some(Value::String(message)) = entry.remove("message") else {
        return Err(malformed(&format!("errors[{index}].message is not a string")));
    };
    let path = match entry.remove("path") {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(segments)) if segments.len() <= PATH_MAX => segments.iter().map(segment).collect(),
        Some(_) => None,
    };
    let Some(path) = path else {
        let reason = format!("errors[{index}].path is not a list of at most {PATH_MAX} names and indexes");
        return Err(malformed(&reason));
    };
    let extensions = match (entry.remove("extensions"), entry.remove("code")) {
        (Some(Value::Object(extensions)), _) => bounded(extensions),
        (None | Some(Value::Null), Some(Value::String(code))) => ErrorExtensions::Code(code),
        (None | Some(Value::Null), _) => UNEXPECTED.into(),
        (Some(_), _) => return Err(malformed(&format!("errors[{index}].extensions is not an object"))),
    };
    Ok(HandlerError { message: cut(message, MESSAGE_BYTES_MAX), path, extensions })
}

fn segment(value: &Value) -> Option<PathSegment> {
    match value {
        Value::String(name) => Some(PathSegment::Field(cut(name.clone(), MESSAGE_BYTES_MAX))),
        Value::Number(index) => Some(PathSegment::Index(usize::try_from(index.as_u64()?).ok()?)),
        _ => None,
    }
}

fn bounded(extensions: Map<String, Value>) -> ErrorExtensions {
    let bytes = serde_json::to_string(&extensions).map_or(usize::MAX, |text| text.len());
    if bytes <= EXTENSIONS_BYTES_MAX {
        return ErrorExtensions::Given(extensions);
    }
    let code = extensions.get("code").and_then(Value::as_str).filter(|code| code.len() <= MESSAGE_BYTES_MAX);
    code.unwrap_or(UNEXPECTED).into()
}
