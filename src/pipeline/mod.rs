//! The journey of a request, from words to answer. The phases are those of ARCHITECTURE.md.

pub mod authorize;
#[doc(hidden)]
pub mod cache_key;
mod cached_call;
mod call_cost;
pub mod call_policy;
pub mod explain;
pub mod handler_call;
pub mod handler_request;
pub mod introspection;
pub mod job_completion;
pub mod job_enqueue;
pub mod job_worker;
pub mod load_shedding;
pub mod loaded_config;
pub mod panic_isolation;
pub mod plan_cache;
pub mod rejection;
pub mod relationship_rows;
pub mod reload_requests;
pub mod request_spans;
pub mod response;
pub mod run_steps;
pub mod schema_cache;
pub mod services;
pub mod snapshot;
pub mod subscription;
pub mod upstream_fetch;
pub mod upstream_health_check;
pub mod upstream_types;
pub mod validate;

use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue, SET_COOKIE};
use serde_json::value::RawValue;
use tokio::sync::{OnceCell, SemaphorePermit};

use crate::auth::authenticated::Authenticated;
use crate::graphql::document::DocumentError;
use crate::graphql::plan::{UpstreamOperation, UsesActions};
use crate::memory::{NoRoom, Share};
use crate::model::action::OperationKind;
use crate::model::json::RawObject;
use crate::model::replay::Replay;
use crate::model::request::{Caller, GraphqlRequest};
use crate::pipeline::authorize::AuthorizedCalls;
use crate::pipeline::plan_cache::{CachedPlan, PreparedDocument, PreparedOperation};
use crate::pipeline::rejection::Rejection;
use crate::pipeline::schema_cache::{MergedSchema, SchemaRequest};
use crate::pipeline::snapshot::Snapshot;
use crate::pipeline::subscription::LiveDependencies;
use crate::protocol::http::{Element, ResponseType};
use crate::protocol::trace::TraceContext;
use crate::session::hook::{told_batch, told_request};
use crate::session::{Session, SessionError};
use crate::telemetry::logs;
use crate::telemetry::metrics::PhaseClock;
use crate::upstream::reads::body_only_reads;

pub use crate::pipeline::services::Services;

/// How a request came, as far as its response depends on it.
pub struct RequestContext<'e> {
    /// Who sent it.
    pub caller: &'e Caller,
    /// The trace it belongs to.
    pub trace: &'e TraceContext,
    /// Path and query, for the upstream's part.
    pub path: &'e str,
    /// The query of the client's URL.
    pub query: &'e str,
    /// GET may only read.
    pub is_get: bool,
    /// What the client takes.
    pub response_type: ResponseType,
    /// Does this path show real statuses in Hasura's dialect?
    pub shows_status: bool,
    /// If it can be answered more than once: by what its response may change.
    pub subscription: Option<Arc<LiveDependencies>>,
    /// When the whole request must be over.
    pub deadline: Instant,
    /// Has its client asked for less time than requests have?
    pub is_clients_deadline: bool,
    /// The text of a batch.
    pub batch: Option<&'e str>,
    /// More headers for handlers: those of jobs.
    pub handler_headers: HeaderMap,
    /// What it holds of the memory budget.
    pub share: Option<&'e Share>,
    /// Found out once, for all elements of a batch.
    pub authenticated: OnceCell<Result<Authenticated, SessionError>>,
}

impl<'e> RequestContext<'e> {
    /// Of a call that no client waits for.
    #[must_use]
    pub fn detached(caller: &'e Caller, trace: &'e TraceContext, query: &'e str, deadline: Instant) -> Self {
        Self {
            caller,
            trace,
            path: "",
            query,
            is_get: false,
            response_type: ResponseType::Json,
            shows_status: false,
            subscription: None,
            deadline,
            is_clients_deadline: false,
            batch: None,
            handler_headers: HeaderMap::new(),
            share: None,
            authenticated: OnceCell::new(),
        }
    }

    /// Takes so many bytes more of the memory budget, for as long as the request lives.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn charge(&self, bytes: usize) -> Result<(), NoRoom> {
        self.share.map_or(Ok(()), |share| share.grow(bytes))
    }

    /// Gives bytes back that were charged before.
    pub fn release(&self, bytes: usize) {
        if let Some(share) = self.share {
            share.release(bytes);
        }
    }

    /// Who is asking?
    async fn authenticate(
        &self,
        world: &Services,
        request: Option<&GraphqlRequest<'_>>,
    ) -> Result<&Authenticated, SessionError> {
        let told = || match self.batch {
            Some(batch) => told_batch(batch),
            None => request.map(told_request),
        };
        let configured = world.configured();
        let authenticate =
            || configured.authenticator.authenticate(&configured.handlers.here().general, &self.caller.headers, told);
        self.authenticated.get_or_init(authenticate).await.as_ref().map_err(Clone::clone)
    }
}

/// Headers that others wrote for the client.
pub type ClientHeaders = Vec<(HeaderName, HeaderValue)>;

/// A response, ready to be sent.
#[derive(Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// JSON.
    pub body: Vec<u8>,
    /// Cookies of handlers, of the upstream and of the auth hook, and what else handlers may tell the client.
    pub headers: ClientHeaders,
    /// For 405.
    pub allow: Option<&'static str>,
    /// For the log: what came of it.
    pub outcome: &'static str,
    /// For the log: the actions that were called.
    pub actions: Vec<String>,
    /// For the log: the role they were called in.
    pub role: Option<String>,
    /// For the metric: with an action, or with introspection alone.
    pub kind: &'static str,
    /// Has the upstream refused a part as a whole, as if it were not valid?
    pub upstream_rejected: bool,
}

impl Response {
    /// A response without headers of others.
    #[must_use]
    pub fn new(status: u16, body: Vec<u8>, outcome: &'static str) -> Self {
        Self {
            status,
            body,
            headers: ClientHeaders::new(),
            allow: None,
            outcome,
            actions: Vec::new(),
            role: None,
            kind: "action",
            upstream_rejected: false,
        }
    }
}

impl Response {
    /// Observes the request that it answers, and writes the line about it. `path` is where that came in.
    pub fn log(&self, world: &Services, caller: &Caller, trace: &TraceContext, path: &str, began: Instant) {
        let (role, actions, status, outcome) =
            (self.role.as_deref(), self.actions.as_slice(), self.status, self.outcome);
        if self.kind == "action" {
            world.metrics.request_seconds.observe(began.elapsed().as_secs_f64());
        }
        crate::pipeline::request_spans::request(
            world,
            trace,
            began,
            &crate::pipeline::request_spans::RequestSpan { way: path, caller, role, actions, status, outcome },
        );
        if self.outcome == crate::pipeline::response::SUCCESS
            && !logs::REQUESTS.next(world.configured().settings.success_sample_every)
        {
            return;
        }
        let line = logs::RequestLine {
            request_id: &caller.request_id,
            trace_id: &trace.trace_id,
            path,
            client: caller.address,
            role: self.role.as_deref(),
            actions: self.actions.join(","),
            status: self.status,
            outcome: self.outcome,
            duration: began.elapsed(),
        };
        line.write();
    }
}

/// What is to become of a request.
pub enum Route<'a> {
    /// Nothing of ours is in it.
    Passthrough,
    /// It has an action, or cannot be understood although it could have one.
    Execute(PreparedRequest<'a>),
}

/// A request that is answered here, as far as can be seen so far.
pub struct PreparedRequest<'a> {
    request: Option<GraphqlRequest<'a>>,
    prepared: Result<Arc<PreparedDocument>, Rejection>,
}

impl PreparedRequest<'_> {
    /// What of ours is really in it? If nothing is, the upstream may well understand what we do not.
    #[must_use]
    pub fn concern(&self) -> UsesActions {
        self.prepared.as_ref().map_or_else(|_| UsesActions::default(), |prepared| prepared.concern)
    }

    /// The kind of the operation that the client chose, if it can be told.
    #[must_use]
    pub fn kind(&self) -> Option<OperationKind> {
        let name = self.request.as_ref().and_then(|request| request.operation_name.as_deref());
        self.prepared.as_ref().ok()?.operation(name).ok().map(PreparedOperation::kind)
    }

    /// Is introspection all that is ours in it?
    #[must_use]
    pub fn is_introspection_only(&self) -> bool {
        self.concern() == UsesActions { action: false, introspection: true }
    }
}

/// What became of a request that seemed to be ours.
pub enum Execution {
    /// It is answered.
    Response(Response),
    /// The upstream alone can answer it: introspection that cannot be merged.
    DelegateToUpstream,
}

/// Decides whether a request has anything to do with actions or introspection. Nothing is known about the caller yet.
pub async fn understand<'a>(world: &Services, snapshot: &Arc<Snapshot>, element: Element<'a>) -> Route<'a> {
    match element.request {
        Err(error) => Route::Execute(PreparedRequest { request: None, prepared: Err(error.into()) }),
        Ok(None) => Route::Passthrough,
        Ok(Some(request)) => {
            let prepared = snapshot.prepare(world, &request.query).await;
            let is_ours = match &prepared {
                Ok(prepared) => prepared.concern.any(),
                // It may be introspection in words that only the upstream understands.
                Err(_) => snapshot.may_name_action(request.query.as_bytes()),
            };
            if !is_ours {
                return Route::Passthrough;
            }
            Route::Execute(PreparedRequest { request: Some(request), prepared: prepared.map_err(Rejection::from) })
        }
    }
}

/// Answers one request.
pub async fn execute(
    world: &Arc<Services>,
    snapshot: &Arc<Snapshot>,
    envelope: &RequestContext<'_>,
    ours: &PreparedRequest<'_>,
) -> Execution {
    crate::pipeline::panic_isolation::failpoint("request");
    match journey(world, snapshot, envelope, ours).await {
        Ok(executed) => executed,
        Err(rejection) => {
            Execution::Response(crate::pipeline::response::reject(snapshot.dialect, envelope, &rejection))
        }
    }
}

/// Who is asking? Otherwise the response that says why nobody can tell.
///
/// # Errors
/// That answer.
pub async fn identify(
    world: &Services,
    snapshot: &Snapshot,
    envelope: &RequestContext<'_>,
    ours: &PreparedRequest<'_>,
) -> Result<Authenticated, Response> {
    let authenticated = envelope.authenticate(world, ours.request.as_ref()).await;
    authenticated.cloned().map_err(|error| crate::pipeline::response::reject(snapshot.dialect, envelope, &error.into()))
}

/// Refuses a request, whatever its document says, unless its credential has to be refused first.
pub async fn reject(
    world: &Services,
    snapshot: &Snapshot,
    envelope: &RequestContext<'_>,
    rejection: Rejection,
) -> Response {
    let authenticated = envelope.authenticate(world, None).await;
    let rejection = authenticated.map_or_else(Rejection::from, |_| rejection);
    crate::pipeline::response::reject(snapshot.dialect, envelope, &rejection)
}

async fn journey(
    world: &Arc<Services>,
    snapshot: &Arc<Snapshot>,
    envelope: &RequestContext<'_>,
    ours: &PreparedRequest<'_>,
) -> Result<Execution, Rejection> {
    let phases = &world.metrics.phases;
    let mut clock = PhaseClock::start();
    let ended = |clock: &mut PhaseClock, name, phase| {
        let (began, ended) = clock.ended(phase);
        crate::pipeline::request_spans::phase(world, envelope.trace, name, began, ended);
    };
    // Hasura authenticates before it looks into the document, so a bad credential hides a bad document.
    let Authenticated { session, set_cookies, .. } = envelope.authenticate(world, ours.request.as_ref()).await?;
    ended(&mut clock, "authenticate", &phases.authenticate);
    let prepared = ours.prepared.as_ref().map_err(Clone::clone)?;
    let Some(request) = &ours.request else { return Err(DocumentError::NotOneOperation.into()) };
    if let Some(excess) = request.excess {
        return Err(excess.into());
    }
    let operation = operation(envelope, prepared, request)?;
    let mut introspected = None;
    if operation.concern.introspection {
        introspected = Box::pin(introspect(world, snapshot, envelope, session)).await;
        ended(&mut clock, "introspect", &phases.introspect);
        if introspected.is_none() && !prepared.concern.action {
            return Ok(Execution::DelegateToUpstream);
        }
    }
    let merged = introspected.as_ref().map(|(_slot, merged)| merged);
    let plan = prepared.plan(snapshot, operation, &request.variables, merged.is_some())?;
    ended(&mut clock, "plan", &phases.plan);
    let cost = crate::pipeline::call_cost::of_calls(&plan.plan, &request.variables, &request.query);
    envelope.charge(cost.passing.saturating_add(cost.lasting))?;
    let variables = &request.variables;
    let subject = crate::pipeline::validate::ValidationContext {
        world,
        snapshot,
        envelope,
        session,
        prepared,
        plan: &plan,
        variables,
    };
    match crate::pipeline::validate::validate(&subject, merged.map(AsRef::as_ref)).await {
        // Nothing of ours is in it but introspection, and the upstream may know more of that than we do.
        Err(_) if !prepared.concern.action => return Ok(Execution::DelegateToUpstream),
        outcome => outcome?,
    }
    let allowed = allow(world, snapshot, session, prepared, &plan, request).await?;
    envelope.release(cost.passing);
    ended(&mut clock, "validate", &phases.validate);
    let plan = &plan.plan;
    let running =
        crate::pipeline::run_steps::ExecutionContext { world, snapshot, envelope, session, request, plan, merged };
    let outcome = crate::pipeline::run_steps::run(&running, &allowed).await;
    ended(&mut clock, "run", &phases.run);
    // What has been written must not seem not to be.
    if let (Err(no_room), OperationKind::Query) =
        (envelope.charge(crate::pipeline::run_steps::bytes_of(&outcome)), plan.kind)
    {
        return Err(no_room.into());
    }
    let root_type = snapshot.roots.of(plan.kind);
    let may_be_null = |part: &UpstreamOperation| crate::pipeline::upstream_fetch::may_be_null(&running, part);
    let finished =
        crate::pipeline::response::Finished { plan, root_type, outcome: &outcome, may_be_null: &may_be_null };
    let mut answer = crate::pipeline::response::respond(snapshot.dialect, &finished);
    if answer.upstream_rejected {
        crate::pipeline::validate::doubt(world, snapshot, envelope, session);
    }
    ended(&mut clock, "respond", &phases.respond);
    if answer.outcome == crate::pipeline::response::SUCCESS {
        answer.headers.extend(set_cookies.iter().map(|cookie| (SET_COOKIE, cookie.clone())));
    }
    answer.role = Some(session.role().to_owned());
    answer.kind = if prepared.concern.action { "action" } else { "introspection" };
    Ok(Execution::Response(answer))
}

/// Variables up to so many bytes are coerced where they arrive; more have a place of their own, because others wait here.
const INLINE_COERCION_BYTES_MAX: usize = 64 * 1024;

async fn allow(
    world: &Services,
    snapshot: &Arc<Snapshot>,
    session: &Session,
    prepared: &Arc<PreparedDocument>,
    plan: &Arc<CachedPlan>,
    request: &GraphqlRequest<'_>,
) -> Result<AuthorizedCalls, Rejection> {
    if crate::pipeline::call_cost::text_bytes(&plan.plan, &request.variables) <= INLINE_COERCION_BYTES_MAX {
        return crate::pipeline::authorize::allow(snapshot, session, prepared, plan, &request.variables);
    }
    // Only the number of threads is bounded by this; who waits here holds what has been charged already.
    let _slot = world.planning_slots.acquire().await;
    let wanted = |name: &str| plan.plan.own_variables.iter().any(|own| own == name);
    let given = request.variables.0.iter().filter(|(name, _)| wanted(name));
    let given: Vec<(String, Box<RawValue>)> =
        given.map(|(name, raw)| (name.clone().into_owned(), (*raw).to_owned())).collect();
    let (snapshot, session) = (Arc::clone(snapshot), session.clone());
    let (prepared, plan) = (Arc::clone(prepared), Arc::clone(plan));
    let allowed = tokio::task::spawn_blocking(move || {
        let given = RawObject(given.iter().map(|(name, raw)| (name.as_str().into(), &**raw)).collect());
        crate::pipeline::authorize::allow(&snapshot, &session, &prepared, &plan, &given)
    });
    // It ends early only by a defect, or when the whole program does.
    allowed.await.unwrap_or_else(|_| Err(Rejection::internal("the thread that coerced the variables has ended early")))
}

/// The merged schema as this caller sees it now, with a place among those that introspect. `None` if the upstream does not
/// show its schema, or not in time.
async fn introspect<'w>(
    world: &'w Services,
    snapshot: &Arc<Snapshot>,
    envelope: &RequestContext<'_>,
    session: &Session,
) -> Option<(SemaphorePermit<'w>, Arc<MergedSchema>)> {
    let asker = SchemaRequest::of(world, envelope, session);
    let introspected = async {
        let slot = world.introspection_slots.acquire().await.ok()?;
        let merged = crate::pipeline::schema_cache::ask(world, snapshot, &asker).await.ok()?;
        Some((slot, merged))
    };
    tokio::time::timeout_at(envelope.deadline.into(), introspected).await.ok()?
}

/// The operation that the client chose, if it may be sent in this way.
fn operation<'p>(
    envelope: &RequestContext<'_>,
    prepared: &'p PreparedDocument,
    request: &GraphqlRequest<'_>,
) -> Result<&'p PreparedOperation, Rejection> {
    let operation = prepared.operation(request.operation_name.as_deref())?;
    let kind = operation.kind();
    if envelope.is_get && kind != OperationKind::Query {
        return Err(Rejection::get_must_read(kind));
    }
    if kind == OperationKind::Subscription && envelope.subscription.is_none() {
        return Err(Rejection::subscription());
    }
    Ok(operation)
}

/// Asks the upstream for an element of a batch that does not concern us, exactly as it was written.
pub async fn fetch_upstream(
    world: &Services,
    snapshot: &Snapshot,
    envelope: &RequestContext<'_>,
    json: &str,
) -> Response {
    let may_write = || !body_only_reads(json.as_bytes(), &snapshot.limits);
    match crate::pipeline::upstream_fetch::send(world, snapshot, envelope, json.to_owned().into(), Replay::Never).await
    {
        Ok(reply) => crate::pipeline::response::element(snapshot.dialect, envelope, &reply, may_write),
        Err(error) => {
            crate::pipeline::response::reject(snapshot.dialect, envelope, &Rejection::upstream(&error, may_write()))
        }
    }
}
