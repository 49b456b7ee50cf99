//! Explains a request: its plan and what would be sent, without sending it.

use std::sync::Arc;

use apollo_compiler::Node;
use apollo_compiler::ast::Field;
use serde_json::{Map, Value};

use crate::action::before::{BeforeError, variable_values};
use crate::action::handler_error::HandlerResponseError;
use crate::action::relationship;
use crate::action::transform::TransformedRequest;
use crate::execution::context::ExecutionContext;
use crate::execution::{authorize, authorize_plan};
use crate::fetch::upstream_operation;
use crate::graphql::action_mode::ActionMode;
use crate::graphql::collect_fields::root_fields;
use crate::graphql::plan::{Plan, PlanStep, UpstreamOperation};
use crate::graphql::suggestions::did_you_mean;
use crate::handler::request;
use crate::model::action::{Action, OperationKind};
use crate::model::request::GraphqlRequest;
use crate::model::response::Location;
use crate::request::context::RequestContext;
use crate::request::rejection::Rejection;
use crate::request::step_times::RunningTime;
use crate::runtime::plan_cache::{CachedPlan, PreparedDocument};
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
    /// Root fields that are left to the upstream, and may be misspelt actions: what to say of each.
    pub hints: Vec<String>,
}

/// Why a request would not be carried out.
pub(crate) enum NotExplained {
    /// The role may not call these actions. A client is told that there is no such field.
    Denied(Vec<DeniedAction>),
    /// What the client would be told.
    Rejected(Rejection),
}

impl<E: Into<Rejection>> From<E> for NotExplained {
    fn from(error: E) -> Self {
        Self::Rejected(error.into())
    }
}

/// An action that the role may not call.
pub(crate) struct DeniedAction {
    /// Which.
    pub action: Arc<Action>,
    /// Where it stands in the document.
    pub location: Location,
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
        /// The extension fields of its response.
        extension_fields: Vec<ExplainedField>,
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
        /// What the upstream is asked before.
        before: Option<Box<ExplainedBefore>>,
    },
    /// Introspection is served from the merged schema.
    Introspection {
        /// The key of its response.
        response_name: String,
    },
}

/// What the upstream is asked before a call.
pub(crate) struct ExplainedBefore {
    /// The query.
    pub document: String,
    /// The values of its variables, or why there are none.
    pub variables: Result<Map<String, Value>, BeforeError>,
    /// As whom.
    pub asked_as: String,
    /// What must be there for the caller's role.
    pub required: Vec<String>,
    /// What the handler gets as `data`.
    pub sent: Vec<String>,
}

/// An extension field, which is resolved for the rows of the upstream's response.
pub(crate) struct ExplainedField {
    /// `Type.field`.
    pub coordinate: String,
    /// Whom to call.
    pub action: Arc<Action>,
    /// Where its rows are: `users[]`.
    pub rows: String,
    /// The fields of the row whose values are the key.
    pub keys: Vec<String>,
    /// The field by which elements of the handler's list are matched, if they are.
    pub matched_by: Option<String>,
    /// Keys in one call.
    pub keys_per_call: usize,
    /// The client's arguments, coerced.
    pub arguments: Map<String, Value>,
    /// What the upstream is asked before, for each key; and as whom.
    pub before: Option<(String, String)>,
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
) -> Result<Explained, NotExplained> {
    let prepared = Arc::new(PreparedDocument::new(&snapshot.catalog, &request.query)?);
    let operation = prepared.operation(request.operation_name.as_deref())?;
    let kind = operation.kind();
    if !prepared.concern.any() {
        let hints = hints(snapshot, &prepared, kind, request.operation_name.as_deref(), merged);
        return Ok(Explained { concerns_us: false, kind, steps: Vec::new(), hints });
    }
    if operation.concern.extension && merged.is_none() {
        return Err(Rejection::schema_unknown(None).into());
    }
    let cached = prepared.plan(
        &snapshot.catalog,
        operation,
        &request.variables,
        snapshot.catalog.merges_introspection,
        merged.map(AsRef::as_ref),
    )?;
    if cached.plan.is_upstreams() && !prepared.concern.action && !operation.concern.introspection {
        return Ok(Explained { concerns_us: false, kind, steps: Vec::new(), hints: Vec::new() });
    }
    let denied = denied(&cached.plan, session);
    if !denied.is_empty() {
        return Err(NotExplained::Denied(denied));
    }
    cached.validate(&snapshot.catalog, &prepared.document, session.role())?;
    if let Some(merged) = merged {
        cached.validate_whole(&snapshot.catalog, &prepared.document, merged)?;
        cached.check_variables(&snapshot.catalog, &prepared.document, merged, &request.variables)?;
    }
    let allowed = authorize_plan::authorize(snapshot, session, &prepared, &cached, &request.variables)?;
    let plan = &cached.plan;
    let execution = ExecutionContext {
        services,
        snapshot,
        context,
        session,
        request,
        plan,
        merged,
        extensions: allowed.extensions.as_ref(),
        operation_name: None,
        upstream_time: RunningTime::default(),
        handler_time: RunningTime::default(),
    };
    let step = |step: &PlanStep| match step {
        PlanStep::Upstream(index) => {
            let part = plan.parts.get(*index)?;
            let extension_fields = extension_fields(&execution, &prepared, &cached, part);
            Some(upstream_step(&execution, part, extension_fields))
        }
        PlanStep::Action(index) => {
            let (planned, call) = (plan.calls.get(*index)?, allowed.calls.get(*index)?);
            Some(action_step(&execution, &planned.response_name, planned.kind, call))
        }
        PlanStep::Introspection(index) => {
            let response_name = plan.introspections.get(*index)?.response_name.clone();
            Some(ExplainedStep::Introspection { response_name })
        }
    };
    let hints = hints(snapshot, &prepared, kind, request.operation_name.as_deref(), merged);
    Ok(Explained { concerns_us: true, kind, steps: plan.steps.iter().filter_map(step).collect(), hints })
}

fn denied(plan: &Plan, session: &Session) -> Vec<DeniedAction> {
    let denied = plan.calls.iter().filter(|call| !call.action.allows(session.role()));
    denied.map(|call| DeniedAction { action: Arc::clone(&call.action), location: call.location }).collect()
}

/// Root fields that only the upstream could know, with the actions whose names are near. If the upstream's schema is known,
/// validation says it better.
fn hints(
    snapshot: &Snapshot,
    prepared: &PreparedDocument,
    kind: OperationKind,
    operation: Option<&str>,
    merged: Option<&Arc<MergedSchema>>,
) -> Vec<String> {
    let (catalog, document) = (&snapshot.catalog, &prepared.document);
    let (None, Ok(operation)) = (merged, document.operation(operation)) else { return Vec::new() };
    let names: Vec<&str> = catalog
        .schema
        .actions
        .values()
        .filter(|action| action.kind == kind)
        .map(|action| action.field.as_str())
        .collect();
    let fields = root_fields(document, operation, catalog.roots.of(kind));
    let fields = fields.iter().map(|field| field.name.as_str());
    let foreign = fields.filter(|name| !name.starts_with("__") && !names.contains(name));
    let hints = foreign.filter_map(|name| match did_you_mean(name, names.iter().copied()).as_str() {
        "" => None,
        question => Some(format!("\"{name}\" is not an action, so it is left to the upstream.{question}")),
    });
    hints.collect()
}

/// The extension fields of the response to `part`.
fn extension_fields(
    execution: &ExecutionContext<'_>,
    prepared: &PreparedDocument,
    cached: &CachedPlan,
    part: &UpstreamOperation,
) -> Vec<ExplainedField> {
    let (Some(extensions), document) = (execution.extensions, &prepared.document) else { return Vec::new() };
    let root = execution.snapshot.catalog.roots.of(cached.plan.kind);
    let is_of_part = |field: &&&Node<Field>| part.shape.fields.contains_key(field.response_name().as_str());
    let fields = root_fields(document, &cached.operation, root);
    let sites = fields.iter().filter(is_of_part).flat_map(|field| extensions.sites.outline(document, field));
    let max = execution.snapshot.catalog.limits.max_field_keys_per_call;
    let explained = sites.filter_map(|(site, rows)| {
        let (_, call) = extensions.call(&[site])?;
        let keys_per_call = match (&call.field().matched_by, call.action().batch_size) {
            (Some(_), _) => max,
            (None, Some(batch_size)) => batch_size.min(max),
            (None, None) => 1,
        };
        Some(ExplainedField {
            coordinate: call.field().coordinate(),
            action: Arc::clone(call.action()),
            rows,
            keys: call.field().key_fields().into_iter().map(str::to_owned).collect(),
            matched_by: call.field().matched_by.clone(),
            keys_per_call,
            arguments: call.arguments().clone(),
            before: call
                .action()
                .before
                .as_deref()
                .map(|before| (before.query.text.trim().to_owned(), before.identity.shown())),
        })
    });
    explained.collect()
}

fn upstream_step(
    execution: &ExecutionContext<'_>,
    part: &UpstreamOperation,
    extension_fields: Vec<ExplainedField>,
) -> ExplainedStep {
    ExplainedStep::Upstream {
        extension_fields,
        fields: part.fields.iter().map(|field| field.response_name.clone()).collect(),
        // It was made from a string, so it is one.
        document: serde_json::from_str(&part.query_json).unwrap_or_default(),
        body: upstream_operation::request_json(execution.request, part),
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
        before: explain_before(execution, kind, call),
    }
}

fn explain_before(
    execution: &ExecutionContext<'_>,
    kind: ActionMode,
    call: &authorize::AuthorizedCall,
) -> Option<Box<ExplainedBefore>> {
    let before = call.action().before.as_deref().filter(|_| kind != ActionMode::Result)?;
    let session = execution.session;
    let max = execution.snapshot.catalog.limits.max_template_output_size;
    let required = before.require.of(session.role()).iter().map(|one| one.field.clone()).collect();
    Some(Box::new(ExplainedBefore {
        document: before.query.text.trim().to_owned(),
        variables: variable_values(before, call.input(), session, max),
        asked_as: before.identity.shown(),
        required,
        sent: before.send.clone(),
    }))
}
