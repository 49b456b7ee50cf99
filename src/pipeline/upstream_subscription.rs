//! Subscriptions of the upstream with extension fields: the masked operation for the upstream, and the completion of each of
//! its events by handlers.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use crate::auth::authenticated::Authenticated;
use crate::documents::enforcement::Enforcement;
use crate::execution::authorize_plan::AuthorizedCalls;
use crate::execution::context::ExecutionContext;
use crate::execution::prepared_request::{PreparedRequest, Route, route};
use crate::execution::{access_log, call_cost};
use crate::fetch::upstream_operation;
use crate::graphql::document::DocumentError;
use crate::graphql::plan::{PlanStep, UpstreamOperation};
use crate::graphql::upstream_errors::restore_errors;
use crate::model::request::GraphqlRequest;
use crate::model::response::RequestError;
use crate::pipeline::extended_part::extend_response;
use crate::pipeline::render_response::{Finished, reject, respond};
use crate::pipeline::step_result::StepOutcome;
use crate::pipeline::subscription::{errors_of, execution_context};
use crate::pipeline::validate::ValidationContext;
use crate::pipeline::{
    allow, authenticate, extension_schema, operation, trusted_documents, validate, validate_by_newer_schema,
};
use crate::protocol::http::{Body, read_body};
use crate::request::context::RequestContext;
use crate::request::rejection::{Rejection, VALIDATION_FAILED};
use crate::request::response::Response;
use crate::request::step_times::RunningTime;
use crate::runtime::plan_cache::CachedPlan;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;
use crate::telemetry::metrics::PhaseClock;
use crate::upstream::{UpstreamError, UpstreamResponse};

/// How such a subscription begins.
pub(crate) enum SubscriptionStart<'r> {
    /// Not at all, for these errors: a list as JSON.
    Rejected(String),
    /// It has no extension fields: the upstream runs it as it is.
    Delegated,
    /// At the upstream.
    Upstream(Box<UpstreamSubscription<'r>>),
}

/// One that may run: everything has been checked.
pub(crate) struct UpstreamSubscription<'r> {
    services: &'r Arc<Services>,
    snapshot: &'r Arc<Snapshot>,
    /// What its executions have in common.
    context: &'r RequestContext,
    request: GraphqlRequest<'r>,
    authenticated: Authenticated,
    plan: Arc<CachedPlan>,
    allowed: AuthorizedCalls,
}

/// Prepares the subscription in `payload`, a GraphQL request as JSON. `context` is what its executions have in common, as for
/// [`crate::pipeline::subscription::run`].
pub(crate) async fn prepare<'r>(
    services: &'r Arc<Services>,
    snapshot: &'r Arc<Snapshot>,
    context: &'r RequestContext,
    payload: &'r str,
) -> SubscriptionStart<'r> {
    let limits = &services.configured().settings.limits;
    let Ok(Body::One(element)) = read_body(payload.as_bytes(), limits) else { return SubscriptionStart::Delegated };
    let Route::Execute(prepared_request) = route(services, snapshot, element).await else {
        return SubscriptionStart::Delegated;
    };
    let first = execution_context(services, snapshot, context, &Arc::default());
    match check(services, snapshot, (context, &first), prepared_request).await {
        Ok(Some(subscription)) => SubscriptionStart::Upstream(Box::new(subscription)),
        Ok(None) => SubscriptionStart::Delegated,
        Err(rejection) => {
            let response = reject(snapshot.catalog.dialect, &first, &rejection);
            access_log::record(services, &response, &first);
            SubscriptionStart::Rejected(errors_of(&response))
        }
    }
}

/// Is an operation the upstream's after all, although a field in it has the name of an extension field? Whatever fails here is
/// reported when it is run.
pub(crate) async fn is_delegated(
    services: &Arc<Services>,
    snapshot: &Arc<Snapshot>,
    context: &RequestContext,
    prepared_request: &PreparedRequest<'_>,
) -> bool {
    let concern = prepared_request.concern();
    let (Ok(prepared), Some(request)) = (&prepared_request.prepared, &prepared_request.request) else { return false };
    if concern.action || concern.introspection || !concern.extension {
        return false;
    }
    let Ok(selected) = prepared.operation(request.operation_name.as_deref()) else { return false };
    let Ok(caller) = authenticate(services, context, Some(prepared_request)).await else { return false };
    let known = extension_schema::of_caller(services, snapshot, context, &caller.session, None).await;
    let Ok(known) = known else { return false };
    let plan = prepared.plan(&snapshot.catalog, selected, &request.variables, false, Some(&known.merged));
    plan.is_ok_and(|plan| plan.plan.is_upstreams())
}

/// Authenticates, plans, validates and authorizes it. `None` if nothing of it is ours.
async fn check<'r>(
    services: &'r Arc<Services>,
    snapshot: &'r Arc<Snapshot>,
    (common, context): (&'r RequestContext, &RequestContext),
    prepared_request: PreparedRequest<'r>,
) -> Result<Option<UpstreamSubscription<'r>>, Rejection> {
    let authenticated = authenticate(services, context, Some(&prepared_request)).await?.clone();
    let session = &authenticated.session;
    let prepared = match prepared_request.prepared {
        Err(rejection) if prepared_request.is_only_unlisted => {
            return trusted_documents::check_unknown(snapshot, session.role(), &rejection).map(|()| None);
        }
        prepared => prepared?,
    };
    let Some(request) = prepared_request.request else { return Err(DocumentError::NotOneOperation.into()) };
    if snapshot.catalog.enforcement != Enforcement::Actions {
        trusted_documents::check(services, snapshot, session.role(), &prepared, prepared.concern.action)?;
    }
    if let Some(excess) = request.excess {
        return Err(excess.into());
    }
    let (selected, variables) = (operation(context, &prepared, &request)?, &request.variables);
    let known = extension_schema::of_caller(services, snapshot, context, session, None).await?;
    let mut plan = prepared.plan(&snapshot.catalog, selected, variables, false, Some(&known.merged))?;
    if plan.plan.is_upstreams() {
        return Ok(None);
    }
    if snapshot.catalog.enforcement == Enforcement::Actions {
        trusted_documents::check(services, snapshot, session.role(), &prepared, true)?;
    }
    let cost = call_cost::of_calls(&plan.plan, variables, &request.query);
    context.charge(cost.passing.saturating_add(cost.lasting))?;
    let subject =
        ValidationContext { services, snapshot, context, session, prepared: &prepared, plan: &plan, variables };
    if let Err(rejection) = validate::validate(&subject, Some(&known.merged)).await {
        plan = validate_by_newer_schema(&subject, selected, false, &known, rejection).await?;
    }
    if plan.plan.parts.is_empty() {
        let error = RequestError::new(400, VALIDATION_FAILED, "the subscription selects no field");
        return Err(Rejection::Request(error));
    }
    let allowed = allow(services, snapshot, session, &prepared, &plan, &request).await?;
    context.release(cost.passing);
    Ok(Some(UpstreamSubscription { services, snapshot, context: common, request, authenticated, plan, allowed }))
}

impl UpstreamSubscription<'_> {
    /// The GraphQL request for the upstream, as JSON.
    #[must_use]
    pub(crate) fn upstream_payload(&self) -> String {
        self.part().map(|part| upstream_operation::request_json(&self.request, part)).unwrap_or_default()
    }

    /// The name of the operation, if it has one.
    #[must_use]
    pub(crate) fn operation_name(&self) -> Option<&str> {
        self.plan.operation.name.as_deref()
    }

    /// The caller's role.
    #[must_use]
    pub(crate) fn role(&self) -> &str {
        self.authenticated.session.role()
    }

    /// Has the caller's token expired?
    #[must_use]
    pub(crate) fn has_expired(&self) -> bool {
        self.authenticated.has_expired()
    }

    /// The upstream's operation; [`check`] makes sure that there is one.
    fn part(&self) -> Option<&UpstreamOperation> {
        self.plan.plan.parts.first()
    }

    /// Completes an event, a GraphQL response: with the values of its extension fields, and as every response is rendered. It has
    /// the deadline of a request, and its memory is its own.
    pub(crate) async fn complete(&self, event: String) -> String {
        let Some(part) = self.part() else { return event };
        let Self { services, snapshot, request, plan, authenticated, .. } = self;
        let phases = &services.metrics.phases;
        let mut clock = PhaseClock::start();
        let share = self.context.share.as_ref().map(|share| Arc::new(share.sibling()));
        let context = RequestContext { share, ..execution_context(services, snapshot, self.context, &Arc::default()) };
        let execution = ExecutionContext {
            services,
            snapshot,
            context: &context,
            session: &authenticated.session,
            request,
            plan: &plan.plan,
            merged: None,
            extensions: self.allowed.extensions.as_ref(),
            operation_name: self.operation_name(),
            upstream_time: RunningTime::default(),
            handler_time: RunningTime::default(),
        };
        let event = UpstreamResponse { status: StatusCode::OK, body: Bytes::from(event), set_cookies: Vec::new() };
        let completed = extend_response(&execution, part, Ok(event)).await;
        clock.ended(&phases.run);
        let outcome = vec![(PlanStep::Upstream(0), StepOutcome::Part(completed))];
        let root_type = snapshot.catalog.roots.of(plan.plan.kind);
        let may_be_null = |part: &UpstreamOperation| upstream_operation::may_be_null(&execution, part);
        let finished = Finished { plan: &plan.plan, root_type, outcome: &outcome, may_be_null: &may_be_null };
        let mut response = respond(snapshot.catalog.dialect, &finished);
        clock.ended(&phases.respond);
        self.record(&mut response, &context);
        String::from_utf8(response.body.into()).unwrap_or_default()
    }

    fn record(&self, response: &mut Response, context: &RequestContext) {
        response.role = Some(self.role().to_owned());
        access_log::record(self.services, response, context);
    }

    /// The errors for a client when the upstream cannot be asked: a list as JSON.
    pub(crate) fn unavailable(&self, error: &UpstreamError) -> String {
        errors_of(&reject(self.snapshot.catalog.dialect, self.context, &Rejection::upstream(error, false)))
    }

    /// The errors of a response, as for [`Self::rejected`].
    pub(crate) fn rejected_response(&self, response: &str) -> String {
        let response: Value = serde_json::from_str(response).unwrap_or_default();
        self.rejected(&response.get("errors").map_or_else(|| "[]".to_owned(), Value::to_string))
    }

    /// The errors for which the upstream does not run it, with the locations that the client's document has. The upstream's
    /// schema may have changed.
    pub(crate) fn rejected(&self, errors: &str) -> String {
        validate::revalidate(self.services, self.snapshot, self.context, &self.authenticated.session);
        let (Some(part), Some(extensions)) = (self.part(), &self.allowed.extensions) else { return errors.to_owned() };
        let response = format!("{{\"errors\":{errors}}}");
        let Some(restored) = restore_errors(&extensions.sites, &part.edits, &response) else {
            return errors.to_owned();
        };
        let restored: Value = serde_json::from_str(&restored).unwrap_or_default();
        restored.get("errors").map_or_else(|| errors.to_owned(), Value::to_string)
    }
}
