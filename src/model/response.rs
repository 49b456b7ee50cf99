//! A GraphQL response before it is rendered.

use serde::Serialize;
use serde_json::{Map, Value};

/// Line and column in the client's document, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Location {
    /// Line, from 1.
    pub line: usize,
    /// Column in UTF-16 code units, from 1, as graphql-js counts them.
    pub column: usize,
}

/// A step on the way to a value in a response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PathSegment {
    /// A response name.
    Field(String),
    /// A place in a list, from 0.
    Index(usize),
}

/// How errors are reported, and what they null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// One failed part fails the whole response; with Hasura's messages and `extensions`.
    Hasura,
    /// The GraphQL specification's partial results.
    Standard,
}

/// The extensions of an error that has nothing but a code: `{"code":…}`; in Hasura's dialect `{"path":"$","code":…}`.
#[must_use]
pub fn default_extensions(dialect: Dialect, code: &str) -> Map<String, Value> {
    let path = (dialect == Dialect::Hasura).then(|| ("path".to_owned(), Value::from("$")));
    path.into_iter().chain([("code".to_owned(), Value::from(code))]).collect()
}

/// One failed root field: <https://spec.graphql.org/September2025/#sec-Errors.Execution-Errors>.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionError {
    /// For the client.
    pub message: String,
    /// Where the field stands in the document.
    pub locations: Vec<Location>,
    /// Where the value is missing in the response.
    pub path: Vec<PathSegment>,
    /// Further detail that the client may see.
    pub extensions: Map<String, Value>,
}

/// A request error, the whole request is rejected: <https://spec.graphql.org/September2025/#sec-Errors.Request-Errors>.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestError {
    /// Hasura's code, or ours where Hasura has none.
    pub code: &'static str,
    /// For the client.
    pub message: String,
    /// The message of the standard dialect, where that of Hasura would mean nothing.
    pub plain: Option<&'static str>,
    /// Hasura's path into the request: `$.selectionSet.x`.
    pub path: String,
    /// Where in the document.
    pub locations: Vec<Location>,
    /// The HTTP status where the dialect shows it.
    pub status: u16,
    /// May the operation have been carried out all the same?
    pub may_have_been_executed: bool,
}

/// The member of an error's extensions that is true where a mutation may have been carried out although its response is
/// lost. A client that repeats it may run it twice.
pub const MAY_HAVE_BEEN_EXECUTED: &str = "mayHaveBeenExecuted";

/// The message of an error about a mutation that may have been carried out.
#[must_use]
pub fn possibly_executed(message: &str) -> String {
    format!("{message}; the mutation may have been carried out")
}

impl RequestError {
    /// An error about the request as a whole.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let (message, may_have_been_executed) = (message.into(), false);
        Self { code, message, plain: None, path: "$".into(), locations: Vec::new(), status, may_have_been_executed }
    }

    /// The same about what may be a mutation and may have been carried out.
    #[must_use]
    pub fn possibly_executed(mut self) -> Self {
        self.message.push_str("; a mutation in it may have been carried out");
        self.may_have_been_executed = true;
        self
    }

    /// The same with locations in the document.
    #[must_use]
    pub fn located(mut self, locations: Vec<Location>) -> Self {
        self.locations = locations;
        self
    }

    /// The same with Hasura's path.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }
}

/// The place of byte `offset` in a document.
#[must_use]
pub fn location_at(text: &str, offset: usize) -> Location {
    let before = text.get(..offset).unwrap_or(text);
    let mut line = 1;
    let mut line_start = 0;
    let bytes = before.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        let ends_line = *byte == b'\n' || (*byte == b'\r' && bytes.get(index + 1) != Some(&b'\n'));
        if ends_line {
            line += 1;
            line_start = index + 1;
        }
    }
    let column = before.get(line_start..).unwrap_or_default().encode_utf16().count() + 1;
    Location { line, column }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_count_lines_of_every_kind_and_utf16_columns() {
        let text = "a\r\nb\rc\n\u{1F600}é!";
        assert_eq!(location_at(text, 0), Location { line: 1, column: 1 });
        assert_eq!(location_at(text, 3), Location { line: 2, column: 1 });
        assert_eq!(location_at(text, 5), Location { line: 3, column: 1 });
        assert_eq!(location_at(text, text.len() - 1), Location { line: 4, column: 4 });
    }
}
