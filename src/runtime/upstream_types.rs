//! External types: names that are not defined here. The upstream's definitions of them decide which actions can be
//! served.

use std::sync::Arc;

use crate::config::upstream_types::extended;
use crate::model::action::ActionSchema;
use crate::model::source::{Diagnostic, Severity};
use crate::runtime::schema_cache::MergedSchema;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;

/// What `decided` leaves out and may not leave out.
#[must_use]
pub(crate) fn unacceptable<'d>(schema: &ActionSchema, decided: &'d ActionSchema) -> Vec<&'d Diagnostic> {
    let news = decided.inconsistent.iter().skip(schema.inconsistent.len());
    news.filter(|diagnostic| !is_tolerable(schema, diagnostic)).collect()
}

/// What may not be wrong with extension fields of those that the upstream's schema has been compared with.
#[must_use]
pub(crate) fn unacceptable_fields(schema: &ActionSchema, found: &[Diagnostic]) -> Vec<Diagnostic> {
    let errors = found.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    errors.filter(|diagnostic| !is_tolerable(schema, diagnostic)).cloned().collect()
}

fn is_tolerable(schema: &ActionSchema, diagnostic: &Diagnostic) -> bool {
    diagnostic.subject.as_deref().is_some_and(|subject| schema.tolerated.includes(subject))
}

/// Enums grow while everything runs: what the upstream has just shown is taken over.
pub(crate) fn extend(services: &Services, snapshot: &Arc<Snapshot>, merged: &MergedSchema) {
    // Nearly always there is nothing to do, and nothing is locked then.
    let Some(schema) = extended(&snapshot.catalog.schema, &merged.upstream_types) else { return };
    services.replace_snapshot(|current| {
        let is_the_same = Arc::ptr_eq(&current.catalog.schema, &snapshot.catalog.schema);
        is_the_same.then(|| current.with_actions(schema).ok()).flatten()
    });
}

/// Says in the log what of the metadata is not served, and why: a line each.
pub(crate) fn log_inconsistent(schema: &ActionSchema) {
    for diagnostic in &schema.inconsistent {
        let object = diagnostic.subject.as_deref().map(ToString::to_string).unwrap_or_default();
        tracing::warn!(object, reason = diagnostic.on_one_line(), "an inconsistent part of the metadata is not served");
    }
}
