//! Documents: what is found in their bytes, what is left of them for the upstream, and whether they only read.

use std::sync::OnceLock;

use apollo_compiler::ast::{Field, OperationDefinition};
use apollo_compiler::{Node, ast};
use async_graphql::parser::types::{OperationType, Selection, SelectionSet};
use pillion::graphql::document::{self, Document};
use pillion::graphql::mask::mask as mask_of;
use pillion::graphql::own_document;
use pillion::graphql::plan::{self, PlanOptions, UsesActions, concern};
use pillion::graphql::root_types::RootTypes;
use pillion::graphql::scan::{ScanResult, Scanner};
use pillion::internals::{body_only_reads, query_string_only_reads};
use pillion::model::action::ActionSchema;
use pillion::model::limits::Limits;
use pillion::model::replay::Replay;
use pillion::model::response::Dialect;
use pillion::protocol::http::{Body, read_body};
use serde_json::Value;

use super::actions;

const ACTIONS: &str = "
type Query {
  count: Int!
  quote(productId: Int!, amount: Int! = 1): Quote!
}
type Mutation {
  placeOrder(productId: Int!): Quote
}
type Quote { total: Float! amount: Int! }
";

struct Sample {
    schema: ActionSchema,
    scanner: Scanner,
    roots: RootTypes,
}

fn sample() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let schema = actions::from_sdl(ACTIONS);
        let scanner = Scanner::new(schema.actions.keys().map(String::as_str)).unwrap_or_else(|error| panic!("{error}"));
        Sample { schema, scanner, roots: RootTypes::usual(Dialect::Standard) }
    })
}

fn concern_of(document: &Document) -> UsesActions {
    let Sample { schema, roots, .. } = sample();
    let of = document.operations().iter().map(|operation| concern(document, operation, schema, roots));
    of.fold(UsesActions::default(), UsesActions::or)
}

/// A body of JSON, or a document. The scanner finds every action and all introspection that a parser finds, ours or another's,
/// however the document's characters are spelled in JSON.
pub fn scanner(bytes: &[u8]) {
    let limits = Limits::default();
    if let Ok(body) = read_body(bytes, &limits) {
        let elements = match body {
            Body::One(element) => vec![element],
            Body::Batch(elements) => elements,
        };
        for request in elements.iter().filter_map(|element| element.request.as_ref().ok()?.as_ref()) {
            assert_found(bytes, &request.query);
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    assert_found(bytes, text);
    assert_found(Value::from(text).to_string().as_bytes(), text);
    assert_found(format!("{{\"query\":\"{}\"}}", spelled_by_number(text)).as_bytes(), text);
}

/// In a string of JSON, every third character by its number.
fn spelled_by_number(text: &str) -> String {
    let mut spelled = String::new();
    for (index, unit) in text.encode_utf16().enumerate() {
        match u8::try_from(unit) {
            Ok(byte) if index % 3 != 0 && byte.is_ascii_alphanumeric() => spelled.push(char::from(byte)),
            _ if index % 2 == 0 => spelled.push_str(&format!("\\u{unit:04x}")),
            _ => spelled.push_str(&format!("\\u{unit:04X}")),
        }
    }
    spelled
}

fn assert_found(bytes: &[u8], document: &str) {
    let found = sample().scanner.scan(bytes);
    if let Ok(parsed) = document::parse(document, &Limits::default()) {
        let concern = concern_of(&parsed);
        assert!(!concern.action || found == ScanResult::Action, "an action is hidden in {document}");
        assert!(!concern.introspection || found >= ScanResult::Introspection, "introspection is hidden in {document}");
    }
    if let Ok(parsed) = async_graphql::parser::parse_query(document) {
        let names: Vec<&str> = sample().schema.actions.keys().map(String::as_str).collect();
        let fragments = parsed.fragments.values().map(|fragment| &fragment.node.selection_set.node);
        let operations = parsed.operations.iter().map(|(_, operation)| &operation.node.selection_set.node);
        let is_there = fragments.chain(operations).any(|set| has_field(set, &names));
        assert!(!is_there || found == ScanResult::Action, "to another parser there is an action in {document}");
    }
}

/// The other parser limits its depth.
fn has_field(set: &SelectionSet, names: &[&str]) -> bool {
    set.items.iter().any(|item| match &item.node {
        Selection::Field(field) => {
            names.contains(&field.node.name.node.as_str()) || has_field(&field.node.selection_set.node, names)
        }
        Selection::InlineFragment(fragment) => has_field(&fragment.node.selection_set.node, names),
        Selection::FragmentSpread(_) => false,
    })
}

/// A body of JSON, and a query string. What is said to only read holds no operation but queries, neither to the plainest
/// reader nor to another parser, and names no document that stands elsewhere.
pub fn only_reads(bytes: &[u8]) {
    let limits = Limits::default();
    let reads = body_only_reads(bytes, &limits);
    assert_eq!(Replay::of(reads).is_allowed(), reads);
    if reads {
        let text = std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).unwrap_or_default();
        let body: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("it is no JSON: {error}"));
        let elements = if let Value::Array(elements) = body { elements } else { vec![body] };
        assert!(!elements.is_empty(), "nothing is asked for");
        for element in &elements {
            let members = element.as_object().unwrap_or_else(|| panic!("{element} is no request"));
            let known = ["query", "operationName", "variables", "extensions"];
            assert!(members.keys().all(|key| known.contains(&key.as_str())), "{element} may name another document");
            assert!(element["extensions"].get("persistedQuery").is_none(), "{element} names another document");
            assert_queries(element["query"].as_str().unwrap_or_else(|| panic!("{element} has no document")));
        }
    }
    let Ok(query) = std::str::from_utf8(bytes) else { return };
    if !query.is_empty() && query_string_only_reads(Some(query), &limits) {
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let documents: Vec<&str> =
            pairs.iter().filter(|(name, _)| name == "query").map(|(_, value)| value.as_str()).collect();
        assert_eq!(documents.len(), 1, "{query} has no document or several");
        documents.into_iter().for_each(assert_queries);
    }
}

fn assert_queries(document: &str) {
    let keywords = keywords(document);
    assert!(!keywords.is_empty(), "there is nothing in {document}");
    for keyword in keywords {
        assert!(["{", "query", "fragment"].contains(&keyword.as_str()), "{keyword} is said to only read: {document}");
    }
    if let Ok(parsed) = async_graphql::parser::parse_query(document) {
        for (_, operation) in parsed.operations.iter() {
            assert_eq!(operation.node.ty, OperationType::Query, "another parser sees more than queries: {document}");
        }
    }
}

/// The first token of each definition: what stands at the start, and behind each brace that closes the outermost one.
fn keywords(document: &str) -> Vec<String> {
    let (mut found, mut depth, mut is_start) = (Vec::new(), 0_u32, true);
    let mut rest = document;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '#' => rest.find(['\n', '\r']).unwrap_or(rest.len()),
            '"' if rest.starts_with("\"\"\"") => block_string(rest),
            '"' => string(rest),
            _ if first.is_ascii_alphabetic() || first == '_' => {
                rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        let is_ignored = first == '#' || first == ',' || first.is_whitespace() || first == '\u{feff}';
        // A description may stand before a keyword.
        if is_start && !is_ignored && first != '"' {
            found.push(token.to_owned());
            is_start = false;
        }
        match first {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                is_start = depth == 0 && first == '}';
            }
            _ => {}
        }
    }
    found
}

fn string(text: &str) -> usize {
    let mut is_escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' | '\n' | '\r' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

fn block_string(text: &str) -> usize {
    let mut at = 3;
    while let Some(end) = text.get(at..).and_then(|rest| rest.find("\"\"\"")).map(|end| at + end) {
        if !text.get(..end).is_some_and(|before| before.ends_with('\\')) {
            return end + 3;
        }
        at = end + 3;
    }
    text.len()
}

/// A document. Each part for the upstream is the client's text, character by character where it was, with nothing but blanks in
/// other places; it is a good document, and no action is left in it.
pub fn mask(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (sample, limits) = (sample(), Limits::default());
    let Ok(document) = document::parse(text, &limits) else { return };
    if pillion::graphql::check_document::check_document(&document, &limits).is_err() {
        return;
    }
    let surroundings = PlanOptions {
        schema: &sample.schema,
        roots: &sample.roots,
        limits: &limits,
        serves_introspection: true,
        sites: None,
    };
    for (index, operation) in document.operations().iter().enumerate() {
        let condition = |_: &str| index % 2 == 0;
        let Ok(plan) = plan::plan(&document, operation, &surroundings, &condition) else { continue };
        assert_tree_of_mask(sample, &document, operation);
        for part in &plan.parts {
            let masked: String = serde_json::from_str(&part.query_json).unwrap_or_else(|error| panic!("{error}"));
            assert_only_blanks(text, &masked);
            let Ok(parsed) = document::parse(&masked, &limits) else {
                // Our parser takes no comma behind `...`, though a comma means nothing; others do.
                let other = async_graphql::parser::parse_query(&masked);
                assert!(other.is_ok(), "the part is no document: {other:?}\n{masked}");
                continue;
            };
            assert!(
                pillion::graphql::check_document::check_document(&parsed, &limits).is_ok(),
                "the part is no good document:\n{masked}"
            );
            let [operation] = parsed.operations() else { panic!("it is not one operation:\n{masked}") };
            let again = plan::plan(&parsed, operation, &surroundings, &condition);
            assert!(again.is_ok_and(|plan| plan.calls.is_empty()), "an action is left in\n{masked}");
            assert!(!part.fields.is_empty(), "nothing is asked for by\n{masked}");
        }
    }
}

/// The tree of our part is the one that the text of its mask would be parsed to.
fn assert_tree_of_mask(sample: &Sample, document: &Document, operation: &Node<OperationDefinition>) {
    let kind = document::kind_of(operation);
    let is_own = |field: &Field| sample.schema.action(kind, &field.name).is_some();
    let root = sample.roots.of(kind);
    let masked = mask_of(document, operation, root, &own_document::keep(&is_own));
    let own = own_document::own_part(document, operation, root, &is_own);
    let (masked, own) = match (masked, own) {
        (Ok(masked), Ok(own)) => (masked, own),
        (masked, own) => return assert_eq!(masked.err(), own.err()),
    };
    assert_eq!(own.variables, masked.variables);
    // Without a field of ours there is nothing to parse.
    let Ok(parsed) = ast::Document::parse(&masked.text, "document") else { return };
    assert_eq!(own.document.to_string(), parsed.to_string(), "{}", masked.text);
}

fn assert_only_blanks(text: &str, masked: &str) {
    let (before, after): (Vec<u16>, Vec<u16>) = (text.encode_utf16().collect(), masked.encode_utf16().collect());
    assert_eq!(before.len(), after.len(), "columns moved:\n{text}\n{masked}");
    for (was, is) in before.iter().zip(&after) {
        let is_break = *was == u16::from(b'\n') || *was == u16::from(b'\r');
        assert!(was == is || *is == u16::from(b' ') && !is_break, "something is new:\n{text}\n{masked}");
    }
}
