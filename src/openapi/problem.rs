//! Why a part of an OpenAPI document cannot be imported: the reason, its source location, and what to do.

use crate::config::yaml::Node;
use crate::model::source::{Diagnostic, SourceLocation};

/// The reason why something is left out.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    /// Where the reason stands in the document.
    pub(crate) place: SourceLocation,
    /// The reason, as the end of a sentence.
    pub(crate) reason: String,
    /// What to do about it; may be empty.
    pub(crate) help: &'static str,
}

impl Problem {
    /// At a node of the document.
    pub(crate) fn at(node: &Node, reason: impl Into<String>, help: &'static str) -> Self {
        Self { place: node.place.clone(), reason: reason.into(), help }
    }

    /// The same, where it is the reason for something larger.
    pub(crate) fn within(&self, what: &str) -> Self {
        Self { reason: format!("{what}: {}", self.reason), ..self.clone() }
    }

    /// As a line of the report: `what` is left out.
    pub(crate) fn finding(&self, what: &str) -> Diagnostic {
        Diagnostic::warning(Some(self.place.clone()), format!("{what} is left out: {}", self.reason), self.help)
    }
}
