//! A parser for documents as clients usually send them. It makes the same syntax tree as the library's parser, which
//! builds a tree of every token before: for a new document that was four fifths of all that is done.
//!
//! What it does not accept is left to the library: errors, which the library explains, and what is rare, as escapes and
//! block strings. So it must accept nothing that the library does not, and never read anything differently; the fuzz target
//! `fast_parser` holds it to both.

use apollo_compiler::ast::{
    Argument, Definition, Directive, DirectiveList, Document, Field, FloatValue, FragmentDefinition, FragmentSpread,
    InlineFragment, IntValue, OperationDefinition, OperationType, Selection, Type, Value, VariableDefinition,
};
use apollo_compiler::parser::SourceSpan;
use apollo_compiler::{Name, Node};

use crate::graphql::source_spans;
use crate::model::limits::Limits;
use crate::model::strict_json::{number_end, string_end};

/// The syntax tree of `text`, an executable document; `None` if that is for the library to say.
#[must_use]
pub fn parse(text: &str, limits: &Limits) -> Option<Document> {
    let spans = source_spans::of_bytes();
    if text.len() > spans.len() {
        return None;
    }
    let mut parser =
        Parser { text, spans, at: 0, end: 0, tokens: 0, is_after_comma: false, depth_left: limits.max_recursion };
    parser.skip_ignored();
    let mut document = Document::new();
    while parser.peek().is_some() {
        document.definitions.push(parser.definition()?);
    }
    // Its end is a token as well.
    let is_within = parser.tokens < limits.max_tokens;
    (is_within && !document.definitions.is_empty()).then_some(document)
}

/// Makes what the first document would wait for.
pub fn prepare() {
    source_spans::of_bytes();
}

/// May a value hold variables?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Variables {
    Allowed,
    Forbidden,
}

struct Parser<'t> {
    text: &'t str,
    /// Of each byte of the text.
    spans: &'static [SourceSpan],
    /// Where the next token begins.
    at: usize,
    /// Where the last one ended.
    end: usize,
    /// As the library counts them: with white space, commas and comments.
    tokens: usize,
    /// Is there a comma before the next token? The library looks for no alias and no fragment beyond one.
    is_after_comma: bool,
    /// So many more levels are followed.
    depth_left: usize,
}

impl<'t> Parser<'t> {
    /// The first byte of the next token.
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn is_next(&self, byte: u8) -> bool {
        self.peek() == Some(byte)
    }

    /// Moves behind a token that ends at `end`.
    fn advance(&mut self, end: usize) {
        self.tokens += 1;
        (self.end, self.at, self.is_after_comma) = (end, end, false);
        self.skip_ignored();
    }

    fn skip_ignored(&mut self) {
        let bytes = self.text.as_bytes();
        let end_of_run = |from: usize, is_in_run: fn(u8) -> bool| {
            let rest = bytes.get(from..).unwrap_or_default();
            rest.iter().position(|byte| !is_in_run(*byte)).map_or(bytes.len(), |length| from + length)
        };
        while let Some(byte) = self.peek() {
            self.at = match byte {
                b' ' | b'\n' | b'\r' | b'\t' => {
                    end_of_run(self.at + 1, |byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t'))
                }
                b',' => self.at + 1,
                b'#' => end_of_run(self.at + 1, |byte| !matches!(byte, b'\n' | b'\r')),
                _ => return,
            };
            self.tokens += 1;
            self.is_after_comma |= byte == b',';
        }
    }

    /// A punctuator of one byte.
    fn eat(&mut self, byte: u8) -> Option<()> {
        self.is_next(byte).then(|| self.advance(self.at + 1))
    }

    /// A name or keyword.
    fn word(&mut self) -> Option<&'t str> {
        let rest = self.text.get(self.at..)?;
        if !rest.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
            return None;
        }
        let length = rest.bytes().position(|byte| !byte.is_ascii_alphanumeric() && byte != b'_').unwrap_or(rest.len());
        self.advance(self.at + length);
        rest.get(..length)
    }

    /// From `start` to the end of the last token.
    fn span(&self, start: usize) -> Option<SourceSpan> {
        SourceSpan::recompose(self.spans.get(start).copied(), self.spans.get(self.end.checked_sub(1)?).copied())
    }

    /// What was read since `start`.
    fn node<T>(&self, start: usize, value: T) -> Option<Node<T>> {
        Some(Node::new_parsed(value, self.span(start)?))
    }

    fn name(&mut self) -> Option<Name> {
        let start = self.at;
        let word = self.word()?;
        self.name_of(start, word)
    }

    fn name_of(&self, start: usize, word: &str) -> Option<Name> {
        Some(Name::new_unchecked(word).with_location(self.span(start)?))
    }

    /// Reads what stands between brackets, of which there must be at least one.
    fn some_between<T>(
        &mut self,
        [open, close]: [u8; 2],
        mut item: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.eat(open)?;
        let mut items = vec![item(self)?];
        while self.eat(close).is_none() {
            items.push(item(self)?);
        }
        Some(items)
    }

    /// Reads something that may hold more of its kind.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.depth_left = self.depth_left.checked_sub(1)?;
        let read = read(self)?;
        self.depth_left += 1;
        Some(read)
    }

    fn definition(&mut self) -> Option<Definition> {
        let start = self.at;
        let operation_type = match self.peek()? {
            b'{' => OperationType::Query,
            _ => match self.word()? {
                "query" => OperationType::Query,
                "mutation" => OperationType::Mutation,
                "subscription" => OperationType::Subscription,
                "fragment" => return self.fragment(start),
                _ => return None,
            },
        };
        let operation = OperationDefinition {
            operation_type,
            name: if matches!(self.peek()?, b'{' | b'(' | b'@') { None } else { Some(self.name()?) },
            variables: self.variable_definitions()?,
            directives: self.directives(Variables::Allowed)?,
            selection_set: self.selection_set()?,
        };
        self.node(start, operation).map(Definition::OperationDefinition)
    }

    fn fragment(&mut self, start: usize) -> Option<Definition> {
        let name = self.name().filter(|name| name != "on")?;
        let type_condition = self.type_condition()?;
        let directives = self.directives(Variables::Allowed)?;
        let fragment = FragmentDefinition { name, type_condition, directives, selection_set: self.selection_set()? };
        self.node(start, fragment).map(Definition::FragmentDefinition)
    }

    fn type_condition(&mut self) -> Option<Name> {
        self.word().filter(|word| *word == "on")?;
        self.name()
    }

    fn variable_definitions(&mut self) -> Option<Vec<Node<VariableDefinition>>> {
        if !self.is_next(b'(') {
            return Some(Vec::new());
        }
        self.some_between(*b"()", |parser| {
            let start = parser.at;
            parser.eat(b'$')?;
            let name = parser.name()?;
            parser.eat(b':')?;
            let at = parser.at;
            let ty = parser.ty()?;
            let ty = parser.node(at, ty)?;
            let default_value = match parser.eat(b'=') {
                Some(()) => Some(parser.value(Variables::Forbidden)?),
                None => None,
            };
            let directives = parser.directives(Variables::Forbidden)?;
            parser.node(start, VariableDefinition { name, ty, default_value, directives })
        })
    }

    fn ty(&mut self) -> Option<Type> {
        let ty = match self.eat(b'[') {
            Some(()) => {
                let inner = self.nested(Self::ty)?;
                self.eat(b']')?;
                Type::List(Box::new(inner))
            }
            None => Type::Named(self.name()?),
        };
        Some(if self.eat(b'!').is_some() { ty.non_null() } else { ty })
    }

    fn directives(&mut self, variables: Variables) -> Option<DirectiveList> {
        let mut directives = DirectiveList::new();
        while self.is_next(b'@') {
            let start = self.at;
            self.eat(b'@')?;
            let directive = Directive { name: self.name()?, arguments: self.arguments(variables)? };
            directives.0.push(self.node(start, directive)?);
        }
        Some(directives)
    }

    fn arguments(&mut self, variables: Variables) -> Option<Vec<Node<Argument>>> {
        if !self.is_next(b'(') {
            return Some(Vec::new());
        }
        self.some_between(*b"()", |parser| {
            let start = parser.at;
            let name = parser.name()?;
            parser.eat(b':')?;
            let value = parser.value(variables)?;
            parser.node(start, Argument { name, value })
        })
    }

    fn selection_set(&mut self) -> Option<Vec<Selection>> {
        self.nested(|parser| parser.some_between(*b"{}", Self::selection))
    }

    fn selection(&mut self) -> Option<Selection> {
        let start = self.at;
        if self.text.get(start..)?.starts_with("...") {
            self.advance(start + 3);
            return self.fragment_or_spread(start);
        }
        let mut name = self.name()?;
        let is_after_comma = self.is_after_comma;
        let alias = match self.eat(b':') {
            Some(()) if is_after_comma => return None,
            Some(()) => Some(std::mem::replace(&mut name, self.name()?)),
            None => None,
        };
        let arguments = self.arguments(Variables::Allowed)?;
        let directives = self.directives(Variables::Allowed)?;
        let selection_set = if self.is_next(b'{') { self.selection_set()? } else { Vec::new() };
        self.node(start, Field { alias, name, arguments, directives, selection_set }).map(Selection::Field)
    }

    /// What follows the three dots at `start`.
    fn fragment_or_spread(&mut self, start: usize) -> Option<Selection> {
        let at = self.at;
        let type_condition = match self.peek()? {
            _ if self.is_after_comma => return None,
            b'{' | b'@' => None,
            _ => match self.word()? {
                "on" => Some(self.name()?),
                word => {
                    let fragment_name = self.name_of(at, word)?;
                    let spread = FragmentSpread { fragment_name, directives: self.directives(Variables::Allowed)? };
                    return self.node(start, spread).map(Selection::FragmentSpread);
                }
            },
        };
        let directives = self.directives(Variables::Allowed)?;
        let inline = InlineFragment { type_condition, directives, selection_set: self.selection_set()? };
        self.node(start, inline).map(Selection::InlineFragment)
    }

    fn value(&mut self, variables: Variables) -> Option<Node<Value>> {
        let start = self.at;
        let value = match self.peek()? {
            b'$' if variables == Variables::Allowed => {
                self.eat(b'$')?;
                Value::Variable(self.name()?)
            }
            b'"' => self.string()?,
            b'-' | b'0'..=b'9' => self.number()?,
            b'[' => Value::List(self.nested(|parser| parser.list(variables))?),
            b'{' => Value::Object(self.nested(|parser| parser.object(variables))?),
            _ => match self.word()? {
                "true" => Value::Boolean(true),
                "false" => Value::Boolean(false),
                "null" => Value::Null,
                word => Value::Enum(self.name_of(start, word)?),
            },
        };
        self.node(start, value)
    }

    fn list(&mut self, variables: Variables) -> Option<Vec<Node<Value>>> {
        let mut items = Vec::new();
        self.eat(b'[')?;
        while self.eat(b']').is_none() {
            items.push(self.value(variables)?);
        }
        Some(items)
    }

    fn object(&mut self, variables: Variables) -> Option<Vec<(Name, Node<Value>)>> {
        let mut fields = Vec::new();
        self.eat(b'{')?;
        while self.eat(b'}').is_none() {
            let name = self.name()?;
            self.eat(b':')?;
            fields.push((name, self.value(variables)?));
        }
        Some(fields)
    }

    /// A string without escapes that is no block string.
    fn string(&mut self) -> Option<Value> {
        let bytes = self.text.as_bytes();
        let end = string_end(bytes, self.at)?;
        let text = self.text.get(self.at + 1..end - 1)?;
        let is_block = text.is_empty() && bytes.get(end) == Some(&b'"');
        if is_block || text.contains('\\') {
            return None;
        }
        self.advance(end);
        Some(Value::String(text.to_owned()))
    }

    /// As JSON has them.
    fn number(&mut self) -> Option<Value> {
        let bytes = self.text.as_bytes();
        let end = number_end(bytes, self.at)?;
        // Nothing that could be part of a number or name may follow.
        if bytes.get(end).is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')) {
            return None;
        }
        let text = self.text.get(self.at..end)?;
        self.advance(end);
        Some(match text.contains(['.', 'e', 'E']) {
            true => Value::Float(FloatValue::new_parsed(text)),
            false => Value::Int(IntValue::new_parsed(text)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_documents_are_read() {
        for text in [
            "{ a }",
            "query Q($a: [Int!]! = [1], $b: I = {c: \"d\"} @e(f: -1.5e3)) @g { h: i(j: $a, k: L, m: [true, null, {}]) @n }",
            "mutation { a { ...B @c ... on D { e } ... @f { g } ... { h } } } fragment B on A @i { j }",
            "# comment\nsubscription on { on(on: on) },,",
            "{ a(b: \"\", c: \"é #\") }",
        ] {
            assert!(parse(text, &Limits::default()).is_some(), "{text}");
        }
    }

    #[test]
    fn the_rest_is_left_to_the_library() {
        let long = format!("{{ a{} }}", " ".repeat(source_spans::SPANS));
        for text in [
            "",
            "#",
            "{ }",
            "{ a",
            "{ a() }",
            "{ a(b:) }",
            "{ a(b: 01) }",
            "{ a(b: 1.) }",
            "{ a(b: 1x) }",
            "{ a(b: \"\"\"c\"\"\") }",
            "{ a(b: \"\\n\") }",
            "{ a(b: \"c) }",
            "{ a { } }",
            "{ .. a }",
            "{ é }",
            "{ a,: b }",
            "{ ..., A }",
            "query () { a }",
            "query ($a: Int = $b) { a }",
            "query ($a Int) { a }",
            "fragment on on A { a }",
            "fragment A { a }",
            "type A { a: Int }",
            "\"text\" query { a }",
            &long,
        ] {
            assert_eq!(parse(text, &Limits::default()), None, "{text}");
        }
    }

    #[test]
    fn limits_are_those_of_the_library() {
        let limits = |max_tokens, max_recursion| Limits { max_tokens, max_recursion, ..Limits::default() };
        for (text, tokens, levels) in [("{ a, }", 7, 1), ("{a(b:[[1]]){c}}", 16, 3)] {
            assert!(parse(text, &limits(tokens, levels)).is_some(), "{text}");
            assert_eq!(parse(text, &limits(tokens - 1, levels)), None, "{text}");
            assert_eq!(parse(text, &limits(tokens, levels - 1)), None, "{text}");
        }
    }
}
