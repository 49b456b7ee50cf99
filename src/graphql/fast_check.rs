//! The rules of `check_document` in one walk over the syntax tree. The library copies the tree before it looks at it, and
//! that was two fifths of what a new document cost.
//!
//! A document that this does not find valid is left to `check_document`, which explains what is wrong with it. So nothing
//! may be valid here that is not there; the fuzz target `fast_check` holds it to that.

use std::collections::HashMap;

use apollo_compiler::Node;
use apollo_compiler::ast::{Argument, DirectiveList, OperationDefinition, Selection, Value, VariableDefinition};

use crate::graphql::document::Document;

/// Levels of selection sets, counted through fragments wherever they are spread. The library rejects chains of 100 fragments,
/// and what walks a valid document later relies on that.
const LEVELS_MAX: usize = 96;

/// Names are compared each with each in lists of up to this length; longer ones are left to the library.
const NAMES_MAX: usize = 32;

/// Its rules depend on where it stands.
const LEFT_TO_LIBRARY: &str = "defer";

/// Is the document, with one operation, certainly without the errors that `check_document` looks for?
///
/// # Examples
/// ```
/// use pillion::graphql::document::parse;
/// use pillion::graphql::fast_check::is_valid;
/// use pillion::model::limits::Limits;
///
/// let document = |text| parse(text, &Limits::default()).unwrap();
/// assert!(is_valid(&document("query ($id: ID) { a(id: $id) { ...F } } fragment F on A { b }")));
/// assert!(!is_valid(&document("query ($id: ID) { a(id: $of) }")));
/// ```
#[must_use]
pub fn is_valid(document: &Document) -> bool {
    let [operation] = document.operations() else { return false };
    let mut walk = Walk {
        document,
        variables: &[],
        is_used: vec![false; operation.variables.len()],
        fragments: HashMap::new(),
        level: 0,
        deepest: 0,
    };
    walk.operation(operation)
        && walk.is_used.iter().all(|is_used| *is_used)
        // No fragment is left over, none has a name twice, and there is nothing else.
        && walk.fragments.len() + 1 == document.definitions().len()
}

/// How far the walk is with a fragment.
enum Visit {
    Open,
    /// So many levels of selection sets are in it.
    Done {
        levels: usize,
    },
}

/// Each function says whether all that it walked is valid.
struct Walk<'d> {
    document: &'d Document,
    /// The variables that may be used here, and whether each was.
    variables: &'d [Node<VariableDefinition>],
    is_used: Vec<bool>,
    /// Those that were walked, by name.
    fragments: HashMap<&'d str, Visit>,
    /// How many selection sets are open.
    level: usize,
    /// The greatest level in the operation, or in the fragment that is open.
    deepest: usize,
}

impl<'d> Walk<'d> {
    fn operation(&mut self, operation: &'d OperationDefinition) -> bool {
        // Their default values and directives may use none.
        let variables = operation.variables.iter().all(|variable| {
            variable.default_value.iter().all(|default| self.value(default)) && self.directives(&variable.directives)
        });
        self.variables = &operation.variables;
        variables
            && are_distinct(&operation.variables, |variable| &variable.name)
            && self.directives(&operation.directives)
            && self.selection_set(&operation.selection_set)
    }

    fn selection_set(&mut self, selection_set: &'d [Selection]) -> bool {
        self.level += 1;
        let is_valid = self.reaches(self.level) && selection_set.iter().all(|selection| self.selection(selection));
        self.level -= 1;
        is_valid
    }

    /// May there be a selection set at this level?
    fn reaches(&mut self, level: usize) -> bool {
        self.deepest = self.deepest.max(level);
        level <= LEVELS_MAX
    }

    fn selection(&mut self, selection: &'d Selection) -> bool {
        match selection {
            Selection::Field(field) => {
                self.arguments(&field.arguments)
                    && self.directives(&field.directives)
                    && self.selection_set(&field.selection_set)
            }
            Selection::InlineFragment(inline) => {
                self.directives(&inline.directives) && self.selection_set(&inline.selection_set)
            }
            Selection::FragmentSpread(spread) => {
                self.directives(&spread.directives) && self.fragment(&spread.fragment_name)
            }
        }
    }

    /// A fragment that is spread. It is walked once: what it uses, it uses wherever it is spread.
    fn fragment(&mut self, name: &'d str) -> bool {
        match self.fragments.get(name) {
            Some(Visit::Done { levels }) => return self.reaches(self.level + levels),
            Some(Visit::Open) => return false,
            None => {}
        }
        let Some(fragment) = self.document.fragment(name) else { return false };
        self.fragments.insert(name, Visit::Open);
        let deepest_around = std::mem::replace(&mut self.deepest, self.level);
        let is_valid = self.directives(&fragment.directives) && self.selection_set(&fragment.selection_set);
        self.fragments.insert(name, Visit::Done { levels: self.deepest - self.level });
        self.deepest = self.deepest.max(deepest_around);
        is_valid
    }

    fn directives(&mut self, directives: &'d DirectiveList) -> bool {
        directives.iter().all(|directive| directive.name != LEFT_TO_LIBRARY && self.arguments(&directive.arguments))
    }

    fn arguments(&mut self, arguments: &'d [Node<Argument>]) -> bool {
        are_distinct(arguments, |argument| &argument.name)
            && arguments.iter().all(|argument| self.value(&argument.value))
    }

    fn value(&mut self, value: &'d Value) -> bool {
        match value {
            Value::Variable(name) => self.variable(name),
            Value::List(items) => items.iter().all(|item| self.value(item)),
            Value::Object(fields) => {
                are_distinct(fields, |(name, _)| name) && fields.iter().all(|(_, field)| self.value(field))
            }
            _ => true,
        }
    }

    fn variable(&mut self, name: &str) -> bool {
        let index = self.variables.iter().position(|variable| variable.name == name);
        index.and_then(|index| self.is_used.get_mut(index)).map(|is_used| *is_used = true).is_some()
    }
}

/// Are the names of `items` all different?
fn are_distinct<T>(items: &[T], name: impl Fn(&T) -> &str) -> bool {
    let is_first = |(index, item): (usize, &T)| items.iter().take(index).all(|earlier| name(earlier) != name(item));
    items.len() <= NAMES_MAX && items.iter().enumerate().all(is_first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::check_document::check_each_rule;
    use crate::graphql::document::parse;
    use crate::model::limits::Limits;

    fn is_valid_text(text: &str) -> bool {
        is_valid(&parse(text, &Limits::default()).expect("it can be parsed"))
    }

    /// A document that spreads `first`, where each fragment spreads the next one.
    fn chain(count: usize, first: &[&str]) -> String {
        let spreads: String = first.iter().map(|name| format!("...{name} ")).collect();
        let definition = |index| format!("fragment F{index} on A {{ ...F{} }} ", index + 1);
        format!("{{ {spreads}}} {}fragment F{count} on A {{ a }}", (0..count).map(definition).collect::<String>())
    }

    /// A fragment that was walked before is as deep where it is spread next.
    #[test]
    fn levels_count_wherever_a_fragment_is_spread() {
        assert!(is_valid_text(&chain(LEVELS_MAX - 3, &["F50", "F0"])));
        for first in [&["F0"][..], &["F90", "F60", "F30", "F0"], &["F60", "F0", "F30"]] {
            let document = parse(&chain(110, first), &Limits::default()).expect("it can be parsed");
            assert!(!is_valid(&document), "{first:?}");
            assert!(check_each_rule(&document, &Limits::default()).is_err(), "{first:?}");
        }
    }

    #[test]
    fn usual_documents_are_valid() {
        for text in [
            "{ a }",
            "query A($id: ID! = \"1\", $in: In = {a: 1, b: [2]}) { a(id: $id) @include(if: true) { b(in: {x: [$in]}) } }",
            "subscription { a(first: 1) @x(of: 1) @x(of: 1) { ... on B { c } ... @x { d } } }",
            "mutation ($a: Int, $b: Int) @x(a: $a) { a { ...F ...G } } fragment F on A { b ...G } fragment G on A @x(b: $b) { c }",
        ] {
            assert!(is_valid_text(text), "{text}");
        }
    }

    #[test]
    fn other_documents_are_left_to_the_library() {
        let many = |item: fn(usize) -> String| (0..=NAMES_MAX).map(item).collect::<String>();
        assert!(is_valid_text(&chain(LEVELS_MAX - 3, &["F0"])));
        for text in [
            "query A { a } query B { b }",
            "{ a } { b }",
            "{ a } type A { b: Int }",
            "{ ...F } fragment F on A { a } fragment F on A { a }",
            "{ ...F } fragment F on A { a } fragment G on A { a }",
            "{ ...F }",
            "{ ...F } fragment F on A { a ...F }",
            "{ ...F } fragment F on A { a { ...G } } fragment G on A { ... { ...F } }",
            "query ($a: Int) { a }",
            "query ($a: Int, $a: Int) { a(a: $a) }",
            "query ($a: Int = $b, $b: Int) { a(a: $a) }",
            "{ a(a: $a) }",
            "{ a(a: 1, a: 1) }",
            "{ a @x(a: 1, a: 1) }",
            "{ a(a: {a: 1, a: 1}) }",
            "query ($a: In = {a: 1, a: 1}) { a(a: $a) }",
            "query ($a: Int @x(a: 1, a: 1)) { a(a: $a) }",
            "{ a { ... @defer { b } } }",
            &format!("{{ a({}) }}", many(|index| format!("a{index}: 1 "))),
            &chain(LEVELS_MAX - 2, &["F0"]),
        ] {
            assert!(!parse(text, &Limits::default()).is_ok_and(|document| is_valid(&document)), "{text}");
        }
    }
}
