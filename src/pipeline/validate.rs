//! Validation of a document before anything runs: our part always, the upstream's as far as its schema is known.

use std::sync::Arc;
use std::time::Duration;

use crate::graphql::plan::Plan;
use crate::memory;
use crate::model::action::{Action, OperationKind};
use crate::model::json::RawObject;
use crate::model::label::Label;
use crate::model::response::Dialect;
use crate::request::context::RequestContext;
use crate::request::rejection::Rejection;
use crate::runtime::plan_cache::{CachedPlan, PreparedDocument};
use crate::runtime::schema_cache::MergedSchema;
use crate::runtime::schema_fetch;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;
use crate::session::Session;
use crate::telemetry::labels::ValidationOutcome;

/// What is checked, and for which caller.
pub(crate) struct ValidationContext<'s> {
    /// What requests share.
    pub services: &'s Arc<Services>,
    /// The generation the request began with.
    pub snapshot: &'s Arc<Snapshot>,
    /// How it came.
    pub context: &'s RequestContext,
    /// The caller.
    pub session: &'s Session,
    /// The document.
    pub prepared: &'s PreparedDocument,
    /// The plan for its operation.
    pub plan: &'s CachedPlan,
    /// The values that the client gives for its variables.
    pub variables: &'s RawObject<'s>,
}

/// How long a mutation with side effects of ours waits until the upstream's schema is known. The question goes on.
const WAIT_FOR_SCHEMA: Duration = Duration::from_secs(2);

/// Checks it. `asked` is the merged schema if the upstream has just been introspected for this very caller.
///
/// # Errors
/// The errors in it.
pub(crate) async fn validate(subject: &ValidationContext<'_>, asked: Option<&MergedSchema>) -> Result<(), Rejection> {
    let (catalog, document) = (&subject.snapshot.catalog, &subject.prepared.document);
    if let Err(rejection) = subject.plan.validate(catalog, document, subject.session.role()) {
        // Boxed: rare, and otherwise every request carries the size of this future.
        let has_none = Box::pin(subject.has_no_mutations()).await;
        return Err(if has_none { Rejection::no_mutations() } else { rejection });
    }
    if !subject.snapshot.catalog.merges_introspection {
        return subject.without_schema().map(drop);
    }
    if !subject.plan.concerns_upstream {
        return Ok(());
    }
    let known = subject.known();
    let outcome = match (asked, &known) {
        (Some(merged), _) => subject.by(merged).map(|()| ValidationOutcome::Valid),
        (None, Some(known)) if subject.by(known).is_ok() => Ok(ValidationOutcome::Valid),
        // Boxed: rare, and otherwise every request carries the size of this future.
        _ => memory::boxed(|| subject.by_fresh_schema(known)).await,
    };
    let label = outcome.as_ref().map_or(ValidationOutcome::Invalid, |label| *label).label();
    subject.services.metrics.upstream_validations.with_label_values(&[label]).inc();
    outcome.map(drop)
}

/// An upstream has rejected a part that was believed to be valid: its schema must have changed.
pub(crate) fn revalidate(
    services: &Arc<Services>,
    snapshot: &Arc<Snapshot>,
    context: &RequestContext,
    session: &Session,
) {
    if snapshot.catalog.merges_introspection {
        drop(refresh_in_background(services, snapshot, context, session));
    }
}

fn refresh_in_background(
    services: &Arc<Services>,
    snapshot: &Arc<Snapshot>,
    context: &RequestContext,
    session: &Session,
) -> tokio::task::JoinHandle<()> {
    let (services, snapshot) = (Arc::clone(services), Arc::clone(snapshot));
    let (context, role) = (context.for_task(), session.role().to_owned());
    tokio::spawn(async move {
        // The result is logged there, and cached for later requests.
        let _ = schema_fetch::refresh(&services, &snapshot, &context, &role).await;
    })
}

impl ValidationContext<'_> {
    fn by(&self, merged: &MergedSchema) -> Result<(), Rejection> {
        let document = &self.prepared.document;
        if !self.asks_for_what_is_not_shown(merged) {
            self.plan.validate_whole(&self.snapshot.catalog, document, merged)?;
        }
        self.plan.check_variables(&self.snapshot.catalog, document, merged, self.variables)
    }

    /// It is not known to be valid.
    async fn by_fresh_schema(&self, known: Option<Arc<MergedSchema>>) -> Result<ValidationOutcome, Rejection> {
        let known = match known {
            Some(known) => Some(known),
            None => self.learn().await,
        };
        let Some(known) = known else { return self.without_schema() };
        let Err(rejection) = self.by(&known) else { return Ok(ValidationOutcome::Valid) };
        // The upstream may have changed, or show more to this caller than to others in the same role.
        let fresh = schema_fetch::refresh(self.services, self.snapshot, self.context, self.session.role()).await;
        match fresh {
            Ok(Some(fresh)) if fresh.id != known.id => self.by(&fresh).map(|()| ValidationOutcome::Valid),
            Ok(_) => Err(rejection),
            Err(_) => self.without_schema(),
        }
    }

    /// Everything that needs the upstream's schema is left to the upstream. It does not see directives on our fields,
    /// so those are then unknown.
    fn without_schema(&self) -> Result<ValidationOutcome, Rejection> {
        let Plan { upstream_directives, .. } = &self.plan.plan;
        if upstream_directives.is_empty() {
            return Ok(ValidationOutcome::SchemaUnknown);
        }
        let (text, max) = (&self.prepared.document.text, self.snapshot.catalog.limits.max_errors);
        let diagnostics = upstream_directives.iter().take(max).map(|directive| directive.unknown(text)).collect();
        let more = upstream_directives.len().saturating_sub(max);
        Err(Rejection::Invalid { diagnostics, more, syntax: false, unknown: None })
    }

    fn known(&self) -> Option<Arc<MergedSchema>> {
        self.snapshot.schema_cache.known(&self.snapshot.catalog, self.context, self.session.role())
    }

    /// Introspects the upstream for the first caller of a kind. Only operations with side effects wait for the
    /// response, and those that would be rejected without it.
    async fn learn(&self) -> Option<Arc<MergedSchema>> {
        if !self.snapshot.schema_cache.is_worth_asking(self.context, self.session.role()) {
            return None;
        }
        let asked = refresh_in_background(self.services, self.snapshot, self.context, self.session);
        if has_side_effects(&self.plan.plan) || !self.plan.plan.upstream_directives.is_empty() {
            // When the time is up the upstream is left to judge its part itself.
            let _ = tokio::time::timeout(WAIT_FOR_SCHEMA, asked).await;
        }
        self.known()
    }

    /// Has this role no mutation at all, neither here nor in the upstream? Hasura has a message of its own for that.
    async fn has_no_mutations(&self) -> bool {
        let is_meant =
            self.snapshot.catalog.dialect == Dialect::Hasura && self.plan.plan.kind == OperationKind::Mutation;
        let may_write =
            |action: &Arc<Action>| action.kind == OperationKind::Mutation && action.allows(self.session.role());
        if !is_meant || self.snapshot.catalog.schema.actions.values().any(may_write) {
            return false;
        }
        let merged = match self.known() {
            Some(known) => Some(known),
            None => self.learn().await,
        };
        merged.is_some_and(|merged| merged.role_schema.schema.schema_definition.mutation.is_none())
    }

    /// Federation's root fields are served, and shown by some upstreams only.
    fn asks_for_what_is_not_shown(&self, merged: &MergedSchema) -> bool {
        let schema = &merged.role_schema.schema;
        let shown = schema.schema_definition.query.as_ref().and_then(|query| schema.get_object(query));
        let operations = self.prepared.document.operations().iter();
        operations
            .flat_map(|operation| &operation.selection_set)
            .filter_map(|selection| selection.as_field())
            .filter(|field| matches!(field.name.as_str(), "_service" | "_entities"))
            .any(|field| shown.is_none_or(|query| !query.fields.contains_key(&field.name)))
    }
}

fn has_side_effects(plan: &Plan) -> bool {
    plan.kind == OperationKind::Mutation && !plan.calls.is_empty()
}
