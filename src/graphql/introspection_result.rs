//! The answer to the introspection query, as JSON has it. Nothing is copied that can be borrowed: an answer has megabytes.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

/// Text that is borrowed where it can be; inside an `Option`, `Cow` alone would always copy.
#[derive(Deserialize, Clone, PartialEq, Eq, Hash)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Some upstreams answer null for what they do not know.
fn null_is_false<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[derive(Deserialize)]
pub(super) struct IntrospectionResult<'a> {
    #[serde(borrow)]
    pub(super) data: Option<Data<'a>>,
    #[serde(borrow)]
    pub(super) errors: Option<Vec<IntrospectionResultError<'a>>>,
}

#[derive(Deserialize)]
pub(super) struct IntrospectionResultError<'a> {
    #[serde(borrow)]
    pub(super) message: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Data<'a> {
    #[serde(borrow, rename = "__schema")]
    pub(super) schema: Option<IntrospectionSchema<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IntrospectionSchema<'a> {
    #[serde(borrow)]
    pub(super) description: Option<Text<'a>>,
    pub(super) query_type: NamedRef<'a>,
    pub(super) mutation_type: Option<NamedRef<'a>>,
    pub(super) subscription_type: Option<NamedRef<'a>>,
    pub(super) types: Vec<IntrospectionType<'a>>,
    pub(super) directives: Vec<IntrospectionDirective<'a>>,
}

#[derive(Deserialize)]
pub(super) struct NamedRef<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Kind {
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
pub(super) struct IntrospectionType<'a> {
    pub(super) kind: Kind,
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    pub(super) description: Option<Text<'a>>,
    #[serde(rename = "specifiedByURL")]
    pub(super) specified_by_url: Option<Text<'a>>,
    pub(super) is_one_of: Option<bool>,
    pub(super) fields: Option<Vec<IntrospectionField<'a>>>,
    pub(super) input_fields: Option<Vec<IntrospectionInput<'a>>>,
    pub(super) interfaces: Option<Vec<NamedRef<'a>>>,
    pub(super) enum_values: Option<Vec<IntrospectionEnumValue<'a>>>,
    pub(super) possible_types: Option<Vec<NamedRef<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IntrospectionField<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    pub(super) description: Option<Text<'a>>,
    pub(super) args: Vec<IntrospectionInput<'a>>,
    #[serde(rename = "type")]
    pub(super) ty: IntrospectionTypeRef<'a>,
    #[serde(default, deserialize_with = "null_is_false")]
    pub(super) is_deprecated: bool,
    pub(super) deprecation_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IntrospectionInput<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    pub(super) description: Option<Text<'a>>,
    #[serde(rename = "type")]
    pub(super) ty: IntrospectionTypeRef<'a>,
    pub(super) default_value: Option<Text<'a>>,
    #[serde(default, deserialize_with = "null_is_false")]
    pub(super) is_deprecated: bool,
    pub(super) deprecation_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IntrospectionEnumValue<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    pub(super) description: Option<Text<'a>>,
    #[serde(default, deserialize_with = "null_is_false")]
    pub(super) is_deprecated: bool,
    pub(super) deprecation_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IntrospectionDirective<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    pub(super) description: Option<Text<'a>>,
    #[serde(default, deserialize_with = "null_is_false")]
    pub(super) is_repeatable: bool,
    pub(super) locations: Vec<Text<'a>>,
    pub(super) args: Vec<IntrospectionInput<'a>>,
    #[serde(default, deserialize_with = "null_is_false")]
    pub(super) is_deprecated: bool,
    pub(super) deprecation_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IntrospectionTypeRef<'a> {
    pub(super) kind: Kind,
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    pub(super) of_type: Option<Box<IntrospectionTypeRef<'a>>>,
}
