//! Go: its names, types and values.

use serde_json::Value;

use crate::codegen::language::Language;
use crate::codegen::names::upper_camel;
use crate::codegen::shape::{Inner, Member, Shape};

/// Go 1.19 or newer.
pub(crate) struct Go;

impl Language for Go {
    fn reserved_types(&self) -> &'static [&'static str] {
        &["ActionError", "Call", "Outcome", "SessionVariables"]
    }

    /// Exported names are no keywords.
    fn keywords(&self) -> &'static [&'static str] {
        &[]
    }

    fn type_name(&self, graphql: &str) -> String {
        upper_camel(graphql)
    }

    fn member_name(&self, graphql: &str) -> String {
        upper_camel(graphql)
    }

    fn function_name(&self, action: &str) -> String {
        format!("handle{}", upper_camel(action))
    }

    fn value_name(&self, enum_type: &str, value: &str) -> String {
        format!("{enum_type}{}", upper_camel(&value.to_ascii_lowercase()))
    }

    fn has_global_values(&self) -> bool {
        true
    }

    fn scalar(&self, shape: Shape) -> &'static str {
        match shape {
            Shape::Text => "string",
            Shape::Integer => "int32",
            Shape::Float => "float64",
            Shape::Boolean => "bool",
            Shape::Json | Shape::Enum | Shape::Object => "json.RawMessage",
        }
    }

    fn list(&self, item: &str) -> String {
        format!("[]{item}")
    }

    /// Slices are nil already.
    fn nullable(&self, ty: &str, inner: Inner) -> String {
        if is_nil_already(inner) || ty.starts_with('*') { ty.to_owned() } else { format!("*{ty}") }
    }

    fn indirect(&self, ty: &str) -> String {
        format!("*{ty}")
    }

    /// Of the escapes of JSON Go knows all.
    fn string(&self, text: &str) -> String {
        Value::from(text).to_string()
    }

    fn arguments(&self, input: &Value) -> String {
        self.string(&input.to_string())
    }

    fn scalar_value(&self, shape: Shape) -> &'static str {
        match shape {
            Shape::Text => "\"text\"",
            Shape::Integer => "int32(1)",
            Shape::Float => "1.5",
            Shape::Boolean => "true",
            Shape::Json | Shape::Enum | Shape::Object => "json.RawMessage(\"{}\")",
        }
    }

    fn enum_value(&self, _enum_type: &str, name: &str, _value: &str) -> String {
        name.to_owned()
    }

    fn object(&self, ty: &str, members: &[(Member, Option<String>)]) -> String {
        let member = |(member, value): &(Member, Option<String>)| Some(format!("{}: {}", member.name, value.as_ref()?));
        let members: Vec<String> = members.iter().filter_map(member).collect();
        format!("{ty}{{{}}}", members.join(", "))
    }

    fn empty_list(&self, ty: &str) -> String {
        format!("{ty}{{}}")
    }

    fn present(&self, value: String, inner: Inner) -> String {
        match inner {
            _ if is_nil_already(inner) => value,
            Inner::Named(Shape::Object) => format!("&{value}"),
            Inner::List | Inner::Named(_) => format!("pointerTo({value})"),
        }
    }
}

fn is_nil_already(inner: Inner) -> bool {
    matches!(inner, Inner::List | Inner::Named(Shape::Json))
}
