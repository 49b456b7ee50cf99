//! Sample values: what a handler returns until its author has written it, and the arguments of its test.

use serde_json::{Map, Value, json};

use crate::codegen::shape::{Inner, Shape};
use crate::codegen::type_expressions::TypeTable;
use crate::model::types::{InputValue, TypeKind, TypeRef};

/// Objects in a sample; types may contain themselves.
const OBJECTS_MAX: usize = 100;

impl TypeTable<'_> {
    /// An expression of this type; `None` if no value of it is finite.
    pub(crate) fn sample(&self, ty: &TypeRef) -> Option<String> {
        let value = self.sample_value(ty, &mut { OBJECTS_MAX })?;
        Some(if ty.is_nullable() { self.language.present(value, self.inner(ty)) } else { value })
    }

    fn sample_value(&self, ty: &TypeRef, left: &mut usize) -> Option<String> {
        let TypeRef::Named(name) = ty.nullable() else {
            let list = TypeRef::NonNull(Box::new(ty.nullable().clone()));
            return Some(self.language.empty_list(&self.expression(&list)));
        };
        match self.shape(name) {
            Shape::Object => self.sample_object(name, left),
            Shape::Enum => self.sample_enum(name),
            scalar => Some(self.language.scalar_value(scalar).to_owned()),
        }
    }

    fn sample_enum(&self, name: &str) -> Option<String> {
        let (value, value_name) = self.enum_values(name).first()?;
        Some(self.language.enum_value(&self.name(name), value_name, value))
    }

    fn sample_object(&self, name: &str, left: &mut usize) -> Option<String> {
        *left = left.checked_sub(1)?;
        let fields = self.members(name);
        let members = self.named_members(fields.iter().map(|(name, _)| *name));
        let values = fields.into_iter().map(|(_, ty)| self.sample_member(ty, left));
        let values: Option<Vec<Option<String>>> = values.collect();
        Some(self.language.object(&self.name(name), &members.into_iter().zip(values?).collect::<Vec<_>>()))
    }

    /// `Some(None)` is null.
    fn sample_member(&self, ty: &TypeRef, left: &mut usize) -> Option<Option<String>> {
        let inner = self.inner(ty);
        let is_scalar = !matches!(inner, Inner::List | Inner::Named(Shape::Object));
        if !ty.is_nullable() {
            return self.sample_value(ty, left).map(Some);
        }
        if !is_scalar {
            return Some(None);
        }
        Some(Some(self.language.present(self.sample_value(ty, left)?, inner)))
    }

    /// The arguments that a call must have, and those that Pillion fills in.
    pub(crate) fn sample_arguments(&self, arguments: &[InputValue]) -> Value {
        Value::Object(self.sample_input(arguments, false, &mut { OBJECTS_MAX }).unwrap_or_default())
    }

    fn sample_input(&self, fields: &[InputValue], is_one_of: bool, left: &mut usize) -> Option<Map<String, Value>> {
        let is_wanted = |(index, field): &(usize, &InputValue)| {
            if is_one_of { *index == 0 } else { !field.ty.is_nullable() || field.default.is_some() }
        };
        let mut values = Map::new();
        for (_, field) in fields.iter().enumerate().filter(is_wanted) {
            let value = match &field.default {
                Some(default) => default.clone(),
                None => self.sample_json(&field.ty, left)?,
            };
            values.insert(field.name.clone(), value);
        }
        Some(values)
    }

    fn sample_json(&self, ty: &TypeRef, left: &mut usize) -> Option<Value> {
        let TypeRef::Named(name) = ty.nullable() else { return Some(json!([])) };
        Some(match self.shape(name) {
            Shape::Text => json!("text"),
            Shape::Integer => json!(1),
            Shape::Float => json!(1.5),
            Shape::Boolean => json!(true),
            Shape::Json => json!({}),
            Shape::Enum => self.enum_values(name).first().map(|(value, _)| json!(value))?,
            Shape::Object => {
                let definition = self.definition(name)?;
                let TypeKind::InputObject(fields) = &definition.kind else { return None };
                *left = left.checked_sub(1)?;
                Value::Object(self.sample_input(fields, definition.is_one_of, left)?)
            }
        })
    }
}
