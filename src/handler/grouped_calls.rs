//! Root fields of one query that share handler calls: equal calls are made once, and different calls of an action that takes
//! batches are joined.

use std::sync::Arc;

use crate::action::handler_error::HandlerError;
use crate::execution::authorize::AuthorizedCall;
use crate::execution::context::ExecutionContext;
use crate::graphql::action_mode::ActionMode;
use crate::graphql::plan::PlannedCall;
use crate::handler::call_inputs::CallInputs;
use crate::handler::complete::{Exchanged, complete_joined};
use crate::handler::failure::CallFailure;
use crate::handler::field_values::FieldValues;
use crate::handler::joined_calls::JoinedCall;
use crate::handler::result::HandlerResult;
use crate::handler::{before, cached_values};
use crate::model::json_value::JsonValue;

/// Calls that share requests.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CallGroup {
    /// Those that are made, by their index in the plan.
    distinct: Vec<usize>,
    /// All of them by their index in the plan, with which of `distinct` each is equal to.
    members: Vec<(usize, usize)>,
}

impl CallGroup {
    /// Is this call of the plan one of them?
    #[must_use]
    pub(crate) fn has(&self, call: usize) -> bool {
        self.members.iter().any(|(member, _)| *member == call)
    }

    /// Its calls, by their index in the plan.
    pub(crate) fn calls(&self) -> impl Iterator<Item = usize> {
        self.members.iter().map(|(member, _)| *member)
    }

    fn add(&mut self, call: usize, same_as: Option<usize>) {
        let known = same_as.and_then(|same| self.distinct.iter().position(|distinct| *distinct == same));
        let item = known.unwrap_or(self.distinct.len());
        if known.is_none() {
            self.distinct.push(call);
        }
        self.members.push((call, item));
    }
}

/// The groups of a query's calls. Most documents have none, and find that out without looking at pairs of calls.
#[must_use]
pub(crate) fn groups(calls: &[PlannedCall]) -> Vec<CallGroup> {
    let may_share = |call: &PlannedCall| call.same_as.is_some() || call.action.batch_size.is_some();
    if calls.len() < 2 || !calls.iter().any(may_share) {
        return Vec::new();
    }
    let mut groups: Vec<(&PlannedCall, CallGroup)> = Vec::new();
    for (index, call) in calls.iter().enumerate().filter(|(_, call)| call.kind == ActionMode::Now) {
        let known = groups.iter_mut().find(|(first, group)| {
            Arc::ptr_eq(&first.action, &call.action)
                && (call.action.batch_size.is_some() || call.same_as.is_some_and(|same| group.has(same)))
        });
        match known {
            Some((_, group)) => group.add(index, call.same_as),
            None => {
                let mut group = CallGroup::default();
                group.add(index, None);
                groups.push((call, group));
            }
        }
    }
    groups.into_iter().map(|(_, group)| group).filter(|group| group.members.len() > 1).collect()
}

/// Makes the calls of a group. Gives the result of each member, by its index in the plan.
pub(crate) async fn run(
    execution: &ExecutionContext<'_>,
    allowed: &[AuthorizedCall],
    group: &CallGroup,
) -> Vec<(usize, HandlerResult)> {
    let calls: Vec<AuthorizedCall> = group.distinct.iter().filter_map(|index| allowed.get(*index)).cloned().collect();
    let mut found = FieldValues::new(calls.len());
    for call in &calls {
        if let Err(error) = call.clearance() {
            before::record(execution, call, &error);
        }
    }
    let mut sent: Vec<JoinedCall> = Vec::new();
    cached_values::fetch(execution, CallInputs::Calls(&calls), &mut found, &mut |call| sent.push(call)).await;
    let mut results = Vec::with_capacity(group.members.len());
    for (index, item) in &group.members {
        let Some(call) = allowed.get(*index) else { continue };
        let by = sent.iter_mut().find(|sent| sent.indexes.contains(item));
        let mut result = complete(execution, call, &found, *item, by.as_deref()).await;
        if let Some(by) = by
            && by.failed.is_none()
            && by.rejected == 0
        {
            // Counted as what the first of its values that does not fit makes of it, like a call that is made alone.
            by.failed = CallFailure::of(call, &result);
        }
        result.client_headers = std::mem::take(&mut found.client_headers);
        results.push((*index, result));
    }
    sent.iter().for_each(|sent| sent.record(execution));
    results
}

async fn complete(
    execution: &ExecutionContext<'_>,
    call: &AuthorizedCall,
    found: &FieldValues<'_>,
    item: usize,
    by: Option<&JoinedCall>,
) -> HandlerResult {
    let value: Option<&Result<JsonValue, usize>> = found.values.get(item);
    match value {
        Some(Ok(value)) => {
            let own = found.errors.iter().filter(|(index, _)| *index == item);
            let own: Vec<HandlerError> = own.map(|(_, error)| error.clone()).collect();
            let exchanged = by.map(|by| Exchanged { sent: &by.call, response: by.response.as_ref() });
            complete_joined(execution, call, exchanged, value, own).await
        }
        Some(Err(failure)) => match found.failures.get(*failure) {
            Some(failure) => HandlerResult {
                null_escapes: !call.action().output.is_nullable(),
                errors: failure.errors.clone(),
                ..HandlerResult::of_json("null".into())
            },
            None => HandlerResult::not_made(),
        },
        None => HandlerResult::not_made(),
    }
}
