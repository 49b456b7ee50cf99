//! The actions of a rejected request that its role may not call. Its client learns only that there is no such field; the log
//! says why.

use crate::execution::prepared_request::PreparedRequest;
use crate::graphql::collect_fields::root_fields;
use crate::graphql::document::kind_of;
use crate::runtime::snapshot::Snapshot;

/// Their names, each once, in the order of the document.
#[must_use]
pub(crate) fn denied_actions(snapshot: &Snapshot, prepared_request: &PreparedRequest<'_>, role: &str) -> Vec<String> {
    let mut denied: Vec<String> = Vec::new();
    let Ok(prepared) = &prepared_request.prepared else { return denied };
    for operation in prepared.document.operations() {
        let kind = kind_of(operation);
        for field in root_fields(&prepared.document, operation, snapshot.catalog.roots.of(kind)) {
            let action = snapshot.catalog.schema.action(kind, &field.name);
            if let Some(action) = action.filter(|action| !action.allows(role))
                && !denied.contains(&action.name)
            {
                denied.push(action.name.clone());
            }
        }
    }
    denied
}
