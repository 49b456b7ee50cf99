//! What is generated: framework, actions, and what the configuration says beside actions and types.

use std::collections::HashMap;

/// A framework for which handlers are generated, or a language for which only types are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framework {
    /// TypeScript with Express.
    Express,
    /// TypeScript with `NestJS`.
    Nest,
    /// Python with `FastAPI`.
    FastApi,
    /// Python with Flask.
    Flask,
    /// Go with `net/http`.
    Go,
    /// Rust with axum.
    Axum,
    /// Types for TypeScript.
    TypeScriptTypes,
    /// Types for Python.
    PythonTypes,
    /// Types for Go.
    GoTypes,
    /// Types for Rust.
    RustTypes,
}

impl Framework {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 10] = [
        Self::Express,
        Self::Nest,
        Self::FastApi,
        Self::Flask,
        Self::Go,
        Self::Axum,
        Self::TypeScriptTypes,
        Self::PythonTypes,
        Self::GoTypes,
        Self::RustTypes,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Express => "express",
            Self::Nest => "nest",
            Self::FastApi => "fastapi",
            Self::Flask => "flask",
            Self::Go => "go",
            Self::Axum => "axum",
            Self::TypeScriptTypes => "typescript-types",
            Self::PythonTypes => "python-types",
            Self::GoTypes => "go-types",
            Self::RustTypes => "rust-types",
        }
    }

    /// The framework of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|framework| framework.name() == name)
    }

    /// Are only types generated?
    #[must_use]
    pub fn is_types_only(self) -> bool {
        matches!(self, Self::TypeScriptTypes | Self::PythonTypes | Self::GoTypes | Self::RustTypes)
    }
}

/// What is generated.
#[derive(Clone, Debug)]
pub struct Options {
    /// For which framework or language.
    pub framework: Framework,
    /// For which actions, by name; all if empty.
    pub actions: Vec<String>,
    /// The variables with the secrets that sign the calls of an action, by its name. Actions whose calls are signed and
    /// that are not among these have [`DEFAULT_SIGNING_VARIABLE`].
    pub signing_variables: HashMap<String, Vec<String>>,
    /// Session variables that are known beside those which the actions name, in lower case.
    pub session_variables: Vec<String>,
}

impl Options {
    /// All actions.
    #[must_use]
    pub fn new(framework: Framework) -> Self {
        let (actions, session_variables) = (Vec::new(), Vec::new());
        Self { framework, actions, signing_variables: HashMap::new(), session_variables }
    }
}

/// Where `handlers.signing_secrets` is read from; handlers read their secrets from a variable of the same name.
pub const DEFAULT_SIGNING_VARIABLE: &str = "PILLION_HANDLERS_SIGNING_SECRETS";
