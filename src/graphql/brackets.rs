//! Unclosed brackets of GraphQL text: the parser names the place where it gave up, which is often the end of the document; this
//! finds the bracket that was never closed.

/// The place of the first bracket that is never closed, or that another one closes, and the bracket.
///
/// # Examples
/// ```
/// use pillion::graphql::brackets::unclosed;
///
/// assert_eq!(unclosed("type Query { a: Int"), Some((11, '{')));
/// assert_eq!(unclosed("type Query { a(b: Int: Int }"), Some((14, '(')));
/// assert_eq!(unclosed("type Query { a: Int }"), None);
/// ```
#[must_use]
pub fn unclosed(text: &str) -> Option<(usize, char)> {
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let offset = text.len() - rest.len();
        match first {
            '{' | '(' | '[' => open.push((offset, first)),
            '}' | ')' | ']' => match open.pop() {
                // One too many is the parser's to say.
                None => return None,
                Some((_, opening)) if closing(opening) == first => {}
                Some(other) => return Some(other),
            },
            _ => {}
        }
        rest = rest.get(length_of(first, rest)..).unwrap_or_default();
    }
    // A block that is not closed swallows those after it: it is the outermost one.
    open.first().copied()
}

fn closing(opening: char) -> char {
    match opening {
        '{' => '}',
        '(' => ')',
        _ => ']',
    }
}

/// The bytes of a comment, a string or one character.
fn length_of(first: char, rest: &str) -> usize {
    match first {
        '#' => rest.find('\n').unwrap_or(rest.len()),
        '"' if rest.starts_with("\"\"\"") => {
            let inside = rest.get(3..).unwrap_or_default();
            let escaped = |at: usize| inside.get(..at).is_some_and(|before| before.ends_with('\\'));
            let end = inside.match_indices("\"\"\"").map(|(at, _)| at).find(|at| !escaped(*at));
            end.map_or(rest.len(), |at| at + 6)
        }
        '"' => string_length(rest),
        _ => first.len_utf8(),
    }
}

/// Up to the quote that ends it, or the end of the line.
fn string_length(rest: &str) -> usize {
    let mut is_escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            '\n' => return at,
            '"' if !is_escaped => return at + 1,
            _ => is_escaped = character == '\\' && !is_escaped,
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_have_no_brackets() {
        for (text, wanted) in [
            ("type Q {\n  a: T\n\ntype T { b: Int }\n", Some((7, '{'))),
            ("type Q { a(b: [Int): T }", Some((14, '['))),
            ("# {\ntype Q { a: T }", None),
            ("\"{ \\\" (\" type Q { a: T }", None),
            ("\"\"\"{ \\\"\"\" (\"\"\" type Q { a: T }", None),
            ("\"{\ntype Q { a: T", Some((10, '{'))),
            ("type Q { a: T } }", None),
            ("\"\"\"{", None),
            ("\"ü", None),
        ] {
            assert_eq!(unclosed(text), wanted, "{text}");
        }
    }
}
