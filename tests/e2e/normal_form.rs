//! The normal form of documents, by which the allow-list compares them, against what graphql-js prints.

use std::cell::RefCell;
use std::collections::HashMap;

use pillion::documents::normal_form::normal_form;
use pillion::graphql::document::parse;
use pillion::model::limits::Limits;
use pillion_test_support::engines::{Engines, run_node};
use pillion_test_support::random_documents::for_each;
use pillion_test_support::trials;
use serde_json::{Value, json};

/// The tests.
pub const TESTS: &[super::Test] = trials![documents_are_alike_where_the_reference_says_so];

const CASES: u32 = 300;

/// What the random documents do not have.
const OTHERS: [&str; 5] = [
    "{ a }",
    "query { a(text: \"é\\n\", block: \"\"\"\n  two\n  lines\n\"\"\") { __typename } }",
    "query A($in: In = {a: [1, 2.50, null, ENUM], b: {c: true}} @d) @e(x: 1) { a(in: $in) }",
    "subscription S { a { ...F ...on B @include(if: true) { c } } } fragment F on B @d { __typename kind: __typename c }",
    "mutation { a: b(n: -1e3) b: b(n: 1E+3) } query Q { a }",
];

fn documents_are_alike_where_the_reference_says_so(_: &Engines) {
    let texts = RefCell::new(OTHERS.map(str::to_owned).to_vec());
    let collected = for_each(CASES, true, |sample| {
        texts.borrow_mut().push(sample.text("Query"));
        Ok(())
    });
    assert_eq!(collected, Ok(()));
    let answer = run_node("normal-forms.mjs", &[], &json!(texts.into_inner()).to_string());
    let variants: Vec<Value> = serde_json::from_str(&answer).expect("JSON");
    assert!(variants.len() > 40 * CASES as usize, "{}", variants.len());
    let (mut by_form, mut by_canonical) = (HashMap::new(), HashMap::new());
    for variant in &variants {
        let (text, canonical) = (variant["text"].as_str().expect("text"), variant["canonical"].as_str().expect("text"));
        let document = parse(text, &Limits::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
        let form = normal_form(document.syntax_tree()).to_string();
        let (first, of_first) = by_form.entry(form.clone()).or_insert((text, canonical));
        assert_eq!(*of_first, canonical, "alike here, not in the reference:\n{text}\n{first}");
        let (first, of_first) = by_canonical.entry(canonical).or_insert((text, form.clone()));
        assert_eq!(*of_first, form, "alike in the reference, not here:\n{text}\n{first}");
    }
    // Neither everything is alike nor nothing.
    assert!(by_form.len() > 10 * CASES as usize && by_form.len() < variants.len() * 9 / 10, "{}", by_form.len());
}
