//! What a type of the schema is in generated code.

/// The kinds of named types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Text: `String`, `ID`, and custom scalars that are known to be text.
    Text,
    /// `Int`.
    Integer,
    /// `Float`.
    Float,
    /// `Boolean`.
    Boolean,
    /// Any JSON: all other scalars.
    Json,
    /// An enum.
    Enum,
    /// An object, of input or output.
    Object,
}

/// What stands inside a type that may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inner {
    /// A list.
    List,
    /// A named type.
    Named(Shape),
}

/// A member of an object: its name in the code and in JSON.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// In the code.
    pub(crate) name: String,
    /// In JSON.
    pub(crate) json: String,
}

/// Scalars of databases and usual custom ones whose JSON is text.
const TEXTS: [&str; 22] = [
    "String",
    "ID",
    "uuid",
    "text",
    "citext",
    "varchar",
    "bpchar",
    "timestamptz",
    "timestamp",
    "timetz",
    "time",
    "date",
    "datetime",
    "localdate",
    "localtime",
    "interval",
    "inet",
    "cidr",
    "bytea",
    "url",
    "uri",
    "email",
];

impl Shape {
    /// Of a scalar.
    pub(crate) fn of_scalar(name: &str) -> Self {
        match name {
            "Int" => Self::Integer,
            "Float" => Self::Float,
            "Boolean" => Self::Boolean,
            _ if TEXTS.iter().any(|known| known.eq_ignore_ascii_case(name)) => Self::Text,
            _ => Self::Json,
        }
    }
}
