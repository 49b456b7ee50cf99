//! The types of a schema as expressions of a language.

use std::collections::{HashMap, HashSet};

use crate::codegen::language::Language;
use crate::codegen::names::Names;
use crate::codegen::shape::{Inner, Member, Shape};
use crate::model::types::{InputValue, TypeDefinition, TypeKind, TypeRef, Types};

/// The named types that code is generated for, with their names in it.
pub(crate) struct TypeTable<'s> {
    pub(crate) language: &'static dyn Language,
    types: &'s Types,
    names: HashMap<String, String>,
    /// The values of enums with their names in the code.
    values: HashMap<String, Vec<(String, String)>>,
}

impl<'s> TypeTable<'s> {
    /// Gives each of the types a name.
    pub(crate) fn new(language: &'static dyn Language, types: &'s Types, used: &[String], scope: &mut Names) -> Self {
        let names = used.iter().map(|name| (name.clone(), scope.take(language.type_name(name)))).collect();
        let mut table = Self { language, types, names, values: HashMap::new() };
        for name in used {
            if let Some(TypeKind::Enum(values)) = types.get(name).map(|definition| &definition.kind) {
                let named = table.name_values(name, values.keys(), scope);
                table.values.insert(name.clone(), named);
            }
        }
        table
    }

    fn name_values<'v>(
        &self,
        enum_type: &str,
        values: impl Iterator<Item = &'v String>,
        scope: &mut Names,
    ) -> Vec<(String, String)> {
        let (mut own, enum_type) = (Names::new(&["Self"]), self.name(enum_type));
        let names = if self.language.has_global_values() { scope } else { &mut own };
        values.map(|value| (value.clone(), names.take(self.language.value_name(&enum_type, value)))).collect()
    }

    /// The values of an enum, each with its name in the code.
    pub(crate) fn enum_values(&self, name: &str) -> &[(String, String)] {
        self.values.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// `None` for a type that the configuration does not define: it is the upstream's.
    pub(crate) fn definition(&self, name: &str) -> Option<&'s TypeDefinition> {
        self.types.get(name)
    }

    /// The name of a type in the code; of a built-in scalar its type.
    pub(crate) fn name(&self, name: &str) -> String {
        self.names.get(name).cloned().unwrap_or_else(|| self.language.scalar(Shape::of_scalar(name)).to_owned())
    }

    pub(crate) fn shape(&self, name: &str) -> Shape {
        match self.definition(name).map(|definition| &definition.kind) {
            Some(TypeKind::Enum(_)) => Shape::Enum,
            Some(TypeKind::Object(_) | TypeKind::InputObject(_)) => Shape::Object,
            Some(TypeKind::Scalar) | None => Shape::of_scalar(name),
        }
    }

    pub(crate) fn inner(&self, ty: &TypeRef) -> Inner {
        match ty.nullable() {
            TypeRef::Named(name) => Inner::Named(self.shape(name)),
            TypeRef::List(_) | TypeRef::NonNull(_) => Inner::List,
        }
    }

    /// The type as an expression.
    pub(crate) fn expression(&self, ty: &TypeRef) -> String {
        self.expression_within(ty, None)
    }

    /// The type of a member of the object `holder`.
    pub(crate) fn member_expression(&self, ty: &TypeRef, holder: &str) -> String {
        self.expression_within(ty, Some(holder))
    }

    fn expression_within(&self, ty: &TypeRef, holder: Option<&str>) -> String {
        let base = match ty.nullable() {
            // What a list holds is stored elsewhere already.
            TypeRef::List(item) | TypeRef::NonNull(item) => self.language.list(&self.expression(item)),
            TypeRef::Named(name) => {
                let expression = self.name(name);
                let contains_itself = holder.is_some_and(|holder| self.contains(name, holder));
                if contains_itself { self.language.indirect(&expression) } else { expression }
            }
        };
        if ty.is_nullable() { self.language.nullable(&base, self.inner(ty)) } else { base }
    }

    /// Does a value of the type `name` hold one of `wanted` directly, at any depth?
    fn contains(&self, name: &str, wanted: &str) -> bool {
        let (mut seen, mut next) = (HashSet::new(), vec![name]);
        while let Some(name) = next.pop() {
            if name == wanted {
                return self.shape(name) == Shape::Object;
            }
            if seen.insert(name) {
                next.extend(self.members(name).iter().filter(|(_, ty)| !ty.is_list()).map(|(_, ty)| ty.named()));
            }
        }
        false
    }

    /// The members of an object with their types; of other types none.
    pub(crate) fn members(&self, name: &str) -> Vec<(&'s str, &'s TypeRef)> {
        match self.definition(name).map(|definition| &definition.kind) {
            Some(TypeKind::Object(fields)) => fields.iter().map(|(name, field)| (name.as_str(), &field.ty)).collect(),
            Some(TypeKind::InputObject(fields)) => {
                fields.iter().map(|field| (field.name.as_str(), &field.ty)).collect()
            }
            Some(TypeKind::Scalar | TypeKind::Enum(_)) | None => Vec::new(),
        }
    }

    /// The names of members in the code, in order.
    pub(crate) fn named_members<'n>(&self, names: impl Iterator<Item = &'n str>) -> Vec<Member> {
        let mut scope = Names::new(self.language.keywords_of_members());
        let member = |json: &str| Member { name: scope.take(self.language.member_name(json)), json: json.to_owned() };
        names.map(member).collect()
    }
}

/// May the client leave it out, so that the handler does not get it? A default is filled in before.
pub(crate) fn may_be_absent(input: &InputValue) -> bool {
    input.ty.is_nullable() && input.default.is_none()
}
