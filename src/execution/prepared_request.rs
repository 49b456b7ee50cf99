//! A prepared request: whether it is executed here or passed through.

use std::sync::Arc;

use crate::documents::audience::Audience;
use crate::documents::document_hash::DocumentHash;
use crate::graphql::plan::UsesActions;
use crate::model::action::OperationKind;
use crate::model::request::{DocumentIds, GraphqlRequest};
use crate::protocol::http::{Element, HttpError, request_with_document, with_document};
use crate::request::rejection::Rejection;
use crate::request::response::Response;
use crate::runtime::plan_cache::{PreparedDocument, PreparedOperation};
use crate::runtime::prepare::prepare;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;

/// How a request is routed.
#[expect(
    clippy::large_enum_variant,
    reason = "it is made once and borrowed; a box would be one more allocation a request"
)]
pub(crate) enum Route<'a> {
    /// Nothing of ours is in it.
    Passthrough,
    /// The same, of a document that is known here by its id: the request as JSON, with the text in the id's place.
    Rewritten(String),
    /// It has only the hash of a document, which is not known here. The upstream may know it.
    UnknownHash,
    /// It has an action, or cannot be understood although it could have one, or its document has to be trusted.
    Execute(PreparedRequest<'a>),
}

/// A request that is executed here, as far as is known so far.
pub(crate) struct PreparedRequest<'a> {
    pub(crate) request: Option<GraphqlRequest<'a>>,
    pub(crate) prepared: Result<Arc<PreparedDocument>, Rejection>,
    /// The text of the batch that it is an element of.
    pub(crate) batch: Option<&'a str>,
    /// Has its document been found by an id?
    pub(crate) is_by_id: bool,
    /// Is it rejected only because it cannot be looked up among the trusted documents? Then it is left to the upstream for callers
    /// who may send anything.
    pub(crate) is_only_unlisted: bool,
    /// The hash under which its document becomes known, once its caller is.
    pub(crate) registers: Option<DocumentHash>,
}

impl<'a> PreparedRequest<'a> {
    /// One that is rejected, `is_only_unlisted` as in the field.
    pub(crate) fn rejected(rejection: Rejection, is_only_unlisted: bool) -> Self {
        Self {
            request: None,
            prepared: Err(rejection),
            batch: None,
            is_by_id: false,
            is_only_unlisted,
            registers: None,
        }
    }

    /// The request as JSON, as the upstream is to see it if it is the upstream's, and as it is executed later. It was written
    /// as `json`.
    #[must_use]
    pub(crate) fn payload(&self, json: &str) -> String {
        let text = self.request.as_ref().filter(|_| self.is_by_id).map(|request| &request.query);
        text.and_then(|text| with_document(json, text)).unwrap_or_else(|| json.to_owned())
    }

    /// What of ours is really in it? If nothing is, the upstream may understand documents that we do not.
    #[must_use]
    pub(crate) fn concern(&self) -> UsesActions {
        self.prepared.as_ref().map_or_else(|_| UsesActions::default(), |prepared| prepared.concern)
    }

    /// Is it only looked at because its document has to be trusted? Then it is the upstream's, if the caller may send it.
    #[must_use]
    pub(crate) fn is_only_looked_up(&self) -> bool {
        match &self.prepared {
            Ok(prepared) => !prepared.concern.any(),
            Err(_) => self.is_only_unlisted,
        }
    }

    /// The kind of the selected operation, if it is known.
    #[must_use]
    pub(crate) fn kind(&self) -> Option<OperationKind> {
        let name = self.request.as_ref().and_then(|request| request.operation_name.as_deref());
        self.prepared.as_ref().ok()?.operation(name).ok().map(PreparedOperation::kind)
    }

    /// Is it a subscription of the upstream's that may select extension fields?
    #[must_use]
    pub(crate) fn may_extend_subscription(&self) -> bool {
        let name = self.request.as_ref().and_then(|request| request.operation_name.as_deref());
        let operation = self.prepared.as_ref().ok().and_then(|prepared| prepared.operation(name).ok());
        operation.is_some_and(|operation| {
            let is_subscription = operation.kind() == OperationKind::Subscription;
            is_subscription && operation.concern.extension && !operation.concern.action
        })
    }

    /// Is introspection all that is ours in it?
    #[must_use]
    pub(crate) fn is_introspection_only(&self) -> bool {
        self.concern() == UsesActions { action: false, introspection: true, extension: false }
    }
}

/// What became of a request that seemed to be ours.
pub(crate) enum Execution {
    /// It is executed.
    Response(Response),
    /// Only the upstream can execute it: introspection that cannot be merged.
    DelegateToUpstream,
}

/// Decides whether a request has anything to do with actions or introspection, or its document has to be trusted. Nothing is
/// known about the caller yet.
pub(crate) async fn route<'a>(services: &Services, snapshot: &Arc<Snapshot>, element: Element<'a>) -> Route<'a> {
    let Element { json, request, ids } = element;
    match request {
        Err(error) => route_malformed(snapshot, json, error),
        Ok(Some(request)) => route_text(services, snapshot, request, &ids).await,
        // Boxed, as what waits for Redis is: otherwise every request carries the size of these futures.
        Ok(None) => Box::pin(route_by_id(services, snapshot, json, &ids)).await,
    }
}

/// What is no request is rejected here, unless it is only looked at for the id of its document, or because all documents are.
fn route_malformed<'a>(snapshot: &Snapshot, json: &str, error: HttpError) -> Route<'a> {
    let catalog = &snapshot.catalog;
    let is_only_looked_up = !catalog.may_be_ours(json.as_bytes());
    match is_only_looked_up && !catalog.rejects_unlisted() {
        true => Route::Passthrough,
        false => Route::Execute(PreparedRequest::rejected(error.into(), is_only_looked_up)),
    }
}

async fn route_text<'a>(
    services: &Services,
    snapshot: &Arc<Snapshot>,
    request: GraphqlRequest<'a>,
    ids: &DocumentIds<'_>,
) -> Route<'a> {
    let catalog = &snapshot.catalog;
    let hash = persisted_hash(snapshot, ids);
    let is_right = hash.is_none_or(|hash| DocumentHash::of(request.query.as_bytes()) == hash);
    let prepared = prepare(services, snapshot, &request.query).await;
    let is_ours = match &prepared {
        Ok(prepared) => prepared.concern.any(),
        // It may be introspection that only the upstream understands.
        Err(_) => catalog.may_name_action(request.query.as_bytes()),
    };
    if is_ours && !is_right {
        return Route::Execute(PreparedRequest::rejected(Rejection::hash_mismatch(), false));
    }
    if !is_ours && catalog.rejects_unlisted() && !ids.all().all(|id| names_text(snapshot, id, &request.query)) {
        // The upstream may know another document by this id.
        let rejection = Rejection::document_not_allowed(catalog.dialect);
        return Route::Execute(PreparedRequest::rejected(rejection, true));
    }
    if !is_ours && !must_be_looked_up(snapshot, prepared.as_deref().ok()) {
        if let (Some(hash), true, Ok(_)) = (hash, is_right, &prepared) {
            Box::pin(register(services, hash, &request.query)).await;
        }
        return Route::Passthrough;
    }
    Route::Execute(PreparedRequest {
        is_only_unlisted: !is_ours && prepared.is_err(),
        registers: hash.filter(|_| is_right),
        prepared: prepared.map_err(Rejection::from),
        request: Some(request),
        batch: None,
        is_by_id: false,
    })
}

async fn route_by_id<'a>(
    services: &Services,
    snapshot: &Arc<Snapshot>,
    json: &'a str,
    ids: &DocumentIds<'_>,
) -> Route<'a> {
    let catalog = &snapshot.catalog;
    let hash = persisted_hash(snapshot, ids);
    let trusted = ids.all().find_map(|id| catalog.trusted.text(id)).cloned();
    let text = match (trusted, hash) {
        (None, Some(hash)) => services.persisted_queries.get(services.traffic.redis.as_ref(), hash).await,
        (trusted, _) => trusted,
    };
    let Some(text) = text else {
        return match (catalog.rejects_unlisted(), hash) {
            (true, Some(_)) => Route::Execute(PreparedRequest::rejected(Rejection::persisted_query_not_found(), true)),
            (true, None) => {
                let rejection = Rejection::document_not_allowed(catalog.dialect);
                Route::Execute(PreparedRequest::rejected(rejection, true))
            }
            (false, Some(_)) => Route::UnknownHash,
            (false, None) => Route::Passthrough,
        };
    };
    let request = match request_with_document(json, &text, &catalog.limits) {
        Ok(request) => request,
        Err(error) => return Route::Execute(PreparedRequest::rejected(error.into(), false)),
    };
    let prepared = prepare(services, snapshot, &text).await;
    let is_ours = prepared.as_ref().is_ok_and(|prepared| prepared.concern.any());
    if !is_ours && !must_be_looked_up(snapshot, prepared.as_deref().ok()) {
        return with_document(json, &text).map_or(Route::Passthrough, Route::Rewritten);
    }
    Route::Execute(PreparedRequest {
        request: Some(request),
        is_only_unlisted: prepared.is_err(),
        prepared: prepared.map_err(Rejection::from),
        batch: None,
        is_by_id: true,
        registers: None,
    })
}

/// The hash of an automatic persisted query, if there are such queries here.
fn persisted_hash(snapshot: &Snapshot, ids: &DocumentIds<'_>) -> Option<DocumentHash> {
    snapshot.configured.settings.documents.apq.as_ref()?;
    ids.hash.as_deref().and_then(DocumentHash::parse)
}

/// Does it depend on the caller whether this document may be sent, although nothing of ours is in it?
fn must_be_looked_up(snapshot: &Snapshot, prepared: Option<&PreparedDocument>) -> bool {
    let is_for_everyone = prepared.is_some_and(|prepared| prepared.audience == Some(Audience::Everyone));
    match snapshot.catalog.rejects_unlisted() {
        true => !is_for_everyone,
        // What cannot be parsed here is the upstream's to judge.
        false => snapshot.catalog.enforcement.concerns_every_document() && prepared.is_some() && !is_for_everyone,
    }
}

/// Is this an id of the document with this text?
fn names_text(snapshot: &Snapshot, id: &str, text: &str) -> bool {
    DocumentHash::parse(id) == Some(DocumentHash::of(text.as_bytes()))
        || snapshot.catalog.trusted.text(id).is_some_and(|known| &**known == text)
}

/// Makes a document known by its hash.
pub(crate) async fn register(services: &Services, hash: DocumentHash, text: &str) {
    services.persisted_queries.register(services.traffic.redis.as_ref(), hash, text).await;
    services.metrics.persisted_query_bytes.set(i64::try_from(services.persisted_queries.bytes()).unwrap_or(i64::MAX));
}
