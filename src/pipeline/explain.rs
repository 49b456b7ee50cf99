//! Explains a request: its plan and what would be sent, without sending it.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::action::handler_error::HandlerResponseError;
use crate::action::relationship;
use crate::action::transform::TransformedRequest;
use crate::execution::authorize;
use crate::execution::context::ExecutionContext;
use crate::fetch::upstream_operation;
use crate::graphql::action_mode::ActionMode;
use crate::graphql::plan::{PlanStep, UpstreamOperation};
use crate::handler::request;
use crate::model::action::{Action, OperationKind};
use crate::model::request::GraphqlRequest;
use crate::request::context::RequestContext;
use crate::request::rejection::Rejection;
use crate::runtime::plan_cache::PreparedDocument;
use crate::runtime::schema_cache::MergedSchema;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;
use crate::session::Session;

/// A request that would be carried out.
pub(crate) struct Explained {
    /// Does anything of it concern us? If not, the upstream gets it byte by byte.
    pub concerns_us: bool,
    /// The operation's kind.
    pub kind: OperationKind,
    /// What would be done: for a mutation one after the other, otherwise side by side.
    pub steps: Vec<ExplainedStep>,
}

/// One piece of work.
pub(crate) enum ExplainedStep {
    /// The upstream is queried.
    Upstream {
        /// Its root fields by response name.
        fields: Vec<String>,
        /// The sub-document, exactly as it would be sent.
        document: String,
        /// The whole body of the request to the upstream.
        body: String,
    },
    /// A webhook is called.
    Action {
        /// The key of its response.
        response_name: String,
        /// Whom.
        action: Arc<Action>,
        /// At once, later, or not at all.
        kind: ActionMode,
        /// Its arguments, coerced.
        input: Map<String, Value>,
        /// The headers it would get, without trace headers; sensitive values are marked as such.
        request: Result<Box<TransformedRequest>, HandlerResponseError>,
        /// The query for each object of the response, with names of fields for their values.
        rows: Vec<String>,
    },
    /// Introspection is served from the merged schema.
    Introspection {
        /// The key of its response.
        response_name: String,
    },
}

/// Works out what would happen. `merged` is the merged schema, if the upstream's is known.
///
/// # Errors
/// Why the request would be rejected.
pub(crate) fn explain(
    services: &Arc<Services>,
    snapshot: &Arc<Snapshot>,
    context: &RequestContext,
    session: &Session,
    request: &GraphqlRequest<'_>,
    merged: Option<&Arc<MergedSchema>>,
) -> Result<Explained, Rejection> {
    let prepared = PreparedDocument::new(&snapshot.catalog, &request.query)?;
    let operation = prepared.operation(request.operation_name.as_deref())?;
    let kind = operation.kind();
    if !prepared.concern.any() {
        return Ok(Explained { concerns_us: false, kind, steps: Vec::new() });
    }
    let cached =
        prepared.plan(&snapshot.catalog, operation, &request.variables, snapshot.catalog.merges_introspection)?;
    cached.validate(&snapshot.catalog, session.role())?;
    if let Some(merged) = merged {
        cached.validate_whole(&snapshot.catalog, &prepared.document, merged)?;
        cached.check_variables(&snapshot.catalog, &prepared.document, merged, &request.variables)?;
    }
    let allowed = authorize::authorize(snapshot, session, &prepared, &cached, &request.variables)?;
    let plan = &cached.plan;
    let execution = ExecutionContext { services, snapshot, context, session, request, plan, merged };
    let step = |step: &PlanStep| match step {
        PlanStep::Upstream(index) => plan.parts.get(*index).map(|part| upstream_step(&execution, part)),
        PlanStep::Action(index) => {
            let (planned, call) = (plan.calls.get(*index)?, allowed.calls.get(*index)?);
            Some(action_step(&execution, &planned.response_name, planned.kind, call))
        }
        PlanStep::Introspection(index) => {
            let response_name = plan.introspections.get(*index)?.response_name.clone();
            Some(ExplainedStep::Introspection { response_name })
        }
    };
    Ok(Explained { concerns_us: true, kind, steps: plan.steps.iter().filter_map(step).collect() })
}

fn upstream_step(execution: &ExecutionContext<'_>, part: &UpstreamOperation) -> ExplainedStep {
    ExplainedStep::Upstream {
        fields: part.fields.iter().map(|field| field.response_name.clone()).collect(),
        // It was made from a string, so it is one.
        document: serde_json::from_str(&part.query_json).unwrap_or_default(),
        body: upstream_operation::request_json(execution, part),
    }
}

fn action_step(
    execution: &ExecutionContext<'_>,
    response_name: &str,
    kind: ActionMode,
    call: &authorize::AuthorizedCall,
) -> ExplainedStep {
    ExplainedStep::Action {
        response_name: response_name.to_owned(),
        action: Arc::clone(call.action()),
        kind,
        input: call.input().clone(),
        request: request::outgoing(execution, call).map(Box::new),
        rows: call.selected().related().into_iter().map(relationship::sample).collect(),
    }
}
