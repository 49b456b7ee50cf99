//! Rust: its names, types and values.

use serde_json::Value;

use crate::codegen::language::Language;
use crate::codegen::names::{snake, upper_camel};
use crate::codegen::shape::{Inner, Member, Shape};

/// Rust, edition 2024.
pub(crate) struct Rust;

impl Language for Rust {
    fn reserved_types(&self) -> &'static [&'static str] {
        &[
            "ActionError",
            "Box",
            "BTreeMap",
            "Call",
            "Deserialize",
            "Option",
            "Result",
            "Self",
            "Serialize",
            "SessionVariables",
            "String",
            "Vec",
        ]
    }

    fn keywords(&self) -> &'static [&'static str] {
        &KEYWORDS
    }

    fn keywords_of_members(&self) -> &'static [&'static str] {
        &KEYWORDS
    }

    fn type_name(&self, graphql: &str) -> String {
        upper_camel(graphql)
    }

    fn member_name(&self, graphql: &str) -> String {
        snake(graphql)
    }

    fn function_name(&self, action: &str) -> String {
        snake(action)
    }

    fn value_name(&self, _enum_type: &str, value: &str) -> String {
        upper_camel(&value.to_ascii_lowercase())
    }

    fn scalar(&self, shape: Shape) -> &'static str {
        match shape {
            Shape::Text => "String",
            Shape::Integer => "i32",
            Shape::Float => "f64",
            Shape::Boolean => "bool",
            Shape::Json | Shape::Enum | Shape::Object => "serde_json::Value",
        }
    }

    fn list(&self, item: &str) -> String {
        format!("Vec<{item}>")
    }

    fn nullable(&self, ty: &str, _inner: Inner) -> String {
        format!("Option<{ty}>")
    }

    fn indirect(&self, ty: &str) -> String {
        format!("Box<{ty}>")
    }

    fn string(&self, text: &str) -> String {
        format!("{text:?}")
    }

    fn arguments(&self, input: &Value) -> String {
        self.string(&input.to_string())
    }

    fn scalar_value(&self, shape: Shape) -> &'static str {
        match shape {
            Shape::Text => "\"text\".to_owned()",
            Shape::Integer => "1",
            Shape::Float => "1.5",
            Shape::Boolean => "true",
            Shape::Json | Shape::Enum | Shape::Object => "serde_json::json!({})",
        }
    }

    fn enum_value(&self, enum_type: &str, name: &str, _value: &str) -> String {
        format!("{enum_type}::{name}")
    }

    fn object(&self, ty: &str, members: &[(Member, Option<String>)]) -> String {
        let member = |(member, value): &(Member, Option<String>)| {
            format!("{}: {}", member.name, value.as_deref().unwrap_or("None"))
        };
        let members: Vec<String> = members.iter().map(member).collect();
        format!("{ty} {{ {} }}", members.join(", "))
    }

    fn empty_list(&self, _ty: &str) -> String {
        "Vec::new()".to_owned()
    }

    fn present(&self, value: String, _inner: Inner) -> String {
        format!("Some({value})")
    }
}

/// Keywords, strict and reserved.
const KEYWORDS: [&str; 51] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
    "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];
