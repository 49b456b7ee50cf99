//! `check --upstream`: has the upstream an allow-list of its own, and which of the documents that Pillion sends does it lack? It is
//! asked with the name of an operation that no document has, so that nothing is executed.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::check::exported_documents::{export, trusted_of};
use crate::config::load::Loaded;
use crate::documents::audience::Audience;
use crate::documents::export::ExportedDocument;
use crate::documents::trusted::TrustedDocuments;
use crate::model::action::{ADMIN_ROLE, ActionSchema};
use crate::model::source::Diagnostic;
use crate::runtime::services::Services;
use crate::runtime::upstream_health_check;

/// What no operation is called.
const NO_OPERATION: &str = "PillionChecksTheAllowList";

/// A document that no list has.
const UNLISTED: &str = "query PillionUnlistedDocument { __typename pillionUnlisted: __typename }";

/// Documents that are asked for.
const DOCUMENTS_MAX: usize = 1_000;

/// The documents whose parts the upstream has to allow, with those of the allow list.
pub(super) fn documents_of(loaded: &Loaded) -> TrustedDocuments {
    trusted_of(loaded).unwrap_or_default()
}

/// Warnings about what the upstream's list lacks. Nothing if it has none, or there is no list here.
pub(super) async fn compare(services: &Services, trusted: &TrustedDocuments) -> Vec<Diagnostic> {
    let snapshot = services.snapshot.load_full();
    let Some(role) = role_of(&snapshot.catalog.schema).filter(|_| !trusted.is_empty()) else { return Vec::new() };
    if !is_rejected(services, UNLISTED, &role).await {
        return Vec::new();
    }
    let merged = upstream_health_check::schema_of(services, ADMIN_ROLE, HeaderMap::new()).await.ok();
    let (documents, mut found) = match export(&snapshot, trusted, merged.as_deref()) {
        Ok(exported) => exported,
        Err(errors) => {
            let reason = errors.first().map_or_else(String::new, |error| format!(": {}", error.message));
            let message = format!("the upstream has an allow-list, and what it is sent is not known{reason}");
            let place = errors.first().and_then(|error| error.place.clone());
            return vec![Diagnostic::warning(place, message, "correct the documents")];
        }
    };
    for document in documents.iter().take(DOCUMENTS_MAX) {
        let role = match &document.audience {
            Audience::Everyone => Some(role.as_str()),
            Audience::Roles(roles) => roles.first().map(String::as_str),
        };
        if let Some(role) = role
            && is_rejected(services, &document.text, role).await
        {
            found.push(lacking(document, role));
        }
    }
    found
}

/// A role that is not exempt from lists.
fn role_of(schema: &ActionSchema) -> Option<String> {
    let mut roles = schema.actions.values().flat_map(|action| action.roles.iter());
    roles.find(|role| *role != ADMIN_ROLE).cloned()
}

async fn is_rejected(services: &Services, text: &str, role: &str) -> bool {
    let Ok(value) = HeaderValue::from_str(role) else { return false };
    let headers = HeaderMap::from_iter([(HeaderName::from_static("x-hasura-role"), value)]);
    let body = json!({ "query": text, "operationName": NO_OPERATION }).to_string();
    let response = upstream_health_check::ask(services, body.into(), headers).await;
    response.is_ok_and(|response| says_not_allowed(&response.body))
}

/// In the words of Hasura, of Pillion, of Apollo's router.
fn says_not_allowed(body: &[u8]) -> bool {
    const CODES: [&str; 3] = ["document-not-allowed", "QUERY_NOT_IN_SAFELIST", "PERSISTED_QUERY_ID_REQUIRED"];
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let errors = body.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    errors.iter().any(|error| {
        let code = error.pointer("/extensions/code").and_then(Value::as_str).unwrap_or_default();
        error.get("message").is_some_and(|message| message == "query is not allowed") || CODES.contains(&code)
    })
}

fn lacking(document: &ExportedDocument, role: &str) -> Diagnostic {
    let message = format!(
        "the upstream's allow-list lacks what it is sent of '{}' in the role {role}: {}",
        document.name,
        document.text.split_whitespace().collect::<Vec<_>>().join(" ")
    );
    Diagnostic::warning(None, message, "add what `pillion documents export` writes to the upstream's list")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_list_counts() {
        let hasura = r#"{"errors":[{"message":"query is not allowed","extensions":{"code":"validation-failed"}}]}"#;
        assert!(says_not_allowed(hasura.as_bytes()));
        assert!(says_not_allowed(br#"{"errors":[{"message":"x","extensions":{"code":"document-not-allowed"}}]}"#));
        assert!(!says_not_allowed(br#"{"errors":[{"message":"no such operation found in the document"}]}"#));
        assert!(!says_not_allowed(b"no"));
    }
}
