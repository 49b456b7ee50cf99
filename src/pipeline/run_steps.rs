//! Runs the steps of a plan: those of a query in parallel, those of a mutation in order.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};

use crate::execution::authorize::AuthorizedCall;
use crate::execution::authorize_plan::{AuthorizedCalls, StepInputs};
use crate::execution::context::ExecutionContext;
use crate::fetch::upstream_operation;
use crate::graphql::action_mode::ActionMode;
use crate::graphql::plan::{Plan, PlanStep};
use crate::handler::grouped_calls::CallGroup;
use crate::handler::result::HandlerResult;
use crate::handler::{before, call, grouped_calls};
use crate::job_runner::enqueue;
use crate::memory;
use crate::model::action::OperationKind;
use crate::model::error_kind::{ErrorKind, Reason};
use crate::model::response::Dialect;
use crate::pipeline::extended_part::fetch_extended;
use crate::pipeline::introspection;
use crate::pipeline::step_result::{Outcome, PartResult, StepOutcome};
use crate::upstream::UpstreamError;

/// Carries out the plan.
pub(crate) async fn run(execution: &ExecutionContext<'_>, allowed: &AuthorizedCalls) -> Outcome {
    if execution.plan.kind == OperationKind::Mutation {
        return run_in_order(execution, allowed).await;
    }
    if allowed.calls.iter().any(AuthorizedCall::needs_clearance) {
        // Boxed: rare, and otherwise every request carries the size of this future.
        return memory::boxed(|| run_after_before(execution, allowed)).await;
    }
    let groups = grouped_calls::groups(&execution.plan.calls);
    if !groups.is_empty() {
        // Boxed: rare, and otherwise every request carries the size of this future.
        return memory::boxed(|| run_with_groups(execution, allowed, &groups)).await;
    }
    match execution.plan.steps.as_slice() {
        // Most documents have one or two steps; these futures are large, and here they stay where they are.
        [only] => vec![(*only, run_step(execution, allowed.steps(), *only).await)],
        [one, other] => {
            let allowed = allowed.steps();
            let first = pin!(run_step(execution, allowed, *one));
            let second = pin!(run_step(execution, allowed, *other));
            let (first, second) = join(first, second).await;
            vec![(*one, first), (*other, second)]
        }
        steps => {
            let outcomes = join_all(steps.iter().map(|step| run_step(execution, allowed.steps(), *step))).await;
            steps.iter().copied().zip(outcomes).collect()
        }
    }
}

/// Asks the upstream once before all calls that need it; all other steps run meanwhile.
async fn run_after_before(execution: &ExecutionContext<'_>, allowed: &AuthorizedCalls) -> Outcome {
    let plan = execution.plan;
    let waits = |index: usize| {
        let is_called = plan.calls.get(index).is_some_and(|call| call.kind == ActionMode::Now);
        is_called && allowed.calls.get(index).is_some_and(AuthorizedCall::needs_clearance)
    };
    let is_waiting = |step: &PlanStep| matches!(step, PlanStep::Action(index) if waits(*index));
    // A group has calls of one action, so that all of it waits or nothing.
    let (waiting, ready): (Vec<CallGroup>, Vec<CallGroup>) =
        grouped_calls::groups(&plan.calls).into_iter().partition(|group| group.calls().any(waits));
    let (later, now): (Vec<PlanStep>, Vec<PlanStep>) = plan.steps.iter().copied().partition(is_waiting);
    let places: Vec<usize> = (0..plan.calls.len()).filter(|index| waits(*index)).collect();
    let at_once = run_side_by_side(execution, allowed.steps(), &now, &ready);
    let afterwards = async {
        let calls = before::clear_all(execution, &allowed.calls, &places).await;
        let allowed = StepInputs { calls: &calls, ..allowed.steps() };
        run_side_by_side(execution, allowed, &later, &waiting).await
    };
    let (at_once, afterwards) = join(at_once, afterwards).await;
    in_order(plan, at_once.into_iter().chain(afterwards).collect())
}

/// In the order of the plan: Hasura's dialect reports the first failure of it.
fn in_order(plan: &Plan, mut outcome: Outcome) -> Outcome {
    outcome.sort_by_key(|(step, _)| plan.steps.iter().position(|other| other == step));
    outcome
}

/// Calls of a group share requests; all other steps run beside them.
async fn run_with_groups(execution: &ExecutionContext<'_>, allowed: &AuthorizedCalls, groups: &[CallGroup]) -> Outcome {
    let outcome = run_side_by_side(execution, allowed.steps(), &execution.plan.steps, groups).await;
    in_order(execution.plan, outcome)
}

async fn run_side_by_side(
    execution: &ExecutionContext<'_>,
    allowed: StepInputs<'_>,
    steps: &[PlanStep],
    groups: &[CallGroup],
) -> Outcome {
    let is_grouped =
        |step: &PlanStep| matches!(step, PlanStep::Action(index) if groups.iter().any(|group| group.has(*index)));
    let single = steps.iter().copied().filter(|step| !is_grouped(step));
    let single = join_all(single.map(|step| async move { (step, run_step(execution, allowed, step).await) }));
    let began = Instant::now();
    let grouped = join_all(groups.iter().map(|group| grouped_calls::run(execution, allowed.calls, group)));
    let grouped = async {
        let results = grouped.await;
        if !groups.is_empty() {
            execution.handler_time.note(began.elapsed(), true);
        }
        results
    };
    let (single, grouped) = join(single, grouped).await;
    let grouped = grouped.into_iter().flatten();
    let grouped = grouped.map(|(index, result)| (PlanStep::Action(index), StepOutcome::Call(result)));
    single.into_iter().chain(grouped).collect()
}

async fn run_in_order(execution: &ExecutionContext<'_>, allowed: &AuthorizedCalls) -> Outcome {
    let mut outcome = Vec::with_capacity(execution.plan.steps.len());
    for step in &execution.plan.steps {
        let result = run_step(execution, allowed.steps(), *step).await;
        let is_last = stops(execution, *step, &result);
        outcome.push((*step, result));
        if is_last {
            break;
        }
    }
    outcome
}

async fn run_step(execution: &ExecutionContext<'_>, allowed: StepInputs<'_>, step: PlanStep) -> StepOutcome {
    let began = Instant::now();
    let outcome = match step {
        PlanStep::Upstream(index) => StepOutcome::Part(match execution.plan.parts.get(index) {
            // Boxed: rare, and otherwise every step carries the size of this future.
            Some(part) if !part.edits.is_empty() => memory::boxed(|| fetch_extended(execution, part)).await,
            Some(part) => PartResult::plain(upstream_operation::fetch(execution, part).await),
            None => {
                let error = UpstreamError::Broken(Reason::new(ErrorKind::Internal, "a step has no operation"));
                PartResult::plain(Err(error))
            }
        }),
        PlanStep::Action(index) => {
            let kind = execution.plan.calls.get(index).map(|call| call.kind);
            StepOutcome::Call(match (allowed.calls.get(index), kind) {
                (Some(call), Some(ActionMode::Now)) => call::run(execution, call).await,
                // In boxes of their own: every step carries the room for what its future may become.
                (Some(call), Some(ActionMode::Later)) => memory::boxed(|| enqueue::enqueue(execution, call)).await,
                (Some(call), Some(ActionMode::Result)) => memory::boxed(|| enqueue::result(execution, call)).await,
                _ => HandlerResult::not_made(),
            })
        }
        PlanStep::Introspection(index) => StepOutcome::Introspection(match allowed.introspections.get(index) {
            // Boxed: rare, and otherwise every step carries the size of this future.
            Some(introspection) => memory::boxed(|| introspection::run(execution, introspection)).await,
            None => Ok("null".into()),
        }),
    };
    let is_parallel = execution.plan.kind != OperationKind::Mutation;
    match step {
        PlanStep::Upstream(_) => {
            let fields_time = match &outcome {
                StepOutcome::Part(part) => part.fields_time,
                StepOutcome::Call(_) | StepOutcome::Introspection(_) => Duration::ZERO,
            };
            execution.upstream_time.note(began.elapsed().saturating_sub(fields_time), is_parallel);
            if !fields_time.is_zero() {
                execution.handler_time.note(fields_time, is_parallel);
            }
        }
        PlanStep::Action(_) => execution.handler_time.note(began.elapsed(), is_parallel),
        PlanStep::Introspection(_) => {}
    }
    outcome
}

/// After this, does nothing further of a mutation run? In Hasura's dialect any failure ends it; in the standard one
/// only a null that takes all of the data with it.
fn stops(execution: &ExecutionContext<'_>, step: PlanStep, outcome: &StepOutcome) -> bool {
    match (execution.snapshot.catalog.dialect, outcome) {
        (Dialect::Hasura, StepOutcome::Call(call)) => !call.errors.is_empty(),
        (Dialect::Standard, StepOutcome::Call(call)) => call.null_escapes,
        (Dialect::Hasura, StepOutcome::Part(part)) => {
            let is_good = part.upstream_result().is_some_and(|response| response.errors.is_empty());
            !is_good || !part.field_errors.is_empty()
        }
        (Dialect::Standard, StepOutcome::Part(part)) => {
            let is_null = part.upstream_result().is_some_and(|response| response.data_is_null);
            is_null && !may_be_null(execution, step)
        }
        // A mutation has no introspection.
        (_, StepOutcome::Introspection(_)) => false,
    }
}

fn may_be_null(execution: &ExecutionContext<'_>, step: PlanStep) -> bool {
    let PlanStep::Upstream(index) = step else { return false };
    execution.plan.parts.get(index).is_some_and(|part| upstream_operation::may_be_null(execution, part))
}
