//! Directives in `actions.graphql`: those of the specification are kept; every other one has no effect and is reported.

use apollo_compiler::Node;
use apollo_compiler::ast::{Directive, Value};

use crate::model::source::{Diagnostic, SourceLocation};
use crate::model::types::{Deprecation, NO_LONGER_SUPPORTED};

/// The effects of directives on the definition that they stand on.
#[derive(Debug, Default)]
pub(crate) struct Annotations {
    /// The reason of `@deprecated`.
    pub(crate) deprecated: Option<Deprecation>,
    /// `@oneOf`.
    pub(crate) is_one_of: bool,
    /// The address of `@specifiedBy`.
    pub(crate) specified_by: Option<String>,
}

/// On what a directive stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A field, an argument, an input field or a value of an enum.
    Member,
    /// An input object.
    InputObject,
    /// A scalar.
    Scalar,
    /// Anything else.
    Other,
}

/// Reads the directives of one definition, whose name is `of`.
pub(crate) fn read(
    directives: &[Node<Directive>],
    (owner, of): (Owner, &str),
    place: impl Fn(&Node<Directive>) -> SourceLocation,
    diagnostics: &mut Vec<Diagnostic>,
) -> Annotations {
    let mut annotations = Annotations::default();
    for directive in directives {
        let text = |argument: &str| directive.specified_argument_by_name(argument).and_then(|value| value.as_str());
        match (directive.name.as_str(), owner) {
            ("deprecated", Owner::Member) => {
                annotations.deprecated = Some(text("reason").unwrap_or(NO_LONGER_SUPPORTED).to_owned());
            }
            ("oneOf", Owner::InputObject) => annotations.is_one_of = true,
            ("specifiedBy", Owner::Scalar) if text("url").is_some() => {
                annotations.specified_by = text("url").map(str::to_owned);
            }
            (name, _) => {
                let message = format!("the directive @{name} on \"{of}\" has no effect");
                let help = "remove it; @deprecated, @oneOf and @specifiedBy(url: …) are known, each where the \
                              specification has it";
                diagnostics.push(Diagnostic::warning(Some(place(directive)), message, help));
                continue;
            }
        }
        reject_other_arguments(directive, &place(directive), diagnostics);
    }
    annotations
}

/// An argument that is misspelt, or of another type, would be dropped silently.
fn reject_other_arguments(directive: &Directive, place: &SourceLocation, diagnostics: &mut Vec<Diagnostic>) {
    let known = match directive.name.as_str() {
        "deprecated" => Some("reason"),
        "specifiedBy" => Some("url"),
        _ => None,
    };
    for argument in &directive.arguments {
        let is_text = matches!(argument.value.as_ref(), Value::String(_));
        if known != Some(argument.name.as_str()) || !is_text {
            let message = format!("the argument \"{}\" of @{} has no effect", argument.name, directive.name);
            diagnostics.push(Diagnostic::warning(Some(place.clone()), message, "remove it, or make it a string"));
        }
    }
}
