//! Reads a test file: what all cases share, and its cases. Every problem has its file, line and column.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::yaml::{Fields, Node, parse};
use crate::model::source::{Diagnostic, Source, SourceLocation};
use crate::testing::case;
use crate::testing::case::{Case, Shared};
use crate::testing::case_reply::UNKNOWN_KEY;

/// A test file.
#[derive(Debug)]
pub(crate) struct Suite {
    /// Its text.
    pub source: Arc<Source>,
    /// The environment variables of its actions and settings.
    pub environment: HashMap<String, String>,
    /// The file with the upstream's schema, and where it is named.
    pub upstream_schema: Option<(String, SourceLocation)>,
    /// In the order of the file.
    pub cases: Vec<Case>,
}

/// Reads a test file.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn read(source: &Arc<Source>) -> Result<Suite, Vec<Diagnostic>> {
    let root = parse(source).map_err(|diagnostic| vec![diagnostic])?;
    let mut diagnostics = Vec::new();
    let suite = read_root(source, &root, &mut diagnostics);
    match suite {
        Some(suite) if diagnostics.is_empty() => Ok(suite),
        _ => Err(diagnostics),
    }
}

fn read_root(source: &Arc<Source>, root: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<Suite> {
    let fields = Fields::of(root, "the test file", diagnostics)?;
    let mut environment = HashMap::new();
    for (name, _, value) in fields.get("environment").map(Node::entries).unwrap_or_default() {
        match value.scalar_text() {
            Some(text) => drop(environment.insert(name.clone(), text)),
            None => value.reject("a variable must be a string", "write a string", diagnostics),
        }
    }
    let upstream_schema = fields.get("upstream_schema").and_then(|node| {
        let text = fields.text("upstream_schema", diagnostics)?;
        Some((text, node.place.clone()))
    });
    let shared = Shared::read(&fields, diagnostics);
    let Some(list) = fields.get("cases").filter(|list| !list.items().is_empty()) else {
        let place = Some(fields.place().clone());
        diagnostics.push(Diagnostic::error(place, "the file has no cases", "write cases: and a list of them"));
        return None;
    };
    let cases: Vec<Case> = list.items().iter().filter_map(|node| case::read(node, &shared, diagnostics)).collect();
    reject_same_names(&cases, diagnostics);
    fields.reject_unknown(UNKNOWN_KEY, diagnostics);
    Some(Suite { source: Arc::clone(source), environment, upstream_schema, cases })
}

fn reject_same_names(cases: &[Case], diagnostics: &mut Vec<Diagnostic>) {
    let mut known: HashMap<&str, usize> = HashMap::new();
    for case in cases {
        if let Some(line) = known.insert(&case.name, case.place.line) {
            let message = format!("the case in line {line} has the same name");
            diagnostics.push(Diagnostic::error(Some(case.place.clone()), message, "give each case a name of its own"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Vec<String> {
        let source = Arc::new(Source::new("a.test.yaml", text));
        let found = read(&source).err().unwrap_or_default();
        found.iter().map(Diagnostic::on_one_line).collect()
    }

    #[test]
    fn a_test_file_is_read_with_what_its_cases_share() {
        let text = "environment: { PORT: 3000 }\nrole: user\nheaders: { X-A: a }\ncases:\n- name: one\n  query: '{ a }'\n  \
                    headers: { x-a: b }\n  expect: { json: 1 }\n- { name: two, role: clerk, body: [1], handlers: { a: [{ json: 1 \
                    }, { fault: timeout }] } }\n";
        let suite = read(&Arc::new(Source::new("a.test.yaml", text))).expect("a test file");
        assert_eq!(suite.environment["PORT"], "3000");
        let [one, two] = suite.cases.as_slice() else { panic!("two cases") };
        assert_eq!((one.role.as_deref(), two.role.as_deref()), (Some("user"), Some("clerk")));
        assert_eq!(one.request.body, br#"{"query":"{ a }"}"#);
        assert_eq!(one.request.headers.first(), Some(&("x-a".to_owned(), "b".to_owned())));
        assert_eq!(two.request.body, b"[1]");
        assert_eq!(two.handlers["a"].len(), 2);
        assert!(one.expect.is_some() && two.expect.is_none());
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        for (text, wanted) in [
            ("cases: []", "a.test.yaml:1:1: the file has no cases"),
            ("cases:\n- query: '{ a }'", "a.test.yaml:2:3: a case has no \"name\""),
            ("cases:\n- name: a", "a.test.yaml:2:3: the case sends nothing"),
            (
                "cases:\n- { name: a, query: a, qery: b }",
                "a.test.yaml:2:24: unknown key \"qery\" in a case. Did you mean",
            ),
            ("cases:\n- { name: a, query: a, body: b }", "a.test.yaml:2:30: the case has both a query and a body"),
            ("cases:\n- { name: a, query: a, method: G T }", "\"G T\" cannot be a method"),
            ("cases:\n- { name: a, query: a, headers: { 'a b': c } }", "\"a b\" cannot be the name of a header"),
            ("cases:\n- { name: a, query: a, handlers: { a: { fault: gone } } }", "\"gone\" is no fault"),
            ("cases:\n- { name: a, query: a, handlers: { a: { status: 20 } } }", "20 is no status"),
            ("cases:\n- { name: a, query: a, handlers: { a: { json: 1, text: a } } }", "a response has json or text"),
            ("cases:\n- { name: a, query: a, expect: { contains: 1, jsn: 2 } }", "unknown key \"jsn\" in \"expect\""),
            ("cases:\n- { name: a, query: a }\n- { name: a, query: b }", "3:3: the case in line 2 has the same name"),
            ("cases:\n- { name: a, query: a, handlers_saw: 1 }", "\"handlers_saw\" must be a list"),
        ] {
            let found = wrong(text);
            assert!(found.iter().any(|one| one.contains(wanted)), "{text:?}: {found:?}");
        }
    }
}
