//! The plan is carried out: a query's steps side by side, a mutation's one after the other.

use std::sync::Arc;

use futures_util::future::{join, join_all};

use crate::graphql::introspect::IntrospectionError;
use crate::graphql::merge::read_upstream_result;
use crate::graphql::plan::{ActionMode, Plan, PlanStep};
use crate::model::action::OperationKind;
use crate::model::request::GraphqlRequest;
use crate::model::response::Dialect;
use crate::pipeline::authorize::AuthorizedCalls;
use crate::pipeline::handler_call::{self, HandlerResult};
use crate::pipeline::schema_cache::MergedSchema;
use crate::pipeline::snapshot::Snapshot;
use crate::pipeline::{RequestContext, Services, introspection, job_enqueue, upstream_fetch};
use crate::session::Session;
use crate::upstream::{UpstreamError, UpstreamResponse};

/// What a running request has at hand.
pub struct ExecutionContext<'r> {
    /// What requests share.
    pub world: &'r Arc<Services>,
    /// The generation it began with.
    pub snapshot: &'r Arc<Snapshot>,
    /// How it came.
    pub envelope: &'r RequestContext<'r>,
    /// Who is asking.
    pub session: &'r Session,
    /// What is asked.
    pub request: &'r GraphqlRequest<'r>,
    /// What is to be done.
    pub plan: &'r Plan,
    /// The merged schema, if introspection is answered from it.
    pub merged: Option<&'r Arc<MergedSchema>>,
}

/// What came of a part of the upstream.
pub type FetchOutcome = Result<UpstreamResponse, UpstreamError>;

/// What came of one step.
#[derive(Debug)]
pub enum StepOutcome {
    /// A part of the upstream.
    Part(FetchOutcome),
    /// A webhook call.
    Call(HandlerResult),
    /// A field of introspection.
    Introspection(Result<String, IntrospectionError>),
}

/// What came of a plan: the steps that ran, in order.
pub type Outcome = Vec<(PlanStep, StepOutcome)>;

/// Bytes of what came of a plan: its response has as many.
#[must_use]
pub fn bytes_of(outcome: &Outcome) -> usize {
    let bytes = |step: &StepOutcome| match step {
        StepOutcome::Part(reply) => reply.as_ref().map_or(0, |reply| reply.body.len()),
        StepOutcome::Call(call) => call.json.len(),
        StepOutcome::Introspection(json) => json.as_ref().map_or(0, String::len),
    };
    outcome.iter().map(|(_, step)| bytes(step)).sum()
}

/// Carries out the plan.
pub async fn run(running: &ExecutionContext<'_>, allowed: &AuthorizedCalls) -> Outcome {
    if running.plan.kind == OperationKind::Mutation {
        return run_in_order(running, allowed).await;
    }
    match running.plan.steps.as_slice() {
        // Most documents have one or two steps; these futures are large, and here they stay where they are.
        [only] => vec![(*only, run_step(running, allowed, *only).await)],
        [one, other] => {
            let (first, second) = join(run_step(running, allowed, *one), run_step(running, allowed, *other)).await;
            vec![(*one, first), (*other, second)]
        }
        steps => {
            let outcomes = join_all(steps.iter().map(|step| run_step(running, allowed, *step))).await;
            steps.iter().copied().zip(outcomes).collect()
        }
    }
}

async fn run_in_order(running: &ExecutionContext<'_>, allowed: &AuthorizedCalls) -> Outcome {
    let mut outcome = Vec::with_capacity(running.plan.steps.len());
    for step in &running.plan.steps {
        let result = run_step(running, allowed, *step).await;
        let is_last = stops(running, *step, &result);
        outcome.push((*step, result));
        if is_last {
            break;
        }
    }
    outcome
}

async fn run_step(running: &ExecutionContext<'_>, allowed: &AuthorizedCalls, step: PlanStep) -> StepOutcome {
    match step {
        PlanStep::Engine(index) => StepOutcome::Part(match running.plan.parts.get(index) {
            Some(part) => upstream_fetch::ask(running, part).await,
            None => Err(UpstreamError::Broken),
        }),
        PlanStep::Action(index) => {
            let kind = running.plan.calls.get(index).map(|call| call.kind);
            StepOutcome::Call(match (allowed.calls.get(index), kind) {
                (Some(call), Some(ActionMode::Now)) => handler_call::run(running, call).await,
                // In boxes of their own: every step carries the room for what its future may become.
                (Some(call), Some(ActionMode::Later)) => Box::pin(job_enqueue::accept(running, call)).await,
                (Some(call), Some(ActionMode::Result)) => Box::pin(job_enqueue::result(running, call)).await,
                _ => HandlerResult::not_made(),
            })
        }
        PlanStep::Introspection(index) => StepOutcome::Introspection(match allowed.introspections.get(index) {
            // In a box of its own: it is rare, and every step carries the room for what its future may become.
            Some(introspection) => Box::pin(introspection::run(running, introspection)).await,
            None => Ok("null".into()),
        }),
    }
}

/// After this, does nothing further of a mutation run? In Hasura's dialect any failure ends it; in the standard one
/// only a null that takes all of the data with it.
fn stops(running: &ExecutionContext<'_>, step: PlanStep, outcome: &StepOutcome) -> bool {
    match (running.snapshot.dialect, outcome) {
        (Dialect::Hasura, StepOutcome::Call(call)) => !call.errors.is_empty(),
        (Dialect::Standard, StepOutcome::Call(call)) => call.null_escapes,
        (Dialect::Hasura, StepOutcome::Part(Ok(reply))) => {
            read_upstream_result(&reply.body).map_or(true, |answer| !answer.errors.is_empty())
        }
        (Dialect::Hasura, StepOutcome::Part(Err(_))) => true,
        (Dialect::Standard, StepOutcome::Part(Ok(reply))) => {
            read_upstream_result(&reply.body).is_ok_and(|answer| answer.data_is_null) && !may_be_null(running, step)
        }
        // A mutation has no introspection.
        (Dialect::Standard, StepOutcome::Part(Err(_))) | (_, StepOutcome::Introspection(_)) => false,
    }
}

fn may_be_null(running: &ExecutionContext<'_>, step: PlanStep) -> bool {
    let PlanStep::Engine(index) = step else { return false };
    running.plan.parts.get(index).is_some_and(|part| upstream_fetch::may_be_null(running, part))
}
