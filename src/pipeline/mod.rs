//! The journey of a request, from text to response. The phases are those of ARCHITECTURE.md.

use std::sync::Arc;

use http::header::SET_COOKIE;
use serde_json::value::RawValue;
use tokio::sync::SemaphorePermit;

use crate::auth::authenticated::Authenticated;
use crate::documents::enforcement::Enforcement;
use crate::execution::authorize_plan::{AuthorizedCalls, authorize};
use crate::execution::authorized_extensions::AuthorizedExtensions;
use crate::execution::context::ExecutionContext;
use crate::execution::denied_actions::denied_actions;
use crate::execution::prepared_request::{Execution, PreparedRequest, register};
use crate::execution::{call_cost, spans};
use crate::fetch::upstream_operation;
use crate::fetch::upstream_operation::Sender;
use crate::graphql::document::DocumentError;
use crate::graphql::plan::{Plan, UpstreamOperation};
use crate::memory;
use crate::model::action::OperationKind;
use crate::model::json::RawObject;
use crate::model::replay::Replay;
use crate::model::request::GraphqlRequest;
use crate::pipeline::extension_schema::CallersSchema;
use crate::pipeline::step_result::{Outcome, bytes_of};
use crate::pipeline::validate::ValidationContext;
use crate::request::context::RequestContext;
use crate::request::rejection::Rejection;
use crate::request::response::{Response, SUCCESS};
use crate::request::step_times::{RunningTime, StepTimes, micros};
use crate::runtime::plan_cache::{CachedPlan, PreparedDocument, PreparedOperation};
use crate::runtime::schema_cache::MergedSchema;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;
use crate::runtime::{panic_isolation, schema_fetch};
use crate::session::hook::{hook_batch, hook_request};
use crate::session::{Session, SessionError};
use crate::telemetry::failure_log::UpstreamPurpose;
use crate::telemetry::metrics::PhaseClock;
use crate::telemetry::request_kind::RequestKind;
use crate::upstream::reads::body_only_reads;

pub(crate) mod explain;
pub(crate) mod explain_text;
mod extended_part;
mod extension_schema;
pub(crate) mod introspection;
pub(crate) mod render_response;
pub(crate) mod run_steps;
pub(crate) mod step_result;
pub(crate) mod streamed_subscription;
pub(crate) mod subscription;
pub(crate) mod trusted_documents;
pub(crate) mod upstream_documents;
pub(crate) mod upstream_subscription;
pub(crate) mod validate;

/// The caller, authenticated once for all elements of a batch.
async fn authenticate<'c>(
    services: &Services,
    context: &'c RequestContext,
    prepared: Option<&PreparedRequest<'_>>,
) -> Result<&'c Authenticated, SessionError> {
    let shown_to_hook = || match prepared?.batch {
        Some(batch) => hook_batch(batch),
        None => prepared?.request.as_ref().map(hook_request),
    };
    let configured = services.configured();
    let authenticate = || {
        let client = &*configured.handlers.here().general;
        configured.authenticator.authenticate(client, &context.caller.headers, shown_to_hook)
    };
    context.authenticated.get_or_init(authenticate).await.as_ref().map_err(Clone::clone)
}

/// Executes one request.
pub(crate) async fn execute(
    services: &Arc<Services>,
    snapshot: &Arc<Snapshot>,
    context: &RequestContext,
    prepared_request: &PreparedRequest<'_>,
) -> Execution {
    panic_isolation::failpoint("request");
    match run(services, snapshot, context, prepared_request).await {
        Ok(executed) => executed,
        Err(rejection) => {
            let mut response = crate::pipeline::render_response::reject(snapshot.catalog.dialect, context, &rejection);
            if let Some(Ok(authenticated)) = context.authenticated.get() {
                let role = authenticated.session.role();
                response.denied = denied_actions(snapshot, prepared_request, role);
                response.role = Some(role.to_owned());
            }
            Execution::Response(response)
        }
    }
}

/// Authenticates the caller. Otherwise the response that says why not.
///
/// # Errors
/// That response.
pub(crate) async fn authenticate_or_reject(
    services: &Services,
    snapshot: &Snapshot,
    context: &RequestContext,
    prepared_request: &PreparedRequest<'_>,
) -> Result<Authenticated, Response> {
    let authenticated = authenticate(services, context, Some(prepared_request)).await;
    authenticated
        .cloned()
        .map_err(|error| crate::pipeline::render_response::reject(snapshot.catalog.dialect, context, &error.into()))
}

/// Rejects a request, whatever its document says, unless its credential is to be rejected first.
pub(crate) async fn reject(
    services: &Services,
    snapshot: &Snapshot,
    context: &RequestContext,
    rejection: Rejection,
) -> Response {
    let authenticated = authenticate(services, context, None).await;
    let rejection = authenticated.map_or_else(Rejection::from, |_| rejection);
    crate::pipeline::render_response::reject(snapshot.catalog.dialect, context, &rejection)
}

async fn run(
    services: &Arc<Services>,
    snapshot: &Arc<Snapshot>,
    context: &RequestContext,
    prepared_request: &PreparedRequest<'_>,
) -> Result<Execution, Rejection> {
    let phases = &services.metrics.phases;
    let mut clock = PhaseClock::start();
    let ended = |clock: &mut PhaseClock, name, phase| {
        let (began, ended) = clock.ended(phase);
        spans::record_phase(services, &context.trace, name, began, ended);
        micros(ended.duration_since(began))
    };
    let mut times = StepTimes::default();
    // Hasura authenticates before it looks into the document, so a bad credential hides a bad document.
    let Authenticated { session, set_cookies, .. } = authenticate(services, context, Some(prepared_request)).await?;
    times.authenticate = ended(&mut clock, "authenticate", &phases.authenticate);
    let prepared = match &prepared_request.prepared {
        Ok(prepared) => prepared,
        Err(rejection) if prepared_request.is_only_unlisted => {
            trusted_documents::check_unknown(snapshot, session.role(), rejection)?;
            return Ok(Execution::DelegateToUpstream);
        }
        Err(rejection) => return Err(rejection.clone()),
    };
    let Some(request) = &prepared_request.request else { return Err(DocumentError::NotOneOperation.into()) };
    trusted_documents::check(services, snapshot, session.role(), prepared, prepared.concern.action)?;
    if let Some(hash) = prepared_request.registers {
        register(services, hash, &request.query).await;
    }
    if !prepared.concern.any() {
        return Ok(Execution::DelegateToUpstream);
    }
    if let Some(excess) = request.excess {
        return Err(excess.into());
    }
    let operation = operation(context, prepared, request)?;
    let mut introspected = None;
    if operation.concern.introspection {
        introspected = memory::boxed(|| introspect(services, snapshot, context, session)).await;
        times.introspect = ended(&mut clock, "introspect", &phases.introspect);
        if introspected.is_none() && !prepared.concern.action && !operation.concern.extension {
            return Ok(Execution::DelegateToUpstream);
        }
    }
    let merged = introspected.as_ref().map(|(_slot, merged)| merged);
    let mut extended = None;
    if operation.concern.extension {
        // Boxed: rare, and otherwise every request carries the size of this future.
        let known = memory::boxed(|| extension_schema::of_caller(services, snapshot, context, session, merged)).await?;
        times.introspect = ended(&mut clock, "introspect", &phases.introspect);
        extended = Some(known);
    }
    let planned = prepared.plan(
        &snapshot.catalog,
        operation,
        &request.variables,
        merged.is_some(),
        extended.as_ref().map(|known| known.merged.as_ref()),
    );
    let plan = planned?;
    times.plan = ended(&mut clock, "plan", &phases.plan);
    if plan.plan.is_upstreams() && !prepared.concern.action && !operation.concern.introspection {
        return Ok(Execution::DelegateToUpstream);
    }
    if snapshot.catalog.enforcement == Enforcement::Actions && !prepared.concern.action && plan.plan.sites.is_some() {
        trusted_documents::check(services, snapshot, session.role(), prepared, true)?;
    }
    let cost = call_cost::of_calls(&plan.plan, &request.variables, &request.query);
    context.charge(cost.passing.saturating_add(cost.lasting))?;
    let variables = &request.variables;
    let subject = |plan| ValidationContext { services, snapshot, context, session, prepared, plan, variables };
    let asked = extended.as_ref().map(|known| &known.merged).or(merged);
    let renewed = match validate::validate(&subject(&plan), asked.map(AsRef::as_ref)).await {
        // Nothing of ours is in it but introspection, and the upstream may know more of that than we do.
        Err(_) if !prepared.concern.action && plan.plan.sites.is_none() => return Ok(Execution::DelegateToUpstream),
        Err(rejection) => {
            let Some(known) = extended.take() else { return Err(rejection) };
            let (subject, has_introspection) = (subject(&plan), merged.is_some());
            // Boxed: rare, and otherwise every request carries the size of this future.
            let renewed = validate_by_newer_schema(&subject, operation, has_introspection, &known, rejection);
            Some(Box::pin(renewed).await?)
        }
        Ok(()) => None,
    };
    let plan = renewed.unwrap_or(plan);
    let allowed = allow(services, snapshot, session, prepared, &plan, request).await?;
    context.release(cost.passing);
    times.validate = ended(&mut clock, "validate", &phases.validate);
    let (operation_name, plan) = (plan.operation.name.as_deref(), &plan.plan);
    let execution = ExecutionContext {
        services,
        snapshot,
        context,
        session,
        request,
        plan,
        merged,
        extensions: allowed.extensions.as_ref(),
        operation_name,
        upstream_time: RunningTime::default(),
        handler_time: RunningTime::default(),
    };
    let cacheable = introspection::CacheableResponse::of(&execution, &allowed);
    let rendered_before = cacheable.as_ref().and_then(introspection::CacheableResponse::rendered_before);
    let mut response = match rendered_before {
        Some(response) => response,
        None => {
            let outcome = crate::pipeline::run_steps::run(&execution, &allowed).await;
            ended(&mut clock, "run", &phases.run);
            (times.upstream, times.handlers) = (execution.upstream_time.total(), execution.handler_time.total());
            let mut response = respond(&execution, &outcome)?;
            cacheable.into_iter().for_each(|cacheable| cacheable.remember(&mut response));
            response
        }
    };
    if response.upstream_rejected {
        validate::revalidate(services, snapshot, context, session);
    }
    for name in allowed.extensions.iter().flat_map(AuthorizedExtensions::called_actions) {
        if !response.actions.iter().any(|known| known == name) {
            response.actions.push(name.to_owned());
        }
    }
    times.respond = ended(&mut clock, "respond", &phases.respond);
    response.times = times;
    if response.outcome == crate::request::response::SUCCESS {
        response.headers.extend(set_cookies.iter().map(|cookie| (SET_COOKIE, cookie.clone())));
    }
    if context.is_get && set_cookies.is_empty() && is_of_calls_only(plan) && response.outcome == SUCCESS {
        let cached = context.freshness.headers(plan.calls.len(), &context.caller.headers);
        response.headers.extend(cached);
    }
    response.role = Some(session.role().to_owned());
    let is_ours = prepared.concern.action || plan.sites.is_some();
    response.kind = if is_ours { RequestKind::Action } else { RequestKind::Introspection };
    Ok(Execution::Response(response))
}

/// Renders the results of a plan's steps.
///
/// # Errors
/// When there is no memory for the response to a query. A write that happened must not look as if it had not.
fn respond(execution: &ExecutionContext<'_>, outcome: &Outcome) -> Result<Response, Rejection> {
    let (plan, catalog) = (execution.plan, &execution.snapshot.catalog);
    if let (Err(no_room), OperationKind::Query) = (execution.context.charge(bytes_of(outcome)), plan.kind) {
        return Err(no_room.into());
    }
    let may_be_null = |part: &UpstreamOperation| upstream_operation::may_be_null(execution, part);
    let root_type = catalog.roots.of(plan.kind);
    let finished = render_response::Finished { plan, root_type, outcome, may_be_null: &may_be_null };
    Ok(render_response::respond(catalog.dialect, &finished))
}

/// Does the response consist of the results of handler calls alone?
fn is_of_calls_only(plan: &Plan) -> bool {
    plan.parts.is_empty() && plan.introspections.is_empty() && !plan.has_relationships && plan.sites.is_none()
}

/// Plans and validates a document once more that was not valid by the known schema: the upstream may have changed since.
///
/// # Errors
/// `rejection`, if the upstream has not changed, or the errors that are left.
async fn validate_by_newer_schema(
    subject: &ValidationContext<'_>,
    operation: &PreparedOperation,
    serves_introspection: bool,
    known: &CallersSchema,
    rejection: Rejection,
) -> Result<Arc<CachedPlan>, Rejection> {
    let ValidationContext { services, snapshot, context, session, prepared, variables, .. } = *subject;
    if known.is_fresh {
        return Err(rejection);
    }
    let fresh = extension_schema::newer(services, snapshot, context, session, known).await;
    let Some(fresh) = fresh else { return Err(rejection) };
    let renewed = prepared.plan(&snapshot.catalog, operation, variables, serves_introspection, Some(&fresh))?;
    validate::validate(&ValidationContext { plan: &renewed, ..*subject }, Some(&fresh)).await?;
    Ok(renewed)
}

/// Variables up to so many bytes are coerced where they arrive; more have a place of their own, because others wait here.
const INLINE_COERCION_BYTES_MAX: usize = 64 * 1024;

pub(crate) async fn allow(
    services: &Services,
    snapshot: &Arc<Snapshot>,
    session: &Session,
    prepared: &Arc<PreparedDocument>,
    plan: &Arc<CachedPlan>,
    request: &GraphqlRequest<'_>,
) -> Result<AuthorizedCalls, Rejection> {
    if call_cost::coercion(&plan.plan, &request.variables) <= INLINE_COERCION_BYTES_MAX {
        return authorize(snapshot, session, prepared, plan, &request.variables);
    }
    // This bounds only the number of threads; a request that waits here holds what has been charged already.
    let _slot = services.slots.planning.acquire().await;
    let wanted = |name: &str| plan.plan.own_variables.iter().any(|own| own == name);
    let given = request.variables.0.iter().filter(|(name, _)| wanted(name));
    let given: Vec<(String, Box<RawValue>)> =
        given.map(|(name, raw)| (name.clone().into_owned(), (*raw).to_owned())).collect();
    let (snapshot, session) = (Arc::clone(snapshot), session.clone());
    let (prepared, plan) = (Arc::clone(prepared), Arc::clone(plan));
    let allowed = tokio::task::spawn_blocking(move || {
        let given = RawObject(given.iter().map(|(name, raw)| (name.as_str().into(), &**raw)).collect());
        authorize(&snapshot, &session, &prepared, &plan, &given)
    });
    // It ends early only by a defect, or when the whole program does.
    allowed.await.unwrap_or_else(|_| Err(Rejection::internal("the thread that coerced the variables has ended early")))
}

/// The merged schema as this caller sees it now, with a place among those that introspect. `None` if the upstream does not
/// show its schema, or not in time.
async fn introspect<'w>(
    services: &'w Services,
    snapshot: &Arc<Snapshot>,
    context: &RequestContext,
    session: &Session,
) -> Option<(SemaphorePermit<'w>, Arc<MergedSchema>)> {
    let introspected = async {
        let slot = services.slots.introspection.acquire().await.ok()?;
        let merged = schema_fetch::fetch(services, snapshot, context, session.role()).await.ok()?;
        Some((slot, merged))
    };
    tokio::time::timeout_at(context.deadline.into(), introspected).await.ok()?
}

/// The operation that the client chose, if it may be sent in this way.
pub(crate) fn operation<'p>(
    context: &RequestContext,
    prepared: &'p PreparedDocument,
    request: &GraphqlRequest<'_>,
) -> Result<&'p PreparedOperation, Rejection> {
    let operation = prepared.operation(request.operation_name.as_deref())?;
    let kind = operation.kind();
    if context.is_get && kind != OperationKind::Query {
        return Err(Rejection::get_must_read(kind));
    }
    if kind == OperationKind::Subscription && context.subscription.is_none() {
        return Err(Rejection::subscription());
    }
    Ok(operation)
}

/// Forwards an element of a batch that has nothing of ours to the upstream, exactly as it was written.
pub(crate) async fn fetch_upstream(
    services: &Services,
    snapshot: &Snapshot,
    context: &RequestContext,
    json: &str,
) -> Response {
    let may_write = || !body_only_reads(json.as_bytes(), &snapshot.catalog.limits);
    let sender = Sender { purpose: UpstreamPurpose::BatchElement, operation_name: None, role: None };
    match upstream_operation::send(services, snapshot, context, json.to_owned().into(), Replay::Never, sender).await {
        Ok(response) => {
            crate::pipeline::render_response::element(snapshot.catalog.dialect, context, &response, may_write)
        }
        Err(error) => crate::pipeline::render_response::reject(
            snapshot.catalog.dialect,
            context,
            &Rejection::upstream(&error, may_write()),
        ),
    }
}
