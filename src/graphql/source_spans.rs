//! Spans of the library's syntax tree, which has no way to make one but its own parser.

use std::sync::LazyLock;

use apollo_compiler::ast::Definition;
use apollo_compiler::parser::{Parser, SourceSpan};

/// So many bytes of a text have spans. Each takes 16 bytes for as long as the program runs.
pub(crate) const SPANS: usize = 16 * 1024;

/// The span of each byte. A text of nothing but opening braces is an anonymous operation at each of them, if an unfinished
/// one, and the library gives those that it found beside its errors; of errors beyond a limit it notes none. Empty should it
/// ever stop to do so.
static OF_BYTES: LazyLock<Vec<SourceSpan>> = LazyLock::new(|| {
    let document = match Parser::new().recursion_limit(0).parse_ast("{".repeat(SPANS), "spans") {
        Ok(document) => document,
        Err(failed) => failed.partial,
    };
    let spans = document.definitions.iter().filter_map(|definition| match definition {
        Definition::OperationDefinition(operation) => operation.location(),
        _ => None,
    });
    let is_of_byte = |(at, span): &(usize, SourceSpan)| (span.offset(), span.end_offset()) == (*at, at + 1);
    spans.enumerate().take_while(is_of_byte).map(|(_, span)| span).collect()
});

/// The spans of a text's bytes. The first call makes them, which takes some milliseconds.
pub(crate) fn of_bytes() -> &'static [SourceSpan] {
    &OF_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_has_a_span() {
        assert_eq!(of_bytes().len(), SPANS);
    }
}
