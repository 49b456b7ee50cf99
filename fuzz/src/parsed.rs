//! Documents: the parser and the check for usual ones beside the library's.

use apollo_compiler::ast::{Argument, Definition, Directive, Document, Selection, Type, Value};
use apollo_compiler::parser::Parser;
use apollo_compiler::{Name, Node};
use pillion::graphql::check_document::check_each_rule;
use pillion::graphql::{document, fast_check, fast_parser};
use pillion::model::limits::Limits;

/// A document. What the fast parser accepts, the library accepts within the same limits, and its tree is the same with all
/// ranges of nodes and names.
pub fn same_tree(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let usual = Limits::default();
    let narrow = Limits { max_tokens: text.len() * 3 / 4, max_recursion: text.len() % 8, ..Limits::default() };
    for limits in [usual, narrow] {
        let Some(found) = fast_parser::parse(text, &limits) else { continue };
        let mut parser = Parser::new().recursion_limit(limits.max_recursion).token_limit(limits.max_tokens);
        let wanted = parser.parse_ast(text, "document").unwrap_or_else(|failed| panic!("{}", failed.errors));
        assert!(parser.tokens_reached() <= limits.max_tokens, "too many tokens");
        assert_eq!(found, wanted);
        assert_eq!(without_file_ids(&found), without_file_ids(&wanted));
        assert_eq!(names(&found), names(&wanted));
    }
}

/// A document. What the fast check finds valid breaks none of the rules that need no schema.
pub fn same_verdict(bytes: &[u8]) {
    let limits = Limits::default();
    let Ok(Ok(document)) = std::str::from_utf8(bytes).map(|text| document::parse(text, &limits)) else { return };
    if fast_check::is_valid(&document) {
        assert_eq!(check_each_rule(&document, &limits), Ok(()));
    }
}

/// The tree with the range of each node.
fn without_file_ids(document: &Document) -> String {
    let debug = format!("{:?}", document.definitions);
    let mut pieces = debug.split(" @");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + " " + piece.trim_start_matches(|digit: char| digit.is_ascii_digit()))
}

/// Each name with its range.
fn names(document: &Document) -> Vec<(String, usize, usize)> {
    let mut names = Names(Vec::new());
    for definition in &document.definitions {
        match definition {
            Definition::OperationDefinition(operation) => {
                operation.name.iter().for_each(|name| names.name(name));
                for variable in &operation.variables {
                    names.name(&variable.name);
                    names.ty(&variable.ty);
                    variable.default_value.iter().for_each(|value| names.value(value));
                    names.directives(variable.directives.iter().map(AsRef::as_ref));
                }
                names.directives(operation.directives.iter().map(AsRef::as_ref));
                names.selection_set(&operation.selection_set);
            }
            Definition::FragmentDefinition(fragment) => {
                names.name(&fragment.name);
                names.name(&fragment.type_condition);
                names.directives(fragment.directives.iter().map(AsRef::as_ref));
                names.selection_set(&fragment.selection_set);
            }
            other => panic!("{other:?}"),
        }
    }
    names.0
}

struct Names(Vec<(String, usize, usize)>);

impl Names {
    fn name(&mut self, name: &Name) {
        let span = name.location().unwrap_or_else(|| panic!("{name} has no range"));
        self.0.push((name.to_string(), span.offset(), span.end_offset()));
    }

    fn ty(&mut self, ty: &Type) {
        match ty {
            Type::Named(name) | Type::NonNullNamed(name) => self.name(name),
            Type::List(inner) | Type::NonNullList(inner) => self.ty(inner),
        }
    }

    fn directives<'d>(&mut self, directives: impl Iterator<Item = &'d Directive>) {
        for directive in directives {
            self.name(&directive.name);
            self.arguments(&directive.arguments);
        }
    }

    fn arguments(&mut self, arguments: &[Node<Argument>]) {
        for argument in arguments {
            self.name(&argument.name);
            self.value(&argument.value);
        }
    }

    fn selection_set(&mut self, selection_set: &[Selection]) {
        for selection in selection_set {
            let directives = match selection {
                Selection::Field(field) => {
                    field.alias.iter().for_each(|alias| self.name(alias));
                    self.name(&field.name);
                    self.arguments(&field.arguments);
                    self.selection_set(&field.selection_set);
                    &field.directives
                }
                Selection::FragmentSpread(spread) => {
                    self.name(&spread.fragment_name);
                    &spread.directives
                }
                Selection::InlineFragment(inline) => {
                    inline.type_condition.iter().for_each(|name| self.name(name));
                    self.selection_set(&inline.selection_set);
                    &inline.directives
                }
            };
            self.directives(directives.iter().map(AsRef::as_ref));
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Variable(name) | Value::Enum(name) => self.name(name),
            Value::List(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(fields) => fields.iter().for_each(|(name, value)| {
                self.name(name);
                self.value(value);
            }),
            _ => {}
        }
    }
}
