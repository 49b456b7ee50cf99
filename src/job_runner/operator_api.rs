//! `/jobs`: the job store of asynchronous actions over HTTP, as `pillion jobs` shows it on the command line.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::config::units::parse_duration;
use crate::jobs::Jobs;
use crate::jobs::job::{Filter, Requeued, Status, cancelled};
use crate::jobs::redact::{short, whole};
use crate::jobs::store::StoreError;
use crate::runtime::services::Services;

/// Jobs that are listed, or deleted, unless the request sets a limit.
const LIMIT: usize = 100;

/// A response: JSON.
pub(crate) type ApiResponse = (StatusCode, Value);

/// Handles a request for `path`, which starts with `/jobs`.
pub(crate) async fn handle(services: &Services, method: &Method, path: &str, query: &str) -> ApiResponse {
    let Ok(jobs) = services.jobs() else {
        return rejected(StatusCode::NOT_FOUND, "there are no asynchronous actions");
    };
    let deadline = services.configured().settings.jobs.deadline;
    let parts: Vec<&str> = path.trim_start_matches("/jobs").split('/').filter(|part| !part.is_empty()).collect();
    let done = match (method.as_str(), parts.as_slice()) {
        ("GET", []) => match read_query(query) {
            Ok((filter, limit)) => list(jobs, &filter, limit).await,
            Err(reason) => return rejected(StatusCode::BAD_REQUEST, &reason),
        },
        ("POST", ["purge"]) => match read_query(query) {
            Ok((filter, limit)) => jobs.log.purge(&filter, true, limit).await.map(|count| json!({ "deleted": count })),
            Err(reason) => return rejected(StatusCode::BAD_REQUEST, &reason),
        },
        ("GET" | "POST", [id, rest @ ..]) => {
            let Ok(id) = Uuid::parse_str(id) else {
                return rejected(StatusCode::BAD_REQUEST, "this is not the id of a call");
            };
            let changed = match (method.as_str(), rest) {
                ("GET", []) => jobs.log.find(id).await.map(|job| job.map(|job| whole(&job))),
                ("POST", ["retry"]) => match read_force(query) {
                    Ok(force) => return retry(jobs, id, deadline, force).await,
                    Err(reason) => return rejected(StatusCode::BAD_REQUEST, &reason),
                },
                ("POST", ["cancel"]) => jobs.log.cancel(id, &cancelled()).await.map(|done| done.then(|| json!({}))),
                _ => return rejected(StatusCode::NOT_FOUND, USAGE),
            };
            match changed {
                Ok(None) => {
                    return rejected(StatusCode::NOT_FOUND, "there is no such call, or it does not stand there");
                }
                Ok(Some(response)) => Ok(response),
                Err(error) => Err(error),
            }
        }
        _ => return rejected(StatusCode::NOT_FOUND, USAGE),
    };
    match done {
        Ok(response) => (StatusCode::OK, response),
        Err(error) => rejected(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

fn rejected(status: StatusCode, reason: &str) -> ApiResponse {
    (status, json!({ "error": reason }))
}

/// Lets a job run again; a completed one, whose result is deleted, only if this is forced.
async fn retry(jobs: &Jobs, id: Uuid, deadline: Duration, force: bool) -> ApiResponse {
    match jobs.log.requeue(id, deadline, force).await {
        Ok(Requeued::Done) => (StatusCode::OK, json!({})),
        Ok(Requeued::IsCompleted) => rejected(
            StatusCode::CONFLICT,
            "this job is completed: running it again calls its handler again and deletes its result; add ?force=true if \
             that is meant",
        ),
        Ok(Requeued::NotEnded) => rejected(StatusCode::NOT_FOUND, "no job of this id has ended"),
        Err(error) => rejected(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

/// `force=true`
fn read_force(query: &str) -> Result<bool, String> {
    let mut force = false;
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        force = match (name.as_ref(), value.as_ref()) {
            ("force", "" | "true") => true,
            ("force", "false") => false,
            _ => return Err("only force=true or force=false can stand here".into()),
        };
    }
    Ok(force)
}

const USAGE: &str = "here are GET /jobs, GET /jobs/ID, POST /jobs/ID/retry, POST /jobs/ID/cancel and POST /jobs/purge";

async fn list(jobs: &Jobs, filter: &Filter, limit: usize) -> Result<Value, StoreError> {
    let jobs = jobs.log.list(filter, limit).await?;
    Ok(jobs.iter().map(short).collect())
}

/// `action=…&status=…&older_than=5m&limit=10`
fn read_query(query: &str) -> Result<(Filter, usize), String> {
    let (mut filter, mut limit) = (Filter::default(), LIMIT);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let wrong = || format!("{name}: this cannot be understood");
        match name.as_ref() {
            "action" => filter.action = Some(value.into_owned()),
            "status" => filter.status = Some(Status::of(&value).ok_or_else(wrong)?),
            "older_than" => filter.older_than = Some(parse_duration(&value).ok_or_else(wrong)?),
            "limit" => limit = value.parse().map_err(|_| wrong())?,
            _ => return Err(format!("there is no filter {name}")),
        }
    }
    Ok((filter, limit))
}
