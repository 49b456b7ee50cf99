//! The response to the introspection query, as JSON has it. Nothing is copied that can be borrowed: a response has megabytes.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Text that is borrowed where it can be; inside an `Option`, `Cow` alone would always copy.
#[derive(Deserialize, Clone, PartialEq, Eq, Hash)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Some upstreams return null for unsupported members.
fn null_is_false<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// The text of each type of a response, in its order.
///
/// # Errors
/// Serde's, where it is no introspection result.
pub(crate) fn type_texts(response: &str) -> Result<Vec<&RawValue>, serde_json::Error> {
    let response: IntrospectionResult<'_, &RawValue> = serde_json::from_str(response)?;
    Ok(response.data.and_then(|data| data.schema).map(|schema| schema.types).unwrap_or_default())
}

/// `T` is a type of the schema, read or not.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub(crate) struct IntrospectionResult<'a, T> {
    #[serde(borrow)]
    pub(crate) data: Option<Data<'a, T>>,
    #[serde(borrow)]
    pub(crate) errors: Option<Vec<IntrospectionResultError<'a>>>,
}

#[derive(Deserialize)]
pub(crate) struct IntrospectionResultError<'a> {
    #[serde(borrow)]
    pub(crate) message: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub(crate) struct Data<'a, T> {
    #[serde(borrow, rename = "__schema")]
    pub(crate) schema: Option<IntrospectionSchema<'a, T>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "T: Deserialize<'de>"))]
pub(crate) struct IntrospectionSchema<'a, T> {
    #[serde(borrow)]
    pub(crate) description: Option<Text<'a>>,
    pub(crate) query_type: NamedRef<'a>,
    pub(crate) mutation_type: Option<NamedRef<'a>>,
    pub(crate) subscription_type: Option<NamedRef<'a>>,
    pub(crate) types: Vec<T>,
    pub(crate) directives: Vec<IntrospectionDirective<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct NamedRef<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Kind {
    Scalar,
    Object,
    Interface,
    Union,
    Enum,
    InputObject,
    List,
    NonNull,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IntrospectionType<'a> {
    pub(crate) kind: Kind,
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    pub(crate) description: Option<Text<'a>>,
    #[serde(rename = "specifiedByURL")]
    pub(crate) specified_by_url: Option<Text<'a>>,
    pub(crate) is_one_of: Option<bool>,
    pub(crate) fields: Option<Vec<IntrospectionField<'a>>>,
    pub(crate) input_fields: Option<Vec<IntrospectionInput<'a>>>,
    pub(crate) interfaces: Option<Vec<NamedRef<'a>>>,
    pub(crate) enum_values: Option<Vec<IntrospectionEnumValue<'a>>>,
    pub(crate) possible_types: Option<Vec<NamedRef<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IntrospectionField<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    pub(crate) description: Option<Text<'a>>,
    pub(crate) args: Vec<IntrospectionInput<'a>>,
    #[serde(rename = "type")]
    pub(crate) ty: IntrospectionTypeRef<'a>,
    #[serde(default, deserialize_with = "null_is_false")]
    pub(crate) is_deprecated: bool,
    pub(crate) deprecation_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IntrospectionInput<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    pub(crate) description: Option<Text<'a>>,
    #[serde(rename = "type")]
    pub(crate) ty: IntrospectionTypeRef<'a>,
    pub(crate) default_value: Option<Text<'a>>,
    #[serde(default, deserialize_with = "null_is_false")]
    pub(crate) is_deprecated: bool,
    pub(crate) deprecation_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IntrospectionEnumValue<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    pub(crate) description: Option<Text<'a>>,
    #[serde(default, deserialize_with = "null_is_false")]
    pub(crate) is_deprecated: bool,
    pub(crate) deprecation_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IntrospectionDirective<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    pub(crate) description: Option<Text<'a>>,
    #[serde(default, deserialize_with = "null_is_false")]
    pub(crate) is_repeatable: bool,
    pub(crate) locations: Vec<Text<'a>>,
    pub(crate) args: Vec<IntrospectionInput<'a>>,
    #[serde(default, deserialize_with = "null_is_false")]
    pub(crate) is_deprecated: bool,
    pub(crate) deprecation_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IntrospectionTypeRef<'a> {
    pub(crate) kind: Kind,
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
    pub(crate) of_type: Option<Box<IntrospectionTypeRef<'a>>>,
}
