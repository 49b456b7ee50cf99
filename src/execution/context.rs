//! The execution context: what the steps of one plan share while they run.

use std::sync::Arc;

use crate::execution::authorized_extensions::AuthorizedExtensions;
use crate::graphql::plan::Plan;
use crate::model::request::GraphqlRequest;
use crate::request::context::RequestContext;
use crate::request::step_times::RunningTime;
use crate::runtime::schema_cache::MergedSchema;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;
use crate::session::Session;

/// What a running request has at hand.
pub(crate) struct ExecutionContext<'r> {
    /// What requests share.
    pub services: &'r Arc<Services>,
    /// The generation it began with.
    pub snapshot: &'r Arc<Snapshot>,
    /// How it came.
    pub context: &'r RequestContext,
    /// The caller.
    pub session: &'r Session,
    /// What the client requests.
    pub request: &'r GraphqlRequest<'r>,
    /// The plan.
    pub plan: &'r Plan,
    /// The merged schema, if introspection is served from it.
    pub merged: Option<&'r Arc<MergedSchema>>,
    /// The extension fields that the operation selects.
    pub extensions: Option<&'r AuthorizedExtensions>,
    /// The name of the operation, if it has one.
    pub operation_name: Option<&'r str>,
    /// How long upstream requests took.
    pub upstream_time: RunningTime,
    /// How long handler calls took.
    pub handler_time: RunningTime,
}
