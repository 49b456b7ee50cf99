//! Authorizes all calls of a plan, or none, with their arguments and what is selected of their results.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::action::before::{Moment, is_needed, variable_values};
use crate::execution::authorize::{AuthorizedCall, Input};
use crate::execution::authorized_extensions::AuthorizedExtensions;
use crate::execution::preset_arguments::filled;
use crate::graphql::action_mode::ActionMode;
use crate::graphql::coerce::{coerce_argument_values, coerce_variable_values, move_argument_values};
use crate::graphql::introspect::{Introspection, compile};
use crate::graphql::plan::PlannedCall;
use crate::graphql::schema::result_arguments;
use crate::graphql::selection::Selector;
use crate::graphql::value_error::CoerceError;
use crate::model::json::RawObject;
use crate::request::rejection::Rejection;
use crate::runtime::plan_cache::{CachedPlan, PreparedDocument};
use crate::runtime::snapshot::Snapshot;
use crate::session::Session;

/// What of a plan may be done here.
pub(crate) struct AuthorizedCalls {
    /// One for each of [`crate::graphql::plan::Plan::calls`].
    pub calls: Vec<AuthorizedCall>,
    /// One for each of [`crate::graphql::plan::Plan::introspections`].
    pub introspections: Vec<Arc<Introspection>>,
    /// The extension fields that the plan has.
    pub extensions: Option<AuthorizedExtensions>,
}

/// What steps run with.
#[derive(Clone, Copy)]
pub(crate) struct StepInputs<'s> {
    /// See [`AuthorizedCalls::calls`].
    pub calls: &'s [AuthorizedCall],
    /// See [`AuthorizedCalls::introspections`].
    pub introspections: &'s [Arc<Introspection>],
}

impl AuthorizedCalls {
    /// What steps run with.
    #[must_use]
    pub(crate) fn steps(&self) -> StepInputs<'_> {
        StepInputs { calls: &self.calls, introspections: &self.introspections }
    }
}

/// Allows all calls of a plan, or none, and makes its introspection ready.
///
/// # Errors
/// A role without permission, a value that its type does not take, introspection beyond its limits.
pub(crate) fn authorize(
    snapshot: &Snapshot,
    session: &Session,
    prepared: &Arc<PreparedDocument>,
    plan: &CachedPlan,
    given: &RawObject<'_>,
) -> Result<AuthorizedCalls, Rejection> {
    let types = &snapshot.catalog.schema.types;
    let CachedPlan { plan, operation, .. } = plan;
    let located = |error: CoerceError| Rejection::of_value(snapshot.catalog.dialect, error, &prepared.document.text);
    let mut variables = coerce_variable_values(types, operation, &plan.own_variables, given).map_err(located)?;
    // What else may use them are conditions, which are no texts.
    let is_only_use = plan.calls.len() == 1 && plan.introspections.is_empty() && plan.sites.is_none();
    let mut inputs: Vec<Arc<Input>> = Vec::with_capacity(plan.calls.len());
    let allow_one = |call: &PlannedCall| {
        // Validation has rejected this already; the permission is checked again where the call becomes possible.
        if !call.action.allows(session.role()) {
            return Err(Rejection::unknown_root_field(&call.action.field, snapshot.catalog.roots.of(plan.kind)));
        }
        let presets = match call.kind {
            ActionMode::Result => &[],
            ActionMode::Now | ActionMode::Later => call.action.presets.of(session.role()),
        };
        let same = call.same_as.and_then(|same| inputs.get(same)).cloned();
        let input = match same {
            Some(same) => same,
            None => {
                let all = match call.kind {
                    ActionMode::Result => result_arguments(),
                    ActionMode::Now | ActionMode::Later => call.action.arguments.as_slice(),
                };
                let visible =
                    call.action.presets.visible_arguments(session.role(), all).filter(|_| !presets.is_empty());
                let definitions = visible.as_deref().unwrap_or(all);
                let values = match is_only_use {
                    true => move_argument_values(types, definitions, call.arguments(), &mut variables),
                    false => coerce_argument_values(types, definitions, call.arguments(), &variables),
                };
                let values = values.map_err(located)?;
                let values = filled(snapshot, session, &call.action, all, presets, values)?;
                check_before(snapshot, session, call, &values)?;
                Arc::new(Input::from(values))
            }
        };
        inputs.push(Arc::clone(&input));
        let selected = call.selection.clone().unwrap_or_else(|| {
            let condition = |name: &str| variables.get(name) == Some(&Value::Bool(true));
            let fields: Vec<_> = call.fields.iter().collect();
            let selector = Selector {
                document: &prepared.document,
                operation,
                types,
                condition: &condition,
                sites: plan.sites.as_deref(),
            };
            Arc::new(selector.of_call(&call.action, call.kind, &fields))
        });
        Ok(AuthorizedCall::new(&call.action, input, selected))
    };
    let calls = plan.calls.iter().map(allow_one).collect::<Result<_, _>>()?;
    let max_depth = snapshot.catalog.limits.max_introspection_depth;
    let compiled =
        plan.introspections.iter().map(|planned| compile(&prepared.document, &planned.fields, &variables, max_depth));
    let introspections = compiled.map(|compiled| compiled.map(Arc::new)).collect::<Result<_, _>>()?;
    let extensions = plan
        .sites
        .as_ref()
        .map(|sites| AuthorizedExtensions::new(snapshot, session, (prepared, operation), sites, variables));
    Ok(AuthorizedCalls { calls, introspections, extensions: extensions.transpose()? })
}

/// Can the upstream be asked what it will be asked before the call? Nothing of the document runs if it cannot.
fn check_before(
    snapshot: &Snapshot,
    session: &Session,
    call: &PlannedCall,
    input: &Map<String, Value>,
) -> Result<(), Rejection> {
    let moments: &[Moment] = match call.kind {
        ActionMode::Now => &[Moment::Call],
        ActionMode::Later => &[Moment::Accept, Moment::Job],
        ActionMode::Result => &[],
    };
    let Some(before) = call.action.before.as_deref() else { return Ok(()) };
    if !moments.iter().any(|moment| is_needed(before, *moment, session.role())) {
        return Ok(());
    }
    let max = snapshot.catalog.limits.max_template_output_size;
    let values = variable_values(before, input, session, max);
    values.map(drop).map_err(|error| Rejection::of_before(&call.action.field, &error))
}
