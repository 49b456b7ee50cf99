//! Renders the library's diagnostics in the words of graphql-js: with suggestions, and without its names for tokens.

use std::collections::HashMap;

use apollo_compiler::diagnostic::ToCliReport;
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::DiagnosticData;
use apollo_compiler::{Name, Schema, name};

use crate::graphql::suggestions::{did_you_mean, did_you_mean_enum_value, did_you_mean_fragment_on};

/// The message of a diagnostic that concerns `text`. Suggestions are names of `schema`, which holds only what the
/// caller's role may see.
#[must_use]
pub fn message(text: &str, diagnostic: &DiagnosticData, schema: Option<&Schema>) -> String {
    let Some(message) = diagnostic.unstable_compat_message() else {
        let offset = diagnostic.location().map(|span| span.offset());
        return syntax_message(text, &diagnostic.to_string(), offset);
    };
    let kind = diagnostic.unstable_error_name().unwrap_or_default();
    let suggestion = schema.map(|schema| suggestion(schema, kind, &message)).unwrap_or_default();
    message + &suggestion
}

/// What to add to a message about a name that does not exist. Every name in such a message stands in quotes.
fn suggestion(schema: &Schema, kind: &str, message: &str) -> String {
    let names: Vec<&str> = message.split('"').skip(1).step_by(2).collect();
    match (kind, names.as_slice()) {
        ("UndefinedField", [field, type_name, ..]) => suggest_field(schema, field, type_name),
        ("UndefinedArgument", [argument, coordinate, ..]) => suggest_argument(schema, argument, coordinate),
        (
            "UndefinedDefinition"
            | "UndefinedTypeInNamedFragmentTypeCondition"
            | "UndefinedTypeInInlineFragmentTypeCondition",
            [name, ..],
        ) => did_you_mean(name, schema.types.keys().map(Name::as_str)),
        ("UndefinedEnumValue", [value, type_name, ..]) => match schema.types.get(*type_name) {
            Some(ExtendedType::Enum(found)) => did_you_mean_enum_value(value, found.values.keys().map(Name::as_str)),
            _ => String::new(),
        },
        ("UndefinedInputValue", [field, type_name, ..]) => match schema.types.get(*type_name) {
            Some(ExtendedType::InputObject(input)) => did_you_mean(field, input.fields.keys().map(Name::as_str)),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

fn suggest_field(schema: &Schema, field: &str, type_name: &str) -> String {
    let on = did_you_mean_fragment_on(&types_with(schema, field, type_name));
    if !on.is_empty() {
        return on;
    }
    let fields = match schema.types.get(type_name) {
        Some(ExtendedType::Object(object)) => &object.fields,
        Some(ExtendedType::Interface(interface)) => &interface.fields,
        _ => return String::new(),
    };
    did_you_mean(field, fields.keys().map(Name::as_str).filter(|name| PLACEHOLDER != *name))
}

/// The types that an abstract type can be and that have this field: interfaces of many of them first.
fn types_with<'s>(schema: &'s Schema, field: &str, type_name: &str) -> Vec<&'s str> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let has_field = |name: &str| match schema.types.get(name) {
        Some(ExtendedType::Object(object)) => object.fields.contains_key(field),
        Some(ExtendedType::Interface(interface)) => interface.fields.contains_key(field),
        _ => false,
    };
    if !matches!(schema.types.get(type_name), Some(ExtendedType::Union(_) | ExtendedType::Interface(_))) {
        return Vec::new();
    }
    for (name, definition) in &schema.types {
        let ExtendedType::Object(object) = definition else { continue };
        if !object.fields.contains_key(field) || !schema.is_subtype(type_name, name) {
            continue;
        }
        *counts.entry(name).or_default() += 1;
        for interface in object.implements_interfaces.iter().filter(|interface| has_field(interface)) {
            *counts.entry(&interface.name).or_default() += 1;
        }
    }
    let mut found: Vec<(&str, usize)> = counts.into_iter().collect();
    found.sort_unstable_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
    found.into_iter().map(|(name, _)| name).collect()
}

/// `coordinate` is `Type.field` or `@directive`.
fn suggest_argument(schema: &Schema, argument: &str, coordinate: &str) -> String {
    let definitions = match coordinate.strip_prefix('@') {
        Some(directive) => schema.directive_definitions.get(directive).map(|found| found.arguments.as_slice()),
        None => coordinate
            .split_once('.')
            .and_then(|(type_name, field)| schema.type_field(type_name, field).ok())
            .map(|found| found.arguments.as_slice()),
    };
    did_you_mean(argument, definitions.unwrap_or_default().iter().map(|definition| definition.name.as_str()))
}

/// The library names tokens as its lexer does: `expected R_PAREN, got {`. The message shows the characters.
#[must_use]
pub fn syntax_message(text: &str, message: &str, offset: Option<usize>) -> String {
    let Some(reason) = message.strip_prefix("syntax error: ") else { return message.to_owned() };
    if reason == "Unexpected <EOF>." {
        return "syntax error: the document is empty".into();
    }
    let expected = match reason.split_once(", got ") {
        Some((expected, _)) => expected,
        None if reason.starts_with("expected ") => reason,
        None => return message.to_owned(),
    };
    let expected = match expected.strip_prefix("expected ").and_then(spelled) {
        Some(token) => format!("expected \"{token}\""),
        None => expected.to_owned(),
    };
    let found = offset.map(|offset| format!(", found {}", token_at(text, offset))).unwrap_or_default();
    format!("syntax error: {expected}{found}")
}

/// The characters of a token that the library has a name for.
fn spelled(token: &str) -> Option<&'static str> {
    Some(match token {
        "BANG" => "!",
        "DOLLAR" => "$",
        "AMP" => "&",
        "SPREAD" => "...",
        "COMMA" => ",",
        "COLON" => ":",
        "EQ" => "=",
        "AT" => "@",
        "L_PAREN" => "(",
        "R_PAREN" => ")",
        "L_BRACK" => "[",
        "R_BRACK" => "]",
        "L_CURLY" => "{",
        "R_CURLY" => "}",
        "PIPE" => "|",
        _ => return None,
    })
}

/// Characters of a token in a message.
const TOKEN_MAX: usize = 40;

/// The token that begins at `offset`, in quotes and not too long; what stands in a string is not repeated.
fn token_at(text: &str, offset: usize) -> String {
    let rest = text.get(offset..).unwrap_or_default();
    let is_of_name = |character: char| character.is_alphanumeric() || character == '_';
    match rest.chars().next() {
        None => "the end of the document".into(),
        Some('"') => "a string".into(),
        Some('.') if rest.starts_with("...") => "\"...\"".into(),
        Some(first) if is_of_name(first) || first == '-' => {
            let is_rest = |character: char| is_of_name(character) || matches!(character, '.' | '+' | '-');
            let is_number = first.is_ascii_digit() || first == '-';
            let token = rest.chars().take_while(|c| if is_number { is_rest(*c) } else { is_of_name(*c) });
            let mut token: String = token.take(TOKEN_MAX + 1).collect();
            if token.chars().count() > TOKEN_MAX {
                token.pop();
                token.push('…');
            }
            format!("\"{token}\"")
        }
        Some(other) => format!("\"{other}\""),
    }
}

/// A field that makes a root without actions a legal type. It cannot be selected: a selection of a field that is not an
/// action never gets here.
pub(crate) const PLACEHOLDER: Name = name!("pillion_has_no_action_here");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_by_their_characters() {
        for (text, message, offset, wanted) in [
            ("{ a(b: 1 { c } }", "expected R_PAREN, got {", 9, "expected \")\", found \"{\""),
            ("{ a", "expected R_CURLY, got EOF", 3, "expected \"}\", found the end of the document"),
            ("{ a: }", "expected a Name", 5, "expected a Name, found \"}\""),
            ("{ a(b: \"s\" \"t\") }", "expected R_PAREN, got \"t\"", 11, "expected \")\", found a string"),
            ("{ 12.5e3 }", "expected a Name", 2, "expected a Name, found \"12.5e3\""),
            ("{ ...... }", "expected a Name", 5, "expected a Name, found \"...\""),
        ] {
            let message = format!("syntax error: {message}");
            assert_eq!(syntax_message(text, &message, Some(offset)), format!("syntax error: {wanted}"));
        }
        assert_eq!(
            syntax_message("", "syntax error: Unexpected <EOF>.", Some(0)),
            "syntax error: the document is empty"
        );
        let long = "x".repeat(1_000);
        assert!(syntax_message(&long, "syntax error: expected ':'", Some(0)).len() < 200);
    }
}
