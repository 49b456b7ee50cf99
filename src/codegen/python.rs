//! Python: its names, types and values.

use serde_json::Value;

use crate::codegen::language::Language;
use crate::codegen::names::snake;
use crate::codegen::shape::{Inner, Member, Shape};

/// Python 3.11 or newer.
pub(crate) struct Python;

impl Language for Python {
    fn reserved_types(&self) -> &'static [&'static str] {
        &RESERVED
    }

    fn keywords(&self) -> &'static [&'static str] {
        &KEYWORDS
    }

    fn type_name(&self, graphql: &str) -> String {
        graphql.to_owned()
    }

    /// Keys of dictionaries, so they cannot be spelled otherwise.
    fn member_name(&self, graphql: &str) -> String {
        graphql.to_owned()
    }

    fn is_plain_member(&self, json: &str) -> bool {
        // Two underscores first would be replaced within a class.
        !RESERVED.contains(&json) && !json.starts_with("__")
    }

    fn function_name(&self, action: &str) -> String {
        snake(action)
    }

    fn value_name(&self, _enum_type: &str, value: &str) -> String {
        value.to_owned()
    }

    fn scalar(&self, shape: Shape) -> &'static str {
        match shape {
            Shape::Text => "str",
            Shape::Integer => "int",
            Shape::Float => "float",
            Shape::Boolean => "bool",
            Shape::Json | Shape::Enum | Shape::Object => "Any",
        }
    }

    fn list(&self, item: &str) -> String {
        format!("list[{item}]")
    }

    fn nullable(&self, ty: &str, _inner: Inner) -> String {
        format!("{ty} | None")
    }

    /// Escapes of JSON mean the same here.
    fn string(&self, text: &str) -> String {
        Value::from(text).to_string()
    }

    fn arguments(&self, input: &Value) -> String {
        literal(input)
    }

    fn scalar_value(&self, shape: Shape) -> &'static str {
        match shape {
            Shape::Text => "\"text\"",
            Shape::Integer => "1",
            Shape::Float => "1.5",
            Shape::Boolean => "True",
            Shape::Json | Shape::Enum | Shape::Object => "{}",
        }
    }

    fn enum_value(&self, _enum_type: &str, _name: &str, value: &str) -> String {
        self.string(value)
    }

    fn object(&self, _ty: &str, members: &[(Member, Option<String>)]) -> String {
        let member = |(member, value): &(Member, Option<String>)| {
            format!("{}: {}", self.string(&member.json), value.as_deref().unwrap_or("None"))
        };
        let members: Vec<String> = members.iter().map(member).collect();
        format!("{{{}}}", members.join(", "))
    }

    fn empty_list(&self, _ty: &str) -> String {
        "[]".to_owned()
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(_) | Value::String(_) => value.to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members =
                members.iter().map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), literal(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Keywords, and what generated code uses.
const RESERVED: [&str; 53] = [
    "ActionError",
    "Any",
    "Call",
    "False",
    "Literal",
    "None",
    "NotRequired",
    "SessionVariables",
    "True",
    "TypeAlias",
    "TypedDict",
    "and",
    "annotations",
    "as",
    "assert",
    "async",
    "await",
    "bool",
    "break",
    "class",
    "continue",
    "def",
    "del",
    "dict",
    "elif",
    "else",
    "except",
    "finally",
    "float",
    "for",
    "from",
    "global",
    "if",
    "import",
    "in",
    "int",
    "is",
    "lambda",
    "list",
    "nonlocal",
    "not",
    "object",
    "or",
    "pass",
    "property",
    "raise",
    "return",
    "str",
    "super",
    "try",
    "while",
    "with",
    "yield",
];

/// Keywords, and names that generated code uses.
const KEYWORDS: [&str; 43] = [
    "False",
    "None",
    "True",
    "and",
    "annotations",
    "as",
    "assert",
    "async",
    "await",
    "break",
    "call",
    "class",
    "continue",
    "def",
    "del",
    "elif",
    "else",
    "except",
    "finally",
    "for",
    "from",
    "global",
    "if",
    "import",
    "in",
    "input",
    "inputs",
    "is",
    "lambda",
    "list",
    "nonlocal",
    "not",
    "or",
    "pass",
    "raise",
    "return",
    "self",
    "try",
    "type",
    "unittest",
    "while",
    "with",
    "yield",
];
