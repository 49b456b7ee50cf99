//! Redacted jobs for people: without the parts in which credentials may be.

use serde_json::{Value, json};

use crate::jobs::job::Job;

/// A call in one line.
#[must_use]
pub(crate) fn short(job: &Job) -> Value {
    json!({
        "id": job.id.to_string(),
        "action": job.action,
        "status": job.status.name(),
        "created_at": job.created_at,
        "attempts": job.attempts,
    })
}

/// All of it but the client's headers and what was taken from its URL, in which credentials may be.
#[must_use]
pub(crate) fn whole(job: &Job) -> Value {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let mut all = short(job);
    if let Value::Object(members) = &mut all {
        members.insert("failures".into(), job.failures.into());
        let mut payload = read(&job.payload);
        payload.as_object_mut().and_then(|payload| payload.shift_remove("query"));
        members.insert("payload".into(), payload);
        members.insert("session_variables".into(), read(&job.session));
        members.insert("response".into(), job.response.as_deref().map(read).into());
        members.insert("errors".into(), job.errors.as_deref().map(read).into());
    }
    all
}
