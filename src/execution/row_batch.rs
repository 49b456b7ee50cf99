//! The call of an extension field for many rows at once: the arguments of each row are written where they will be sent from.

use serde_json::Value;

use crate::action::handler_error::HandlerResponseError;
use crate::action::key_arguments::CallKeys;
use crate::execution::authorize::{AuthorizedCall, AuthorizedField};
use crate::model::json::{write_text, write_value};
use crate::model::types::Types;

/// The inputs of rows that share a request.
pub(crate) struct RowBatch<'f> {
    field: &'f AuthorizedField,
    key_fields: Vec<&'f str>,
    /// A list in JSON, not closed yet.
    json: Vec<u8>,
}

impl<'f> RowBatch<'f> {
    /// No rows yet.
    #[must_use]
    pub(crate) fn new(field: &'f AuthorizedField) -> Self {
        Self { field, key_fields: field.field().key_fields(), json: vec![b'['] }
    }

    /// Adds the row with these values of the key fields: the arguments in the order of their definition, those with keys
    /// coerced.
    ///
    /// # Errors
    /// [`HandlerResponseError::UnfitKey`]. Then nothing is added.
    pub(crate) fn push(&mut self, types: &Types, key: &[Value]) -> Result<(), HandlerResponseError> {
        let start = self.json.len();
        let begin = if start == 1 { &b"{"[..] } else { b",{" };
        self.json.extend_from_slice(begin);
        let first = self.json.len();
        for value in self.field.values(types, &self.key_fields, CallKeys::One(key)) {
            let (name, value) = match value {
                Ok(value) => value,
                Err(error) => {
                    self.json.truncate(start);
                    return Err(error);
                }
            };
            if self.json.len() > first {
                self.json.push(b',');
            }
            write_text(name, &mut self.json);
            self.json.push(b':');
            write_value(&value, &mut self.json);
        }
        self.json.push(b'}');
        Ok(())
    }

    /// The call for all rows; `None` without any.
    #[must_use]
    pub(crate) fn into_call(mut self) -> Option<AuthorizedCall> {
        if self.json.len() == 1 {
            return None;
        }
        self.json.push(b']');
        // Every piece of it was text.
        let inputs = String::from_utf8(self.json).unwrap_or_default();
        Some(AuthorizedCall::of_rows(self.field.action(), inputs))
    }
}
