//! The memory cost of a document's calls, estimated before anything is allocated: the values of their variables, their
//! inputs, and the payloads for handlers.

use apollo_compiler::ast::Value as Literal;

use crate::graphql::extension_sites::ExtensionSite;
use crate::graphql::plan::Plan;
use crate::memory::tree_bytes;
use crate::model::json::{RawObject, plain_text};

/// A variable that our part uses.
struct Known<'v> {
    name: &'v str,
    values: usize,
    text: usize,
}

/// Bytes of a call beside its arguments: the names around them, session variables, headers.
const CALL_BYTES: usize = 1024;

/// Of an element of a literal.
const LITERAL_BYTES: usize = 256;

/// What the calls and extension fields of a plan take, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Until their inputs have been made.
    pub passing: usize,
    /// Until the request is over.
    pub lasting: usize,
}

/// The cost of all calls and extension fields of `plan`. Equal calls share their values.
#[must_use]
pub(crate) fn of_calls(plan: &Plan, given: &RawObject<'_>, document: &str) -> Cost {
    let known: Vec<Known<'_>> = plan.own_variables.iter().filter_map(|name| known(name, given)).collect();
    // Those of the upstream's part are read one after the other, to be checked.
    let is_own = |name: &str| plan.own_variables.iter().any(|own| own == name);
    let others =
        given.0.iter().filter(|(name, _)| !is_own(name)).map(|(_, raw)| tree_bytes(raw.get().as_bytes())).max();
    // Our own are read into values and coerced to others, which are freed once the inputs have been made.
    let own = known.iter().map(|variable| variable.values.saturating_mul(2)).fold(0, usize::saturating_add);
    let passing = own.saturating_add(others.unwrap_or_default());
    let mut lasting = 0_usize;
    for call in plan.calls.iter().filter(|call| call.same_as.is_none()) {
        let (mut values, mut text) = (0_usize, document.len());
        for argument in call.arguments() {
            add(&argument.value, &known, &mut values, &mut text);
        }
        // A template looks things up in the values of the payload, and makes another one.
        let payloads =
            if call.action.request_transform.is_some() { text.saturating_mul(2).saturating_add(values) } else { text };
        lasting = lasting.saturating_add(values).saturating_add(payloads).saturating_add(CALL_BYTES);
    }
    Cost { passing, lasting: lasting.saturating_add(of_extension_fields(plan, &known)) }
}

/// The arguments of extension fields. What their requests take is known when their rows are.
fn of_extension_fields(plan: &Plan, known: &[Known<'_>]) -> usize {
    let sites = plan.sites.iter().flat_map(|sites| &sites.sites);
    let (mut values, mut text) = (0_usize, 0_usize);
    let mut different: Vec<&ExtensionSite> = Vec::new();
    for site in sites {
        if different.iter().any(|other| other.is_called_like(site)) {
            continue;
        }
        values = values.saturating_add(CALL_BYTES);
        site.field.arguments.iter().for_each(|argument| add(&argument.value, known, &mut values, &mut text));
        different.push(site);
    }
    values
}

/// How long it takes to coerce the variables that our part uses, as the number of bytes of JSON whose values take as long to
/// read.
#[must_use]
pub(crate) fn coercion(plan: &Plan, given: &RawObject<'_>) -> usize {
    plan.own_variables.iter().filter_map(|name| given.get(name)).map(|raw| coercion_of(raw.get())).sum()
}

/// A text without escapes is only copied.
fn coercion_of(json: &str) -> usize {
    plain_text(json).map_or(json.len(), |copied| copied.len() / COPIED_PER_READ)
}

/// At least so many bytes are copied in the time that reading one takes.
const COPIED_PER_READ: usize = 16;

fn known<'v>(name: &'v str, given: &RawObject<'_>) -> Option<Known<'v>> {
    let raw = given.get(name)?.get();
    Some(Known { name, values: tree_bytes(raw.as_bytes()), text: raw.len() })
}

/// Adds what a literal takes, with its variables in their places: as often as they stand there. The parser's limit bounds the
/// recursion.
fn add(literal: &Literal, known: &[Known<'_>], values: &mut usize, text: &mut usize) {
    *values = values.saturating_add(LITERAL_BYTES);
    match literal {
        Literal::Variable(name) => {
            if let Some(variable) = known.iter().find(|variable| *name == variable.name) {
                *values = values.saturating_add(variable.values);
                *text = text.saturating_add(variable.text);
            }
        }
        Literal::List(items) => items.iter().for_each(|item| add(item, known, values, text)),
        Literal::Object(fields) => {
            for (name, value) in fields {
                *text = text.saturating_add(name.len());
                add(value, known, values, text);
            }
        }
        Literal::String(string) => {
            *values = values.saturating_add(string.len());
            *text = text.saturating_add(string.len());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_takes_less_than_what_is_read() {
        let text = "é".repeat(800);
        assert_eq!(coercion_of(&format!("\"{text}\"")), 100);
        assert_eq!(coercion_of(&format!("\"{text}\\n\"")), 1604);
        assert_eq!(coercion_of("[\"a\"]"), 5);
    }
}
