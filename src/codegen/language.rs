//! What differs between the languages that code is generated in.

use serde_json::Value;

use crate::codegen::shape::{Inner, Member, Shape};

/// The spelling of names, types and values.
pub(crate) trait Language {
    /// Names that no type may have, in its spelling.
    fn reserved_types(&self) -> &'static [&'static str];

    /// Names that no function or file may have.
    fn keywords(&self) -> &'static [&'static str];

    /// Names that no member of an object may have.
    fn keywords_of_members(&self) -> &'static [&'static str] {
        &[]
    }

    /// The name of a type.
    fn type_name(&self, graphql: &str) -> String;

    /// The name of a member of an object.
    fn member_name(&self, graphql: &str) -> String;

    /// Can a member have its name in JSON as its own in the code?
    fn is_plain_member(&self, _json: &str) -> bool {
        true
    }

    /// The name of the function that handles an action.
    fn function_name(&self, action: &str) -> String;

    /// The name of an enum's value.
    fn value_name(&self, enum_type: &str, value: &str) -> String;

    /// Do the names of enum values stand beside those of types?
    fn has_global_values(&self) -> bool {
        false
    }

    /// The type of a scalar.
    fn scalar(&self, shape: Shape) -> &'static str;

    /// A list of this type.
    fn list(&self, item: &str) -> String;

    /// This type or null.
    fn nullable(&self, ty: &str, inner: Inner) -> String;

    /// The type of a member of a type that contains itself.
    fn indirect(&self, ty: &str) -> String {
        ty.to_owned()
    }

    /// A string literal.
    fn string(&self, text: &str) -> String;

    /// Arguments as the tests write them.
    fn arguments(&self, input: &Value) -> String;

    /// A value of a scalar.
    fn scalar_value(&self, shape: Shape) -> &'static str;

    /// A value of an enum; `name` is that of [`Self::value_name`].
    fn enum_value(&self, enum_type: &str, name: &str, value: &str) -> String;

    /// An object. Members that are null have no value.
    fn object(&self, ty: &str, members: &[(Member, Option<String>)]) -> String;

    /// An empty list of this type.
    fn empty_list(&self, ty: &str) -> String;

    /// A value where the type allows null.
    fn present(&self, value: String, _inner: Inner) -> String {
        value
    }
}
