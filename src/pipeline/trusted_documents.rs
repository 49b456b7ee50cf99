//! Enforces the list of trusted documents (allow-list), once the caller's role is known.

use crate::documents::enforcement::Enforcement;
use crate::execution::prepared_request::{PreparedRequest, register};
use crate::model::action::ADMIN_ROLE;
use crate::pipeline::{authenticate, render_response};
use crate::request::context::RequestContext;
use crate::request::rejection::Rejection;
use crate::request::response::Response;
use crate::runtime::plan_cache::PreparedDocument;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;

/// May this role send this document? `has_action`: one that is known to have one, or that is not known to have none.
///
/// # Errors
/// The rejection, if it may not.
pub(crate) fn check(
    services: &Services,
    snapshot: &Snapshot,
    role: &str,
    prepared: &PreparedDocument,
    has_action: bool,
) -> Result<(), Rejection> {
    let catalog = &snapshot.catalog;
    let concerns = match catalog.enforcement {
        Enforcement::Off => false,
        Enforcement::Actions => has_action,
        Enforcement::Log | Enforcement::All => true,
    };
    let is_listed = || prepared.audience.as_ref().is_some_and(|audience| audience.includes(role));
    if !concerns || may_send_anything(role) || is_listed() {
        return Ok(());
    }
    let is_rejected = catalog.enforcement != Enforcement::Log;
    let outcome = if is_rejected { "rejected" } else { "served" };
    services.metrics.unlisted_documents.with_label_values(&[outcome]).inc();
    let document = &prepared.document;
    let name = document.operations().first().and_then(|operation| operation.name.as_deref());
    services.health.unlisted_documents.log(&document.text, name, role, is_rejected);
    if is_rejected { Err(Rejection::document_not_allowed(catalog.dialect)) } else { Ok(()) }
}

/// The same for what is no document that can be looked up.
///
/// # Errors
/// The rejection, if this role may only send what is listed.
pub(crate) fn check_unknown(snapshot: &Snapshot, role: &str, rejection: &Rejection) -> Result<(), Rejection> {
    if may_send_anything(role) || !snapshot.catalog.rejects_unlisted() { Ok(()) } else { Err(rejection.clone()) }
}

/// The same for a request that is only looked at because all documents are, before it passes.
///
/// # Errors
/// The response, if it may not.
pub(crate) async fn admit(
    services: &Services,
    snapshot: &Snapshot,
    context: &RequestContext,
    prepared_request: Option<&PreparedRequest<'_>>,
) -> Result<(), Response> {
    let checked = async {
        let authenticated = authenticate(services, context, prepared_request).await?;
        let role = authenticated.session.role();
        match prepared_request.map(|prepared_request| &prepared_request.prepared) {
            Some(Ok(prepared)) => check(services, snapshot, role, prepared, false),
            Some(Err(rejection)) => check_unknown(snapshot, role, rejection),
            None => check_unknown(snapshot, role, &Rejection::document_not_allowed(snapshot.catalog.dialect)),
        }
    };
    let checked: Result<(), Rejection> = checked.await;
    if let (Ok(()), Some(PreparedRequest { registers: Some(hash), request: Some(request), .. })) =
        (&checked, prepared_request)
    {
        register(services, *hash, &request.query).await;
    }
    checked.map_err(|rejection| render_response::reject(snapshot.catalog.dialect, context, &rejection))
}

/// As in Hasura, the list is not for the admin.
fn may_send_anything(role: &str) -> bool {
    role == ADMIN_ROLE
}
