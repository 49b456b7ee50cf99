//! Could these bytes name anything of ours? The answer "no" is a proof; "yes" only means that it is worth parsing.

use aho_corasick::AhoCorasick;

/// Looks for the names of actions in raw bytes.
#[derive(Debug)]
pub struct Scanner(Option<AhoCorasick>);

impl Scanner {
    /// A scanner for these names. A `\u` escape could spell any of them, so it counts as a find.
    ///
    /// # Errors
    /// When there are too many names for one automaton (billions of bytes).
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, aho_corasick::BuildError> {
        let mut patterns: Vec<&str> = names.into_iter().collect();
        if patterns.is_empty() {
            return Ok(Self(None));
        }
        patterns.push(r"\u");
        AhoCorasick::new(patterns).map(|automaton| Self(Some(automaton)))
    }

    /// Is there nothing to look for?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// May `bytes`, taken as UTF-8, name an action?
    #[must_use]
    pub fn may_name_action(&self, bytes: &[u8]) -> bool {
        self.0.as_ref().is_some_and(|automaton| automaton.is_match(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::Scanner;

    #[test]
    fn finds_names_and_escapes() -> Result<(), aho_corasick::BuildError> {
        let scanner = Scanner::new(["login", "pay"])?;
        assert!(scanner.may_name_action(br#"{"query":"{login{id}}"}"#));
        assert!(scanner.may_name_action(br#"{"query":"{\u006cogin{id}}"}"#));
        assert!(!scanner.may_name_action(br#"{"query":"{users{id}}"}"#));
        assert!(!Scanner::new([])?.may_name_action(b"login"));
        Ok(())
    }
}
