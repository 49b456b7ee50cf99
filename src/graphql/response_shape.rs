//! Where extension fields stand in a response of the upstream: a tree of response names that leads to their rows.

use apollo_compiler::ast::Type;
use indexmap::IndexMap;

/// An object of a response, as far as it leads to extension fields. Only what the client selects is in it, so that a
/// value of a custom scalar is never taken for a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseShape {
    /// The fields that lead to others, by response name.
    pub fields: IndexMap<String, FieldShape>,
    /// May the object itself have extension fields?
    pub has_sites: bool,
}

/// A field of such an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldShape {
    /// For its value, the elements of it if that is a list, and so on: may it be null?
    pub nullable: Vec<bool>,
    /// The objects in it.
    pub object: ResponseShape,
}

impl FieldShape {
    /// A field of this type.
    #[must_use]
    pub fn new(ty: &Type) -> Self {
        let mut nullable = vec![!ty.is_non_null()];
        let mut ty = ty;
        while ty.is_list() {
            ty = ty.item_type();
            nullable.push(!ty.is_non_null());
        }
        Self { nullable, object: ResponseShape::default() }
    }
}
