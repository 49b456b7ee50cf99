//! What went wrong with an extension field, and where in the response.

use serde_json::Value;

use crate::action::relationship::RelatedError;
use crate::handler::execution_error::execution_error;
use crate::handler::result::HandlerCallError;
use crate::model::action::OperationKind;
use crate::model::response::{Dialect, ExecutionError, Location, PathSegment};

/// An error of an extension field.
#[derive(Debug)]
pub(crate) struct FieldError {
    /// The place of the field in the first row that the error is about.
    pub path: Vec<PathSegment>,
    /// Where the field stands in the document.
    pub location: Location,
    /// How many rows have the error.
    pub rows: usize,
    /// What went wrong.
    pub error: HandlerCallError,
}

impl FieldError {
    /// For the client. An error of several rows says of how many.
    #[must_use]
    pub(crate) fn shown(&self, dialect: Dialect, kind: OperationKind) -> ExecutionError {
        let mut shown = execution_error(dialect, kind, (self.path.clone(), self.location), &self.error);
        if self.rows > 1 {
            shown.extensions.insert("rows".into(), Value::from(self.rows));
        }
        shown
    }

    /// As an error of the rows of a relationship, in which the field stands.
    #[must_use]
    pub(crate) fn into_related(self, dialect: Dialect) -> RelatedError {
        let ExecutionError { message, path, extensions, locations } = self.shown(dialect, OperationKind::Query);
        let location = locations.first().copied();
        RelatedError { message, path, extensions, hasura_path: Some(String::new()), location }
    }
}
