//! Scans a body for names of ours before it is parsed. The result "no" is a proof; "yes" only means that it is worth
//! parsing.

use aho_corasick::{AhoCorasick, MatchKind, PatternID};

use crate::graphql::nested_roots;

/// Looks for the names of actions, and for introspection, in raw bytes.
#[derive(Debug)]
pub struct Scanner {
    automaton: Option<AhoCorasick>,
    /// The number of actions; their names are the first patterns.
    actions: usize,
}

/// What may be in a document, the strongest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScanResult {
    /// Nothing of ours is.
    Nothing,
    /// `__schema`, `__type` or a type that is known from there alone may be.
    Introspection,
    /// The document may be named by an id.
    DocumentId,
    /// An action may be.
    Action,
}

/// How a JSON string spells any character by its number.
const ESCAPE: &[u8] = br"\u";

/// The patterns after the actions' names. The last is there so that it is not taken for `__type`: most documents have
/// it.
const OTHERS: [&[u8]; 5] = [ESCAPE, b"__schema", b"__type", nested_roots::SUFFIX.as_bytes(), b"__typename"];

/// How a request names its document by an id.
const DOCUMENT_IDS: [&[u8]; 2] = [b"persistedQuery", b"documentId"];

/// What a pattern is.
enum ScanMatch {
    Action,
    DocumentId,
    Escape,
    Introspection,
    TypeName,
}

impl Scanner {
    /// A scanner for these names.
    ///
    /// # Errors
    /// When there are too many names for one automaton (billions of bytes).
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, aho_corasick::BuildError> {
        Self::looking_for(names, &[])
    }

    /// A scanner for these names, and for the ids by which requests name their documents.
    ///
    /// # Errors
    /// When there are too many names for one automaton (billions of bytes).
    pub fn with_document_ids<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, aho_corasick::BuildError> {
        Self::looking_for(names, &DOCUMENT_IDS)
    }

    fn looking_for<'a>(
        names: impl IntoIterator<Item = &'a str>,
        ids: &[&'static [u8]],
    ) -> Result<Self, aho_corasick::BuildError> {
        let mut patterns: Vec<&[u8]> = names.into_iter().map(str::as_bytes).collect();
        let actions = patterns.len();
        if patterns.is_empty() && ids.is_empty() {
            return Ok(Self { automaton: None, actions });
        }
        patterns.extend(OTHERS);
        patterns.extend(ids);
        // A name that begins within another match is not a name there, so what overlaps need not be found.
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(patterns)?;
        Ok(Self { automaton: Some(automaton), actions })
    }

    /// Is there nothing to look for?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.automaton.is_none()
    }

    /// What may `bytes`, taken as UTF-8 JSON or as plain text, hold?
    ///
    /// # Examples
    /// ```
    /// use pillion::graphql::scan::{ScanResult, Scanner};
    ///
    /// let scanner = Scanner::new(["quote"]).unwrap();
    /// assert_eq!(scanner.scan(br#"{"query":"{ quote }"}"#), ScanResult::Action);
    /// assert_eq!(scanner.scan(br#"{"query":"{ products { id } }"}"#), ScanResult::Nothing);
    /// ```
    #[must_use]
    pub fn scan(&self, bytes: &[u8]) -> ScanResult {
        let Some(automaton) = &self.automaton else { return ScanResult::Nothing };
        let (sighting, escaped) = self.look_literally(automaton, bytes);
        if !escaped || sighting == ScanResult::Action {
            return sighting;
        }
        // Text in other scripts is full of escapes; the characters that they spell decide.
        self.look_literally(automaton, &spell_out(bytes)).0.max(sighting)
    }

    /// The result for the text as it is written, and whether anything is escaped.
    fn look_literally(&self, automaton: &AhoCorasick, bytes: &[u8]) -> (ScanResult, bool) {
        let mut sighting = ScanResult::Nothing;
        let mut escaped = false;
        for found in automaton.find_iter(bytes) {
            match self.what(found.pattern()) {
                ScanMatch::Action => return (ScanResult::Action, escaped),
                ScanMatch::DocumentId => sighting = ScanResult::DocumentId,
                ScanMatch::Introspection => sighting = sighting.max(ScanResult::Introspection),
                ScanMatch::Escape => escaped = true,
                ScanMatch::TypeName => {}
            }
        }
        (sighting, escaped)
    }

    fn what(&self, pattern: PatternID) -> ScanMatch {
        match pattern.as_usize().checked_sub(self.actions) {
            None => ScanMatch::Action,
            Some(0) => ScanMatch::Escape,
            Some(1..=3) => ScanMatch::Introspection,
            Some(4) => ScanMatch::TypeName,
            Some(_) => ScanMatch::DocumentId,
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
    use crate::graphql::scan::{ScanResult, Scanner};

    #[test]
    fn finds_names_and_escapes() -> Result<(), aho_corasick::BuildError> {
        let scanner = Scanner::new(["login", "pay"])?;
        for (text, wanted) in [
            (r#"{"query":"{login{id}}"}"#, ScanResult::Action),
            (r#"{"query":"{\u006cogin{id}}"}"#, ScanResult::Action),
            (r#"{"query":"{lo\u0067i\u006E}"}"#, ScanResult::Action),
            (r#"{"query":"{users(name:\"J\u00f6rg \uD83D\uDE00 \u12"}"#, ScanResult::Nothing),
            (r#"{"query":"{users{id}}"}"#, ScanResult::Nothing),
            (r#"{"query":"{users{id __typename}}"}"#, ScanResult::Nothing),
            (r#"{"query":"{__typename __type(name:1){name}}"}"#, ScanResult::Introspection),
            (r#"{"query":"{__schem\u0061{description}}"}"#, ScanResult::Introspection),
            (r#"{"query":"{__schema{description} __typename pay}"}"#, ScanResult::Action),
            (r#"{"query":"{__schema{description} p\u0061y}"}"#, ScanResult::Action),
        ] {
            assert_eq!(scanner.scan(text.as_bytes()), wanted, "{text}");
        }
        assert_eq!(Scanner::new([])?.scan(b"login __schema"), ScanResult::Nothing);
        Ok(())
    }

    #[test]
    fn finds_ids_of_documents_if_they_are_looked_for() -> Result<(), aho_corasick::BuildError> {
        for (text, wanted) in [
            (r#"{"documentId":"a"}"#, ScanResult::DocumentId),
            (r#"{"extensions":{"persisted\u0051uery":{}}}"#, ScanResult::DocumentId),
            (r#"{"documentId":"a","query":"{ __schema { x } }"}"#, ScanResult::DocumentId),
            (r#"{"query":"{ __schema { x } }","documentId":"a"}"#, ScanResult::DocumentId),
            (r#"{"documentId":"a","query":"{ login }"}"#, ScanResult::Action),
            (r#"{"query":"{ users }"}"#, ScanResult::Nothing),
        ] {
            assert_eq!(Scanner::with_document_ids(["login"])?.scan(text.as_bytes()), wanted, "{text}");
        }
        assert_eq!(Scanner::new(["login"])?.scan(br#"{"documentId":"a"}"#), ScanResult::Nothing);
        assert!(!Scanner::with_document_ids([])?.is_empty());
        Ok(())
    }
}
