//! A file of examples for `pillion dev --mock`: values of actions, by their arguments, checked against the types.

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::action::complete_value::{CompletionRules, complete_value};
use crate::action::relationship::RowKeys;
use crate::config::yaml::{Data, Fields, Node, parse};
use crate::graphql::selection::SubSelection;
use crate::graphql::suggestions::did_you_mean;
use crate::model::action::{Action, ActionSchema};
use crate::model::json_value::JsonValue;
use crate::model::response::{Dialect, PathSegment};
use crate::model::source::{Diagnostic, Source};

/// Examples by the names of actions.
#[derive(Debug, Default)]
pub(crate) struct Examples(IndexMap<String, Vec<Example>>);

/// One example.
#[derive(Debug)]
struct Example {
    /// The arguments that a call must have.
    when: Map<String, Value>,
    outcome: ExampleOutcome,
}

/// What a call gets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ExampleOutcome {
    /// A value of the action's type.
    Value(Value),
    /// The handler's rejection, as the body that it would send.
    Error(Value),
}

const UNKNOWN_KEY: &str = "correct or remove it; docs/how-to/develop.md lists all keys";

impl Examples {
    /// Reads a file of examples for these actions.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn read(source: &Arc<Source>, schema: &ActionSchema) -> Result<Self, Vec<Diagnostic>> {
        let root = parse(source).map_err(|diagnostic| vec![diagnostic])?;
        let mut diagnostics = Vec::new();
        let mut examples = Self::default();
        if let Some(fields) = Fields::of(&root, "the file of examples", &mut diagnostics) {
            for (name, place, node) in fields.get("actions").map(Node::entries).unwrap_or_default() {
                let Some(action) = schema.actions.values().find(|action| action.name == *name) else {
                    let names = schema.actions.values().map(|action| action.name.as_str());
                    let message = format!("there is no action \"{name}\".{}", did_you_mean(name, names));
                    let help = "write the name of an action of actions.yaml";
                    diagnostics.push(Diagnostic::error(Some(place.clone()), message, help));
                    continue;
                };
                let nodes = if let Data::List(items) = &node.data { items.iter().collect() } else { vec![node] };
                let read = nodes.into_iter().filter_map(|node| read_example(node, schema, action, &mut diagnostics));
                examples.0.insert(name.clone(), read.collect());
            }
            fields.reject_unknown(UNKNOWN_KEY, &mut diagnostics);
        }
        if diagnostics.is_empty() { Ok(examples) } else { Err(diagnostics) }
    }

    /// The first example of an action that is for these arguments.
    #[must_use]
    pub(crate) fn find(&self, action: &str, input: &Map<String, Value>) -> Option<&ExampleOutcome> {
        let matches = |example: &&Example| {
            example.when.iter().all(|(name, wanted)| are_same(wanted, input.get(name).unwrap_or(&Value::Null)))
        };
        self.0.get(action)?.iter().find(matches).map(|example| &example.outcome)
    }
}

/// Numbers are compared as numbers: a file's `1.50` is `1.5`.
fn are_same(wanted: &Value, is: &Value) -> bool {
    match (wanted, is) {
        (Value::Number(wanted), Value::Number(is)) => wanted == is || wanted.as_f64() == is.as_f64(),
        _ => wanted == is,
    }
}

fn read_example(
    node: &Node,
    schema: &ActionSchema,
    action: &Action,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Example> {
    let fields = Fields::of(node, "an example", diagnostics)?;
    for (name, place, _) in fields.get("when").map(Node::entries).unwrap_or_default() {
        let names: Vec<&str> = action.arguments.iter().map(|argument| argument.name.as_str()).collect();
        if !names.contains(&name.as_str()) {
            let suggestion = did_you_mean(name, names.into_iter());
            let message = format!("action \"{}\" has no argument \"{name}\".{suggestion}", action.name);
            diagnostics.push(Diagnostic::error(Some(place.clone()), message, "write the name of an argument"));
        }
    }
    let when = fields.get("when").map(Node::to_json).and_then(|when| when.as_object().cloned()).unwrap_or_default();
    // A value of null is a value.
    let value = node.entries().iter().find(|(key, ..)| key == "returns").map(|(.., value)| value);
    fields.ignore("returns");
    let error = fields.get("error");
    let outcome = match (value, error) {
        (Some(value), None) => {
            check_value(value, schema, action, diagnostics);
            Some(ExampleOutcome::Value(value.to_json()))
        }
        (None, Some(error)) => read_error(error, diagnostics),
        _ => {
            node.reject(
                "an example returns something or has an error",
                "write one of returns: and error:",
                diagnostics,
            );
            None
        }
    };
    fields.reject_unknown(UNKNOWN_KEY, diagnostics);
    Some(Example { when, outcome: outcome? })
}

fn read_error(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<ExampleOutcome> {
    let fields = Fields::of(node, "an error", diagnostics)?;
    let message = fields.required_text("message", diagnostics);
    let code = fields.text("code", diagnostics);
    let extensions = fields.get("extensions").map(Node::to_json);
    fields.reject_unknown(UNKNOWN_KEY, diagnostics);
    let mut body = json!({ "message": message? });
    if let Value::Object(body) = &mut body {
        body.extend(code.map(|code| ("code".to_owned(), code.into())));
        body.extend(extensions.map(|extensions| ("extensions".to_owned(), extensions)));
    }
    Some(ExampleOutcome::Error(body))
}

/// The completion of a response, whose errors stand at the values that do not fit.
fn check_value(node: &Node, schema: &ActionSchema, action: &Action, diagnostics: &mut Vec<Diagnostic>) {
    let rules = CompletionRules { types: &schema.types, dialect: Dialect::Standard, max_list_length: usize::MAX };
    let value = JsonValue::from(&node.to_json());
    let completed = complete_value(&rules, &action.output, value.node(), &SubSelection::all(), &mut RowKeys::default());
    for error in completed.errors {
        let help = format!("action \"{}\" returns {}; correct the value", action.name, action.output);
        node_at(node, &error.path).reject(error.expectation(), &help, diagnostics);
    }
}

/// The innermost node on a path that is there.
fn node_at<'n>(node: &'n Node, path: &[PathSegment]) -> &'n Node {
    path.iter()
        .try_fold(node, |node, segment| {
            let inner = match segment {
                PathSegment::Field(name) => {
                    node.entries().iter().find(|(key, ..)| key == name).map(|(.., inner)| inner)
                }
                PathSegment::Index(index) => node.items().get(*index),
            };
            inner.ok_or(node)
        })
        .unwrap_or_else(|innermost| innermost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::actions::read_actions;

    fn read(yaml: &str) -> Result<Examples, Vec<String>> {
        let actions = "actions: [{ name: quote, definition: { kind: synchronous, handler: 'http://h' } }]";
        let sdl = "type Query { quote(to: String, weight: Float): Quote } type Quote { price: Float! days: [Int!] by: By } \
                   enum By { POST DRONE }";
        let schema = read_actions(sdl, actions, &|_| None).expect("actions");
        let read = Examples::read(&Arc::new(Source::new("mock.yaml", yaml)), &schema);
        read.map_err(|found| found.iter().map(Diagnostic::on_one_line).collect())
    }

    #[test]
    fn the_first_example_for_the_arguments_is_taken() {
        let yaml = "actions:\n  quote:\n    - when: { to: CH, weight: 1.50 }\n      returns: { price: 1 }\n    - when: { to: XX }\n      \
                    error: { message: no, code: gone }\n    - returns: null\n";
        let examples = read(yaml).expect("examples");
        let find = |input: Value| examples.find("quote", input.as_object().expect("arguments")).cloned();
        assert_eq!(find(json!({ "to": "CH", "weight": 1.5 })), Some(ExampleOutcome::Value(json!({ "price": 1 }))));
        let error = json!({ "message": "no", "code": "gone" });
        assert_eq!(find(json!({ "to": "XX" })), Some(ExampleOutcome::Error(error)));
        assert_eq!(find(json!({ "to": "CH" })), Some(ExampleOutcome::Value(Value::Null)));
        assert_eq!(examples.find("other", &Map::new()), None);
    }

    #[test]
    fn values_that_do_not_fit_have_their_place() {
        for (yaml, wanted) in [
            (
                "actions: { quot: { returns: 1 } }",
                "mock.yaml:1:12: there is no action \"quot\". Did you mean \"quote\"?",
            ),
            (
                "actions: { quote: { when: { form: CH }, returns: null } }",
                "mock.yaml:1:29: action \"quote\" has no argument \"form\"",
            ),
            ("actions: { quote: { returns: { price: a } } }", "mock.yaml:1:39: "),
            ("actions: { quote: { returns: { price: 1, days: [1, x] } } }", "mock.yaml:1:52: "),
            ("actions: { quote: { returns: { price: 1, by: SNAIL } } }", "mock.yaml:1:46: "),
            ("actions: { quote: { returns: { days: [] } } }", "mock.yaml:1:30: "),
            ("actions: { quote: {} }", "an example returns something or has an error"),
            ("actions: { quote: { error: { code: a } } }", "an error has no \"message\""),
            ("action: {}", "unknown key \"action\""),
        ] {
            let found = read(yaml).expect_err(yaml);
            assert!(found.iter().any(|one| one.contains(wanted)), "{yaml}: {found:?}");
        }
    }
}
