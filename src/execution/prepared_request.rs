//! A prepared request: whether it is executed here or passed through.

use std::sync::Arc;

use crate::graphql::plan::UsesActions;
use crate::model::action::OperationKind;
use crate::model::request::GraphqlRequest;
use crate::protocol::http::Element;
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
    /// It has an action, or cannot be understood although it could have one.
    Execute(PreparedRequest<'a>),
}

/// A request that is executed here, as far as is known so far.
pub(crate) struct PreparedRequest<'a> {
    pub(crate) request: Option<GraphqlRequest<'a>>,
    pub(crate) prepared: Result<Arc<PreparedDocument>, Rejection>,
    /// The text of the batch that it is an element of.
    pub(crate) batch: Option<&'a str>,
}

impl PreparedRequest<'_> {
    /// What of ours is really in it? If nothing is, the upstream may understand documents that we do not.
    #[must_use]
    pub(crate) fn concern(&self) -> UsesActions {
        self.prepared.as_ref().map_or_else(|_| UsesActions::default(), |prepared| prepared.concern)
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

/// Decides whether a request has anything to do with actions or introspection. Nothing is known about the caller yet.
pub(crate) async fn route<'a>(services: &Services, snapshot: &Arc<Snapshot>, element: Element<'a>) -> Route<'a> {
    match element.request {
        Err(error) => Route::Execute(PreparedRequest { request: None, prepared: Err(error.into()), batch: None }),
        Ok(None) => Route::Passthrough,
        Ok(Some(request)) => {
            let prepared = prepare(services, snapshot, &request.query).await;
            let is_ours = match &prepared {
                Ok(prepared) => prepared.concern.any(),
                // It may be introspection that only the upstream understands.
                Err(_) => snapshot.catalog.may_name_action(request.query.as_bytes()),
            };
            if !is_ours {
                return Route::Passthrough;
            }
            let prepared = prepared.map_err(Rejection::from);
            Route::Execute(PreparedRequest { request: Some(request), prepared, batch: None })
        }
    }
}
