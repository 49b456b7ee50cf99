//! The schema that a role sees of our actions, in the form that the validator wants.

use std::collections::HashSet;
use std::fmt::Write as _;

use apollo_compiler::Schema;
use apollo_compiler::validation::Valid;

use super::plan::RootTypes;
use crate::model::action::{Action, ActionSchema, OperationKind};
use crate::model::types::{BUILT_IN_SCALARS, InputValue, TypeKind, TypeRef, Types};

/// A field that lets a root without actions be a legal type. Nobody can select it: a selection of a field that is not
/// an action never gets here.
const PLACEHOLDER: &str = "pillion_has_no_action_here";

/// Builds the schema of the actions that `visible` lets through, with only the types that those reach.
///
/// # Errors
/// The validator's words. Loading has checked all that we know of, so this is a defect of ours or of its.
pub fn build(
    schema: &ActionSchema,
    roots: &RootTypes,
    visible: impl Fn(&Action) -> bool,
) -> Result<Valid<Schema>, String> {
    let actions: Vec<&Action> = schema.actions.values().map(AsRef::as_ref).filter(|action| visible(action)).collect();
    let mut sdl = format!("schema {{ query: {} mutation: {} }}\n", roots.query, roots.mutation);
    write_root(&mut sdl, &roots.query, &actions, OperationKind::Query);
    write_root(&mut sdl, &roots.mutation, &actions, OperationKind::Mutation);
    for name in reachable_types(&schema.types, &actions) {
        write_type(&mut sdl, &schema.types, name);
    }
    Schema::parse_and_validate(sdl, "actions").map_err(|failed| {
        failed.errors.iter().next().map_or_else(String::new, |diagnostic| diagnostic.error.to_string())
    })
}

fn write_root(sdl: &mut String, name: &str, actions: &[&Action], kind: OperationKind) {
    let _ = writeln!(sdl, "type {name} {{");
    let mut any = false;
    for action in actions.iter().filter(|action| action.kind == kind) {
        any = true;
        let _ = write!(sdl, "  {}", action.name);
        write_arguments(sdl, &action.arguments);
        let _ = writeln!(sdl, ": {}", action.output);
    }
    if !any {
        let _ = writeln!(sdl, "  {PLACEHOLDER}: Boolean");
    }
    sdl.push_str("}\n");
}

fn write_arguments(sdl: &mut String, arguments: &[InputValue]) {
    if arguments.is_empty() {
        return;
    }
    sdl.push('(');
    for argument in arguments {
        write_input(sdl, argument);
        sdl.push(' ');
    }
    sdl.push(')');
}

fn write_input(sdl: &mut String, input: &InputValue) {
    // The validator needs to know only that there is a default. A null for a type without null is refused by
    // coercion, which comes before anything runs as well.
    let _ = match (&input.default, &input.ty) {
        (None, ty) => write!(sdl, "{}: {ty}", input.name),
        (Some(_), TypeRef::NonNull(ty)) => write!(sdl, "{}: {ty} = null", input.name),
        (Some(_), ty) => write!(sdl, "{}: {ty} = null", input.name),
    };
}

fn write_type(sdl: &mut String, types: &Types, name: &str) {
    let Some(definition) = types.get(name) else { return };
    match &definition.kind {
        TypeKind::Scalar if BUILT_IN_SCALARS.contains(&name) => {}
        TypeKind::Scalar => {
            let _ = writeln!(sdl, "scalar {name}");
        }
        TypeKind::Enum(values) => {
            let values: Vec<&str> = values.keys().map(String::as_str).collect();
            let _ = writeln!(sdl, "enum {name} {{ {} }}", values.join(" "));
        }
        TypeKind::InputObject(fields) => {
            let _ = writeln!(sdl, "input {name} {{");
            for field in fields {
                write_input(sdl, field);
                sdl.push('\n');
            }
            sdl.push_str("}\n");
        }
        TypeKind::Object(fields) => {
            let _ = writeln!(sdl, "type {name} {{");
            for (field_name, field) in fields {
                let _ = writeln!(sdl, "  {field_name}: {}", field.ty);
            }
            sdl.push_str("}\n");
        }
    }
}

/// Every type that an argument or an answer of these actions can hold.
fn reachable_types<'s>(types: &'s Types, actions: &[&'s Action]) -> Vec<&'s str> {
    let mut waiting: Vec<&str> = actions
        .iter()
        .flat_map(|action| action.arguments.iter().map(|argument| argument.ty.named()).chain([action.output.named()]))
        .collect();
    let mut seen = HashSet::new();
    let mut reached = Vec::new();
    while let Some(name) = waiting.pop() {
        if !seen.insert(name) {
            continue;
        }
        reached.push(name);
        match types.get(name).map(|definition| &definition.kind) {
            Some(TypeKind::InputObject(fields)) => waiting.extend(fields.iter().map(|field| field.ty.named())),
            Some(TypeKind::Object(fields)) => waiting.extend(fields.values().map(|field| field.ty.named())),
            _ => {}
        }
    }
    reached
}
