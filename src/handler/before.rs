//! Asks the upstream before handler calls are made (`before`), and decides which of them may be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::action::before::{BeforeError, Moment, check, is_needed, requirements, sent_data, variable_values};
use crate::execution::authorize::{AuthorizedCall, Clearance, Cleared};
use crate::execution::context::ExecutionContext;
use crate::fetch::before::{CallQuery, QueryResult, ask};
use crate::handler::failure;
use crate::handler::failure::{CallFailure, ExchangeFacts};
use crate::model::action::{Action, OperationKind};
use crate::model::before::Before;
use crate::model::error_kind::{ErrorKind, Reason};
use crate::model::json_value::JsonValue;
use crate::model::label::Label;
use crate::request::step_times::RunningTime;
use crate::telemetry::labels::BeforeOutcome;

/// The call, after the upstream was asked.
pub(crate) async fn clear(execution: &ExecutionContext<'_>, call: &AuthorizedCall, moment: Moment) -> AuthorizedCall {
    let clearance = clearances(execution, std::slice::from_ref(call), moment).await.pop();
    call.cleared(clearance.unwrap_or(Err(BeforeError::NotAsked)))
}

/// The calls at these places, after the upstream was asked once for all of them; the others as they are.
pub(crate) async fn clear_all(
    execution: &ExecutionContext<'_>,
    calls: &[AuthorizedCall],
    places: &[usize],
) -> Vec<AuthorizedCall> {
    let waiting: Vec<AuthorizedCall> = places.iter().filter_map(|place| calls.get(*place)).cloned().collect();
    let found = clearances(execution, &waiting, Moment::Call).await;
    let mut all = calls.to_vec();
    for (place, clearance) in places.iter().zip(found) {
        if let Some(call) = all.get_mut(*place) {
            *call = call.cleared(clearance);
        }
    }
    all
}

/// What the upstream says to each of the calls.
pub(crate) async fn clearances(
    execution: &ExecutionContext<'_>,
    calls: &[AuthorizedCall],
    moment: Moment,
) -> Vec<Clearance> {
    let (role, began) = (execution.session.role(), Instant::now());
    let max = execution.snapshot.catalog.limits.max_template_output_size;
    let (mut clearances, mut queries): (Vec<Clearance>, Vec<CallQuery<'_>>) = (Vec::new(), Vec::new());
    let mut asked = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let action = call.action();
        let before = action.before.as_deref().filter(|before| is_needed(before, moment, role));
        let values = before.map(|before| (before, variable_values(before, call.input(), execution.session, max)));
        clearances.push(match values {
            None => Ok(Cleared::default()),
            Some((_, Err(error))) => Err(error),
            Some((before, Ok(variables))) => {
                asked.push(index);
                queries.push(CallQuery { action, before, variables, moment });
                Err(BeforeError::NotAsked)
            }
        });
    }
    if !queries.is_empty() {
        let timeout = queries.iter().map(|query| query.action.timeout).max().unwrap_or_default();
        let results = ask(execution, &queries, timeout).await;
        let spent = began.elapsed();
        note_time(&execution.upstream_time, spent, execution.plan.kind);
        for ((index, query), result) in asked.into_iter().zip(&queries).zip(results) {
            if let Some(clearance) = clearances.get_mut(index) {
                *clearance = decide(query, result, role, spent);
            }
        }
    }
    calls.iter().zip(&clearances).for_each(|(call, clearance)| count(execution, call.action(), clearance, moment));
    clearances
}

fn note_time(time: &RunningTime, spent: Duration, kind: OperationKind) {
    time.note(spent, kind != OperationKind::Mutation);
}

fn decide(query: &CallQuery<'_>, result: QueryResult, role: &str, spent: Duration) -> Clearance {
    let CallQuery { action, before, moment, .. } = query;
    let fields = result?;
    check(requirements(before, *moment, role), &fields)?;
    if spent >= action.timeout {
        let message = "the upstream did not respond in time".to_owned();
        let reason = Reason::new(ErrorKind::Timeout, "the query before the call took all of the action's timeout");
        return Err(BeforeError::NoResponse { code: "upstream-timeout", message, reason, is_logged: false });
    }
    if *moment == Moment::Accept {
        return Ok(Cleared { spent, ..Cleared::default() });
    }
    Ok(Cleared { data: sent_data(before, &fields).map(Arc::new), response: response(before, fields), spent })
}

/// The value of an action without a handler.
fn response(before: &Before, mut fields: Map<String, Value>) -> Option<JsonValue> {
    let name = before.respond.as_deref()?;
    Some(JsonValue::from(&fields.swap_remove(name).unwrap_or_default()))
}

fn count(execution: &ExecutionContext<'_>, action: &Action, clearance: &Clearance, moment: Moment) {
    let role = execution.session.role();
    if !action.before.as_deref().is_some_and(|before| is_needed(before, moment, role)) {
        return;
    }
    let outcome = match clearance {
        Ok(_) => BeforeOutcome::Passed,
        Err(error) if error.is_denied() => BeforeOutcome::Denied,
        Err(_) => BeforeOutcome::Failed,
    };
    execution.services.metrics.before_calls.with_label_values(&[action.name.as_str(), outcome.label()]).inc();
}

/// Logs a call that may not be made.
pub(crate) fn record(execution: &ExecutionContext<'_>, call: &AuthorizedCall, error: &BeforeError) {
    let failed = CallFailure::of_response(&error.clone().into());
    let facts = ExchangeFacts { status: None, attempts: 0, duration: Duration::ZERO };
    failure::log(execution, call, &failed, facts);
}
