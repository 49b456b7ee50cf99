//! `before` of an action: a query that the upstream is asked before the handler is called, and what its response decides.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::kriti::Template;
use crate::model::source::SourceLocation;
use crate::model::types::TypeRef;

/// What is asked before a call, and what for.
#[derive(Clone, Debug)]
pub struct Before {
    /// The query.
    pub query: BeforeQuery,
    /// Where the values of its variables come from, in the order of their definition.
    pub variables: Vec<BeforeVariable>,
    /// What its response must have.
    pub require: Requirements,
    /// The root fields that the handler gets, by response name.
    pub send: Vec<String>,
    /// As whom the upstream is asked.
    pub identity: Identity,
    /// The root field that is the value of the action, which then has no handler.
    pub respond: Option<String>,
    /// Where the query is written.
    pub place: SourceLocation,
}

/// A query in pieces, so that several of them can be one operation.
#[derive(Clone, Debug, Default)]
pub struct BeforeQuery {
    /// As its author wrote it.
    pub text: String,
    /// The definitions of its variables, without parentheses.
    pub definitions: Vec<QueryPiece>,
    /// Its root fields, without braces.
    pub selection: Vec<QueryPiece>,
    /// Its fragments.
    pub fragments: Vec<QueryPiece>,
    /// Its root fields.
    pub fields: Vec<BeforeField>,
}

/// A root field of the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeforeField {
    /// The key of its response.
    pub response_name: String,
    /// The variables that it uses.
    pub variables: BTreeSet<String>,
    /// The byte of the query where it stands.
    pub offset: usize,
}

/// A piece of a query. Names of variables, fragments and root fields get a prefix where several queries are one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryPiece {
    /// Text as it is.
    Text(String),
    /// The place of the prefix.
    Prefix,
    /// The place of an alias, of a root field with this name that has none.
    Alias(String),
}

/// A variable of the query.
#[derive(Clone, Debug)]
pub struct BeforeVariable {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: TypeRef,
    /// Does it have a default? Then it needs no value.
    pub has_default: bool,
    /// Where its value comes from.
    pub source: VariableSource,
}

/// Where the value of a variable comes from.
#[derive(Clone, Debug)]
pub enum VariableSource {
    /// An argument of the action, or what is at this path in it.
    Argument(Vec<String>),
    /// The session variable of this lower-case name.
    SessionVariable(String),
    /// A template over the session.
    Template(Template),
    /// Always the same.
    Constant(Value),
}

impl VariableSource {
    /// Does the value depend on who calls?
    #[must_use]
    pub fn is_of_session(&self) -> bool {
        matches!(self, Self::SessionVariable(_) | Self::Template(_))
    }
}

/// A root field that must be neither null, false, 0 nor an empty list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The root field, by response name.
    pub field: String,
    /// What the client reads if it is not.
    pub message: String,
}

/// The requirements of an action.
#[derive(Clone, Debug, Default)]
pub struct Requirements {
    /// Of every role that is not in `by_role`.
    pub general: Vec<Requirement>,
    /// Of single roles, instead of the general ones.
    pub by_role: BTreeMap<String, Vec<Requirement>>,
}

impl Requirements {
    /// Those of a role.
    #[must_use]
    pub fn of(&self, role: &str) -> &[Requirement] {
        self.by_role.get(role).unwrap_or(&self.general)
    }

    /// Those of all roles.
    pub fn all(&self) -> impl Iterator<Item = &Requirement> {
        self.general.iter().chain(self.by_role.values().flatten())
    }

    /// Is nothing required of anybody?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }
}

/// As whom the upstream is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// The caller, with the caller's own headers.
    #[default]
    Caller,
    /// This role, with the admin secret and the caller's other session variables.
    Role(String),
    /// Admin, with the admin secret.
    Admin,
}

impl Identity {
    /// In words.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Caller => "the caller".to_owned(),
            Self::Role(role) => format!("role {role}"),
            Self::Admin => "admin".to_owned(),
        }
    }
}

impl Before {
    /// Is the query asked for what the handler gets, or for the value of the action?
    #[must_use]
    pub fn has_data(&self) -> bool {
        !self.send.is_empty() || self.respond.is_some()
    }
}
