//! The line of a configuration file that a diagnostic is about, without the credentials in it.

use std::borrow::Cow;
use std::ops::Range;

/// Replaces hidden text, whatever its length.
const MASK: &str = "***";

/// Characters of a line that are shown to each side of the place: a line may be a whole file.
const SHOWN_MAX: usize = 160;

/// Characters to each side of it that are looked at, so that sixty thousand diagnostics about one long line have an end.
const LOOKED_AT_MAX: usize = 1_000;

/// The line `row`, and the bytes of it that are marked: `length` characters from `column` on. `hidden` are the characters of
/// the text that must not be shown; text for which they are known is YAML, whose comments are left out.
#[must_use]
pub fn line(
    text: &str,
    hidden: Option<&Vec<Range<usize>>>,
    (row, column, length): (usize, usize, usize),
) -> Option<(String, Range<usize>)> {
    let mut first = 0;
    let mut lines = text.lines();
    let mut raw = text.split_inclusive('\n');
    for _ in 1..row {
        lines.next()?;
        first += raw.next()?.chars().count();
    }
    let caret = column.saturating_sub(1);
    let from = caret.saturating_sub(LOOKED_AT_MAX);
    let characters: Vec<char> = lines.next()?.chars().skip(from).take(2 * LOOKED_AT_MAX).collect();
    let caret = (caret - from).min(characters.len());
    first += from;
    let mut is_hidden = vec![false; characters.len()];
    for range in hidden.into_iter().flatten() {
        let local = range.start.saturating_sub(first)..range.end.saturating_sub(first).min(characters.len());
        hide(&mut is_hidden, local);
    }
    if from > 0 {
        // The owner of this word is unknown.
        let word = characters.iter().position(ends_word).unwrap_or(characters.len());
        hide(&mut is_hidden, 0..word);
    }
    hide_logins(&characters, &mut is_hidden);
    if hidden.is_some() {
        hide_named(&characters, &mut is_hidden);
        let comment = comment_of(&characters, &is_hidden);
        hide(&mut is_hidden, comment..characters.len());
    }
    Some(write(&characters, &is_hidden, caret..caret.saturating_add(length.max(1))))
}

/// A text without the user names and passwords in its URLs, and without what follows `Bearer` and `Basic`.
#[must_use]
pub fn without_logins(text: &str) -> Cow<'_, str> {
    if !text.contains("://") && !text.contains("earer ") && !text.contains("asic ") {
        return Cow::Borrowed(text);
    }
    let characters: Vec<char> = text.chars().collect();
    let mut is_hidden = vec![false; characters.len()];
    hide_logins(&characters, &mut is_hidden);
    Cow::Owned(masked(&characters, &is_hidden).0.into_iter().collect())
}

fn hide(is_hidden: &mut [bool], range: Range<usize>) {
    is_hidden.iter_mut().take(range.end).skip(range.start).for_each(|flag| *flag = true);
}

/// The characters with a mask for each run of hidden ones, and the place in it of each of the old ones.
fn masked(characters: &[char], is_hidden: &[bool]) -> (Vec<char>, Vec<usize>) {
    let (mut shown, mut positions) = (Vec::with_capacity(characters.len()), Vec::with_capacity(characters.len() + 1));
    let mut start_of_mask = None;
    for (character, is_hidden) in characters.iter().zip(is_hidden) {
        if !is_hidden {
            start_of_mask = None;
            positions.push(shown.len());
            shown.push(*character);
            continue;
        }
        positions.push(*start_of_mask.get_or_insert_with(|| {
            let start = shown.len();
            shown.extend(MASK.chars());
            start
        }));
    }
    positions.push(shown.len());
    (shown, positions)
}

fn write(characters: &[char], is_hidden: &[bool], marked: Range<usize>) -> (String, Range<usize>) {
    let (shown, positions) = masked(characters, is_hidden);
    let shown_at = |index: usize| positions.get(index).copied().unwrap_or(shown.len());
    let start = shown_at(marked.start);
    // What is hidden is marked as a whole, however long it is.
    let is_last_hidden = marked.end.checked_sub(1).and_then(|last| is_hidden.get(last)).copied().unwrap_or(false);
    let end = shown_at(marked.end).max(if is_last_hidden { shown_at(marked.end - 1) + MASK.len() } else { 0 });
    let (from, to) = (start.saturating_sub(SHOWN_MAX), start + SHOWN_MAX);
    let mut line = String::new();
    if from > 0 {
        line.push('…');
    }
    let (mut marked_from, mut marked_to) = (None, None);
    for (index, character) in shown.iter().enumerate().take(to).skip(from) {
        marked_from = marked_from.or((index == start).then_some(line.len()));
        marked_to = marked_to.or((index == end).then_some(line.len()));
        line.push(*character);
    }
    let marked = marked_from.unwrap_or(line.len())..marked_to.unwrap_or(line.len());
    if shown.len() > to {
        line.push('…');
    }
    (line, marked)
}

/// `scheme://user:password@` up to the last `@` of the word, and the word after `Bearer` or `Basic`.
fn hide_logins(characters: &[char], is_hidden: &mut [bool]) {
    for start in 0..characters.len() {
        let rest = characters.get(start..).unwrap_or_default();
        if rest.starts_with(&[':', '/', '/']) {
            let word = rest.iter().position(ends_word).unwrap_or(rest.len());
            if let Some(at) = rest.iter().take(word).rposition(|c| *c == '@') {
                hide(is_hidden, start + 3..start + at);
            }
        }
        for scheme in ["bearer ", "basic "] {
            if starts_with(rest, scheme) {
                let length = scheme.len();
                let word = rest.iter().skip(length).position(ends_word).unwrap_or(rest.len() - length);
                hide(is_hidden, start + length..start + length + word);
            }
        }
    }
}

fn ends_word(c: &char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>')
}

/// Words in the name of something that holds a credential.
const SECRET_WORDS: [&str; 9] =
    ["secret", "token", "password", "passwd", "passphrase", "apikey", "api_key", "api-key", "authorization"];

/// `"…token…": "…"`, `password=…`: whatever stands after such a name, wherever it is written.
fn hide_named(characters: &[char], is_hidden: &mut [bool]) {
    let in_name = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let quotes = |c: &char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\');
    for start in 0..characters.len() {
        let rest = characters.get(start..).unwrap_or_default();
        let Some(word) = SECRET_WORDS.iter().find(|word| starts_with(rest, word)) else { continue };
        let mut at = word.len();
        let skip = |at: usize, is: &dyn Fn(&char) -> bool| at + rest.iter().skip(at).take_while(|c| is(c)).count();
        at = skip(skip(at, &in_name), &quotes);
        if !matches!(rest.get(at), Some(':' | '=')) {
            continue;
        }
        at = skip(at + 1, &quotes);
        let value = rest.get(at..).unwrap_or_default();
        let ends = |c: &char| matches!(c, '"' | '\'' | ',' | '&' | '}' | ']');
        let length = value.iter().position(ends).unwrap_or(value.len());
        let text: String = value.iter().take(length).collect();
        // A template is no secret, neither is what a mapping or a list begins with, nor whether there is one.
        if text.starts_with(['{', '[']) || matches!(text.trim(), "true" | "false") {
            continue;
        }
        hide(is_hidden, start + at..start + at + length);
    }
}

fn starts_with(characters: &[char], word: &str) -> bool {
    let mut letters = word.chars();
    let is_same = characters.iter().zip(letters.by_ref()).all(|(c, letter)| c.to_ascii_lowercase() == letter);
    is_same && letters.next().is_none()
}

/// Where a comment begins. One that only looks like it, within quotes, is hidden as well.
fn comment_of(characters: &[char], is_hidden: &[bool]) -> usize {
    let mut before = ' ';
    for (index, (character, is_hidden)) in characters.iter().zip(is_hidden).enumerate() {
        if *character == '#' && before.is_whitespace() && !is_hidden {
            return index;
        }
        before = *character;
    }
    characters.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, hidden: Range<usize>, line_number: usize, column: usize) -> (String, Range<usize>) {
        let hidden: Vec<Range<usize>> = std::iter::once(hidden).collect();
        line(text, Some(&hidden), (line_number, column, 1)).unwrap_or_default()
    }

    #[test]
    fn the_whole_token_is_marked() {
        let marked = |text: &str, hidden: Range<usize>, column, length| {
            let hidden: Vec<Range<usize>> = std::iter::once(hidden).collect();
            let (line, marked) = line(text, Some(&hidden), (1, column, length)).unwrap_or_default();
            line.get(marked).unwrap_or_default().to_owned()
        };
        assert_eq!(marked("a: Qute, b: 1", 0..0, 4, 4), "Qute");
        assert_eq!(marked("ä: ü, b: 1", 0..0, 4, 1), "ü");
        assert_eq!(marked("a: geheim, b: 1", 3..9, 4, 6), "***");
        assert_eq!(marked("a: geheim, b: 1", 3..9, 6, 1), "***");
        assert_eq!(marked("a: 1", 0..0, 4, 100), "1");
        assert_eq!(marked("a: 1", 0..0, 5, 1), "");
    }

    #[test]
    fn hidden_text_has_no_length() {
        assert_eq!(shown("a: geheim, b: 1", 3..9, 1, 12), ("a: ***, b: 1".into(), 8..9));
        // From the line before, in the middle of it, to its end.
        assert_eq!(shown("ä: |\n  eins\n  zwei\nb: 1", 3..19, 2, 3).0, "***");
        assert_eq!(shown("ä: |\n  eins\n  zwei\nb: 1", 3..19, 4, 1).0, "b: 1");
    }

    #[test]
    fn logins_and_named_values() {
        for (text, wanted) in [
            ("url: postgres://me:pa/ss@host/db", "url: postgres://***@host/db"),
            ("see http://host/a", "see http://host/a"),
            ("x: 'Bearer abc.def' # was xyz", "x: 'Bearer ***' ***"),
            ("t: '{\"apiKey\": \"sk_live\", \"a\": 1}'", "t: '{\"apiKey\": \"***\", \"a\": 1}'"),
            ("u: http://h/p?token=abc&x=1", "u: http://h/p?token=***&x=1"),
            ("a_token: {{TOKEN}}", "a_token: {{TOKEN}}"),
        ] {
            assert_eq!(shown(text, 0..0, 1, 1).0, wanted);
        }
        assert_eq!(without_logins("at redis://a:b@c/ and Basic xyz."), "at redis://***@c/ and Basic ***");
    }

    #[test]
    fn a_long_line_is_cut() {
        let text = "x ".repeat(5_000);
        let (line, marked) = shown(&text, 0..0, 1, 5_000);
        let before = line.get(..marked.start).map(|before| before.chars().count());
        assert!(line.chars().count() == 2 * SHOWN_MAX + 2 && before == Some(SHOWN_MAX + 1), "{line}");
    }
}
