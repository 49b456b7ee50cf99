//! Replaces the field of an action and the definitions of its types in `actions.graphql` by SDL, such as an editor has.

use std::ops::Range;
use std::sync::Arc;

use apollo_compiler::ast::{Definition, Document};

use crate::config::sdl::root_kind;
use crate::edits::FileEdit;
use crate::edits::create::{NewType, definitions_in, list_type};
use crate::edits::files::{ActionFiles, Edit};
use crate::edits::signature::{FieldSignature, parse_definitions};
use crate::model::action::OperationKind;
use crate::model::source::{Diagnostic, Source, SourceLocation};

/// The name of the text in locations of diagnostics.
const NAME: &str = "definition";

const HELP: &str = "write one field of type Query or type Mutation, and the types that it uses";

/// The definition of one action: its field and the types beside it.
pub struct WrittenDefinition {
    /// The field.
    pub signature: FieldSignature,
    /// The types, SDL.
    pub types: String,
    /// Both as they were written.
    source: Arc<Source>,
    parsed: Vec<NewType>,
}

/// Reads `type Query { … }` with one field, and types.
///
/// # Errors
/// What is wrong with it, and where.
pub fn parse_definition(text: &str) -> Result<WrittenDefinition, Vec<Diagnostic>> {
    let source = Arc::new(Source::new(NAME, text));
    let place = |offset: usize| SourceLocation::at_offset(&source, offset);
    let document = parse_definitions(text, HELP, place).map_err(|diagnostic| vec![diagnostic])?;
    let failed = |offset: usize, message: &str| vec![Diagnostic::error(Some(place(offset)), message, HELP)];
    let mut roots = document.definitions.iter().filter_map(|found| root(text, found)).flatten();
    let Some((signature, _)) = roots.next() else { return Err(failed(0, "there is no field of an action")) };
    if let Some((_, range)) = roots.next() {
        return Err(failed(range.start, "there is more than one field of an action"));
    }
    let parsed = definitions_in(&types_of(&document), text, &source)?;
    let types = parsed.iter().map(|found| found.text.as_str()).collect::<Vec<_>>().join("\n\n");
    Ok(WrittenDefinition { signature, types, source, parsed })
}

fn types_of(document: &Document) -> Document {
    let mut types = Document::new();
    let is_type = |definition: &&Definition| definition.name().is_none_or(|name| root_kind(name).is_none());
    types.definitions = document.definitions.iter().filter(is_type).cloned().collect();
    types
}

/// The fields of a block of a root, each with its bytes.
fn root(text: &str, definition: &Definition) -> Option<Vec<(FieldSignature, Range<usize>)>> {
    let (name, fields) = match definition {
        Definition::ObjectTypeDefinition(object) => (&object.name, &object.fields),
        Definition::ObjectTypeExtension(object) => (&object.name, &object.fields),
        _ => return None,
    };
    let kind: OperationKind = root_kind(name)?;
    let field = |field: &apollo_compiler::Node<apollo_compiler::ast::FieldDefinition>| {
        let range = field.location().map(|span| span.offset()..span.end_offset()).unwrap_or_default();
        let written = text.get(range.clone()).unwrap_or_default().trim().trim_end_matches(',');
        let text = if written.is_empty() { field.to_string() } else { written.to_owned() };
        (FieldSignature { name: field.name.to_string(), kind, text }, range)
    };
    Some(fields.iter().map(field).collect())
}

/// The files in which the action `name` is defined so. Types that are not given stay as they are.
///
/// # Errors
/// There is no such action, the definition is one of another, or the files cannot be edited.
pub fn define(
    files: &ActionFiles,
    name: &str,
    definition: &WrittenDefinition,
) -> Result<Vec<FileEdit>, Vec<Diagnostic>> {
    let mut edit = Edit::new(files)?;
    if !edit.action_names().contains(name) {
        return Err(vec![edit.no_such_action(name)]);
    }
    let WrittenDefinition { signature, source, parsed, .. } = definition;
    if signature.name != name {
        let at = source.text.find(&signature.name).unwrap_or_default();
        let message = format!("this defines \"{}\", and the action is called \"{name}\"", signature.name);
        let place = Some(SourceLocation::at_offset(source, at));
        return Err(vec![Diagnostic::error(place, message, "keep its name, or rename the action")]);
    }
    replace_field(&mut edit, name, signature);
    for definition in parsed {
        replace_type(&mut edit, definition);
    }
    edit.finish()
}

/// In its place, or in the block of the other root.
fn replace_field(edit: &mut Edit<'_>, name: &str, signature: &FieldSignature) {
    for editor in &mut edit.sdl {
        let known = editor.root_field(name).map(|(block, member)| (block.root, member.range.clone()));
        let Some((root, range)) = known else { continue };
        if root == Some(signature.kind) {
            editor.replace(range, &signature.text);
        } else {
            editor.remove_root_field(name);
            editor.add_root_field(signature.kind, &signature.text);
        }
        return;
    }
    if let Some(editor) = edit.sdl.first_mut() {
        editor.add_root_field(signature.kind, &signature.text);
    }
}

fn replace_type(edit: &mut Edit<'_>, definition: &NewType) {
    for editor in &mut edit.sdl {
        if let Some(range) = editor.definition(&definition.name).map(|block| block.range.clone()) {
            editor.replace(range, &definition.text);
            return;
        }
    }
    if let Some(editor) = edit.sdl.first_mut() {
        editor.append(&definition.text);
    }
    if let Some(file) = edit.yaml.first_mut() {
        list_type(file, definition);
    }
}

/// `found`, placed in the text of the definition if it is about a part of a file that was written from it.
#[must_use]
pub fn in_definition(found: &Diagnostic, definition: &WrittenDefinition) -> Diagnostic {
    let mut moved = found.clone();
    moved.place = found.place.as_ref().and_then(|place| {
        let line = place.source.text.lines().nth(place.line.checked_sub(1)?)?;
        let wanted = line.trim();
        let mut lines = (1..).zip(definition.source.text.lines());
        let (number, own) = lines.find(|(_, own)| !wanted.is_empty() && own.contains(wanted))?;
        let indent = line.chars().take_while(|character| character.is_whitespace()).count();
        let own_start = own.get(..own.find(wanted)?)?.chars().count();
        let column = (place.column + own_start).checked_sub(indent)?;
        Some(SourceLocation { source: Arc::clone(&definition.source), line: number, column, length: place.length })
    });
    if moved.place.is_none() {
        moved.place.clone_from(&found.place);
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edits::files::TextFile;

    const GRAPHQL: &str = "type Query {\n  # ours\n  quote(to: String!): Quote\n  other: Int\n}\n\n# kept\ntype Quote {\n  price: Float\n}\n";
    const YAML: &str = "actions:\n  - name: quote # mine\n    definition:\n      handler: http://h\n";

    fn files() -> ActionFiles {
        ActionFiles {
            yaml: vec![TextFile::new("actions.yaml", Some(YAML))],
            graphql: vec![TextFile::new("actions.graphql", Some(GRAPHQL))],
            config: None,
            inherited_roles: Vec::new(),
        }
    }

    #[test]
    fn field_and_types_are_replaced_in_their_place() {
        let text = "type Query { quote(to: String!, from: String): Quote }\ntype Quote {\n  price: Float!\n  unit: Unit\n}\nenum Unit { EUR }";
        let definition = parse_definition(text).expect("a definition");
        let edits = define(&files(), "quote", &definition).expect("edits");
        let [edit] = edits.as_slice() else { panic!("{edits:?}") };
        assert_eq!(
            edit.after,
            "type Query {\n  # ours\n  quote(to: String!, from: String): Quote\n  other: Int\n}\n\n# kept\ntype Quote {\n  price: Float!\n  unit: Unit\n}\n\nenum Unit {\n  EUR\n}\n"
        );
    }

    #[test]
    fn another_root_and_other_errors() {
        let definition = parse_definition("type Mutation { quote: Quote }").expect("a definition");
        let edits = define(&files(), "quote", &definition).expect("edits");
        assert!(edits.iter().any(|edit| edit.after.contains("type Mutation {\n  quote: Quote\n}")), "{edits:?}");
        for (text, message) in [
            ("type Query { a: Int b: Int }", "there is more than one field of an action"),
            ("type A { b: Int }", "there is no field of an action"),
            ("type Query { quote: }", "definition:1:21"),
        ] {
            let found = parse_definition(text).err().unwrap_or_default();
            assert!(found.first().is_some_and(|found| found.to_string().contains(message)), "{text}: {found:?}");
        }
        let other = parse_definition("type Query { other: Int }").expect("a definition");
        assert!(define(&files(), "quote", &other).is_err());
    }
}
