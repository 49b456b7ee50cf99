//! A document that was seen before, with the plans made for it. Nothing in it is about a caller but what his kind of
//! role may see, and that is kept under the role's name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use apollo_compiler::Node;
use apollo_compiler::ast::{OperationDefinition, Type, Value as Literal};
use serde_json::value::RawValue;

use super::refusal::Refusal;
use super::snapshot::Snapshot;
use crate::graphql::collect_fields::condition_variables;
use crate::graphql::document::{self, Document, DocumentError, kind_of};
use crate::graphql::plan::{self, Plan};
use crate::graphql::size;
use crate::graphql::validate;
use crate::model::action::OperationKind;
use crate::model::json::RawObject;

/// A parsed document.
pub struct Prepared {
    /// The document.
    pub document: Document,
    /// Does any operation of it have an action?
    pub names_action: bool,
    operations: Vec<PreparedOperation>,
}

/// An operation of it.
pub struct PreparedOperation {
    operation: Node<OperationDefinition>,
    /// Variables that decide which root fields there are.
    conditions: Vec<String>,
    /// By the values of these variables.
    plans: Mutex<HashMap<Vec<bool>, Arc<CachedPlan>>>,
}

/// A plan, and for which roles our part of it is good.
pub struct CachedPlan {
    /// The plan.
    pub plan: Plan,
    /// The operation it plans.
    pub operation: Node<OperationDefinition>,
    by_role: Mutex<HashMap<String, Result<(), Refusal>>>,
}

/// Plans of one operation that are kept; more would need five variables that decide about root fields.
const PLANS_MAX: usize = 32;

impl Prepared {
    /// Parses and measures a document.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn new(snapshot: &Snapshot, text: &str) -> Result<Self, DocumentError> {
        let document = document::parse(text, &snapshot.limits)?;
        let names_action = plan::names_action(&document, &snapshot.schema, &snapshot.roots);
        // Whether a document without actions is valid is the engine's to say; it may be less strict.
        if !names_action {
            return Ok(Self { document, names_action, operations: Vec::new() });
        }
        document.check(&snapshot.limits)?;
        for operation in document.operations() {
            size::check(&document, operation, &snapshot.limits)?;
        }
        let operations = document.operations().iter().map(|operation| PreparedOperation {
            operation: operation.clone(),
            conditions: condition_variables(&document, operation),
            plans: Mutex::default(),
        });
        let operations = operations.collect();
        Ok(Self { document, names_action, operations })
    }

    /// The operation that the client chose.
    ///
    /// # Errors
    /// When the choice is not clear.
    pub fn operation(&self, name: Option<&str>) -> Result<&PreparedOperation, DocumentError> {
        let chosen = self.document.operation(name)?;
        let found = self.operations.iter().find(|prepared| Node::ptr_eq(&prepared.operation, chosen));
        found.ok_or(DocumentError::NotOneOperation)
    }

    /// The operation's plan for these variables.
    ///
    /// # Errors
    /// What cannot be planned, or a variable in `@skip` or `@include` that is no boolean.
    pub fn plan(
        &self,
        snapshot: &Snapshot,
        prepared: &PreparedOperation,
        variables: &RawObject<'_>,
    ) -> Result<Arc<CachedPlan>, Refusal> {
        let operation = &prepared.operation;
        let values = prepared
            .conditions
            .iter()
            .map(|name| condition_value(operation, name, variables.get(name)))
            .collect::<Result<Vec<bool>, Refusal>>()?;
        // A panic while the lock was held cannot have left half a plan in the map.
        let known = prepared.plans.lock().unwrap_or_else(PoisonError::into_inner).get(&values).cloned();
        if let Some(plan) = known {
            return Ok(plan);
        }
        let condition = |name: &str| {
            let position = prepared.conditions.iter().position(|known| known == name);
            position.and_then(|position| values.get(position)).copied().unwrap_or(true)
        };
        let plan =
            plan::plan(&self.document, operation, &snapshot.schema, &snapshot.roots, &condition, &snapshot.limits)
                .map_err(|error| Refusal::of_plan(error, &self.document.text))?;
        let plan = Arc::new(CachedPlan { plan, operation: operation.clone(), by_role: Mutex::default() });
        let mut plans = prepared.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() < PLANS_MAX {
            plans.insert(values, Arc::clone(&plan));
        }
        Ok(plan)
    }
}

impl PreparedOperation {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> OperationKind {
        kind_of(&self.operation)
    }
}

/// The boolean that a variable of `@skip` or `@include` has.
fn condition_value(operation: &OperationDefinition, name: &str, given: Option<&RawValue>) -> Result<bool, Refusal> {
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
    value.ok_or_else(|| Refusal::condition(name))
}

impl CachedPlan {
    /// Is our part good for this role? Asked once for each kind of role.
    ///
    /// # Errors
    /// The mistakes in it.
    pub fn validate(&self, snapshot: &Snapshot, role: &str) -> Result<(), Refusal> {
        let kind = snapshot.kind_of_role(role);
        let mut by_role = self.by_role.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = by_role.get(kind) {
            return known.clone();
        }
        let result = self.validate_now(snapshot, kind);
        by_role.insert(kind.to_owned(), result.clone());
        result
    }

    fn validate_now(&self, snapshot: &Snapshot, kind: &str) -> Result<(), Refusal> {
        let Some(own_text) = &self.plan.own_text else { return Ok(()) };
        let schema = snapshot.schema_of(kind).map_err(|reason| Refusal::internal(&reason))?;
        if let Err((mistakes, more)) = validate::validate(&schema, own_text, snapshot.limits.errors_max) {
            let root = snapshot.roots.of(self.plan.kind);
            let unknown = validate::first_unknown_field(&schema, own_text, root);
            return Err(Refusal::Invalid { mistakes, more, syntax: false, unknown });
        }
        Refusal::of_unsupported(&self.plan).map_or(Ok(()), Err)
    }
}
