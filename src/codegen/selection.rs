//! The actions that are generated, and the types that they need.

use std::collections::HashSet;
use std::sync::Arc;

use crate::codegen::options::Options;
use crate::model::action::{Action, ActionSchema};
use crate::model::types::TypeKind;

/// What is generated, and what is not.
pub(crate) struct Selection {
    /// In the order of the configuration.
    pub(crate) actions: Vec<Arc<Action>>,
    /// Names of types that are not built in, in the order in which the actions need them.
    pub(crate) types: Vec<String>,
    /// Actions without a handler, and why.
    pub(crate) left_out: Vec<(String, String)>,
}

const BUILT_IN: [&str; 5] = ["Int", "Float", "String", "Boolean", "ID"];

impl Selection {
    /// The actions that the options name, or all.
    ///
    /// # Errors
    /// Names that are no actions, actions whose handlers are not generated, or that there is no action at all.
    pub(crate) fn of(schema: &ActionSchema, options: &Options) -> Result<Self, Vec<String>> {
        let mut errors: Vec<String> = options
            .actions
            .iter()
            .filter(|name| !schema.actions.values().any(|action| action.name == **name))
            .map(|name| unknown(schema, name))
            .collect();
        let is_named = |action: &Action| options.actions.contains(&action.name);
        let is_chosen = |action: &&Arc<Action>| options.actions.is_empty() || is_named(action);
        let (mut actions, mut left_out) = (Vec::new(), Vec::new());
        for action in schema.actions.values().filter(is_chosen) {
            match obstacle(action).filter(|_| !options.framework.is_types_only()) {
                Some(reason) if is_named(action) => errors.push(format!("action '{}': {reason}", action.name)),
                Some(reason) => left_out.push((action.name.clone(), reason.to_owned())),
                None => actions.push(Arc::clone(action)),
            }
        }
        if errors.is_empty() && actions.is_empty() {
            errors.push("there is no action whose handler could be generated".to_owned());
        }
        let types = types_of(schema, &actions);
        if errors.is_empty() { Ok(Self { actions, types, left_out }) } else { Err(errors) }
    }
}

fn unknown(schema: &ActionSchema, name: &str) -> String {
    let names: Vec<&str> = schema.actions.values().map(|action| action.name.as_str()).collect();
    let known = if names.is_empty() { "there are none".to_owned() } else { format!("there are {}", names.join(", ")) };
    format!("there is no action '{name}'; {known}")
}

/// Why no handler is generated for an action: what its handler receives is not known.
fn obstacle(action: &Action) -> Option<&'static str> {
    if action.responds_with().is_some() {
        return Some("it has no handler: its value is what the upstream is asked before");
    }
    let has_transform = action.request_transform.is_some() || action.response_transform.is_some();
    has_transform.then_some("its requests or responses are transformed, for an API that exists")
}

fn types_of(schema: &ActionSchema, actions: &[Arc<Action>]) -> Vec<String> {
    let (mut seen, mut found) = (HashSet::new(), Vec::new());
    for action in actions {
        let arguments = action.arguments.iter().map(|argument| argument.ty.named());
        let mut next: Vec<&str> = arguments.chain([action.output.named()]).collect();
        next.reverse();
        while let Some(name) = next.pop() {
            if BUILT_IN.contains(&name) || !seen.insert(name.to_owned()) {
                continue;
            }
            found.push(name.to_owned());
            let members: Vec<&str> = match schema.types.get(name).map(|definition| &definition.kind) {
                Some(TypeKind::InputObject(fields)) => fields.iter().map(|field| field.ty.named()).collect(),
                Some(TypeKind::Object(fields)) => fields.values().map(|field| field.ty.named()).collect(),
                Some(TypeKind::Scalar | TypeKind::Enum(_)) | None => Vec::new(),
            };
            next.extend(members.into_iter().rev());
        }
    }
    found
}
