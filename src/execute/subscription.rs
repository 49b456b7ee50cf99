//! An operation on a socket or on a stream of events: a query or a mutation is told once, a subscription whenever what
//! it shows has changed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use serde_json::Value;
use tokio::sync::{OnceCell, broadcast};
use uuid::Uuid;

use super::snapshot::Snapshot;
use super::{Answer, Envelope, Executed, Verdict, World, execute, understand};
use crate::auth::Authenticated;
use crate::model::action::OperationKind;
use crate::model::request::Caller;
use crate::protocol::http::{Body, ResponseType, read_body};
use crate::protocol::trace::TraceContext;
use crate::session::SessionError;

/// An operation whose client listens for more than one answer.
pub struct Request {
    /// For the log: how it came.
    pub way: &'static str,
    /// The GraphQL request as JSON.
    pub payload: String,
    /// Path and query for the engine's part.
    pub path: String,
    /// Who sent it.
    pub caller: Arc<Caller>,
    /// Who that is, if it is known.
    pub authenticated: Option<Result<Authenticated, SessionError>>,
}

/// What a client is told about its operation.
#[derive(Debug)]
pub enum Told {
    /// A response, as JSON.
    Next(String),
    /// It was not run, for these errors: a list as JSON. Nothing follows.
    Refused(String),
    /// Nothing follows.
    Complete,
}

/// How often a subscription looks by itself; the pause grows while nothing happens.
const LOOK_MIN: Duration = Duration::from_secs(1);

/// The longest pause.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// Runs it. `say` gives `false` when nobody listens any more.
pub async fn operate<F: Future<Output = bool>>(
    world: &Arc<World>,
    snapshot: &Arc<Snapshot>,
    request: &Request,
    say: impl Fn(Told) -> F,
) {
    let mut ended = world.jobs().ok().map(|jobs| jobs.ended.subscribe());
    let mut named = None;
    let mut last: Option<Vec<u8>> = None;
    let mut pause = LOOK_MIN;
    loop {
        // In a box of its own: a subscription that waits would carry the room for it.
        let Some((answer, kind)) = Box::pin(once(world, snapshot, request)).await else {
            say(Told::Refused("[{\"message\":\"this operation cannot be run here\"}]".into())).await;
            return;
        };
        let was_run = matches!(answer.outcome, super::respond::SUCCESS | "errors");
        if !was_run {
            say(Told::Refused(errors_of(&answer))).await;
            return;
        }
        if last.as_ref() != Some(&answer.body) {
            pause = LOOK_MIN;
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            if !say(Told::Next(body)).await {
                return;
            }
        }
        if kind != OperationKind::Subscription {
            say(Told::Complete).await;
            return;
        }
        last = Some(answer.body);
        let named = named.get_or_insert_with(|| plain(&request.payload));
        wait(&mut ended, named, pause).await;
        pause = (pause * 2).min(LOOK_MAX);
    }
}

/// Until a stored call has ended whose id is in `named`, or for a while.
async fn wait(ended: &mut Option<broadcast::Receiver<Uuid>>, named: &str, pause: Duration) {
    let told = async {
        let Some(ended) = ended else { return std::future::pending().await };
        // Whoever has missed some looks at once.
        while let Ok(id) = ended.recv().await
            && !named.contains(id.simple().encode_lower(&mut Uuid::encode_buffer()) as &str)
        {}
    };
    let _ = tokio::time::timeout(pause, told).await;
}

/// A request in which every id is found, however it is written; only one with escapes in it waits for the next look.
fn plain(payload: &str) -> String {
    payload.chars().filter(|letter| *letter != '-').map(|letter| letter.to_ascii_lowercase()).collect()
}

fn errors_of(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    body.get("errors").cloned().unwrap_or_else(|| Value::Array(Vec::new())).to_string()
}

async fn once(world: &Arc<World>, snapshot: &Arc<Snapshot>, request: &Request) -> Option<(Answer, OperationKind)> {
    let started = Instant::now();
    let limits = &world.settings.limits;
    let Ok(Body::One(element)) = read_body(request.payload.as_bytes(), limits) else { return None };
    let Verdict::Ours(ours) = understand(world, snapshot, element).await else { return None };
    let random = Uuid::new_v4();
    let trace = TraceContext::read(&request.caller.headers, random.as_u128());
    let envelope = Envelope {
        caller: &request.caller,
        trace: &trace,
        path: &request.path,
        query: "",
        is_get: false,
        response_type: ResponseType::Json,
        shows_status: false,
        may_subscribe: true,
        deadline: started + limits.request_timeout,
        batch: None,
        handler_headers: HeaderMap::new(),
        authenticated: OnceCell::new_with(request.authenticated.clone()),
    };
    let kind = ours.kind().unwrap_or(OperationKind::Query);
    let Executed::Answer(answer) = execute(world, snapshot, &envelope, &ours).await else { return None };
    answer.log(&request.caller, &trace, request.way, started.elapsed());
    Some((answer, kind))
}
