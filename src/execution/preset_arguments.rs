//! Adds the arguments that the configuration fills for the session's role to those that the client has given.

use serde_json::{Map, Value};

use crate::action::presets;
use crate::model::action::Action;
use crate::model::preset::Preset;
use crate::model::types::InputValue;
use crate::request::rejection::Rejection;
use crate::runtime::snapshot::Snapshot;
use crate::session::Session;

/// The arguments with those that the configuration fills for the session's role.
///
/// # Errors
/// The session has no value for one of them.
pub(super) fn filled(
    snapshot: &Snapshot,
    session: &Session,
    action: &Action,
    definitions: &[InputValue],
    presets: &[Preset],
    given: Map<String, Value>,
) -> Result<Map<String, Value>, Rejection> {
    if presets.is_empty() {
        return Ok(given);
    }
    let catalog = &snapshot.catalog;
    let limit = catalog.limits.max_template_output_size;
    presets::fill(&catalog.schema.types, definitions, presets, session, given, limit)
        .map_err(|error| Rejection::of_preset(&action.field, &error))
}
