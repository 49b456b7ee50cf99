//! The input and output types of actions: <https://spec.graphql.org/September2025/#sec-Types>.

use std::fmt;

use indexmap::IndexMap;
use serde_json::Value;

/// A type as it is written where it is used: `[Foo!]!`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeRef {
    /// A named type.
    Named(String),
    /// A list of the inner type.
    List(Box<TypeRef>),
    /// The inner type without null.
    NonNull(Box<TypeRef>),
}

impl TypeRef {
    /// The name inside all lists and non-nulls.
    #[must_use]
    pub fn named(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::List(inner) | Self::NonNull(inner) => inner.named(),
        }
    }

    /// Does null belong to this type?
    #[must_use]
    pub fn is_nullable(&self) -> bool {
        !matches!(self, Self::NonNull(_))
    }

    /// This type without its outermost non-null.
    #[must_use]
    pub fn nullable(&self) -> &Self {
        match self {
            Self::NonNull(inner) => inner,
            ty => ty,
        }
    }

    /// Is this a list, null or not?
    #[must_use]
    pub fn is_list(&self) -> bool {
        match self {
            Self::Named(_) => false,
            Self::List(_) => true,
            Self::NonNull(inner) => inner.is_list(),
        }
    }
}

impl fmt::Display for TypeRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => formatter.write_str(name),
            Self::List(inner) => write!(formatter, "[{inner}]"),
            Self::NonNull(inner) => write!(formatter, "{inner}!"),
        }
    }
}

/// A field of an input object, or an argument of an action.
#[derive(Clone, Debug)]
pub struct InputValue {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: TypeRef,
    /// Its default value. Hasura's files have no place for this; the SDL has.
    pub default: Option<Value>,
    /// For readers of the schema.
    pub description: Option<String>,
    /// Why it should not be used any more.
    pub deprecated: Option<Deprecation>,
}

/// The reason of [`@deprecated`](https://spec.graphql.org/September2025/#sec--deprecated).
pub type Deprecation = String;

/// The reason where none is given, as the specification has it.
pub const NO_LONGER_SUPPORTED: &str = "No longer supported";

/// A field of an output object.
#[derive(Clone, Debug)]
pub struct OutputField {
    /// Its type.
    pub ty: TypeRef,
    /// For readers of the schema.
    pub description: Option<String>,
    /// Why it should not be used any more.
    pub deprecated: Option<Deprecation>,
}

/// A value of an enum.
#[derive(Clone, Debug, Default)]
pub struct EnumValue {
    /// For readers of the schema.
    pub description: Option<String>,
    /// Why it should not be used any more.
    pub deprecated: Option<Deprecation>,
}

/// What a type name stands for.
#[derive(Clone, Debug)]
pub enum TypeKind {
    /// Any JSON, or one of the five built-in scalars.
    Scalar,
    /// One of these names.
    Enum(IndexMap<String, EnumValue>),
    /// An object that a client sends.
    InputObject(Vec<InputValue>),
    /// An object that a handler returns.
    Object(IndexMap<String, OutputField>),
}

/// A type and its author's description.
#[derive(Clone, Debug)]
pub struct TypeDefinition {
    /// Its kind.
    pub kind: TypeKind,
    /// For readers of the schema.
    pub description: Option<String>,
    /// For an object: the upstream's rows that belong to it.
    pub relationships: Vec<Relationship>,
    /// For an input object: must exactly one of its fields be given?
    pub is_one_of: bool,
    /// For a scalar: where its format is described.
    pub specified_by: Option<String>,
    /// Not defined here: it is a scalar or an enum of the upstream, and this is our copy.
    pub is_upstreams: bool,
}

/// Rows of the upstream that belong to an object of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relationship {
    /// The name of its field.
    pub name: String,
    /// How they are fetched from the upstream.
    pub lookup: Lookup,
}

/// How the rows of a relationship are fetched from the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// By the root fields that Hasura has for a table.
    Table {
        /// Whose rows.
        table: Table,
        /// Many rows, or at most one?
        is_array: bool,
        /// Which field of the object equals which column of the table.
        field_mapping: IndexMap<String, String>,
    },
    /// By any root field of any upstream; its value is the relationship's.
    RootField {
        /// The root field's name.
        field: String,
        /// The names of the arguments that the relationship gives. A client may give the others.
        arguments: Vec<String>,
        /// The arguments' text, in which fields of the object stand.
        text: Vec<LookupPiece>,
    },
}

/// A piece of a lookup's arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupPiece {
    /// GraphQL, as it is.
    Text(String),
    /// The value of a field of the object.
    Field(String),
}

impl Lookup {
    /// The root field that is queried.
    #[must_use]
    pub fn root_field(&self) -> String {
        match self {
            Self::Table { table, .. } => table.root_field(),
            Self::RootField { field, .. } => field.clone(),
        }
    }

    /// The fields of the object whose values are the keys of the rows.
    pub fn key_fields(&self) -> impl Iterator<Item = &str> {
        let (mapping, text) = match self {
            Self::Table { field_mapping, .. } => (Some(field_mapping), None),
            Self::RootField { text, .. } => (None, Some(text)),
        };
        let mapped = mapping.into_iter().flat_map(|mapping| mapping.keys().map(String::as_str));
        let named = text.into_iter().flatten().filter_map(|piece| match piece {
            LookupPiece::Field(name) => Some(name.as_str()),
            LookupPiece::Text(_) => None,
        });
        mapped.chain(named)
    }

    /// Are there many rows, as far as that is known without the upstream's schema?
    #[must_use]
    pub fn is_array(&self) -> bool {
        matches!(self, Self::Table { is_array: true, .. })
    }
}

/// A table of the upstream's database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
}

/// What Hasura puts behind the name of a field that sums up rows.
pub const AGGREGATE: &str = "_aggregate";

impl Table {
    /// The root field under which Hasura shows the table's rows.
    #[must_use]
    pub fn root_field(&self) -> String {
        if self.schema == "public" { self.name.clone() } else { format!("{}_{}", self.schema, self.name) }
    }
}

impl TypeDefinition {
    /// The relationship that a field of this name stands for, and whether it sums up the rows instead of giving them.
    #[must_use]
    pub fn relationship(&self, field: &str) -> Option<(&Relationship, bool)> {
        let rows = self.relationships.iter().find(|known| known.name == field);
        let summed_up = || {
            let name = field.strip_suffix(AGGREGATE)?;
            self.relationships.iter().find(|known| known.name == name && known.lookup.is_array())
        };
        rows.map(|known| (known, false)).or_else(|| summed_up().map(|known| (known, true)))
    }

    /// A type without relationships.
    #[must_use]
    pub fn new(kind: TypeKind, description: Option<String>) -> Self {
        Self { kind, description, relationships: Vec::new(), is_one_of: false, specified_by: None, is_upstreams: false }
    }

    /// In the words of the specification.
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match self.kind {
            TypeKind::Scalar => "scalar",
            TypeKind::Enum(_) => "enum",
            TypeKind::InputObject(_) => "input object",
            TypeKind::Object(_) => "object type",
        }
    }
}

/// All types that actions use, by name, built-in scalars included.
#[derive(Clone, Debug, Default)]
pub struct Types(pub IndexMap<String, TypeDefinition, NameHasher>);

/// Hashes names of the configuration. Clients choose none of them, so that it need not withstand an attack.
type NameHasher = foldhash::fast::RandomState;

/// The scalars that every GraphQL server has.
pub const BUILT_IN_SCALARS: [&str; 5] = ["Int", "Float", "String", "Boolean", "ID"];

/// Is it one of [`BUILT_IN_SCALARS`]?
#[must_use]
pub fn is_built_in_scalar(name: &str) -> bool {
    matches!(name, "Int" | "Float" | "String" | "Boolean" | "ID")
}

/// The names of PostgreSQL's types as Hasura shows them. A type that no file defines is one of these or an error.
pub const DATABASE_SCALARS: &[&str] = &[
    "bigint",
    "bigserial",
    "bit",
    "bool",
    "box",
    "bpchar",
    "bytea",
    "char",
    "cidr",
    "circle",
    "citext",
    "date",
    "daterange",
    "float4",
    "float8",
    "geography",
    "geometry",
    "hstore",
    "inet",
    "int",
    "int2",
    "int4",
    "int4range",
    "int8",
    "int8range",
    "integer",
    "interval",
    "json",
    "jsonb",
    "jsonpath",
    "line",
    "lseg",
    "ltree",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "numeric",
    "numrange",
    "oid",
    "path",
    "point",
    "polygon",
    "raster",
    "real",
    "serial",
    "smallint",
    "text",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "tsquery",
    "tsrange",
    "tstzrange",
    "tsvector",
    "uuid",
    "varbit",
    "varchar",
    "xml",
];

impl Types {
    /// The definition of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&TypeDefinition> {
        self.0.get(name)
    }

    /// Has any object a relationship?
    #[must_use]
    pub fn has_relationships(&self) -> bool {
        self.0.values().any(|definition| !definition.relationships.is_empty())
    }

    /// The fields of the object type `name`; none if it is anything else.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<&IndexMap<String, OutputField>> {
        match &self.0.get(name)?.kind {
            TypeKind::Object(fields) => Some(fields),
            _ => None,
        }
    }
}
