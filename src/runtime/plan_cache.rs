//! The plan cache: documents with the plans made for them, by document text. Nothing in it depends on a caller but what
//! a role may see, and that is cached under the role's name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use apollo_compiler::Node;
use apollo_compiler::ast::{OperationDefinition, Type, Value as Literal, VariableDefinition};
use serde_json::value::RawValue;

use crate::documents::audience::Audience;
use crate::graphql::collect_fields::{condition_variables, root_fields};
use crate::graphql::document::{Document, DocumentError, kind_of};
use crate::graphql::extension_sites::ExtensionSites;
use crate::graphql::plan::{Plan, PlanOptions, UsesActions};
use crate::graphql::variables::check_variables;
use crate::graphql::{check_document, document, document_size, plan, validate};
use crate::model::action::OperationKind;
use crate::model::json::RawObject;
use crate::model::limits::Limits;
use crate::model::response::Dialect;
use crate::model::types::is_built_in_scalar;
use crate::request::rejection::Rejection;
use crate::runtime::catalog::Catalog;
use crate::runtime::schema_cache::MergedSchema;

/// A parsed document.
pub(crate) struct PreparedDocument {
    /// The document.
    pub document: Document,
    /// What of it concerns us, in any of its operations.
    pub concern: UsesActions,
    /// Who may send it, if it is trusted.
    pub audience: Option<Audience>,
    operations: Vec<PreparedOperation>,
}

/// An operation of it.
pub(crate) struct PreparedOperation {
    operation: Node<OperationDefinition>,
    /// What of it concerns us.
    pub concern: UsesActions,
    /// Variables that decide which root fields there are.
    conditions: Vec<String>,
    plans: Mutex<HashMap<PlanKey, Arc<CachedPlan>>>,
}

/// What an operation's plan depends on: the values of the variables that decide about its root fields, whether
/// introspection is served here, and the merged schema where that tells which fields are extension fields.
type PlanKey = (Vec<bool>, bool, Option<u64>);

/// A plan, and for whom it is good.
pub(crate) struct CachedPlan {
    /// The plan.
    pub plan: Plan,
    /// The operation it plans.
    pub operation: Node<OperationDefinition>,
    /// Does its validation need more than the actions? Root fields of the upstream, even if they are skipped,
    /// relationships, directives of the operation, other operations; or is nothing of it ours, because all is skipped?
    pub concerns_upstream: bool,
    /// The variables that no action uses, or whose types the actions do not determine.
    upstream_variables: Vec<Node<VariableDefinition>>,
    /// Our part, for each kind of role.
    by_role: Mutex<HashMap<String, Result<(), Rejection>>>,
    /// All of it, by the id of the merged schema.
    by_schema: Mutex<HashMap<u64, Result<(), Rejection>>>,
}

/// Merged schemas whose verdict on one plan is kept.
const VERDICTS_MAX: usize = 64;

/// Plans of one operation that are kept; more would need five variables that decide about root fields.
const PLANS_MAX: usize = 32;

impl PreparedDocument {
    /// Parses and measures a document.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub(crate) fn new(catalog: &Catalog, text: &str) -> Result<Self, DocumentError> {
        let document = document::parse(text, &catalog.limits)?;
        let operations: Vec<PreparedOperation> =
            document.operations().iter().map(|operation| prepare(catalog, &document, operation)).collect();
        let mut concern =
            operations.iter().map(|operation| operation.concern).fold(UsesActions::default(), UsesActions::or);
        if concern.any()
            && let Err(error) = check(&document, &catalog.limits)
        {
            if concern.action {
                return Err(error);
            }
            // Whether a document without actions is valid is for the upstream to decide; it may be less strict.
            concern = UsesActions::default();
        }
        let audience = catalog.trusted.audience(&document).cloned();
        Ok(Self { document, concern, audience, operations })
    }

    /// All its operations.
    #[must_use]
    pub(crate) fn operations(&self) -> &[PreparedOperation] {
        &self.operations
    }

    /// The operation that the client chose.
    ///
    /// # Errors
    /// When the choice is not clear.
    pub(crate) fn operation(&self, name: Option<&str>) -> Result<&PreparedOperation, DocumentError> {
        let chosen = self.document.operation(name)?;
        let found = self.operations.iter().find(|prepared| Node::ptr_eq(&prepared.operation, chosen));
        found.ok_or(DocumentError::NotOneOperation)
    }

    /// The operation's plan for these variables. Introspection is served here, or left to the upstream. `merged` tells
    /// which fields are extension fields; without it there are none.
    ///
    /// # Errors
    /// What cannot be planned, or a variable in `@skip` or `@include` that is no boolean.
    pub(crate) fn plan(
        &self,
        catalog: &Catalog,
        prepared: &PreparedOperation,
        variables: &RawObject<'_>,
        serves_introspection: bool,
        merged: Option<&MergedSchema>,
    ) -> Result<Arc<CachedPlan>, Rejection> {
        let operation = &prepared.operation;
        let values = prepared
            .conditions
            .iter()
            .map(|name| condition_value(operation, name, variables.get(name)))
            .collect::<Result<Vec<bool>, Rejection>>()?;
        let key = (values, serves_introspection, merged.map(|merged| merged.id));
        // A panic while the lock was held cannot have left half a plan in the map.
        let known = prepared.plans.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(plan) = known {
            return Ok(plan);
        }
        let condition = |name: &str| {
            let position = prepared.conditions.iter().position(|known| known == name);
            position.and_then(|position| key.0.get(position)).copied().unwrap_or(true)
        };
        let sites = merged.and_then(|MergedSchema { role_schema, .. }| {
            ExtensionSites::find(&self.document, operation, &role_schema.schema, &role_schema.extension_fields)
        });
        let sites = sites.map(Arc::new);
        let surroundings = PlanOptions {
            schema: &catalog.schema,
            roots: &catalog.roots,
            limits: &catalog.limits,
            serves_introspection,
            sites: sites.as_ref(),
        };
        let plan = plan::plan(&self.document, operation, &surroundings, &condition)
            .map_err(|error| Rejection::of_plan(error, &self.document.text))?;
        // Of a type that only the upstream defines, nothing is known but from the merged schema.
        let is_ours = |ty: &str| is_built_in_scalar(ty) || catalog.schema.types.get(ty).is_some();
        let is_own = |variable: &VariableDefinition| {
            plan.own_variables.iter().any(|own| variable.name == own.as_str())
                && is_ours(variable.ty.inner_named_type())
        };
        let upstream_variables: Vec<_> =
            operation.variables.iter().filter(|variable| !is_own(variable)).cloned().collect();
        let plan = Arc::new(CachedPlan {
            concerns_upstream: !plan.parts.is_empty()
                || !upstream_variables.is_empty()
                || plan.has_relationships
                || plan.own.is_none()
                || !operation.directives.is_empty()
                || !plan.upstream_directives.is_empty()
                || self.has_upstream_fields(catalog, operation)
                || only_checked(catalog, operation).is_none() && self.operations.len() > 1,
            upstream_variables,
            plan,
            operation: operation.clone(),
            by_role: Mutex::default(),
            by_schema: Mutex::default(),
        });
        let mut plans = prepared.plans.lock().unwrap_or_else(PoisonError::into_inner);
        // Merged schemas come and go.
        if plans.len() >= PLANS_MAX && key.2.is_some() {
            plans.clear();
        }
        if plans.len() < PLANS_MAX {
            plans.insert(key, Arc::clone(&plan));
        }
        Ok(plan)
    }
}

impl PreparedDocument {
    fn has_upstream_fields(&self, catalog: &Catalog, operation: &OperationDefinition) -> bool {
        let kind = kind_of(operation);
        let fields = root_fields(&self.document, operation, catalog.roots.of(kind));
        let is_ours = |name: &str| name.starts_with("__") || catalog.schema.action(kind, name).is_some();
        fields.iter().any(|field| !is_ours(&field.name))
    }
}

/// The operation that has to be valid, if the others of its document need not be: Hasura looks at the chosen one only,
/// others reject the whole document.
fn only_checked<'o>(
    catalog: &Catalog,
    operation: &'o Node<OperationDefinition>,
) -> Option<&'o Node<OperationDefinition>> {
    (catalog.dialect == Dialect::Hasura).then_some(operation)
}

fn check(document: &Document, limits: &Limits) -> Result<(), DocumentError> {
    check_document::check_document(document, limits)?;
    document.operations().iter().try_for_each(|operation| document_size::check(document, operation, limits))
}

fn prepare(catalog: &Catalog, document: &Document, operation: &Node<OperationDefinition>) -> PreparedOperation {
    let mut concern = plan::concern(document, operation, &catalog.schema, &catalog.roots);
    concern.introspection &= catalog.merges_introspection;
    PreparedOperation {
        operation: operation.clone(),
        concern,
        conditions: condition_variables(document, operation),
        plans: Mutex::default(),
    }
}

impl PreparedOperation {
    /// Its kind.
    #[must_use]
    pub(crate) fn kind(&self) -> OperationKind {
        kind_of(&self.operation)
    }

    /// The variables that decide which root fields there are.
    #[must_use]
    pub(crate) fn conditions(&self) -> &[String] {
        &self.conditions
    }
}

/// The boolean that a variable of `@skip` or `@include` has.
fn condition_value(operation: &OperationDefinition, name: &str, given: Option<&RawValue>) -> Result<bool, Rejection> {
    let definition = operation.variables.iter().find(|definition| definition.name == name);
    let default = definition.and_then(|definition| definition.default_value.as_deref());
    let is_boolean = definition.is_some_and(
        |definition| matches!(definition.ty.as_ref(), Type::Named(ty) | Type::NonNullNamed(ty) if ty == "Boolean"),
    );
    let value = match (given.map(RawValue::get), default) {
        _ if !is_boolean => None,
        (Some("true"), _) | (None, Some(Literal::Boolean(true))) => Some(true),
        (Some("false"), _) | (None, Some(Literal::Boolean(false))) => Some(false),
        _ => None,
    };
    value.ok_or_else(|| Rejection::condition(name))
}

impl CachedPlan {
    /// Is our part valid for this role? Checked once for each kind of role.
    ///
    /// # Errors
    /// The errors in it.
    pub(crate) fn validate(&self, catalog: &Catalog, document: &Document, role: &str) -> Result<(), Rejection> {
        let kind = catalog.kind_of_role(role);
        let mut by_role = self.by_role.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = by_role.get(kind) {
            return known.clone();
        }
        let result = self.validate_now(catalog, document, kind);
        by_role.insert(kind.to_owned(), result.clone());
        result
    }

    fn validate_now(&self, catalog: &Catalog, document: &Document, kind: &str) -> Result<(), Rejection> {
        let Some(own) = &self.plan.own else { return Ok(()) };
        let role = catalog.schema_of(kind).map_err(|reason| Rejection::internal(&reason))?;
        let schema = &role.schema;
        validate::validate(schema, own, &document.text, catalog.limits.max_errors).map_err(|(diagnostics, more)| {
            let unknown = validate::first_unknown(schema, own, catalog.roots.of(self.plan.kind));
            Rejection::Invalid { diagnostics, more, syntax: false, unknown }
        })
    }

    /// Do the variables that no action uses have values of their types? Those that actions use are coerced for them.
    ///
    /// # Errors
    /// The first that has not.
    pub(crate) fn check_variables(
        &self,
        catalog: &Catalog,
        document: &Document,
        merged: &MergedSchema,
        given: &RawObject<'_>,
    ) -> Result<(), Rejection> {
        check_variables(&merged.role_schema.schema, &self.upstream_variables, given)
            .map_err(|error| Rejection::of_value(catalog.dialect, error, &document.text))
    }

    /// Is the document valid by this merged schema, or the operation where only that has to be? Checked once for each.
    ///
    /// # Errors
    /// The errors in it.
    pub(crate) fn validate_whole(
        &self,
        catalog: &Catalog,
        document: &Document,
        merged: &MergedSchema,
    ) -> Result<(), Rejection> {
        let mut by_schema = self.by_schema.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = by_schema.get(&merged.id) {
            return known.clone();
        }
        let result = self.validate_whole_now(catalog, document, merged);
        if by_schema.len() >= VERDICTS_MAX {
            by_schema.clear();
        }
        by_schema.insert(merged.id, result.clone());
        result
    }

    fn validate_whole_now(
        &self,
        catalog: &Catalog,
        document: &Document,
        merged: &MergedSchema,
    ) -> Result<(), Rejection> {
        let schema = &merged.role_schema.schema;
        let own = (catalog.schema.as_ref(), &catalog.roots);
        let only = only_checked(catalog, &self.operation);
        validate::validate_document(schema, document, only, own, catalog.limits.max_errors).map_err(
            |(diagnostics, more)| Rejection::Invalid {
                diagnostics,
                more,
                syntax: false,
                unknown: validate::first_unknown_of_operation(schema, document, &self.operation, &catalog.roots),
            },
        )
    }
}
