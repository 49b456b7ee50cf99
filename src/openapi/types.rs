//! The GraphQL types that an import makes of schemas: objects, input objects and enums, with the names that the API has for
//! their members.

use indexmap::IndexMap;

use crate::model::source::SourceLocation;
use crate::model::types::TypeRef;
use crate::openapi::problem::Problem;

/// Scalars beside those of GraphQL, each with its description.
pub(crate) const CUSTOM_SCALARS: [(&str, &str); 5] = [
    ("BigInt", "A whole number that may have more than 32 bits."),
    ("Date", "A date: 2026-03-31."),
    ("DateTime", "A date and a time with their offset: 2026-03-31T09:30:00Z."),
    ("JSON", "Any JSON value."),
    ("UUID", "A universally unique identifier."),
];

/// All types by their names.
pub(crate) type Types = IndexMap<String, MadeType>;

/// A type.
#[derive(Clone, Debug)]
pub(crate) struct MadeType {
    /// Where its schema stands.
    pub(crate) place: SourceLocation,
    pub(crate) description: Option<String>,
    /// What it is, or why it cannot be.
    pub(crate) definition: Result<Definition, Problem>,
    /// Members that are left out.
    pub(crate) dropped: Vec<(String, Problem)>,
}

/// What a type is.
#[derive(Clone, Debug)]
pub(crate) enum Definition {
    /// An object type.
    Object(Vec<Member>),
    /// An input object type.
    Input(Vec<Member>),
    /// An enum: each value with the text that the API has for it.
    Enum(Vec<EnumMember>),
}

/// A field.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// The API's name.
    pub(crate) api_name: String,
    /// The name in GraphQL.
    pub(crate) name: String,
    pub(crate) ty: TypeRef,
    pub(crate) description: Option<String>,
    pub(crate) is_deprecated: bool,
    pub(crate) place: SourceLocation,
}

/// A value of an enum.
#[derive(Clone, Debug)]
pub(crate) struct EnumMember {
    /// The API's text.
    pub(crate) api_value: String,
    /// The name in GraphQL.
    pub(crate) name: String,
}

impl MadeType {
    /// Its fields, if it is an object or an input object.
    pub(crate) fn members(&self) -> &[Member] {
        match &self.definition {
            Ok(Definition::Object(members) | Definition::Input(members)) => members,
            _ => &[],
        }
    }

    /// Does its own definition have a name that the API does not have?
    pub(crate) fn is_mapped(&self) -> bool {
        match &self.definition {
            Ok(Definition::Object(members) | Definition::Input(members)) => {
                members.iter().any(|member| member.api_name != member.name)
            }
            Ok(Definition::Enum(values)) => values.iter().any(|value| value.api_value != value.name),
            Err(_) => false,
        }
    }
}

/// The type or `!`.
pub(crate) fn non_null(ty: TypeRef) -> TypeRef {
    match ty {
        TypeRef::NonNull(_) => ty,
        ty => TypeRef::NonNull(Box::new(ty)),
    }
}

/// A type by its name, which may be null.
pub(crate) fn named(name: &str) -> TypeRef {
    TypeRef::Named(name.to_owned())
}
