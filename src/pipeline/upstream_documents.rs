//! The operations that the upstream gets of a document: one for each combination of conditions by which its fields come and go.
//! An upstream with a list of its own has to allow all of them.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::graphql::document::kind_of;
use crate::model::action::OperationKind;
use crate::model::json::RawObject;
use crate::request::rejection::{LIMIT_EXCEEDED, Rejection};
use crate::runtime::plan_cache::{PreparedDocument, PreparedOperation};
use crate::runtime::schema_cache::MergedSchema;
use crate::runtime::snapshot::Snapshot;

/// An operation as the upstream gets it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UpstreamDocument {
    /// The name of the client's operation.
    pub name: Option<String>,
    /// Its kind.
    pub kind: OperationKind,
    /// The document that is sent.
    pub text: String,
}

/// The operations of a document as they are sent.
#[derive(Debug, Default)]
pub(crate) struct UpstreamDocuments {
    /// Each once.
    pub documents: Vec<UpstreamDocument>,
    /// Are rows of relationships fetched as well, by documents that have keys in them?
    pub has_relationships: bool,
}

/// Variables in conditions of one operation; each doubles the combinations.
const CONDITIONS_MAX: usize = 8;

/// Works them out. `merged` is the merged schema, if the upstream's is known; extension fields need it.
///
/// # Errors
/// Why the document would be rejected.
pub(crate) fn of_document(
    snapshot: &Snapshot,
    prepared: &PreparedDocument,
    merged: Option<&MergedSchema>,
) -> Result<UpstreamDocuments, Rejection> {
    let mut found = UpstreamDocuments::default();
    if !prepared.concern.any() {
        found.documents.extend(prepared.document.operations().first().map(|operation| UpstreamDocument {
            name: operation.name.as_ref().map(ToString::to_string),
            kind: kind_of(operation),
            text: prepared.document.text.to_string(),
        }));
        return Ok(found);
    }
    for operation in prepared.operations() {
        if operation.concern.extension && merged.is_none() {
            return Err(Rejection::schema_unknown(None));
        }
        add_operation(snapshot, prepared, operation, merged, &mut found)?;
    }
    Ok(found)
}

fn add_operation(
    snapshot: &Snapshot,
    prepared: &PreparedDocument,
    operation: &PreparedOperation,
    merged: Option<&MergedSchema>,
    found: &mut UpstreamDocuments,
) -> Result<(), Rejection> {
    let conditions = operation.conditions();
    if conditions.len() > CONDITIONS_MAX {
        let message = format!("more than {CONDITIONS_MAX} variables decide about root fields");
        return Err(Rejection::Request(crate::model::response::RequestError::new(400, LIMIT_EXCEEDED, message)));
    }
    let of =
        |value: bool| RawValue::from_string(value.to_string()).map_err(|error| Rejection::internal(&error.to_string()));
    let (yes, no) = (of(true)?, of(false)?);
    for combination in 0..1_usize << conditions.len() {
        let value = |index: usize| if combination >> index & 1 == 0 { &*yes } else { &*no };
        let given = conditions.iter().enumerate().map(|(index, name)| (name.as_str().into(), value(index)));
        let variables = RawObject(given.collect());
        let serves = snapshot.catalog.merges_introspection;
        let cached = prepared.plan(&snapshot.catalog, operation, &variables, serves, merged)?;
        found.has_relationships |= cached.plan.has_relationships;
        let name = cached.operation.name.as_ref().map(ToString::to_string);
        for part in &cached.plan.parts {
            let text = serde_json::from_str::<Value>(&part.query_json).unwrap_or_default();
            let text = text.as_str().unwrap_or_default().to_owned();
            let document = UpstreamDocument { name: name.clone(), kind: cached.plan.kind, text };
            if !found.documents.contains(&document) {
                found.documents.push(document);
            }
        }
    }
    Ok(())
}
