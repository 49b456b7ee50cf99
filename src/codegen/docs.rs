//! Descriptions as lines of comments. They are anybody's text: nothing in them may end a comment.

/// The lines of a comment that say `text`, for any of the languages: without line ends of any kind, control characters,
/// marks that change the direction of writing, and what begins or ends a block comment.
pub(crate) fn comment_lines(text: &str) -> Vec<String> {
    let lines = text.split(is_line_end).map(|line| harmless(line).trim().to_owned());
    let mut lines: Vec<String> = lines.collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let start = lines.iter().take_while(|line| line.is_empty()).count();
    lines.split_off(start)
}

fn is_line_end(letter: char) -> bool {
    matches!(letter, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// See <https://www.unicode.org/reports/tr55/> for marks of direction in sources.
fn harmless(line: &str) -> String {
    let is_direction = |letter: char| matches!(letter, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let text: String = line.replace('\t', " ").chars().filter(|c| !c.is_control() && !is_direction(*c)).collect();
    text.replace("*/", "* /").replace("/*", "/ *")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_ends_a_comment() {
        let lines = comment_lines("\n a */ b\r\nc\u{2028}d /**/ \u{202e}e\0\t\n\n");
        assert_eq!(lines, ["a * / b", "", "c", "d / ** / e"]);
        assert!(comment_lines(" \n ").is_empty());
    }
}
