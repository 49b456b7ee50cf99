//! Resolves extension fields: their actions, arguments, keys and types, with every name and every constant checked.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use indexmap::IndexMap;

use crate::action::key_arguments::takes_all_keys;
use crate::config::argument_template;
use crate::config::extension_field_settings::{ExtensionFieldSettings, FieldCall, OutputNull};
use crate::config::resolver::Resolver;
use crate::graphql::suggestions::did_you_mean;
use crate::model::action::{Action, OperationKind};
use crate::model::extension_field::{ArgumentTemplate, ExtensionField};
use crate::model::source::{Diagnostic, SourceFile, SourceLocation};
use crate::model::types::{TypeKind, TypeRef, Types};

/// The actions that extension fields may name.
pub(crate) struct Named<'a> {
    /// Those that can be used.
    pub(crate) actions: &'a IndexMap<String, Arc<Action>>,
    /// Those that are defined. What is wrong with an unusable one is said elsewhere.
    pub(crate) defined: &'a HashMap<String, SourceLocation>,
    /// Those that were left out before.
    pub(crate) left_out: &'a HashSet<&'a SourceFile>,
    /// The types of all of them.
    pub(crate) types: &'a Types,
}

/// What is wrong, and what to do about it.
type Reason = (String, String);

/// The extension fields with their locations by `Type.field`.
pub(crate) type Resolved = (Vec<Arc<ExtensionField>>, HashMap<String, SourceLocation>);

impl Resolver<'_, '_> {
    /// The extension fields whose action can be used.
    pub(crate) fn extension_fields(&mut self, named: &Named<'_>) -> Resolved {
        let (mut fields, mut locations) = (Vec::new(), HashMap::new());
        for settings in self.surroundings.extension_fields {
            let coordinate = settings.coordinate();
            let start = self.diagnostics.len();
            locations.insert(coordinate.clone(), settings.place.clone());
            fields.extend(self.extension_field(settings, named).map(Arc::new));
            self.assign(start, &SourceFile::ExtensionField(coordinate));
        }
        (fields, locations)
    }

    fn extension_field(&mut self, settings: &ExtensionFieldSettings, named: &Named<'_>) -> Option<ExtensionField> {
        let place = &settings.call_place;
        let what = format!("the extension field \"{}\"", settings.coordinate());
        self.reject_reserved(&settings.place, "extension field", &settings.name);
        let action = match find_action(&settings.call.action, named) {
            Ok(action) => action?,
            Err((message, help)) => {
                self.error(place, format!("{what} needs {message}"), help);
                return None;
            }
        };
        if settings.call.matched_by.is_some() && action.batch_size.is_some() {
            let message =
                format!("\"batch\" of action '{}' is not needed for {what}: it has one call for all keys", action.name);
            let help = "remove \"batch\", or \"by\"";
            self.diagnostics.push(Diagnostic::warning(Some(place.clone()), message, help));
        }
        let reasons = match field_of(settings, action, named.types) {
            Ok(field) => match check_keys(&field) {
                None => return Some(field),
                Some(reason) => vec![reason],
            },
            Err(reasons) => reasons,
        };
        for (message, help) in reasons {
            self.error(place, format!("{what}: {message}"), help);
        }
        None
    }
}

fn field_of(settings: &ExtensionFieldSettings, action: &Action, types: &Types) -> Result<ExtensionField, Vec<Reason>> {
    let (arguments, mut reasons) = arguments(&settings.call, action, types);
    let ty = type_of(settings, action, types).map_err(|reason| reasons.push(reason));
    let (Ok(ty), true) = (ty, reasons.is_empty()) else { return Err(reasons) };
    Ok(ExtensionField {
        type_name: settings.type_name.clone(),
        name: settings.name.clone(),
        action: action.field.clone(),
        arguments,
        matched_by: settings.call.matched_by.clone(),
        ty,
        description: settings.description.clone().or_else(|| action.comment.clone()),
        deprecated: settings.deprecated.clone().or_else(|| action.deprecated.clone()),
    })
}

/// The action of this name if it can resolve fields; nothing if what is wrong with it is said elsewhere.
fn find_action<'n>(name: &str, named: &Named<'n>) -> Result<Option<&'n Action>, Reason> {
    let can_be_used = |action: &&Arc<Action>| action.kind == OperationKind::Query && !action.is_async;
    match named.actions.get(name) {
        Some(action) if action.is_async => {
            let help = "name a query action: the result of an asynchronous one is not there at once";
            Err((format!("action '{name}', which is asynchronous"), help.into()))
        }
        Some(action) if action.kind != OperationKind::Query => {
            let help = "name a query action: a field that is selected must not write anything";
            Err((format!("action '{name}', which is a mutation"), help.into()))
        }
        Some(action) => Ok(Some(action)),
        None if named.defined.contains_key(name) => Ok(None),
        None if named.left_out.contains(&SourceFile::Action(name.to_owned())) => {
            Err((format!("action '{name}', which cannot be used"), "correct the action".into()))
        }
        None => {
            let known = named.actions.values().filter(can_be_used).map(|action| action.name.as_str());
            let suggestion = did_you_mean(name, known);
            let stop = if suggestion.is_empty() { "" } else { "." };
            let help = "name a query action, without names.field_prefix, or remove the field";
            Err((format!("action '{name}', which does not exist{stop}{suggestion}"), help.into()))
        }
    }
}

type Given = Vec<(String, ArgumentTemplate)>;

fn arguments(call: &FieldCall, action: &Action, types: &Types) -> (Given, Vec<Reason>) {
    let (mut given, mut reasons): (Given, _) = (Vec::new(), Vec::new());
    for (name, value) in &call.arguments {
        let Some(definition) = action.arguments.iter().find(|known| known.name == *name) else {
            let suggestion = did_you_mean(name, action.arguments.iter().map(|known| known.name.as_str()));
            let stop = if suggestion.is_empty() { "" } else { "." };
            let message = format!("action '{}' has no argument \"{name}\"{stop}{suggestion}", action.name);
            reasons.push((message, "correct the argument's name, or remove it".into()));
            continue;
        };
        if given.iter().any(|(known, _)| known == name) {
            reasons.push((format!("the argument \"{name}\" is given twice"), "remove one of the two".into()));
            continue;
        }
        match argument_template::read(types, name, &definition.ty, value) {
            Ok(template) => given.push((name.clone(), template)),
            Err(message) => reasons.push((message, format!("write a value of type {}", definition.ty))),
        }
    }
    (given, reasons)
}

/// A field depends on its row, and elements that are matched are asked for by a list of keys and nothing else.
fn check_keys(field: &ExtensionField) -> Option<Reason> {
    match &field.matched_by {
        Some(key) if !takes_all_keys(field) => Some((
            format!("\"by {key}\" needs one argument with a list of one field of the row, and no other such field"),
            format!("write the argument for the keys as [$field]; without \"by {key}\" each key has a call"),
        )),
        None if field.key_fields().is_empty() => Some((
            "its call is the same for every row".into(),
            "give an argument a field of the row, as id: $id; what is the same for all rows is a root field".into(),
        )),
        _ => None,
    }
}

/// The action's type, or that of one element of its list.
fn type_of(settings: &ExtensionFieldSettings, action: &Action, types: &Types) -> Result<TypeRef, Reason> {
    let of_action = match &settings.call.matched_by {
        Some(key) => element_of(action, key, types)?,
        None => &action.output,
    };
    let help = "write a mapping {call: \"…\", output: nullable} so that the field is null after a failure, or \
                output: non_null so that the whole row is";
    match settings.output {
        Some(OutputNull::NonNull) if of_action.is_nullable() => {
            let message =
                format!("\"output\" is non_null, and the type {of_action} of action '{}' is nullable", action.name);
            Err((message, "remove \"output\"".into()))
        }
        Some(OutputNull::NonNull) => Ok(of_action.clone()),
        None if !of_action.is_nullable() && settings.call.matched_by.is_none() => {
            let message =
                format!("action '{}' returns {of_action}, and a failed call has nothing to return", action.name);
            Err((message, help.into()))
        }
        None | Some(OutputNull::Nullable) => Ok(of_action.nullable().clone()),
    }
}

/// The elements of the action's list must be objects with the field that matches them.
fn element_of<'a>(action: &'a Action, key: &str, types: &Types) -> Result<&'a TypeRef, Reason> {
    let not_a_list = || {
        let message = format!(
            "\"by {key}\" needs a list of objects, and action '{}' has the type {}",
            action.name, action.output
        );
        (message, format!("remove \"by {key}\", or let the action return a list of objects"))
    };
    let TypeRef::List(element) = action.output.nullable() else { return Err(not_a_list()) };
    let TypeRef::Named(name) = element.nullable() else { return Err(not_a_list()) };
    let fields = types.object(name).ok_or_else(not_a_list)?;
    let help = || format!("write \"by\" and the field of {name} that says which key an element belongs to");
    let Some(field) = fields.get(key) else {
        let suggestion = did_you_mean(key, fields.keys().map(String::as_str));
        let stop = if suggestion.is_empty() { "" } else { "." };
        return Err((format!("the type {name} has no field \"{key}\"{stop}{suggestion}"), help()));
    };
    let is_leaf = !field.ty.is_list()
        && !matches!(types.get(field.ty.named()).map(|found| &found.kind), Some(TypeKind::Object(_)));
    if is_leaf { Ok(element) } else { Err((format!("the field \"{key}\" of {name} is no single value"), help())) }
}
