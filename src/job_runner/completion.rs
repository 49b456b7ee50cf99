//! The completion callback: a handler that responded with 202 reports the result of its job later.

use uuid::Uuid;

use crate::action::handler_error::{HandlerResponseError, UNEXPECTED};
use crate::action::handler_response;
use crate::handler::read_response::read_rules;
use crate::job_runner::run_job::{digest_of, error_list_json, fit};
use crate::jobs::job::{Job, Outcome, error_json};
use crate::jobs::store;
use crate::model::json::parse_strict;
use crate::model::json_value::JsonValue;
use crate::model::label::Label;
use crate::runtime::services::Services;
use crate::telemetry::labels::AttemptOutcome;

/// What a handler reports.
pub(crate) struct JobCompletion<'r> {
    /// Of which call.
    pub id: &'r str,
    /// The token that it was given.
    pub token: &'r str,
    /// Is it certain that this is an error?
    pub is_failure: bool,
    /// What it would have returned with 200, or with 4xx.
    pub body: &'r [u8],
}

/// Why a report does not count.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum JobCompletionError {
    /// There is no such job, or it does not wait for a completion, or not with this token.
    #[error("no call of this id waits for a report with this token")]
    NotAwaited,
    /// The report is malformed. The job goes on waiting.
    #[error("{0}")]
    Unfit(String),
    /// It is unknown whether it was stored.
    #[error("the report could not be stored; send it again")]
    NotStored,
}

impl JobCompletionError {
    /// The HTTP status.
    #[must_use]
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::NotAwaited => 404,
            Self::Unfit(_) => 400,
            Self::NotStored => 503,
        }
    }

    /// The code.
    #[must_use]
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotAwaited => "not-found",
            Self::Unfit(_) => "parse-failed",
            Self::NotStored => UNEXPECTED,
        }
    }
}

/// Ends a call with what its handler reports, once.
///
/// # Errors
/// [`JobCompletionError`].
pub(crate) async fn complete(services: &Services, report: &JobCompletion<'_>) -> Result<(), JobCompletionError> {
    let jobs = services.jobs().map_err(|_| JobCompletionError::NotAwaited)?;
    let id = Uuid::parse_str(report.id).map_err(|_| JobCompletionError::NotAwaited)?;
    let digest = digest_of(report.token);
    let not_stored = |error: store::StoreError| {
        tracing::warn!(action_id = %id, %error, "job completion not persisted");
        JobCompletionError::NotStored
    };
    let job = jobs.log.awaiting(id, &digest).await.map_err(not_stored)?.ok_or(JobCompletionError::NotAwaited)?;
    let outcome = outcome(services, &job, report)?;
    if !jobs.log.complete(id, &digest, &outcome).await.map_err(not_stored)? {
        return Err(JobCompletionError::NotAwaited);
    }
    jobs.waiting.tell_ended(id);
    let is_completed = matches!(outcome, Outcome::Completed(_));
    let label = if is_completed { AttemptOutcome::Completed } else { AttemptOutcome::Error }.label();
    services.metrics.job_attempts.with_label_values(&[job.action.as_str(), label]).inc();
    tracing::info!(action_id = %id, action = job.action, outcome = label, "job completed by its handler");
    Ok(())
}

fn outcome(services: &Services, job: &Job, report: &JobCompletion<'_>) -> Result<Outcome, JobCompletionError> {
    let snapshot = services.snapshot.load();
    let value =
        parse_strict(report.body).map_err(|error| JobCompletionError::Unfit(format!("this is not JSON: {error}")))?;
    let value = JsonValue::from(&value);
    let action = snapshot.catalog.schema.actions.values().find(|action| action.is_async && action.name == job.action);
    let Some(action) = action else {
        let gone = error_json("action-not-found", "the action does not exist any more", None);
        return Ok(Outcome::Failed(gone));
    };
    let misfit = match fit(&snapshot, action, &value) {
        Ok(json) if !report.is_failure => return Ok(Outcome::Completed(json)),
        Ok(_) => "an error needs a \"message\"".to_owned(),
        Err(error) => error.message,
    };
    // A body that is no value of the action's type may be its error, which has a message.
    match handler_response::classify(read_rules(&snapshot, action), 400, value) {
        Err(HandlerResponseError::Rejected { message, extensions }) => {
            Ok(Outcome::Failed(error_json(extensions.code(), &message, None)))
        }
        Err(HandlerResponseError::RejectedWithList(errors)) => {
            Ok(Outcome::Failed(error_list_json(snapshot.catalog.dialect, &errors)))
        }
        _ => Err(JobCompletionError::Unfit(misfit)),
    }
}
