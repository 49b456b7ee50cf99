//! The result of an import: the texts for the two files of the metadata, the names in them, and what is left out.

use std::sync::Arc;

use serde_json::Value;

use crate::config::json_nodes::list;
use crate::config::yaml::parse;
use crate::model::source::{Diagnostic, Source, SourceLocation};
pub use crate::openapi::listing::ImportedOperation;
use crate::openapi::print::describe;
use crate::openapi::types::CUSTOM_SCALARS;

/// Actions and types, in the order of the document.
#[derive(Debug, Default)]
pub struct Imported {
    /// The actions.
    pub actions: Vec<ImportedAction>,
    /// Objects, input objects and enums.
    pub types: Vec<ImportedType>,
    /// The scalars that they use beside those of GraphQL.
    pub scalars: Vec<&'static str>,
    /// The environment variables that the actions need.
    pub variables: Vec<Variable>,
    /// What is left out, a warning each.
    pub left_out: Vec<Diagnostic>,
}

/// An action.
#[derive(Debug)]
pub struct ImportedAction {
    /// Its name.
    pub name: String,
    /// Where its operation stands.
    pub place: SourceLocation,
    /// The operation.
    pub operation: ImportedOperation,
    /// Is it a field of `Query`? Else it is one of `Mutation`.
    pub is_query: bool,
    /// Its item in `actions`, without indentation.
    pub item: String,
    /// Its field, with two spaces before it.
    pub signature: String,
}

/// A type.
#[derive(Debug)]
pub struct ImportedType {
    /// Its name.
    pub name: String,
    /// Where its schema stands.
    pub place: SourceLocation,
    /// Its definition.
    pub sdl: String,
}

/// An environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What it must hold.
    pub purpose: String,
    /// A value that is valid where it stands.
    pub sample: String,
}

impl Imported {
    /// All items of `actions`, each indented by `indent` spaces.
    #[must_use]
    pub fn items(&self, indent: usize) -> String {
        let indent = " ".repeat(indent);
        let lines = self.actions.iter().flat_map(|action| action.item.lines());
        lines.map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{indent}{line}\n") }).collect()
    }

    /// The same as values.
    #[must_use]
    pub fn values(&self) -> Vec<Value> {
        let items = self.actions.iter().map(|action| Arc::new(Source::new("import", action.item.as_str())));
        let parsed = items.filter_map(|item| Some(parse(&item).ok()?.to_json()));
        parsed.flat_map(|item| list(&item).to_vec()).collect()
    }

    /// What is added to `actions.graphql`. Scalars that `is_known` says are there already are not defined again.
    #[must_use]
    pub fn sdl(&self, is_known: impl Fn(&str) -> bool) -> String {
        let mut blocks = Vec::new();
        for (root, is_query) in [("Query", true), ("Mutation", false)] {
            let fields = self.actions.iter().filter(|action| action.is_query == is_query);
            let fields: Vec<&str> = fields.map(|action| action.signature.as_str()).collect();
            if !fields.is_empty() {
                blocks.push(format!("type {root} {{\n{}}}\n", fields.join("\n")));
            }
        }
        blocks.extend(self.types.iter().map(|made| made.sdl.clone()));
        for (name, description) in
            CUSTOM_SCALARS.iter().filter(|(name, _)| self.scalars.contains(name) && !is_known(name))
        {
            let mut sdl = String::new();
            describe(&mut sdl, Some(description), "");
            blocks.push(format!("{sdl}scalar {name}\n"));
        }
        blocks.join("\n")
    }
}
