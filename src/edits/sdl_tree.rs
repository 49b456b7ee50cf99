//! The definitions of `actions.graphql` and their members with the byte ranges of their texts.

use std::ops::Range;

use apollo_compiler::ast::{Definition, Document};
use apollo_compiler::{Name, Node};

use crate::config::sdl::root_kind;
use crate::model::action::OperationKind;

/// A definition: a block of `Query` or `Mutation`, or a type.
#[derive(Debug)]
pub(crate) struct Block {
    /// Its name.
    pub(crate) name: String,
    /// Which root it is a block of, if it is one.
    pub(crate) root: Option<OperationKind>,
    /// Its bytes, the description included.
    pub(crate) range: Range<usize>,
    /// Before its members: description, keyword, name, directives.
    pub(crate) head: Range<usize>,
    /// Fields, or values of an enum.
    pub(crate) members: Vec<Member>,
    /// The names of types that it uses, each with where it stands.
    pub(crate) uses: Vec<String>,
}

/// A field, or a value of an enum.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) name_range: Range<usize>,
    /// Its bytes, the description included.
    pub(crate) range: Range<usize>,
    /// The names of types that it uses.
    pub(crate) uses: Vec<String>,
}

/// The definitions of a text; nothing if it is not SDL.
pub(crate) fn blocks(text: &str) -> Option<Vec<Block>> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Some(Vec::new());
    }
    let document = Document::parse(text, "actions.graphql").ok()?;
    document.definitions.iter().map(|definition| block(text, definition)).collect()
}

fn block(text: &str, definition: &Definition) -> Option<Block> {
    let span = definition.location()?;
    let range = significant(text, span.offset()..span.end_offset());
    let members: Vec<Member> = match definition {
        Definition::ObjectTypeDefinition(object) => fields(text, &object.fields)?,
        Definition::ObjectTypeExtension(object) => fields(text, &object.fields)?,
        Definition::InterfaceTypeDefinition(object) => fields(text, &object.fields)?,
        Definition::InputObjectTypeDefinition(object) => {
            let member = |field: &Node<_>| {
                let field: &Node<apollo_compiler::ast::InputValueDefinition> = field;
                member(text, field, &field.name, vec![field.ty.inner_named_type().to_string()])
            };
            object.fields.iter().map(member).collect::<Option<_>>()?
        }
        Definition::EnumTypeDefinition(object) => {
            object.values.iter().map(|value| member(text, value, &value.value, Vec::new())).collect::<Option<_>>()?
        }
        _ => Vec::new(),
    };
    let name = definition.name().map(ToString::to_string).unwrap_or_default();
    let head_end = members.first().map_or(range.end, |first| first.range.start);
    let uses = members.iter().flat_map(|member| member.uses.iter().cloned()).collect();
    Some(Block { root: root_kind(&name), name, head: range.start..head_end, range, members, uses })
}

fn fields(text: &str, fields: &[Node<apollo_compiler::ast::FieldDefinition>]) -> Option<Vec<Member>> {
    let field = |field: &Node<apollo_compiler::ast::FieldDefinition>| {
        let arguments = field.arguments.iter().map(|argument| argument.ty.inner_named_type().to_string());
        let uses = arguments.chain([field.ty.inner_named_type().to_string()]).collect();
        member(text, field, &field.name, uses)
    };
    fields.iter().map(field).collect()
}

fn member<T>(text: &str, node: &Node<T>, name: &Name, uses: Vec<String>) -> Option<Member> {
    let (span, at) = (node.location()?, name.location()?);
    let range = significant(text, span.offset()..span.end_offset());
    Some(Member { name: name.to_string(), name_range: at.offset()..at.end_offset(), range, uses })
}

/// A range without the white space, commas and comments at its end.
fn significant(text: &str, range: Range<usize>) -> Range<usize> {
    let inside = text.get(range.clone()).unwrap_or_default();
    let mut end = 0;
    let mut rest = inside;
    while let Some(first) = rest.chars().next() {
        let at = inside.len() - rest.len();
        let length = match first {
            '#' => rest.find(['\n', '\r']).unwrap_or(rest.len()),
            '"' => string_length(rest),
            _ => first.len_utf8(),
        };
        if !(first.is_whitespace() || matches!(first, '#' | ',' | '\u{feff}')) {
            end = at + length;
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    range.start..range.start + end
}

/// The bytes of the string at the start of `text`: <https://spec.graphql.org/September2025/#sec-String-Value>.
fn string_length(text: &str) -> usize {
    let (quotes, escape) = if text.starts_with(r#"""""#) { (r#"""""#, r#"\""""#) } else { ("\"", "\\") };
    let mut at = quotes.len();
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(escape) {
            at += escape.len();
            // What is escaped belongs to it.
            at += if quotes.len() == 1 { rest.chars().nth(1).map_or(0, char::len_utf8) } else { 0 };
        } else if rest.starts_with(quotes) {
            return at + quotes.len();
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_with_the_last_token() {
        let text = "# a\n\"d\" type A { # b\n  \"\"\"x } \\\"\"\" \"\"\" b(c: [D!] = [\"}\\\"\"]): E # f\n\n  g: H, }\n\n# i\nenum J { K }\nscalar L # m\n";
        let blocks = blocks(text).unwrap();
        let texts: Vec<&str> = blocks.iter().map(|block| text.get(block.range.clone()).unwrap()).collect();
        assert!(texts[0].starts_with("\"d\" type A {") && texts[0].ends_with("g: H, }"), "{texts:?}");
        assert_eq!(texts[1..], ["enum J { K }", "scalar L"]);
        let members: Vec<&str> =
            blocks[0].members.iter().map(|member| text.get(member.range.clone()).unwrap()).collect();
        assert_eq!(members, ["\"\"\"x } \\\"\"\" \"\"\" b(c: [D!] = [\"}\\\"\"]): E", "g: H"]);
        assert_eq!(blocks[0].uses, ["D", "E", "H"]);
    }
}
