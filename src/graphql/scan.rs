//! Could these bytes name anything of ours? The answer "no" is a proof; "yes" only means that it is worth parsing.

use aho_corasick::{AhoCorasick, Match};

/// Looks for the names of actions in raw bytes.
#[derive(Debug)]
pub struct Scanner(Option<AhoCorasick>);

/// How a JSON string spells any character by its number.
const ESCAPE: &[u8] = br"\u";

impl Scanner {
    /// A scanner for these names.
    ///
    /// # Errors
    /// When there are too many names for one automaton (billions of bytes).
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, aho_corasick::BuildError> {
        let mut patterns: Vec<&[u8]> = names.into_iter().map(str::as_bytes).collect();
        if patterns.is_empty() {
            return Ok(Self(None));
        }
        patterns.push(ESCAPE);
        AhoCorasick::new(patterns).map(|automaton| Self(Some(automaton)))
    }

    /// Is there nothing to look for?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// May `bytes`, taken as UTF-8 JSON or as plain text, name an action?
    #[must_use]
    pub fn may_name_action(&self, bytes: &[u8]) -> bool {
        let Some(automaton) = &self.0 else { return false };
        let is_escape = |found: Match| bytes.get(found.range()) == Some(ESCAPE);
        let mut escaped = false;
        for found in automaton.find_iter(bytes) {
            if !is_escape(found) {
                return true;
            }
            escaped = true;
        }
        // Text in other scripts is full of escapes; what they spell decides.
        escaped && {
            let spelled = spell_out(bytes);
            automaton.find_iter(&spelled).any(|found| spelled.get(found.range()) != Some(ESCAPE))
        }
    }
}

/// Puts every ASCII character that is escaped by its number in its place; only those can be part of a name.
fn spell_out(bytes: &[u8]) -> Vec<u8> {
    let mut spelled = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let escaped = rest.strip_prefix(ESCAPE).and_then(|after| Some((ascii(after.get(..4)?)?, after.get(4..)?)));
        let (byte, after) = escaped.unwrap_or((*first, after));
        spelled.push(byte);
        rest = after;
    }
    spelled
}

fn ascii(digits: &[u8]) -> Option<u8> {
    let digits =
        std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii)
}

#[cfg(test)]
mod tests {
    use super::Scanner;

    #[test]
    fn finds_names_and_escapes() -> Result<(), aho_corasick::BuildError> {
        let scanner = Scanner::new(["login", "pay"])?;
        assert!(scanner.may_name_action(br#"{"query":"{login{id}}"}"#));
        assert!(scanner.may_name_action(br#"{"query":"{\u006cogin{id}}"}"#));
        assert!(scanner.may_name_action(br#"{"query":"{lo\u0067i\u006E}"}"#));
        assert!(!scanner.may_name_action(br#"{"query":"{users(name:\"J\u00f6rg \uD83D\uDE00 \u12"}"#));
        assert!(!scanner.may_name_action(br#"{"query":"{users{id}}"}"#));
        assert!(!Scanner::new([])?.may_name_action(b"login"));
        Ok(())
    }
}
