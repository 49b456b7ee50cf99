//! Errors of the upstream about a rewritten document: maps their locations and paths back to the client's document.

use std::ops::Range;

use serde_json::Value;

use crate::graphql::edited_text::{EditPlace, location_before};
use crate::graphql::extension_sites::ExtensionSites;
use crate::model::response::Location;
use crate::model::strict_json::{read_object, skip_space, value_end};

/// The response with its errors as they would be about the client's document; `None` if there is nothing to change.
#[must_use]
pub fn restore_errors(sites: &ExtensionSites, edits: &[EditPlace], response: &str) -> Option<String> {
    let errors = errors_of(response)?;
    let mut list: Vec<Value> = serde_json::from_str(response.get(errors.clone())?).ok()?;
    let mut is_changed = false;
    for error in &mut list {
        is_changed |= restore_locations(edits, error);
        is_changed |= restore_path(sites, error);
    }
    let restored = Value::Array(list);
    is_changed.then(|| {
        let before = response.get(..errors.start).unwrap_or_default();
        format!("{before}{restored}{}", response.get(errors.end..).unwrap_or_default())
    })
}

/// Where the list of errors stands.
fn errors_of(response: &str) -> Option<Range<usize>> {
    let bytes = response.as_bytes();
    let mut errors = None;
    read_object(response, skip_space(bytes, 0), |member| {
        let end = value_end(bytes, member.value)?;
        if member.key == "errors" {
            errors = Some(member.value..end);
        }
        Some(end)
    })?;
    errors
}

fn restore_locations(edits: &[EditPlace], error: &mut Value) -> bool {
    let Some(Value::Array(locations)) = error.get_mut("locations") else { return false };
    let mut is_changed = false;
    for location in locations {
        let number = |key: &str| usize::try_from(location.get(key)?.as_u64()?).ok();
        let (Some(line), Some(column)) = (number("line"), number("column")) else { continue };
        let before = location_before(edits, Location { line, column });
        if before.column != column
            && let Some(known) = location.get_mut("column")
        {
            *known = Value::from(before.column);
            is_changed = true;
        }
    }
    is_changed
}

/// An alias of a key stands for its field.
fn restore_path(sites: &ExtensionSites, error: &mut Value) -> bool {
    let Some(Value::Array(path)) = error.get_mut("path") else { return false };
    let mut is_changed = false;
    for segment in path {
        let site = segment.as_str().and_then(|name| sites.read_alias(name));
        if let Some(site) = site.and_then(|(site, _)| sites.sites.get(site)) {
            *segment = Value::from(site.field.response_name().as_str());
            is_changed = true;
        }
    }
    is_changed
}
