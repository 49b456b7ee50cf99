//! What the upstream gets of the trusted documents: each document without its actions, once for each combination of conditions by
//! which its fields come and go.

use crate::config::load::{Loaded, read_trusted};
use crate::documents::audience::Audience;
use crate::documents::export::ExportedDocument;
use crate::documents::listed::ListedDocument;
use crate::documents::trusted::TrustedDocuments;
use crate::model::action::OperationKind;
use crate::model::source::{Diagnostic, Severity};
use crate::pipeline::upstream_documents::{UpstreamDocuments, of_document};
use crate::request::rejection::Rejection;
use crate::runtime::plan_cache::PreparedDocument;
use crate::runtime::schema_cache::MergedSchema;
use crate::runtime::snapshot::Snapshot;
use crate::upstream::introspect::{EDITIONS, OPERATION_NAME, document_text};

/// The trusted documents, with those of the allow list whether it is enforced or not.
///
/// # Errors
/// What is wrong with their files.
pub(crate) fn trusted_of(loaded: &Loaded) -> Result<TrustedDocuments, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    let trusted = read_trusted(&loaded.settings, &loaded.documents, true, &mut diagnostics);
    diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
    if diagnostics.is_empty() { Ok(trusted) } else { Err(diagnostics) }
}

/// What the upstream gets of all documents, each text once for each audience, and warnings.
///
/// # Errors
/// What is wrong with a document.
pub(crate) fn export(
    snapshot: &Snapshot,
    trusted: &TrustedDocuments,
    merged: Option<&MergedSchema>,
) -> Result<(Vec<ExportedDocument>, Vec<Diagnostic>), Vec<Diagnostic>> {
    let (mut exported, mut warnings, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    let mut add = |document: ExportedDocument| {
        if !exported.contains(&document) {
            exported.push(document);
        }
    };
    for listed in trusted.documents() {
        let prepared = PreparedDocument::new(&snapshot.catalog, &listed.text).map_err(Rejection::from);
        match prepared.and_then(|prepared| of_document(snapshot, &prepared, merged)) {
            Err(rejection) => errors.push(error_of(listed, &rejection)),
            Ok(UpstreamDocuments { documents, has_relationships }) => {
                if has_relationships {
                    warnings.push(rows_warning(listed));
                }
                for document in documents {
                    let name = document.name.or_else(|| listed.name.clone()).unwrap_or_else(|| "Document".into());
                    let (kind, audience) = (document.kind.keyword(), listed.audience.clone());
                    add(ExportedDocument { name, kind, text: document.text, audience });
                }
            }
        }
    }
    if snapshot.catalog.merges_introspection && !trusted.is_empty() {
        for edition in 0..EDITIONS {
            add(ExportedDocument {
                name: OPERATION_NAME.to_owned(),
                kind: OperationKind::Query.keyword(),
                text: document_text(edition),
                audience: Audience::Everyone,
            });
        }
    }
    if errors.is_empty() { Ok((exported, warnings)) } else { Err(errors) }
}

fn error_of(listed: &ListedDocument, rejection: &Rejection) -> Diagnostic {
    let message = match rejection {
        Rejection::Request(error) => error.message.clone(),
        Rejection::Invalid { diagnostics, .. } => {
            diagnostics.first().map_or_else(|| "it is not valid".into(), |first| first.message.clone())
        }
    };
    let help = "correct the document; one with fields of actions on the upstream's types needs --upstream";
    Diagnostic::error(Some(listed.place.clone()), format!("this document cannot be exported: {message}"), help)
}

fn rows_warning(listed: &ListedDocument) -> Diagnostic {
    let message = "this document selects relationships, whose rows are fetched by documents that have their keys in them: no \
                   list of the upstream can have those";
    Diagnostic::warning(Some(listed.place.clone()), message, "leave the upstream's own list off for it")
}
