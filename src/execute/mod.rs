//! The journey of a request, from words to answer. The phases are those of ARCHITECTURE.md.

pub mod calls;
pub mod engine_part;
pub mod engine_watch;
pub mod prepared;
pub mod refusal;
pub mod respond;
pub mod run;
pub mod snapshot;
pub mod webhook_part;
pub mod world;

use std::sync::Arc;
use std::time::Instant;

use http::header::HeaderValue;

use crate::graphql::document::DocumentError;
use crate::model::action::OperationKind;
use crate::model::request::{Caller, GraphqlRequest};
use crate::protocol::http::{Element, ResponseType};
use crate::protocol::trace::TraceContext;
use crate::session::Session;
use crate::telemetry::metrics::PhaseClock;
use prepared::Prepared;
use refusal::Refusal;
use snapshot::Snapshot;
pub use world::World;

/// How a request came, as far as its answer depends on it.
pub struct Envelope<'e> {
    /// Who sent it.
    pub caller: &'e Caller,
    /// The trace it belongs to.
    pub trace: &'e TraceContext,
    /// Path and query, for the engine's part.
    pub path: &'e str,
    /// GET may only read.
    pub is_get: bool,
    /// What the client takes.
    pub response_type: ResponseType,
    /// Does this path show real statuses in Hasura's dialect?
    pub shows_status: bool,
    /// When the whole request must be over.
    pub deadline: Instant,
}

/// An answer, ready to be sent.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// JSON.
    pub body: Vec<u8>,
    /// Cookies of handlers and of the engine.
    pub set_cookies: Vec<HeaderValue>,
    /// For 405.
    pub allow: Option<&'static str>,
    /// For the log: what came of it.
    pub outcome: &'static str,
    /// For the log: the actions that were called.
    pub actions: Vec<String>,
    /// For the log: the role they were called in.
    pub role: Option<String>,
}

impl Answer {
    fn new(status: u16, body: Vec<u8>, outcome: &'static str) -> Self {
        Self { status, body, set_cookies: Vec::new(), allow: None, outcome, actions: Vec::new(), role: None }
    }
}

/// What is to become of a request.
pub enum Verdict<'a> {
    /// Nothing of ours is in it.
    NotOurs,
    /// It has an action, or cannot be understood although it could have one.
    Ours(Ours<'a>),
}

/// A request that is answered here.
pub struct Ours<'a> {
    request: Option<GraphqlRequest<'a>>,
    prepared: Result<Arc<Prepared>, Refusal>,
}

impl Ours<'_> {
    /// A request that is refused, whatever its document says.
    #[must_use]
    pub fn refused(refusal: Refusal) -> Self {
        Self { request: None, prepared: Err(refusal) }
    }

    /// Is an action really in it? If not, the engine may well understand what we do not.
    #[must_use]
    pub fn names_action(&self) -> bool {
        self.prepared.as_ref().is_ok_and(|prepared| prepared.names_action)
    }
}

/// Decides whether a request has anything to do with actions. Nothing is known about the caller yet.
pub async fn understand<'a>(world: &World, snapshot: &Arc<Snapshot>, element: Element<'a>) -> Verdict<'a> {
    match element.request {
        Err(error) => Verdict::Ours(Ours::refused(error.into())),
        Ok(None) => Verdict::NotOurs,
        Ok(Some(request)) => {
            let prepared = snapshot.prepare(world, &request.query).await;
            if matches!(&prepared, Ok(prepared) if !prepared.names_action) {
                return Verdict::NotOurs;
            }
            Verdict::Ours(Ours { request: Some(request), prepared: prepared.map_err(Refusal::from) })
        }
    }
}

/// Answers one request.
pub async fn execute(world: &World, snapshot: &Arc<Snapshot>, envelope: &Envelope<'_>, ours: &Ours<'_>) -> Answer {
    match journey(world, snapshot, envelope, ours).await {
        Ok(answer) => answer,
        Err(refusal) => respond::refuse(snapshot.dialect, envelope, &refusal),
    }
}

async fn journey(
    world: &World,
    snapshot: &Arc<Snapshot>,
    envelope: &Envelope<'_>,
    ours: &Ours<'_>,
) -> Result<Answer, Refusal> {
    let phases = &world.metrics.phases;
    let mut clock = PhaseClock::start();
    // Hasura authenticates before it looks into the document, so a bad credential hides a bad document.
    let session = world.authenticator.authenticate(&envelope.caller.headers).await?;
    clock.ended(&phases.authenticate);
    let prepared = ours.prepared.as_ref().map_err(Clone::clone)?;
    let Some(request) = &ours.request else { return Err(DocumentError::NotOneOperation.into()) };
    let plan = plan(snapshot, envelope, prepared, request)?;
    clock.ended(&phases.plan);
    let calls = validate(snapshot, &session, prepared, request, &plan)?;
    clock.ended(&phases.validate);
    let plan = &plan.plan;
    let outcome = run::run(&run::Running { world, snapshot, envelope, session: &session, request, plan }, &calls).await;
    clock.ended(&phases.run);
    let root_type = snapshot.roots.of(plan.kind);
    let mut answer = respond::respond(snapshot.dialect, &respond::Finished { plan, root_type, outcome: &outcome });
    clock.ended(&phases.respond);
    answer.role = Some(session.role().to_owned());
    Ok(answer)
}

/// The plan for the operation that the client chose and for its variables.
fn plan(
    snapshot: &Snapshot,
    envelope: &Envelope<'_>,
    prepared: &Prepared,
    request: &GraphqlRequest<'_>,
) -> Result<Arc<prepared::CachedPlan>, Refusal> {
    let operation = prepared.operation(request.operation_name.as_deref())?;
    let kind = operation.kind();
    if envelope.is_get && kind != OperationKind::Query {
        return Err(Refusal::get_must_read(kind));
    }
    if kind == OperationKind::Subscription {
        return Err(Refusal::subscription());
    }
    prepared.plan(snapshot, operation, &request.variables)
}

/// Checks our part of the document against what the session's role may call, and makes the calls' arguments. Nothing
/// has run yet when this fails.
fn validate(
    snapshot: &Snapshot,
    session: &Session,
    prepared: &Prepared,
    request: &GraphqlRequest<'_>,
    plan: &prepared::CachedPlan,
) -> Result<Vec<calls::AllowedCall>, Refusal> {
    plan.validate(snapshot, session.role())?;
    calls::allow(snapshot, session, prepared, plan, &request.variables)
}

/// Asks the engine for an element of a batch that does not concern us, exactly as it was written.
pub async fn ask_engine(world: &World, snapshot: &Snapshot, envelope: &Envelope<'_>, json: &str) -> Answer {
    match engine_part::send(world, snapshot, envelope, json.to_owned().into(), false).await {
        Ok(reply) => respond::element(snapshot.dialect, envelope, &reply),
        Err(error) => respond::refuse(snapshot.dialect, envelope, &Refusal::upstream(&error)),
    }
}
