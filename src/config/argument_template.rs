//! Templates of an extension field's arguments: constants are coerced when the configuration is loaded, and `$field` stays
//! for the values of rows.

use apollo_compiler::ast::Value as Literal;
use apollo_compiler::{Name, Node};

use crate::graphql::coerce::{Variables, coerce_constant, json_of};
use crate::graphql::suggestions::did_you_mean;
use crate::model::extension_field::ArgumentTemplate;
use crate::model::types::{InputValue, TypeKind, TypeRef, Types, is_built_in_scalar};

/// The template that `value` is for an argument of this name and type. The parser's limit bounds the recursion.
///
/// # Errors
/// What does not fit the type.
pub(crate) fn read(
    types: &Types,
    argument: &str,
    ty: &TypeRef,
    value: &Node<Literal>,
) -> Result<ArgumentTemplate, String> {
    Reader { types, argument }.template(ty, value)
}

struct Reader<'r> {
    types: &'r Types,
    argument: &'r str,
}

impl Reader<'_> {
    fn template(&self, ty: &TypeRef, value: &Node<Literal>) -> Result<ArgumentTemplate, String> {
        if !has_key(value) {
            let constant = coerce_constant(self.types, self.argument, ty, value);
            return constant.map(ArgumentTemplate::Constant).map_err(|error| error.to_string());
        }
        match (ty.nullable(), value.as_ref()) {
            (_, Literal::Variable(name)) => Ok(ArgumentTemplate::Key(name.to_string())),
            (TypeRef::List(inner), Literal::List(items)) => {
                let items = items.iter().map(|item| self.template(inner, item));
                Ok(ArgumentTemplate::List(items.collect::<Result<_, _>>()?))
            }
            // A single object stands for a list of it.
            (TypeRef::List(inner), _) => Ok(ArgumentTemplate::List(vec![self.template(inner, value)?])),
            (TypeRef::Named(name), _) => self.named(name, value),
            (TypeRef::NonNull(inner), _) => self.template(inner, value),
        }
    }

    fn named(&self, type_name: &str, value: &Node<Literal>) -> Result<ArgumentTemplate, String> {
        let kind = self.types.get(type_name).map(|definition| &definition.kind);
        match (kind, value.as_ref()) {
            (Some(TypeKind::InputObject(fields)), Literal::Object(given)) => self.object(type_name, fields, given),
            (Some(TypeKind::Scalar) | None, _) if !is_built_in_scalar(type_name) => Ok(untyped(value)),
            (_, other) => {
                let what = if matches!(other, Literal::List(_)) { "a list" } else { "an object" };
                Err(format!("the argument \"{}\" has {what} where its type is {type_name}", self.argument))
            }
        }
    }

    /// Defaults are filled in, because nothing coerces the object again.
    fn object(
        &self,
        type_name: &str,
        fields: &[InputValue],
        given: &[(Name, Node<Literal>)],
    ) -> Result<ArgumentTemplate, String> {
        let owner = format!("the argument \"{}\"", self.argument);
        for (index, (name, _)) in given.iter().enumerate() {
            if !fields.iter().any(|field| field.name == name.as_str()) {
                let suggestion = did_you_mean(name, fields.iter().map(|field| field.name.as_str()));
                let stop = if suggestion.is_empty() { "" } else { "." };
                return Err(format!("{owner}: the type {type_name} has no field \"{name}\"{stop}{suggestion}"));
            }
            if given.iter().take(index).any(|(known, _)| known == name) {
                return Err(format!("{owner}: the field \"{name}\" is given twice"));
            }
        }
        if self.types.get(type_name).is_some_and(|definition| definition.is_one_of) && given.len() != 1 {
            return Err(format!("{owner}: exactly one field of {type_name} must be given"));
        }
        let mut object = Vec::with_capacity(fields.len());
        for InputValue { name, ty, default, .. } in fields {
            let template = match (given.iter().find(|(given, _)| given == name.as_str()), default) {
                (Some((_, value)), _) => self.template(ty, value)?,
                (None, Some(default)) => ArgumentTemplate::Constant(default.clone()),
                (None, None) if ty.is_nullable() => continue,
                (None, None) => return Err(format!("{owner}: the field \"{name}\" of type {ty} is missing")),
            };
            object.push((name.clone(), template));
        }
        Ok(ArgumentTemplate::Object(object))
    }
}

/// In a custom scalar anything may stand.
fn untyped(value: &Node<Literal>) -> ArgumentTemplate {
    match value.as_ref() {
        Literal::Variable(name) => ArgumentTemplate::Key(name.to_string()),
        Literal::List(items) => ArgumentTemplate::List(items.iter().map(untyped).collect()),
        Literal::Object(fields) => {
            let field = |(name, value): &(Name, Node<Literal>)| (name.to_string(), untyped(value));
            ArgumentTemplate::Object(fields.iter().map(field).collect())
        }
        other => ArgumentTemplate::Constant(json_of(other, &Variables::new())),
    }
}

fn has_key(value: &Node<Literal>) -> bool {
    match value.as_ref() {
        Literal::Variable(_) => true,
        Literal::List(items) => items.iter().any(has_key),
        Literal::Object(fields) => fields.iter().any(|(_, field)| has_key(field)),
        _ => false,
    }
}
