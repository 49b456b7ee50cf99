//! TypeScript: its names, types and values.

use serde_json::Value;

use crate::codegen::language::Language;
use crate::codegen::names::lower_camel;
use crate::codegen::shape::{Inner, Member, Shape};

/// TypeScript, for Node.
pub(crate) struct TypeScript;

impl Language for TypeScript {
    fn reserved_types(&self) -> &'static [&'static str] {
        &RESERVED
    }

    fn keywords(&self) -> &'static [&'static str] {
        &KEYWORDS
    }

    fn type_name(&self, graphql: &str) -> String {
        graphql.to_owned()
    }

    fn member_name(&self, graphql: &str) -> String {
        graphql.to_owned()
    }

    fn function_name(&self, action: &str) -> String {
        lower_camel(action)
    }

    fn value_name(&self, _enum_type: &str, value: &str) -> String {
        value.to_owned()
    }

    fn scalar(&self, shape: Shape) -> &'static str {
        match shape {
            Shape::Text => "string",
            Shape::Integer | Shape::Float => "number",
            Shape::Boolean => "boolean",
            Shape::Json | Shape::Enum | Shape::Object => "unknown",
        }
    }

    fn list(&self, item: &str) -> String {
        format!("Array<{item}>")
    }

    fn nullable(&self, ty: &str, _inner: Inner) -> String {
        format!("{ty} | null")
    }

    fn string(&self, text: &str) -> String {
        Value::from(text).to_string()
    }

    fn arguments(&self, input: &Value) -> String {
        spaced_json(input)
    }

    fn scalar_value(&self, shape: Shape) -> &'static str {
        match shape {
            Shape::Text => "\"text\"",
            Shape::Integer => "1",
            Shape::Float => "1.5",
            Shape::Boolean => "true",
            Shape::Json | Shape::Enum | Shape::Object => "{}",
        }
    }

    fn enum_value(&self, _enum_type: &str, _name: &str, value: &str) -> String {
        self.string(value)
    }

    fn object(&self, _ty: &str, members: &[(Member, Option<String>)]) -> String {
        let member = |(member, value): &(Member, Option<String>)| {
            format!("{}: {}", member.json, value.as_deref().unwrap_or("null"))
        };
        let members: Vec<String> = members.iter().map(member).collect();
        format!("{{ {} }}", members.join(", "))
    }

    fn empty_list(&self, _ty: &str) -> String {
        "[]".to_owned()
    }
}

/// JSON with spaces around members, as people write it.
fn spaced_json(value: &Value) -> String {
    match value {
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members =
                members.iter().map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), spaced_json(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(spaced_json).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// Types of the language, and those that generated code uses.
const RESERVED: [&str; 63] = [
    "Action",
    "ActionError",
    "Array",
    "Call",
    "Promise",
    "Record",
    "Routes",
    "SessionVariables",
    "any",
    "as",
    "async",
    "bigint",
    "boolean",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "function",
    "if",
    "import",
    "in",
    "instanceof",
    "interface",
    "let",
    "never",
    "new",
    "null",
    "number",
    "object",
    "package",
    "private",
    "protected",
    "public",
    "return",
    "static",
    "string",
    "super",
    "switch",
    "symbol",
    "this",
    "throw",
    "true",
    "try",
    "type",
    "typeof",
    "undefined",
    "unknown",
    "void",
    "with",
    "yield",
];

/// Words that cannot name a function of a module, and names that generated code uses.
const KEYWORDS: [&str; 51] = [
    "arguments",
    "assert",
    "await",
    "break",
    "call",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "eval",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "function",
    "if",
    "implements",
    "import",
    "in",
    "input",
    "instanceof",
    "interface",
    "let",
    "new",
    "null",
    "package",
    "private",
    "protected",
    "public",
    "return",
    "static",
    "super",
    "switch",
    "test",
    "this",
    "throw",
    "true",
    "try",
    "typeof",
    "var",
    "void",
    "while",
    "yield",
];
