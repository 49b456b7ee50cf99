//! Finds the documents of GraphQL requests in JSON that arrives in pieces, in constant memory but for the document itself.
//! It is lenient: text that is not JSON is the upstream's to reject, so nothing is checked here that does not help to find
//! a document.

use serde_json::from_slice;

/// Looks for the values of `query` in a request, or in each request of a batch.
#[derive(Debug)]
pub struct DocumentFinder {
    state: State,
    /// Open brackets of either kind.
    depth: usize,
    /// The depth at which the keys of a request stand: 1, or 2 in a batch. 0 before the first bracket.
    request_depth: usize,
    /// Is what is open at `request_depth` an object?
    is_request: bool,
    /// Is a key expected next, or a value?
    place: FinderPosition,
    /// What has come of a string that is kept, without its quotes.
    kept: Vec<u8>,
    max_document_size: usize,
    is_json: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FinderPosition {
    Key,
    /// After the key `query`.
    Query,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Between,
    /// In a string; is it kept, and does the next character belong to an escape?
    String {
        kept: bool,
        escaped: bool,
    },
}

/// The documents found.
#[derive(Debug, PartialEq, Eq)]
pub enum FinderResult {
    /// The text of a JSON string, without its quotes and with its escapes.
    Document(Vec<u8>),
    /// A document that is longer than the limit.
    TooLong,
}

/// `query` with every letter escaped has 30 bytes.
const KEY_BYTES_MAX: usize = 30;

impl DocumentFinder {
    /// Nothing has come yet. Documents may have `document_bytes_max` bytes as they are written.
    #[must_use]
    pub fn new(max_document_size: usize) -> Self {
        Self {
            state: State::Between,
            depth: 0,
            request_depth: 0,
            is_request: false,
            place: FinderPosition::Other,
            kept: Vec::new(),
            max_document_size,
            is_json: None,
        }
    }

    /// Does the text begin as a JSON object or list of objects does? `false` for a bare document such as `{ a }`.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.is_json == Some(true)
    }

    /// Bytes that are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.kept.len()
    }

    /// Takes the next piece and gives what ends in it.
    pub fn feed(&mut self, mut piece: &[u8]) -> Vec<FinderResult> {
        let mut found = Vec::new();
        while let Some((byte, rest)) = piece.split_first() {
            piece = match self.state {
                State::String { kept, escaped: false } => {
                    let end = memchr::memchr2(b'"', b'\\', piece).unwrap_or(piece.len());
                    let (text, after) = piece.split_at_checked(end).unwrap_or((piece, &[]));
                    self.keep(kept, text);
                    match after.split_first() {
                        Some((b'"', after)) => {
                            self.end_string(kept, &mut found);
                            after
                        }
                        Some((backslash, after)) => {
                            self.keep(kept, &[*backslash]);
                            self.state = State::String { kept, escaped: true };
                            after
                        }
                        None => after,
                    }
                }
                State::String { kept, escaped: true } => {
                    self.keep(kept, &[*byte]);
                    self.state = State::String { kept, escaped: false };
                    rest
                }
                State::Between => {
                    self.between(*byte);
                    rest
                }
            };
        }
        found
    }

    fn keep(&mut self, kept: bool, text: &[u8]) {
        let max = if self.place == FinderPosition::Key { KEY_BYTES_MAX } else { self.max_document_size };
        // One byte more shows that it is too long.
        let room = (max + 1).saturating_sub(self.kept.len()).min(text.len());
        if kept {
            self.kept.extend_from_slice(text.get(..room).unwrap_or_default());
        }
    }

    fn end_string(&mut self, kept: bool, found: &mut Vec<FinderResult>) {
        self.state = State::Between;
        if !kept {
            return;
        }
        let text = std::mem::take(&mut self.kept);
        if self.place == FinderPosition::Key {
            let is_query =
                from_slice::<String>(&[b"\"", text.as_slice(), b"\""].concat()).is_ok_and(|key| key == "query");
            self.place = if is_query { FinderPosition::Query } else { FinderPosition::Other };
        } else {
            self.place = FinderPosition::Other;
            let is_whole = text.len() <= self.max_document_size;
            found.push(if is_whole { FinderResult::Document(text) } else { FinderResult::TooLong });
        }
    }

    fn between(&mut self, byte: u8) {
        let is_blank = byte.is_ascii_whitespace() || (self.depth == 0 && !byte.is_ascii());
        if self.is_json.is_none() && !is_blank {
            // `[` alone decides nothing, because any number of them is still not a request.
            self.is_json = match (self.depth, byte) {
                (0, b'{' | b'[') | (1, b'{') => None,
                (1.., b'"' | b'}' | b']') => Some(true),
                _ => Some(false),
            };
        }
        let is_at_request = self.is_request && self.depth == self.request_depth;
        match byte {
            b'"' => {
                let kept = is_at_request && self.place != FinderPosition::Other;
                self.kept.clear();
                self.state = State::String { kept, escaped: false };
            }
            b'{' | b'[' => self.open(byte),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.is_request &= self.depth >= self.request_depth;
            }
            b',' if is_at_request => self.place = FinderPosition::Key,
            _ => {}
        }
    }

    fn open(&mut self, byte: u8) {
        if self.is_request && self.depth == self.request_depth {
            // The value of a key, so that its strings are none of the request's.
            self.place = FinderPosition::Other;
        }
        self.depth += 1;
        if self.depth == 1 {
            self.request_depth = if byte == b'{' { 1 } else { 2 };
        }
        if self.depth == self.request_depth && byte == b'{' {
            (self.is_request, self.place) = (true, FinderPosition::Key);
        }
    }
}

/// What a JSON string means, if it is one.
#[must_use]
pub fn unescape(text: &[u8]) -> Option<String> {
    from_slice(&[b"\"", text, b"\""].concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(text: &str, step: usize) -> Vec<String> {
        let mut finder = DocumentFinder::new(20);
        let found = text.as_bytes().chunks(step).flat_map(|piece| finder.feed(piece)).collect::<Vec<_>>();
        let text = |found| match found {
            FinderResult::Document(text) => unescape(&text).unwrap_or_else(|| "no text".into()),
            FinderResult::TooLong => "too long".into(),
        };
        found.into_iter().map(text).collect()
    }

    #[test]
    fn documents_are_found_wherever_they_stand() {
        let cases: &[(&str, &[&str])] = &[
            (r#"{"query":"{ a }"}"#, &["{ a }"]),
            (
                "\u{feff} {\"variables\":{\"query\":\"x\",\"a\":[{\"query\":\"y\"}]},\n\"query\" :\t\"{ b }\"}",
                &["{ b }"],
            ),
            (r#"{"variables":"query","operationName":"query","query":"c"}"#, &["c"]),
            (r#"{"qu\u0065ry":"{ \u0061 \"\\\" }"}"#, &[r#"{ a "\" }"#]),
            (r#"[{"query":"a"},{"x":[[{"query":"no"}]],"query":"b"}]"#, &["a", "b"]),
            (r#"{"query":"a","query":"b"}"#, &["a", "b"]),
            (r#"{"query":"{ a_long_document_is_not_kept }"}"#, &["too long"]),
            (r#"{"query":null,"queryx":"a","a_very_long_key_that_is_not_kept_at_all":"query"}"#, &[]),
            (r#"{"query":["a"],"x":{"query":"b"}}"#, &[]),
            (r#"[["query","a"],{"query":"b"}]"#, &["b"]),
            (r#""query""#, &[]),
            (r#"{"query":"never ends"#, &[]),
            ("}}]]{\"query\":\"a\"}", &["a"]),
        ];
        for (text, wanted) in cases {
            for step in [1, 2, 3, 7, text.len()] {
                assert_eq!(documents(text, step), *wanted, "{text} in steps of {step}");
            }
        }
    }

    #[test]
    fn a_bare_document_is_no_json() {
        for (text, wanted) in [
            (" {\"query\"", true),
            ("\u{feff}{}", true),
            ("[ {\"a", true),
            ("[]", true),
            ("{ count }", false),
            ("query { a }", false),
            ("[[1]]", false),
            ("", false),
        ] {
            let mut finder = DocumentFinder::new(20);
            finder.feed(text.as_bytes());
            assert_eq!(finder.is_json(), wanted, "{text}");
        }
    }
}
