//! Checks extension fields against the upstream's schema as a role sees it: are their types, names and key fields there, and
//! do the keys fit the arguments of the actions?

use apollo_compiler::ast::FieldDefinition;
use apollo_compiler::collections::IndexMap;
use apollo_compiler::schema::{Component, ExtendedType};
use apollo_compiler::{Name, Schema};

use crate::graphql::extend_schema::is_leaf;
use crate::graphql::key_types::{expected_types, takes};
use crate::graphql::suggestions::did_you_mean;
use crate::model::action::{ADMIN_ROLE, Action, ActionSchema};
use crate::model::extension_field::ExtensionField;
use crate::model::source::{Diagnostic, SourceFile, SourceLocation};

/// What of the extension fields does not go with `upstream`, the upstream's own schema as `role` sees it. A role that does
/// not see the type of a field misses nothing; one that sees it without the key fields is warned of. Names that the
/// upstream's type has already are conflicts of the merged schema.
#[must_use]
pub fn diagnostics(upstream: &Schema, actions: &ActionSchema, role: &str) -> Vec<Diagnostic> {
    let check = Check { upstream, actions, role };
    actions.extension_fields.iter().flat_map(|field| check.field(field)).collect()
}

struct Check<'c> {
    upstream: &'c Schema,
    actions: &'c ActionSchema,
    role: &'c str,
}

type Fields = IndexMap<Name, Component<FieldDefinition>>;

impl Check<'_> {
    fn field(&self, field: &ExtensionField) -> Vec<Diagnostic> {
        let action = self.actions.actions.get(&field.action).filter(|action| action.allows(self.role));
        let Some(action) = action else { return Vec::new() };
        let fields = match self.fields_of(field) {
            Ok(Some(fields)) => fields,
            Ok(None) => return Vec::new(),
            Err(diagnostic) => return vec![*diagnostic],
        };
        let keys = field.key_fields().into_iter();
        let mut found: Vec<Diagnostic> = keys.filter_map(|key| self.key(field, action, fields, key)).collect();
        found.extend(self.of_interface(field));
        found
    }

    /// The fields of its type; nothing if the role does not see the type.
    fn fields_of(&self, field: &ExtensionField) -> Result<Option<&Fields>, Box<Diagnostic>> {
        let name = &field.type_name;
        let is_root = self.upstream.schema_definition.iter_root_operations().any(|(_, root)| root == name.as_str());
        let has_fields = "name an object type or an interface of the upstream in pillion.yaml";
        let what = match self.upstream.types.get(name.as_str()) {
            Some(_) if is_root => {
                let help = "its fields stand in no rows: use the action itself, which is a field of the root";
                return Err(Box::new(error_of(self.actions, field, &format!("\"{name}\" is a root type"), help)));
            }
            Some(ExtendedType::Object(object)) => return Ok(Some(&object.fields)),
            Some(ExtendedType::Interface(interface)) => return Ok(Some(&interface.fields)),
            Some(ExtendedType::Union(_)) => "a union",
            Some(ExtendedType::Enum(_)) => "an enum",
            Some(ExtendedType::Scalar(_)) => "a scalar",
            Some(ExtendedType::InputObject(_)) => "an input object",
            None if self.role != ADMIN_ROLE => return Ok(None),
            None => {
                let with_fields =
                    self.upstream.types.iter().filter(|(_, found)| found.is_object() || found.is_interface());
                let suggestion = did_you_mean(name, with_fields.map(|(name, _)| name.as_str()));
                let stop = if suggestion.is_empty() { "" } else { "." };
                let message = format!("the upstream has no type \"{name}\"{stop}{suggestion}");
                return Err(Box::new(error_of(self.actions, field, &message, has_fields)));
            }
        };
        let message = format!("the upstream's type \"{name}\" is {what}, which has no fields");
        Err(Box::new(error_of(self.actions, field, &message, has_fields)))
    }

    fn key(&self, field: &ExtensionField, action: &Action, fields: &Fields, key: &str) -> Option<Diagnostic> {
        let coordinate = format!("{}.{key}", field.type_name);
        let Some(definition) = fields.get(key) else { return Some(self.missing_key(field, fields, key)) };
        if !is_leaf(self.upstream, &definition.ty) {
            let message =
                format!("the key field {coordinate} is of the type {}, which has fields of its own", definition.ty);
            return Some(error_of(self.actions, field, &message, "use a field whose value is a scalar or an enum"));
        }
        if let Some(argument) = definition.arguments.iter().find(|argument| argument.is_required()) {
            let message =
                format!("the key field {coordinate} cannot be selected without its argument \"{}\"", argument.name);
            return Some(error_of(self.actions, field, &message, "use a field without required arguments"));
        }
        let (types, found) = (&self.actions.types, &definition.ty);
        let (_, argument, ty) = expected_types(types, action, field)
            .into_iter()
            .find(|(name, _, ty)| *name == key && !takes(types, ty, self.upstream, found))?;
        let message = format!(
            "the key field {coordinate} is of the type {found}, which argument \"{argument}\" of action '{}' does not take: it needs {ty}",
            action.name
        );
        Some(error_of(self.actions, field, &message, "use a field of that type, or change the argument's type"))
    }

    fn missing_key(&self, field: &ExtensionField, fields: &Fields, key: &str) -> Diagnostic {
        let (coordinate, place) = (field.coordinate(), place_of(self.actions, field));
        if self.role != ADMIN_ROLE {
            let message = format!(
                "role \"{}\" cannot read the key field {}.{key}, so it does not see the extension field \"{coordinate}\"",
                self.role, field.type_name
            );
            let help = "let the role read the key field, or remove its permission for the action";
            return Diagnostic::warning(place, message, help).about(SourceFile::ExtensionField(coordinate));
        }
        let suggestion = did_you_mean(key, fields.keys().map(Name::as_str));
        let stop = if suggestion.is_empty() { "" } else { "." };
        let message =
            format!("the upstream's type \"{}\" has no key field \"{key}\"{stop}{suggestion}", field.type_name);
        error_of(self.actions, field, &message, "name fields of that type in the arguments, as $name")
    }

    /// A field of an interface is one of all types that implement it.
    fn of_interface(&self, field: &ExtensionField) -> Option<Diagnostic> {
        let interfaces = match self.upstream.types.get(field.type_name.as_str())? {
            ExtendedType::Object(object) => &object.implements_interfaces,
            ExtendedType::Interface(interface) => &interface.implements_interfaces,
            _ => return None,
        };
        let twin = self.actions.extension_fields.iter().find(|other| {
            other.name == field.name && interfaces.iter().any(|interface| interface.as_str() == other.type_name)
        })?;
        let message = format!("the type has the extension field \"{}\" of its interface already", twin.coordinate());
        Some(error_of(self.actions, field, &message, "remove one of the two, or rename it"))
    }
}

fn place_of(actions: &ActionSchema, field: &ExtensionField) -> Option<SourceLocation> {
    actions.locations.extension_fields.get(&field.coordinate()).cloned()
}

fn error_of(actions: &ActionSchema, field: &ExtensionField, message: &str, help: &str) -> Diagnostic {
    let coordinate = field.coordinate();
    let message = format!("the extension field \"{coordinate}\": {message}");
    Diagnostic::error(place_of(actions, field), message, help).about(SourceFile::ExtensionField(coordinate))
}
