//! Settings of extension fields in `pillion.yaml`: which query action resolves a field of the upstream's type, and which
//! fields of the row are its arguments.

use apollo_compiler::Node as Syntax;
use apollo_compiler::ast::{Argument, Value};

use crate::config::root_field_call;
use crate::config::root_field_call::RootFieldCall;
use crate::config::typed_fields;
use crate::config::yaml::{Data, Fields, Node};
use crate::model::source::{Diagnostic, SourceLocation};

/// The settings of one extension field in `pillion.yaml`.
#[derive(Clone, Debug)]
pub struct ExtensionFieldSettings {
    /// The upstream's type that it is added to.
    pub type_name: String,
    /// Its name.
    pub name: String,
    /// How its action is called.
    pub call: FieldCall,
    /// Where the call is written.
    pub call_place: SourceLocation,
    /// What stands there if the action has no value; nothing if it is not said.
    pub output: Option<OutputNull>,
    /// For readers of the schema, instead of the action's.
    pub description: Option<String>,
    /// Why it should not be used any more, instead of the action's.
    pub deprecated: Option<String>,
    /// Its source location.
    pub place: SourceLocation,
}

impl ExtensionFieldSettings {
    /// `Type.field`.
    #[must_use]
    pub fn coordinate(&self) -> String {
        format!("{}.{}", self.type_name, self.name)
    }
}

/// The call of an action for a row: `stocks(skus: [$sku]) by sku`.
#[derive(Clone, Debug)]
pub struct FieldCall {
    /// The action's name, without a prefix.
    pub action: String,
    /// The arguments in their order. A variable is a field of the row.
    pub arguments: Vec<(String, Syntax<Value>)>,
    /// What stands behind `by`.
    pub matched_by: Option<String>,
}

/// What a failed call makes of a field whose action's type is not nullable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputNull {
    /// The field becomes nullable, and is null.
    Nullable,
    /// The field stays non-null, so the row is null.
    NonNull,
}

const HELP: &str = "write Type.name: \"action(argument: $field_of_the_row)\", or a mapping with that under \"call\"";

/// Reads `fields`: `Product.stock: "stocks(skus: [$sku]) by sku"`.
pub fn read(file: Option<&Node>, diagnostics: &mut Vec<Diagnostic>) -> Vec<ExtensionFieldSettings> {
    let Some(file) = file.and_then(|file| Fields::of(file, "pillion.yaml", diagnostics)) else { return Vec::new() };
    let Some(node) = file.get("fields") else { return Vec::new() };
    let Some(entries) = Fields::of(node, "fields", diagnostics) else { return Vec::new() };
    entries.all().filter_map(|(key, place, value)| read_one(key, place, value, diagnostics)).collect()
}

fn read_one(
    key: &str,
    place: &SourceLocation,
    value: &Node,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<ExtensionFieldSettings> {
    let is_name = apollo_compiler::Name::is_valid_syntax;
    let Some((type_name, name)) = key.split_once('.').filter(|(owner, name)| is_name(owner) && is_name(name)) else {
        let message = format!("\"{key}\" is not a field of a type of the upstream");
        diagnostics.push(Diagnostic::error(Some(place.clone()), message, HELP));
        return None;
    };
    let options = match &value.data {
        Data::Map(_) => Some(Fields::of(value, "an extension field", diagnostics)?),
        _ => None,
    };
    let call_node = options.as_ref().map_or(Some(value), |options| options.get("call"));
    let text = call_node.filter(|node| matches!(node.data, Data::Text(_))).and_then(Node::scalar_text);
    let mut text_of = |key: &str| options.as_ref().and_then(|options| read_text(options, key, diagnostics));
    let (description, deprecated) = (text_of("description"), text_of("deprecated"));
    let choices = &["nullable", "non_null"];
    let output = options.as_ref().and_then(|options| typed_fields::choice(options, "output", choices, diagnostics));
    if let Some(options) = options {
        options.finish_strictly(diagnostics);
    }
    let (Some(text), Some(node)) = (text, call_node) else {
        let message = format!("the extension field \"{key}\" does not say which action resolves it");
        diagnostics.push(Diagnostic::error(Some(call_node.unwrap_or(value).place.clone()), message, HELP));
        return None;
    };
    match parse_call(&text) {
        Ok(call) => Some(ExtensionFieldSettings {
            type_name: type_name.to_owned(),
            name: name.to_owned(),
            call,
            call_place: node.place.clone(),
            output: output.map(|output| if output == "nullable" { OutputNull::Nullable } else { OutputNull::NonNull }),
            description,
            deprecated,
            place: place.clone(),
        }),
        Err(reason) => {
            node.reject(format!("the call of \"{key}\": {reason}"), HELP, diagnostics);
            None
        }
    }
}

/// Only strings: `deprecated: true` has no reason.
fn read_text(options: &Fields<'_>, key: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<String> {
    let node = options.get(key)?;
    if let Data::Text(text) = &node.data {
        return Some(text.clone());
    }
    node.reject(format!("\"{key}\" must be a string, and is {}", node.kind()), "write a string", diagnostics);
    None
}

fn parse_call(text: &str) -> Result<FieldCall, String> {
    let (call, matched_by) = split_by(text);
    let what = "query action with its arguments, and \"by\" and a field's name behind it if it takes a list of keys";
    let RootFieldCall { field, .. } = root_field_call::parse(call, what)?;
    let argument = |argument: &Syntax<Argument>| (argument.name.to_string(), argument.value.clone());
    Ok(FieldCall {
        action: field.name.to_string(),
        arguments: field.arguments.iter().map(argument).collect(),
        matched_by: matched_by.map(str::to_owned),
    })
}

/// The call, and the name behind `by`.
fn split_by(text: &str) -> (&str, Option<&str>) {
    let is_of_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let trimmed = text.trim_end();
    let rest = trimmed.trim_end_matches(is_of_name);
    let name = trimmed.get(rest.len()..).filter(|name| apollo_compiler::Name::is_valid_syntax(name));
    let is_end = |call: &&str| call.ends_with(|character: char| character == ')' || character.is_whitespace());
    let has_space = rest.ends_with(char::is_whitespace);
    match (name, rest.trim_end().strip_suffix("by").filter(is_end)) {
        (Some(name), Some(call)) if has_space => (call, Some(name)),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_stands_behind_the_call() {
        for (text, call, name) in [
            ("stocks(skus: [$sku]) by sku", "stocks(skus: [$sku]) ", Some("sku")),
            ("stocks(skus: [$sku])by  sku ", "stocks(skus: [$sku])", Some("sku")),
            ("stocks(skus: [$sku]) bysku", "stocks(skus: [$sku]) bysku", None),
            ("stocks(skus: [$sku]) by", "stocks(skus: [$sku]) by", None),
            ("goodby sku", "goodby sku", None),
            ("by by by", "by ", Some("by")),
            ("find(text: \"a by b\")", "find(text: \"a by b\")", None),
            ("by", "by", None),
            ("", "", None),
        ] {
            assert_eq!(split_by(text), (call, name), "{text:?}");
        }
    }
}
