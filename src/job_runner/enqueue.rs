//! Enqueues jobs of asynchronous actions before their id is returned, and looks them up for authorized callers.

use std::str::FromStr;

use http::HeaderMap;
use http::header::HeaderName;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::action::before::Moment;
use crate::action::handler_error::HandlerResponseError;
use crate::action::header_precedence;
use crate::execution::authorize::AuthorizedCall;
use crate::execution::context::ExecutionContext;
use crate::graphql::selection::OUTPUT;
use crate::handler::extend_rows::complete_with_rows;
use crate::handler::result::HandlerResult;
use crate::handler::{before, policy};
use crate::jobs::job::{Job, NewJob, Status};
use crate::model::action::{ADMIN_ROLE, Action};
use crate::model::error_kind::ErrorKind;
use crate::model::json_value::JsonValue;
use crate::model::label::Label;
use crate::model::response::PathSegment;
use crate::protocol::header_json;
use crate::session::Session;
use crate::telemetry::labels::EnqueueOutcome;

/// Stores a call. Its id is the response.
pub(crate) async fn enqueue(execution: &ExecutionContext<'_>, allowed: &AuthorizedCall) -> HandlerResult {
    let action = allowed.action();
    if let Err(rejected) = policy::check_rate_limit(execution, allowed).await {
        return HandlerResult::failed(rejected.into(), None, true);
    }
    if action.before.is_some() {
        let asked = before::clear(execution, allowed, Moment::Accept).await;
        if let Err(error) = asked.clearance() {
            before::record(execution, &asked, &error);
            let labels = [action.name.as_str(), EnqueueOutcome::Rejected.label()];
            execution.services.metrics.jobs_enqueued.with_label_values(&labels).inc();
            return HandlerResult::failed(error.into(), None, true);
        }
    }
    let outcome = match store(execution, allowed).await {
        Ok(id) => HandlerResult::of_json(Value::from(id.to_string()).to_string()),
        Err(reason) => {
            tracing::error!(
                error.kind = ErrorKind::JobStore.label(),
                error.message = reason,
                action = action.name,
                "job not enqueued"
            );
            HandlerResult::failed(HandlerResponseError::NotStored, None, true)
        }
    };
    let label = if outcome.errors.is_empty() { EnqueueOutcome::Accepted } else { EnqueueOutcome::Rejected };
    execution.services.metrics.jobs_enqueued.with_label_values(&[action.name.as_str(), label.label()]).inc();
    outcome
}

async fn store(execution: &ExecutionContext<'_>, allowed: &AuthorizedCall) -> Result<Uuid, String> {
    let jobs = execution.services.jobs()?;
    let action = allowed.action();
    let caller = &execution.context.caller;
    // Made before anything is stored, so that the job can be found if the outcome is unknown.
    let id = Uuid::new_v4();
    let mut payload = json!({
        "input": allowed.input(),
        "request_query": execution.request.query,
        "request_id": caller.request_id,
        "query": forwarded_query(&execution.context.query, action),
    });
    if let (Some(payload), true) = (payload.as_object_mut(), action.before.is_some()) {
        payload.insert("upstream_path".to_owned(), execution.context.upstream_path().into());
    }
    let job = NewJob {
        id,
        action: action.name.clone(),
        payload: payload.to_string(),
        headers: headers_json(&header_precedence::storable_headers(&action.headers, caller.to_handlers())).to_string(),
        session: serde_json::to_string(execution.session).map_err(|error| error.to_string())?,
        lifetime: execution.snapshot.configured.settings.jobs.deadline,
    };
    let (length, max) = (job.payload.len(), execution.snapshot.catalog.limits.max_request_body_size);
    if length > max {
        return Err(format!("its input takes {length} bytes; at most {max} are stored"));
    }
    jobs.accept(job).await.map_err(|error| error.to_string())?;
    Ok(id)
}

/// The parameters of the client's URL that the handler will get.
fn forwarded_query(query: &str, action: &Action) -> String {
    let is_kept = |name: &str| action.forwarded_query_params.iter().any(|known| known == name);
    let kept = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| is_kept(name));
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish()
}

/// Each header with all its values.
fn headers_json(headers: &HeaderMap) -> Value {
    let mut json = Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter().map(header_json::to_json);
        json.insert(name.as_str().to_owned(), values.collect());
    }
    json.into()
}

/// The stored headers. What cannot be read any more is left out.
#[must_use]
pub(crate) fn headers_of(job: &Job) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let stored: Map<String, Value> = serde_json::from_str(&job.headers).unwrap_or_default();
    for (name, values) in &stored {
        let Ok(name) = HeaderName::from_str(name) else { continue };
        let values = values.as_array().into_iter().flatten().filter_map(header_json::from_json);
        headers.extend(values.map(|value| (name.clone(), value)));
    }
    headers
}

/// A job, for its own caller and for admins; null for everybody else.
pub(crate) async fn result(execution: &ExecutionContext<'_>, allowed: &AuthorizedCall) -> HandlerResult {
    let text = allowed.input().get("id").and_then(Value::as_str).unwrap_or_default();
    let Ok(id) = Uuid::parse_str(text) else {
        return HandlerResult::failed(HandlerResponseError::NotAnId(text.chars().take(100).collect()), None, false);
    };
    match find(execution, id).await {
        Err(reason) => {
            tracing::error!(error.kind = ErrorKind::JobStore.label(), error.message = reason, "job lookup failed");
            HandlerResult::failed(HandlerResponseError::NotLookedUp, None, false)
        }
        Ok(job) => match job.filter(|job| is_visible(job, allowed.action(), execution.session)) {
            Some(job) => render(execution, allowed, &job).await,
            None => HandlerResult::of_json("null".into()),
        },
    }
}

async fn find(execution: &ExecutionContext<'_>, id: Uuid) -> Result<Option<Job>, String> {
    let jobs = execution.services.jobs()?;
    // Before it is looked up, so that an end in between is not missed.
    let watched = execution.context.subscription.as_ref().map(|watched| (watched, jobs.waiting.wait_for(id)));
    let job = jobs.log.find(id).await.map_err(|error| error.to_string())?;
    if let (Some((watched, wait)), Some(Status::Created | Status::Processing)) =
        (watched, job.as_ref().map(|job| job.status))
    {
        watched.saw_call(wait);
    }
    Ok(job)
}

/// A call belongs to the role and the session variables that made it.
fn is_visible(job: &Job, action: &Action, session: &Session) -> bool {
    let own = serde_json::to_value(session).unwrap_or_default();
    let stored: Value = serde_json::from_str(&job.session).unwrap_or_default();
    job.action == action.name && (session.role() == ADMIN_ROLE || own == stored)
}

async fn render(execution: &ExecutionContext<'_>, allowed: &AuthorizedCall, job: &Job) -> HandlerResult {
    let mut outcome = HandlerResult::of_json(String::from("{"));
    for field in &allowed.selected().fields {
        let json = match field.name.as_str() {
            "__typename" => Value::from(allowed.action().result_type()).to_string(),
            "id" => Value::from(job.id.to_string()).to_string(),
            "created_at" => Value::from(job.created_at.as_str()).to_string(),
            "errors" => errors(job, execution.session),
            OUTPUT => {
                let value = job.response.as_deref().and_then(|text| JsonValue::parse(text.to_owned().into()).ok());
                let value = value.unwrap_or_default();
                // There is none until the call has ended, so that it is nullable whatever the action's type says.
                let ty = allowed.action().output.nullable();
                let mut shaped = complete_with_rows(execution, ty, value.node(), &field.selected).await;
                let place = PathSegment::Field(field.response_name.clone());
                shaped.errors.iter_mut().for_each(|error| error.path.insert(0, place.clone()));
                outcome.add_shape_errors(shaped.errors, execution.snapshot.catalog.limits.max_errors);
                shaped.json
            }
            _ => "null".into(),
        };
        let comma = if outcome.json.len() > 1 { "," } else { "" };
        outcome.json.push_str(&format!("{comma}\"{}\":{json}", field.response_name));
    }
    outcome.json.push('}');
    outcome
}

/// The exchange with the handler is for admins only. Until the job has ended, its errors are those of an attempt.
fn errors(job: &Job, session: &Session) -> String {
    let Some(text) = job.errors.as_ref().filter(|_| job.status == Status::Error) else { return "null".into() };
    let mut errors: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    if session.role() != ADMIN_ROLE {
        errors.shift_remove("internal");
    }
    Value::Object(errors).to_string()
}
