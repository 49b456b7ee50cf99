//! The execution error of a field whose handler call failed: its message, path and extensions in the dialect.

use serde_json::{Map, Value};

use crate::action::complete_value::CompletionError;
use crate::action::handler_error::{HandlerResponseError, UNEXPECTED};
use crate::action::relationship::RelatedError;
use crate::handler::result::{HandlerCallError, HandlerCallErrorCause};
use crate::model::action::OperationKind;
use crate::model::response::{
    Dialect, ExecutionError, Location, MAY_HAVE_BEEN_EXECUTED, PathSegment, default_extensions, possibly_executed,
};

/// The error of a field at this place, for the client.
pub(crate) fn execution_error(
    dialect: Dialect,
    kind: OperationKind,
    (mut path, location): (Vec<PathSegment>, Location),
    error: &HandlerCallError,
) -> ExecutionError {
    let (mut message, mut extensions) = match &error.cause {
        HandlerCallErrorCause::Shape(shape) => {
            path.extend(shape.path.iter().cloned());
            let extensions = match &shape.related {
                Some(error) => related_extensions(dialect, &path, error),
                None => default_extensions(dialect, UNEXPECTED),
            };
            (shape.message.clone(), extensions)
        }
        HandlerCallErrorCause::Listed(listed) => {
            path.extend(listed.path.iter().cloned());
            (listed.message.clone(), listed.extensions.shown(dialect))
        }
        HandlerCallErrorCause::Response(error) => (error.message(dialect), response_extensions(dialect, error)),
    };
    let location = match &error.cause {
        HandlerCallErrorCause::Shape(CompletionError { location: Some(location), .. }) => *location,
        _ => location,
    };
    let may_have_been_executed = match &error.cause {
        HandlerCallErrorCause::Response(error) => error.may_have_been_executed(),
        HandlerCallErrorCause::Shape(_) | HandlerCallErrorCause::Listed(_) => false,
    };
    // Hasura's messages and extensions stay as they are.
    if dialect == Dialect::Standard && kind == OperationKind::Mutation && may_have_been_executed {
        message = possibly_executed(&message);
        extensions.insert(MAY_HAVE_BEEN_EXECUTED.into(), true.into());
    }
    if let Some(internal) = &error.internal {
        extensions.insert("internal".into(), internal.clone());
    }
    ExecutionError { message, locations: vec![location], path, extensions }
}

fn response_extensions(dialect: Dialect, error: &HandlerResponseError) -> Map<String, Value> {
    match error {
        HandlerResponseError::Rejected { extensions, .. } => extensions.shown(dialect),
        HandlerResponseError::NotAnId(_) => default_extensions(dialect, "data-exception"),
        HandlerResponseError::Before(error) => default_extensions(dialect, error.code()),
        HandlerResponseError::NotSent(rejected) => {
            let mut extensions = default_extensions(dialect, rejected.policy.code());
            extensions.insert("retryAfter".into(), rejected.retry_seconds().into());
            extensions
        }
        _ => default_extensions(dialect, UNEXPECTED),
    }
}

/// The upstream's extensions with the client's path in them: Hasura's lead through selection sets.
fn related_extensions(dialect: Dialect, path: &[PathSegment], error: &RelatedError) -> Map<String, Value> {
    let mut extensions = error.extensions.clone();
    if dialect == Dialect::Hasura {
        let names = path.iter().take(path.len().saturating_sub(error.path.len())).filter_map(|segment| match segment {
            PathSegment::Field(name) => Some(format!(".selectionSet.{name}")),
            PathSegment::Index(_) => None,
        });
        let below = error.hasura_path.as_deref().unwrap_or_default();
        let code = extensions.remove("code").unwrap_or_else(|| UNEXPECTED.into());
        extensions.insert("path".into(), format!("${}{below}", names.collect::<String>()).into());
        extensions.insert("code".into(), code);
    }
    extensions
}
