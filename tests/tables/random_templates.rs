//! Templates at random: whatever is written, the parser and the evaluator answer, within their limits.

use std::borrow::Cow;

use pillion::kriti::eval::{Environment, evaluate};
use pillion::kriti::parse::{parse, parse_text};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

/// What templates are made of, some of it broken.
const PIECES: [&str; 64] = [
    "{{",
    "}}",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "'",
    ",",
    ":",
    ".",
    "?",
    "??",
    "==",
    "!=",
    "<",
    ">=",
    "&&",
    "||",
    " in ",
    "not ",
    "if ",
    "elif ",
    "else",
    "end",
    "range ",
    "i, x := ",
    "_, x := ",
    "{{ if true }}",
    "{{ else }}",
    "{{ end }}",
    "{{ range _, x := $list }}",
    "$body",
    "$list",
    "$body.a",
    "x",
    "['a b']",
    "[0]",
    "[-1]",
    "?.a.b",
    "1",
    "-0",
    "1e999",
    "99999999999999999999",
    "0.5",
    "null",
    "true",
    "\"a\"",
    "\"a\":",
    "é😀",
    "\\",
    "\\u12",
    "# c\n",
    "size(",
    "head(",
    "concat(",
    "fromPairs(",
    "toTitle(",
    "inverse(",
    "escapeUri(",
    "getSessionVariable(",
    " ",
];

const CASES: u32 = 20_000;
const BYTES_MAX: usize = 64 * 1024;

/// No panic, and no value larger than it may be.
pub fn every_template_has_a_result() -> Result<(), String> {
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let templates = vec(select(PIECES.as_slice()), 0..24).prop_map(|pieces| pieces.concat());
    let values =
        json!({ "$body": { "a": { "b": [1, "x", null] }, "a b": "ß" }, "$list": [[], {}, "é", 0, -1.5, true] });
    runner
        .run(&templates, |source| {
            for template in [parse(&source), parse_text(&source)].into_iter().flatten() {
                let variables = values.as_object().into_iter().flatten();
                let environment = Environment {
                    variables: variables.map(|(name, value)| (name.as_str(), Cow::Borrowed(value))).collect(),
                    session_variable: &|name| (name == "x").then(|| "y".to_owned()),
                };
                if let Ok(value) = evaluate(&template, &environment, BYTES_MAX) {
                    prop_assert!(value.to_string().len() <= 6 * BYTES_MAX);
                }
            }
            Ok(())
        })
        .map_err(|error| error.to_string())
}
