//! Runs a job: calls its handler, decides what its response means, and stores that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::action::before::Moment;
use crate::action::complete_value::{CompletionError, complete_value};
use crate::action::handler_error::{HandlerError, HandlerResponseError, TransportError, UNEXPECTED};
use crate::action::handler_response::HandlerResponse;
use crate::action::relationship::RowKeys;
use crate::execution::authorize::AuthorizedCall;
use crate::execution::context::ExecutionContext;
use crate::graphql::plan::Plan;
use crate::graphql::selection::SubSelection;
use crate::handler::extend_rows::completion_rules;
use crate::handler::failure::{CallFailure, ExchangeFacts};
use crate::handler::internal_extension::ShownError;
use crate::handler::{before, exchange, failure, internal_extension, read_response};
use crate::handler_client::exchange::HandlerHttpResponse;
use crate::job_runner::enqueue::headers_of;
use crate::jobs::Jobs;
use crate::jobs::job::{Job, Outcome, TokenDigest, error_json};
use crate::jobs::retry::{Failure, pause};
use crate::jobs::store::STORE_PAUSE;
use crate::memory::MemoryOwner;
use crate::model::action::{Action, OperationKind};
use crate::model::error_kind::ErrorKind;
use crate::model::json::parse_strict;
use crate::model::json_value::JsonValue;
use crate::model::label::Label;
use crate::model::request::{Caller, GraphqlRequest};
use crate::model::response::Dialect;
use crate::protocol::trace::TraceContext;
use crate::request::context::RequestContext;
use crate::request::step_times::RunningTime;
use crate::runtime::panic_isolation;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;
use crate::session::Session;
use crate::telemetry::labels::{AttemptOutcome, CallOutcome};

/// Claims that may be lost with their worker before a call is given up as one that kills it.
const CRASHES_MAX: i32 = 5;

/// How long to leave a call whose action this replica does not know; another one may know it already.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(10);

/// How often that is done.
const UNKNOWN_MAX: i32 = 30;

/// The next state of a job.
enum Next {
    End(Outcome),
    /// After this time, and with the error of this attempt.
    Retry(Duration, String),
    /// Its handler reports later, with this token.
    LeftToHandler(TokenDigest),
}

/// Runs a job. A worker that loses the lease stops: another replica has it. The result is stored in any case, because
/// the store takes it with the last fencing token only.
pub(super) async fn run(services: &Arc<Services>, jobs: &Jobs, job: &Job, lost: &Notify) {
    let (id, attempt, fencing_token) = (job.id, job.attempts, job.fencing_token);
    if attempt > 1 {
        services.metrics.job_redeliveries.with_label_values(&[&job.action]).inc();
    }
    let next = tokio::select! {
        biased;
        next = next(services, job) => next,
        () = lost.notified() => {
            tracing::warn!(action_id = %id, attempt, "job lease lost: taken over by another replica");
            return;
        }
    };
    services.running_jobs.call_ended(id);
    let label = match &next {
        Next::End(Outcome::Completed(_)) => AttemptOutcome::Completed,
        Next::End(Outcome::Failed(_)) => AttemptOutcome::Error,
        Next::Retry(..) => AttemptOutcome::Retry,
        Next::LeftToHandler(_) => AttemptOutcome::Deferred,
    };
    // The result is worth more than a database that is unavailable for a while; the lease limits how long.
    loop {
        let done = match &next {
            Next::End(outcome) => jobs.log.finish(id, fencing_token, outcome).await,
            Next::Retry(after, errors) => jobs.log.retry(id, fencing_token, *after, errors).await,
            Next::LeftToHandler(digest) => {
                jobs.log
                    .leave_to_handler(id, fencing_token, digest, services.configured().settings.jobs.completion_timeout)
                    .await
            }
        };
        match done {
            Ok(is_ours) => {
                jobs.waiting.tell_ended(id);
                let label = if is_ours { label } else { AttemptOutcome::Stale }.label();
                services.metrics.job_attempts.with_label_values(&[job.action.as_str(), label]).inc();
                tracing::info!(action_id = %id, action = job.action, attempt, outcome = label, "job attempt ended");
                return;
            }
            Err(error) => {
                tracing::warn!(action_id = %id, %error, "job result not persisted, retrying");
                tokio::time::sleep(STORE_PAUSE).await;
            }
        }
    }
}

async fn next(services: &Arc<Services>, job: &Job) -> Next {
    panic_isolation::failpoint("job");
    let snapshot = services.snapshot.load_full();
    let action = snapshot.catalog.schema.actions.values().find(|action| action.is_async && action.name == job.action);
    let Some(action) = action else {
        if job.failures < UNKNOWN_MAX {
            let errors = error_json("action-not-found", "no replica has run it that knows the action", None);
            return Next::Retry(UNKNOWN_PAUSE, errors);
        }
        return Next::End(failed("action-not-found", "the action does not exist any more", None));
    };
    if job.lost_leases > CRASHES_MAX {
        let message = format!("given up after {} attempts of which none came to an end", job.lost_leases);
        return Next::End(failed(UNEXPECTED, &message, None));
    }
    let Some(stored) = Stored::of(job) else {
        return Next::End(failed(UNEXPECTED, "what is stored of the call cannot be read", None));
    };
    let token = Token::new();
    let trace = TraceContext::read(&HeaderMap::new(), job.id.as_u128());
    let caller = Caller { headers: headers_of(job), for_handlers: None, address: None, request_id: stored.request_id };
    let context = RequestContext {
        query: stored.url_query,
        upstream_path: Some(stored.upstream_path),
        share: Some(Arc::new(services.memory.empty(MemoryOwner::default()))),
        handler_headers: token.headers(job.id),
        ..RequestContext::detached(Arc::new(caller), trace, Instant::now() + action.timeout)
    };
    let request = GraphqlRequest::of_document(stored.request_query);
    let plan = Plan::empty(OperationKind::Mutation);
    let running = ExecutionContext {
        services,
        snapshot: &snapshot,
        context: &context,
        session: &stored.session,
        request: &request,
        plan: &plan,
        merged: None,
        extensions: None,
        operation_name: None,
        upstream_time: RunningTime::default(),
        handler_time: RunningTime::default(),
    };
    let mut allowed = AuthorizedCall::stored(action, stored.input);
    let began = Instant::now();
    if allowed.needs_clearance() {
        allowed = before::clear(&running, &allowed, Moment::Job).await;
    }
    let response = exchange::call(&running, &allowed, &job.id.to_string()).await;
    let status = response.as_ref().map(|response| response.status.as_u16()).ok();
    let attempts = u32::try_from(job.attempts).unwrap_or_default();
    let facts = ExchangeFacts { status, attempts, duration: began.elapsed() };
    classify(&running, &allowed, job, response, (&token, facts))
}

/// What a handler's response means for a job.
fn classify(
    running: &ExecutionContext<'_>,
    allowed: &AuthorizedCall,
    job: &Job,
    response: Result<HandlerHttpResponse, HandlerResponseError>,
    (token, facts): (&Token, ExchangeFacts),
) -> Next {
    let (response, value) = match response {
        Ok(response) if response.status.as_u16() == 202 && response.body.iter().all(u8::is_ascii_whitespace) => {
            read_response::count(running, allowed, CallOutcome::Deferred.label());
            return Next::LeftToHandler(token.digest());
        }
        Ok(response) => {
            let value = read_response::read(running, allowed, &response);
            (Some(response), value)
        }
        Err(error) => (None, Err(error)),
    };
    let internal = |error: &ShownError| internal_extension::internal(running, allowed, response.as_ref(), error, true);
    // A job ends with a value or with errors; a value with errors beside it is not the whole of it.
    let value = value.and_then(|(HandlerResponse { value, errors }, _charge)| match errors.is_empty() {
        true => Ok(value),
        false => Err(HandlerResponseError::RejectedWithList(errors)),
    });
    match value {
        Ok(value) => match fit(running.snapshot, allowed.action(), &value) {
            Ok(json) => {
                read_response::count(running, allowed, CallOutcome::Success.label());
                Next::End(Outcome::Completed(json))
            }
            Err(error) => {
                let selected = SubSelection::all();
                fail(running, allowed, &CallFailure::of_shape(&error, &selected), facts);
                Next::End(failed(UNEXPECTED, &error.message, internal(&ShownError::of_shape(&error, &selected))))
            }
        },
        Err(error) => {
            match &error {
                HandlerResponseError::Before(before) => before::record(running, allowed, before),
                error => fail(running, allowed, &CallFailure::of_response(error), facts),
            }
            if let Some(pause) = initial_backoff(running, allowed.action(), job, response.as_ref(), &error) {
                let shown = json!({ "reason": ShownError::of(&error).reason() });
                let message = error.message(running.snapshot.catalog.dialect);
                return Next::Retry(pause, error_json(UNEXPECTED, &message, Some(shown)));
            }
            let internal = internal(&ShownError::of(&error));
            Next::End(of_response(running.snapshot.catalog.dialect, &error, internal))
        }
    }
}

/// Counts and logs a failed attempt.
fn fail(running: &ExecutionContext<'_>, allowed: &AuthorizedCall, found: &CallFailure, facts: ExchangeFacts) {
    read_response::count(running, allowed, found.kind.label());
    failure::log(running, allowed, found, facts);
}

/// The declared fields of a value, if it fits its type.
///
/// # Errors
/// The first thing that does not fit.
pub(crate) fn fit(snapshot: &Snapshot, action: &Action, value: &JsonValue) -> Result<String, CompletionError> {
    let rules = completion_rules(snapshot);
    let mut no_keys = RowKeys::default();
    let mut shaped = complete_value(&rules, &action.output, value.node(), &SubSelection::all(), &mut no_keys);
    match shaped.errors.is_empty() {
        true => Ok(shaped.json),
        false => Err(shaped.errors.swap_remove(0)),
    }
}

fn of_response(dialect: Dialect, error: &HandlerResponseError, internal: Option<Value>) -> Outcome {
    match error {
        HandlerResponseError::Rejected { message, extensions } => failed(extensions.code(), message, None),
        HandlerResponseError::RejectedWithList(errors) => Outcome::Failed(error_list_json(dialect, errors)),
        HandlerResponseError::Before(error) => failed(error.code(), &error.to_string(), None),
        other => failed(UNEXPECTED, &other.message(dialect), internal),
    }
}

/// The first error as Hasura has it, and all of them beside it.
pub(crate) fn error_list_json(dialect: Dialect, errors: &[HandlerError]) -> String {
    let first = errors.first();
    let code = first.map_or(UNEXPECTED, |error| error.extensions.code());
    let mut json = serde_json::Map::from_iter([
        ("code".to_owned(), Value::from(code)),
        ("path".to_owned(), "$".into()),
        ("error".to_owned(), first.map_or(UNEXPECTED, |error| error.message.as_str()).into()),
    ]);
    let list = errors.iter().map(|error| {
        let extensions = error.extensions.shown(dialect);
        json!({ "message": error.message, "path": error.path, "extensions": extensions })
    });
    json.insert("errors".into(), list.collect());
    Value::Object(json).to_string()
}

fn failed(code: &str, message: &str, internal: Option<Value>) -> Outcome {
    Outcome::Failed(error_json(code, message, internal))
}

/// When to try again, if at all.
fn initial_backoff(
    running: &ExecutionContext<'_>,
    action: &Action,
    job: &Job,
    response: Option<&HandlerHttpResponse>,
    error: &HandlerResponseError,
) -> Option<Duration> {
    let status = response.map(|response| response.status.as_u16());
    let failure = match (error, status) {
        (HandlerResponseError::NoResponse(TransportError::Timeout), _) => Failure::Timeout,
        (
            HandlerResponseError::NoResponse(
                TransportError::Connect(_) | TransportError::Broken(_) | TransportError::Busy | TransportError::NoRoom,
            ),
            _,
        ) => Failure::Connection,
        (HandlerResponseError::Before(error), _) => match error.kind() {
            ErrorKind::Timeout => Failure::Timeout,
            // Another attempt would get the same response.
            ErrorKind::BeforeFailed | ErrorKind::PermissionDenied | ErrorKind::Internal => return None,
            _ => Failure::Connection,
        },
        (_, Some(429)) => Failure::TooManyRequests,
        (_, Some(500..=599)) => Failure::ServerError,
        _ => return None,
    };
    let settings = &running.snapshot.configured.settings.jobs;
    let name = Failure::ALL.iter().find(|(_, known)| *known == failure).map(|(name, _)| *name)?;
    let failures = usize::try_from(job.failures).unwrap_or_default();
    if !settings.retry_on.iter().any(|known| known == name) || failures + 1 >= action.attempts_max {
        return None;
    }
    let asked_for = response.and_then(|response| response.headers.get(RETRY_AFTER)).and_then(retry_after);
    let chance = f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
    Some(pause(settings.initial_backoff, u32::try_from(failures).unwrap_or(u32::MAX), chance, asked_for))
}

/// Seconds, or a date: <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>.
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(text).ok()?.duration_since(std::time::SystemTime::now()).ok()
}

/// The stored part of a call.
struct Stored {
    input: Map<String, Value>,
    request_query: String,
    request_id: String,
    url_query: String,
    /// Where the upstream is asked before the call.
    upstream_path: String,
    session: Session,
}

impl Stored {
    fn of(job: &Job) -> Option<Self> {
        let Ok(Value::Object(mut payload)) = parse_strict(job.payload.as_bytes()) else { return None };
        let mut text = |key: &str| match payload.remove(key) {
            Some(Value::String(text)) => text,
            _ => String::new(),
        };
        let (request_query, request_id, url_query) = (text("request_query"), text("request_id"), text("query"));
        let upstream_path = text("upstream_path");
        let Some(Value::Object(input)) = payload.remove("input") else { return None };
        let session = serde_json::from_str::<Map<String, Value>>(&job.session).ok()?;
        let session = Session::stored(session)?;
        Some(Self { input, request_query, request_id, url_query, upstream_path, session })
    }
}

/// With which a handler reports later.
struct Token(String);

/// The header in which a handler gets its token, and gives it back.
pub(crate) const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-pillion-completion-token");

/// The same for each attempt, so that handlers can recognize a call that they have seen before.
/// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

impl Token {
    fn new() -> Self {
        Self(format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()))
    }

    fn digest(&self) -> TokenDigest {
        digest_of(&self.0)
    }

    fn headers(&self, id: Uuid) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, text) in [(IDEMPOTENCY_KEY, id.to_string()), (TOKEN_HEADER, self.0.clone())] {
            if let Ok(mut value) = HeaderValue::try_from(text) {
                value.set_sensitive(name == TOKEN_HEADER);
                headers.insert(name, value);
            }
        }
        headers
    }
}

/// The stored digest of a token.
#[must_use]
pub(crate) fn digest_of(token: &str) -> TokenDigest {
    let digest = digest(&SHA256, token.as_bytes());
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}
