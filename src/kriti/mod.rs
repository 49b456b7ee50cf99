//! Kriti, the template language of Hasura's transforms: JSON with `{{ expressions }}` in it.
//!
//! The facts come from the public description and tests of hasura/kriti-lang. Where that leaves something open, or
//! rejects what has only one meaning (operators without parentheses, `if` without `else`), this takes it.

pub mod eval;
pub mod functions;
pub mod parse;
pub mod prefix;
pub mod scope;

use std::sync::Arc;

/// A template that has been parsed.
#[derive(Clone)]
pub struct Template {
    source: Arc<str>,
    root: Arc<Node>,
}

/// Shows the template's text; it may be public, but its values are not.
impl std::fmt::Debug for Template {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Template").field(&self.source).finish()
    }
}

impl Template {
    /// As its author wrote it.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// Why a template cannot be parsed, or has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (line {line}, column {column} of the template)")]
pub struct TemplateError {
    /// The error. It names no value: values may be secrets.
    pub message: String,
    /// The line in the template, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl TemplateError {
    fn at(source: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = source.get(..offset).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            message: message.into(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
        }
    }
}

/// A piece of a template, and where it starts.
#[derive(Debug)]
struct Node {
    expression: Expression,
    offset: usize,
}

#[derive(Debug)]
enum Expression {
    /// A literal without anything to evaluate in it.
    Literal(serde_json::Value),
    /// A string with expressions in it.
    Text(Vec<TextPiece>),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
    Variable(String),
    /// The lookups in a value, one after the other.
    Path(Box<Node>, Vec<Step>),
    If {
        branches: Vec<(Node, Node)>,
        otherwise: Option<Box<Node>>,
    },
    Range {
        index: Option<String>,
        item: String,
        of: Box<Node>,
        body: Box<Node>,
    },
    Comparison(Comparison, Box<Node>, Box<Node>),
    /// `in`.
    Contained(Box<Node>, Box<Node>),
    /// `&&`, as often as it stands in a row: a list keeps the tree flat.
    All(Vec<Node>),
    /// `||`.
    Any(Vec<Node>),
    /// `??`.
    Default(Box<Node>, Box<Node>),
    Call(functions::Function, Box<Node>),
}

#[derive(Debug)]
enum TextPiece {
    Literal(String),
    Expression(Node),
}

#[derive(Debug)]
enum Key {
    Name(String),
    Computed(Box<Node>),
}

#[derive(Debug)]
enum Step {
    /// `.name`, `['name']`, `[index]`: a missing one is an error.
    Field(Key),
    /// `?.a.b`: an error before it is null, a missing one is null, and so is everything after it.
    Optional(Vec<Key>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}
