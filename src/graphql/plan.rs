//! The plan of an operation: which source resolves each root field, and in which order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use apollo_compiler::ast::{Argument, Field, OperationDefinition};
use apollo_compiler::{Node, ast};

use crate::graphql::action_mode::ActionMode;
use crate::graphql::collect_fields::{CollectedFields, Condition, collect_root_fields, is_incremental, root_fields};
use crate::graphql::document::{Document, SyntaxError, kind_of};
use crate::graphql::edited_text::EditPlace;
use crate::graphql::extension_sites::{ExtensionSites, may_select};
use crate::graphql::extension_variables::own_variables;
use crate::graphql::mask::{FragmentBelowRoot, Keep, mask};
use crate::graphql::own_document::{OwnPart, UpstreamDirective};
use crate::graphql::response_shape::ResponseShape;
use crate::graphql::root_types::RootTypes;
use crate::graphql::selection::{Selector, SubSelection, is_conditional};
use crate::graphql::{nested_roots, own_document};
use crate::model::action::{Action, ActionSchema, OperationKind};
use crate::model::limits::Limits;
use crate::model::response::{Location, location_at};

/// What will be done for one operation. It holds nothing about the caller.
#[derive(Debug)]
pub struct Plan {
    /// The operation's kind.
    pub kind: OperationKind,
    /// Every root field of the response, in its order.
    pub fields: Vec<PlannedField>,
    /// For a mutation: one after the other. For a query: all at once.
    pub steps: Vec<PlanStep>,
    /// The webhook calls.
    pub calls: Vec<PlannedCall>,
    /// The requests to the upstream.
    pub parts: Vec<UpstreamOperation>,
    /// The fields of introspection that are served here.
    pub introspections: Vec<PlannedIntrospection>,
    /// The document with nothing in it but fields that are served here: the input of our own validation. Relationships,
    /// which the upstream validates, are left out, and directives that only the upstream can know.
    pub own: Option<ast::Document>,
    /// The variables that those fields use, relationships left out.
    pub own_variables: Vec<String>,
    /// Is a relationship selected anywhere in the calls?
    pub has_relationships: bool,
    /// Directives in our part that only the upstream can know. Here they have no effect.
    pub upstream_directives: Vec<UpstreamDirective>,
    /// The extension fields that are selected anywhere.
    pub sites: Option<Arc<ExtensionSites>>,
}

impl Plan {
    /// Is nothing of it ours, so that the upstream can be left all of it?
    #[must_use]
    pub fn is_upstreams(&self) -> bool {
        self.calls.is_empty() && self.introspections.is_empty() && self.sites.is_none()
    }

    /// A plan for nothing.
    #[must_use]
    pub fn empty(kind: OperationKind) -> Self {
        Self {
            kind,
            fields: Vec::new(),
            steps: Vec::new(),
            calls: Vec::new(),
            parts: Vec::new(),
            introspections: Vec::new(),
            own: None,
            own_variables: Vec::new(),
            has_relationships: false,
            upstream_directives: Vec::new(),
            sites: None,
        }
    }
}

/// A root field of the response.
#[derive(Debug, PartialEq)]
pub struct PlannedField {
    /// Its key in the response.
    pub response_name: String,
    /// The source that resolves it.
    pub owner: FieldSource,
    /// Does it stand only in fragments on other types than the root's, so that the upstream alone knows whether it is
    /// part of the response?
    pub may_be_absent: bool,
}

/// The source that resolves a root field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldSource {
    /// The upstream, in this of [`Plan::parts`].
    Upstream(usize),
    /// A handler, in this of [`Plan::calls`].
    Action(usize),
    /// We do: this of [`Plan::introspections`].
    Introspection(usize),
    /// We do: it is `__typename`.
    TypeName,
}

/// A piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanStep {
    /// This of [`Plan::parts`].
    Upstream(usize),
    /// This of [`Plan::calls`].
    Action(usize),
    /// This of [`Plan::introspections`].
    Introspection(usize),
}

/// `__schema` or `__type`, served from the merged schema.
#[derive(Debug)]
pub struct PlannedIntrospection {
    /// The key of its response in the response.
    pub response_name: String,
    /// Every occurrence of the field.
    pub fields: Vec<Node<Field>>,
    /// Where the first occurrence stands.
    pub location: Location,
}

/// An action that a document selects.
#[derive(Debug)]
pub struct PlannedCall {
    /// Which.
    pub action: Arc<Action>,
    /// How it is executed.
    pub kind: ActionMode,
    /// The key of its response in the response.
    pub response_name: String,
    /// Every occurrence of the field; arguments are taken from the first.
    pub fields: Vec<Node<Field>>,
    /// Where the first occurrence stands.
    pub location: Location,
    /// The selection set, where no variable decides about it.
    pub selection: Option<Arc<SubSelection>>,
    /// The first call before this one that is the same: of the same action with the same arguments. They share their values.
    pub same_as: Option<usize>,
}

impl PlannedCall {
    /// The arguments, as the first occurrence has them.
    #[must_use]
    pub fn arguments(&self) -> &[Node<Argument>] {
        arguments(&self.fields)
    }
}

fn arguments(fields: &[Node<Field>]) -> &[Node<Argument>] {
    fields.first().map(|field| field.arguments.as_slice()).unwrap_or_default()
}

/// One request to the upstream.
#[derive(Debug, PartialEq)]
pub struct UpstreamOperation {
    /// The masked document, as a JSON string with its quotes.
    pub query_json: String,
    /// The variables it uses.
    pub variables: Vec<String>,
    /// Its root fields.
    pub fields: Vec<UpstreamField>,
    /// Does the client's document reach the upstream with nothing taken out of it?
    pub is_whole: bool,
    /// Where its response has extension fields.
    pub shape: ResponseShape,
    /// Where its text is not the client's.
    pub edits: Vec<EditPlace>,
}

impl UpstreamOperation {
    /// Has its response extension fields?
    #[must_use]
    pub fn has_extension_fields(&self) -> bool {
        !self.shape.fields.is_empty()
    }
}

/// A root field of a part.
#[derive(Debug, PartialEq, Eq)]
pub struct UpstreamField {
    /// Its key in the response.
    pub response_name: String,
    /// Its name in the schema.
    pub name: String,
    /// Where its first occurrence stands.
    pub location: Location,
}

/// Why no plan can be made.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum PlanError {
    /// More of something than one document may have.
    #[error("the document has {count} {what}; at most {max} are allowed")]
    TooMany {
        /// Of what.
        what: String,
        /// How many.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// The document breaks a rule at these places.
    #[error("the document is not valid")]
    Invalid(Vec<SyntaxError>),
    /// A fragment cannot be cut.
    #[error(transparent)]
    Fragment(#[from] FragmentBelowRoot),
}

/// Fields of introspection in one operation. Tools select one.
pub const INTROSPECTIONS_MAX: usize = 5;

/// What plans are made for.
pub struct PlanOptions<'s> {
    /// The actions.
    pub schema: &'s ActionSchema,
    /// The names of the upstream's root types.
    pub roots: &'s RootTypes,
    /// What a document may cost.
    pub limits: &'s Limits,
    /// Is introspection served here? Otherwise it is part of the upstream's operation.
    pub serves_introspection: bool,
    /// The extension fields that the operation selects.
    pub sites: Option<&'s Arc<ExtensionSites>>,
}

/// Plans `operation`. `condition` gives the value of the variables that decide about root fields.
///
/// # Errors
/// [`PlanError`].
pub fn plan(
    document: &Document,
    operation: &Node<OperationDefinition>,
    surroundings: &PlanOptions<'_>,
    condition: Condition<'_>,
) -> Result<Plan, PlanError> {
    let kind = kind_of(operation);
    let root_type = surroundings.roots.of(kind);
    let (collected, opaque) = collect_root_fields(document, operation, root_type, condition);
    reject_beyond("root fields", collected.len(), surroundings.limits.max_root_fields)?;
    let planner = Planner { document, operation, surroundings, kind, root_type, opaque };
    let mut plan = planner.assign(&collected)?;
    check_calls(&plan, surroundings.limits)?;
    reject_beyond("introspection fields", plan.introspections.len(), INTROSPECTIONS_MAX)?;
    planner.mask_parts(&mut plan, &collected)?;
    planner.mask_own(&mut plan)?;
    planner.add_sites(&mut plan);
    Ok(plan)
}

/// What of an operation, or of a whole document, concerns us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsesActions {
    /// Is an action among the root fields?
    pub action: bool,
    /// Is `__schema` or `__type` among them, or a fragment on a type that is known from there alone?
    pub introspection: bool,
    /// Has a field in it the name of an extension field? Whether it is one is known from the upstream's schema alone.
    pub extension: bool,
}

impl UsesActions {
    /// Anything at all?
    #[must_use]
    pub fn any(self) -> bool {
        self.action || self.introspection || self.extension
    }

    /// Either of the two, or both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            action: self.action || other.action,
            introspection: self.introspection || other.introspection,
            extension: self.extension || other.extension,
        }
    }
}

/// The part of the operation that is ours, whatever its variables are.
#[must_use]
pub fn concern(
    document: &Document,
    operation: &OperationDefinition,
    schema: &ActionSchema,
    roots: &RootTypes,
) -> UsesActions {
    let kind = kind_of(operation);
    let fields = root_fields(document, operation, roots.of(kind));
    let of_field = |field: &Node<Field>| UsesActions {
        action: schema.action(kind, &field.name).is_some(),
        introspection: is_introspection(kind, &field.name),
        extension: false,
    };
    let extension = may_select(document, operation, &schema.extension_fields);
    // The upstream knows nothing of the types that only our response to introspection has.
    let introspection = !nested_roots::suffixes(document, roots).is_empty();
    fields.into_iter().map(of_field).fold(UsesActions { action: false, introspection, extension }, UsesActions::or)
}

/// <https://spec.graphql.org/September2025/#sec-Schema-Introspection>
fn is_introspection(kind: OperationKind, name: &str) -> bool {
    kind == OperationKind::Query && matches!(name, "__schema" | "__type")
}

fn reject_beyond(what: impl Into<String>, count: usize, max: usize) -> Result<(), PlanError> {
    if count > max { Err(PlanError::TooMany { what: what.into(), count, max }) } else { Ok(()) }
}

fn check_calls(plan: &Plan, limits: &Limits) -> Result<(), PlanError> {
    reject_beyond("action calls", plan.calls.len(), limits.max_action_calls)?;
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for call in &plan.calls {
        let count = counts.entry(&call.action.name).or_default();
        *count += 1;
        reject_beyond(format!("calls of action '{}'", call.action.name), *count, call.action.calls_per_document_max)?;
    }
    Ok(())
}

struct Planner<'d> {
    document: &'d Document,
    operation: &'d Node<OperationDefinition>,
    surroundings: &'d PlanOptions<'d>,
    kind: OperationKind,
    root_type: &'d str,
    opaque: HashSet<*const Field>,
}

impl Planner<'_> {
    fn concern(&self, field: &Node<Field>) -> UsesActions {
        if self.is_opaque(field) {
            return UsesActions::default();
        }
        UsesActions {
            action: self.surroundings.schema.action(self.kind, &field.name).is_some(),
            introspection: self.surroundings.serves_introspection && is_introspection(self.kind, &field.name),
            extension: false,
        }
    }

    fn is_opaque(&self, field: &Node<Field>) -> bool {
        let occurrence: *const Field = std::ptr::from_ref::<Field>(field);
        self.opaque.contains(&occurrence)
    }

    /// Gives every root field its owner, and makes the steps.
    fn assign(&self, collected: &CollectedFields<'_>) -> Result<Plan, PlanError> {
        let mut plan = Plan { fields: Vec::with_capacity(collected.len()), ..Plan::empty(self.kind) };
        for (response_name, fields) in collected {
            let Some(first) = fields.first() else { continue };
            let concern = self.concern(first);
            if let Some(other) = fields.iter().find(|field| self.concern(field) != concern) {
                return Err(PlanError::Invalid(vec![self.conflict(response_name, first, other)]));
            }
            let action = self.surroundings.schema.action(self.kind, &first.name).filter(|_| concern.action);
            let owner = match action {
                Some(action) => self.assign_call(&mut plan, action, response_name, fields),
                None if concern.introspection => self.assign_introspection(&mut plan, response_name, fields),
                None if first.name == "__typename" => FieldSource::TypeName,
                None => self.assign_part(&mut plan, response_name, first),
            };
            let may_be_absent = fields.iter().all(|field| self.is_opaque(field));
            plan.fields.push(PlannedField { response_name: (*response_name).to_owned(), owner, may_be_absent });
        }
        self.leave_typename_to_upstream(&mut plan, collected);
        Ok(plan)
    }

    fn assign_call(
        &self,
        plan: &mut Plan,
        action: &Arc<Action>,
        response_name: &str,
        fields: &[&Node<Field>],
    ) -> FieldSource {
        let index = plan.calls.len();
        let selector = Selector {
            document: self.document,
            operation: self.operation,
            types: &self.surroundings.schema.types,
            condition: &|_| true,
            sites: self.surroundings.sites.map(AsRef::as_ref),
        };
        let kind = ActionMode::of(action, self.kind);
        let selection = (!is_conditional(self.document, fields)).then(|| selector.of_call(action, kind, fields));
        let occurrences: Vec<Node<Field>> = fields.iter().map(|field| (*field).clone()).collect();
        let is_same = |other: &PlannedCall| {
            Arc::ptr_eq(&other.action, action) && other.kind == kind && other.arguments() == arguments(&occurrences)
        };
        plan.calls.push(PlannedCall {
            action: Arc::clone(action),
            kind,
            response_name: response_name.to_owned(),
            same_as: plan.calls.iter().position(is_same),
            fields: occurrences,
            location: self.first_location(fields),
            selection: selection.map(Arc::new),
        });
        plan.steps.push(PlanStep::Action(index));
        FieldSource::Action(index)
    }

    fn assign_introspection(&self, plan: &mut Plan, response_name: &str, fields: &[&Node<Field>]) -> FieldSource {
        let index = plan.introspections.len();
        plan.introspections.push(PlannedIntrospection {
            response_name: response_name.to_owned(),
            fields: fields.iter().map(|field| (*field).clone()).collect(),
            location: self.first_location(fields),
        });
        plan.steps.push(PlanStep::Introspection(index));
        FieldSource::Introspection(index)
    }

    /// A query has one part; in a mutation, neighbours share one, so that the upstream keeps them in one transaction.
    fn assign_part(&self, plan: &mut Plan, response_name: &str, field: &Node<Field>) -> FieldSource {
        let open = match (self.kind, plan.steps.last()) {
            (OperationKind::Mutation, Some(PlanStep::Upstream(index))) => Some(*index),
            (OperationKind::Mutation, _) => None,
            _ => (!plan.parts.is_empty()).then_some(0),
        };
        let index = open.unwrap_or_else(|| {
            plan.parts.push(UpstreamOperation {
                query_json: String::new(),
                variables: Vec::new(),
                fields: Vec::new(),
                is_whole: false,
                shape: ResponseShape::default(),
                edits: Vec::new(),
            });
            plan.steps.push(PlanStep::Upstream(plan.parts.len() - 1));
            plan.parts.len() - 1
        });
        if let Some(part) = plan.parts.get_mut(index) {
            part.fields.push(self.part_field(response_name, field));
        }
        FieldSource::Upstream(index)
    }

    fn part_field(&self, response_name: &str, field: &Node<Field>) -> UpstreamField {
        let (response_name, name) = (response_name.to_owned(), field.name.to_string());
        UpstreamField { response_name, name, location: self.location(field) }
    }

    /// In a query that the upstream has a part of, `__typename` stays in that part: it costs nothing there.
    fn leave_typename_to_upstream(&self, plan: &mut Plan, collected: &CollectedFields<'_>) {
        if self.kind == OperationKind::Mutation || plan.parts.is_empty() {
            return;
        }
        for field in plan.fields.iter_mut().filter(|field| field.owner == FieldSource::TypeName) {
            field.owner = FieldSource::Upstream(0);
            let first = collected.get(field.response_name.as_str()).and_then(|fields| fields.first());
            if let (Some(part), Some(first)) = (plan.parts.first_mut(), first) {
                part.fields.push(self.part_field(&field.response_name, first));
            }
        }
    }

    fn mask_parts(&self, plan: &mut Plan, collected: &CollectedFields<'_>) -> Result<(), PlanError> {
        let suffixes = nested_roots::suffixes(self.document, self.surroundings.roots);
        for index in 0..plan.parts.len() {
            let own: HashSet<&str> = collected
                .keys()
                .zip(&plan.fields)
                .filter(|(_, field)| field.owner == FieldSource::Upstream(index))
                .map(|(response_name, _)| *response_name)
                .collect();
            let masked = mask(
                self.document,
                self.operation,
                self.root_type,
                &Keep {
                    field: &|field| own.contains(field.response_name().as_str()),
                    other_types: true,
                    operation_directives: true,
                    drops_directive: is_incremental,
                    never: &suffixes,
                    sites: self.surroundings.sites.map(AsRef::as_ref),
                },
            )?;
            let shape = self.shape(&own, collected);
            if let Some(part) = plan.parts.get_mut(index) {
                part.shape = shape;
                part.edits = masked.edits;
                part.is_whole = masked.text == *self.document.text;
                part.query_json = serde_json::Value::String(masked.text).to_string();
                part.variables = masked.variables;
            }
        }
        Ok(())
    }

    /// Where the extension fields of these root fields stand in the response.
    fn shape(&self, own: &HashSet<&str>, collected: &CollectedFields<'_>) -> ResponseShape {
        let Some(sites) = self.surroundings.sites else { return ResponseShape::default() };
        let own = collected.iter().filter(|(response_name, _)| own.contains(**response_name));
        let fields =
            own.filter_map(|(name, fields)| Some(((*name).to_owned(), sites.shape_of(self.document, fields)?)));
        ResponseShape { fields: fields.collect(), has_sites: false }
    }

    /// What extension fields use of our part.
    fn add_sites(&self, plan: &mut Plan) {
        let Some(sites) = self.surroundings.sites else { return };
        let used = own_variables(self.document, sites);
        let is_new = |name: &&str| used.contains(*name) && !plan.own_variables.iter().any(|known| known == name);
        let names = self.operation.variables.iter().map(|variable| variable.name.as_str());
        let new: Vec<String> = names.filter(is_new).map(str::to_owned).collect();
        plan.own_variables.extend(new);
        plan.sites = Some(Arc::clone(sites));
    }

    fn mask_own(&self, plan: &mut Plan) -> Result<(), PlanError> {
        if plan.calls.is_empty() && plan.introspections.is_empty() {
            return Ok(());
        }
        let is_own = |field: &Field| {
            field.name == "__typename"
                || self.surroundings.schema.action(self.kind, &field.name).is_some()
                || self.surroundings.serves_introspection && is_introspection(self.kind, &field.name)
        };
        let OwnPart { mut document, variables } =
            own_document::own_part(self.document, self.operation, self.root_type, &is_own)?;
        plan.own_variables = variables;
        let schema = self.surroundings.schema;
        if own_document::may_need_cut(&self.document.text, schema) {
            let cut = own_document::cut(&document, self.root_type, schema);
            if cut.has_relationships || !cut.upstream_directives.is_empty() {
                plan.own_variables.retain(|name| cut.variables.contains(name));
                plan.has_relationships = cut.has_relationships;
                plan.upstream_directives = cut.upstream_directives;
                document = cut.document;
            }
        }
        plan.own = Some(document);
        Ok(())
    }

    fn first_location(&self, fields: &[&Node<Field>]) -> Location {
        fields.first().map_or(Location { line: 1, column: 1 }, |field| self.location(field))
    }

    fn location(&self, field: &Node<Field>) -> Location {
        self.document.location(field).unwrap_or(Location { line: 1, column: 1 })
    }

    fn conflict(&self, response_name: &str, one: &Node<Field>, other: &Node<Field>) -> SyntaxError {
        let offset = other.location().map(|span| span.offset());
        SyntaxError {
            message: format!(
                "Fields \"{response_name}\" conflict because \"{}\" and \"{}\" are different fields. Use different \
                 aliases on the fields to fetch both if this was intentional.",
                one.name, other.name
            ),
            location: offset.map(|offset| location_at(&self.document.text, offset)),
            offset,
        }
    }
}
