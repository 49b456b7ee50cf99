//! Documents at random: the upstream's fields, actions and `__typename`, through aliases, directives, inline fragments
//! and named fragments at any depth. What must come out is worked out on the tree the text was made from, so nothing of
//! ours checks itself.

use std::collections::HashSet;
use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A root field that may be drawn. The same key always means the same field, so that documents are valid.
struct Drawn {
    key: &'static str,
    /// Up to where directives stand.
    head: &'static str,
    selection: &'static str,
}

/// The last three are actions.
const FIELDS: [Drawn; 8] = [
    Drawn { key: "p1", head: "p1: productById(id: 1)", selection: "{ name }" },
    Drawn { key: "productById", head: "productById(id: 2)", selection: "{ name  __typename }" },
    Drawn { key: "pv", head: "pv : productById(\n id: $id)", selection: "{ # é😀 { } \n...N }" },
    Drawn { key: "t", head: "t: __typename", selection: "" },
    Drawn { key: "__typename", head: "__typename", selection: "" },
    Drawn { key: "count", head: "count", selection: "" },
    Drawn { key: "q", head: "q: quote(productId: $n, amount: 2)", selection: "{ total }" },
    Drawn { key: "m", head: "m : maybe(code: \"é😀} # {\")", selection: "{ ...M }" },
];

/// What is done with a directive.
#[derive(Clone, Debug)]
enum Condition {
    Always,
    Skip(Switch),
    Include(Switch),
    Both(Switch, Switch),
}

#[derive(Clone, Copy, Debug)]
enum Switch {
    Literal(bool),
    Variable,
}

#[derive(Clone, Debug)]
enum Node {
    Field(usize, Condition),
    Inline(bool, Condition, Vec<Node>),
    Spread(usize, Condition),
}

/// A document, its variables, and what must come out.
#[derive(Clone, Debug)]
pub struct Sample {
    root: Vec<Node>,
    fragments: Vec<Vec<Node>>,
    variable: bool,
    space: &'static str,
}

/// How many fragments there are; each may spread those after it.
const FRAGMENTS: usize = 3;

/// Any document. Without `actions` there is none in it.
pub fn samples(actions: bool) -> impl Strategy<Value = Sample> {
    let space = prop_oneof![Just(" "), Just("\n"), Just("\r\n  "), Just(" # { count } \"\n"), Just("\t,, ")];
    let fragments: Vec<_> = (0..FRAGMENTS).map(|index| vec(nodes(actions, index + 1), 1..4)).collect();
    (vec(nodes(actions, 0), 1..6), fragments, any::<bool>(), space)
        .prop_map(|(root, fragments, variable, space)| Sample { root, fragments, variable, space })
}

fn nodes(actions: bool, first_fragment: usize) -> impl Strategy<Value = Node> {
    let count = if actions { FIELDS.len() } else { 5 };
    let field = (0..count, conditions()).prop_map(|(index, condition)| Node::Field(index, condition));
    let leaf = if first_fragment < FRAGMENTS {
        let spread =
            (first_fragment..FRAGMENTS, conditions()).prop_map(|(index, condition)| Node::Spread(index, condition));
        prop_oneof![4 => field, 1 => spread].boxed()
    } else {
        field.boxed()
    };
    leaf.prop_recursive(3, 12, 3, |inner| {
        (any::<bool>(), conditions(), vec(inner, 1..3))
            .prop_map(|(named, condition, nodes)| Node::Inline(named, condition, nodes))
    })
}

fn conditions() -> impl Strategy<Value = Condition> {
    let switch = || prop_oneof![any::<bool>().prop_map(Switch::Literal), Just(Switch::Variable)];
    prop_oneof![
        6 => Just(Condition::Always),
        1 => switch().prop_map(Condition::Skip),
        1 => switch().prop_map(Condition::Include),
        1 => (switch(), switch()).prop_map(|(skip, include)| Condition::Both(skip, include)),
    ]
}

impl Sample {
    /// The document's text, for a query type of this name.
    pub fn text(&self, query_type: &str) -> String {
        let mut used = vec![false; FRAGMENTS];
        mark_used(&self.root, &self.fragments, &mut used);
        let mut body = String::new();
        self.write(&self.root, query_type, &mut body);
        let mut fragments = String::new();
        for (index, fragment) in self.fragments.iter().enumerate().filter(|(index, _)| used[*index]) {
            let _ = write!(fragments, "fragment F{index} on {query_type} {{{}", self.space);
            self.write(fragment, query_type, &mut fragments);
            fragments.push_str("}\n");
        }
        let all = format!("{body}{fragments}");
        for (spread, fragment) in
            [("...N", "fragment N on Product { name }\n"), ("...M", "fragment M on Quote { total amount }\n")]
        {
            if all.contains(spread) {
                fragments.push_str(fragment);
            }
        }
        let variables: Vec<&str> = [("$id", "$id: Int!"), ("$n", "$n: Int! = 5"), ("$v", "$v: Boolean!")]
            .into_iter()
            .filter(|(name, _)| all.contains(name))
            .map(|(_, definition)| definition)
            .collect();
        let variables = if variables.is_empty() { String::new() } else { format!("({})", variables.join(self.space)) };
        format!("query Sample{variables}{{{}{body}}}\n{fragments}", self.space)
    }

    /// Its variables, some of which it does not use.
    pub fn variables(&self) -> Value {
        json!({ "id": 3, "v": self.variable })
    }

    /// The value of the variable that decides about fields.
    pub fn variable(&self) -> bool {
        self.variable
    }

    /// The keys of the response, in order: the specification's `CollectFields`, on the tree.
    pub fn keys(&self) -> Vec<&'static str> {
        let mut keys = Vec::new();
        self.collect(&self.root, &mut HashSet::new(), &mut keys);
        keys
    }

    /// The data that must come out, if each key has this value.
    pub fn data(&self, value: impl Fn(&str) -> Value) -> Value {
        Value::Object(self.keys().into_iter().map(|key| (key.to_owned(), value(key))).collect::<Map<_, _>>())
    }

    fn is_included(&self, condition: &Condition) -> bool {
        let value = |switch: &Switch| match switch {
            Switch::Literal(value) => *value,
            Switch::Variable => self.variable,
        };
        match condition {
            Condition::Always => true,
            Condition::Skip(switch) => !value(switch),
            Condition::Include(switch) => value(switch),
            Condition::Both(skip, include) => !value(skip) && value(include),
        }
    }

    fn collect(&self, nodes: &[Node], visited: &mut HashSet<usize>, keys: &mut Vec<&'static str>) {
        for node in nodes {
            match node {
                Node::Field(index, condition) if self.is_included(condition) && !keys.contains(&FIELDS[*index].key) => {
                    keys.push(FIELDS[*index].key);
                }
                Node::Inline(_, condition, nodes) if self.is_included(condition) => self.collect(nodes, visited, keys),
                Node::Spread(index, condition) if self.is_included(condition) && visited.insert(*index) => {
                    self.collect(&self.fragments[*index], visited, keys);
                }
                _ => {}
            }
        }
    }

    fn write(&self, nodes: &[Node], query_type: &str, text: &mut String) {
        for node in nodes {
            match node {
                Node::Field(index, condition) => {
                    let Drawn { head, selection, .. } = &FIELDS[*index];
                    let _ = write!(text, "{head}{} {selection}{}", directives(condition), self.space);
                }
                Node::Inline(named, condition, nodes) => {
                    let on = if *named { format!(" on {query_type}") } else { String::new() };
                    let _ = write!(text, "...{on}{} {{{}", directives(condition), self.space);
                    self.write(nodes, query_type, text);
                    let _ = write!(text, "}}{}", self.space);
                }
                Node::Spread(index, condition) => {
                    let _ = write!(text, "...F{index}{}{}", directives(condition), self.space);
                }
            }
        }
    }
}

fn directives(condition: &Condition) -> String {
    let switch = |switch: &Switch| match switch {
        Switch::Literal(value) => value.to_string(),
        Switch::Variable => "$v".to_owned(),
    };
    match condition {
        Condition::Always => String::new(),
        Condition::Skip(when) => format!(" @skip(if: {})", switch(when)),
        Condition::Include(when) => format!(" @include(if: {})", switch(when)),
        Condition::Both(skip, include) => format!(" @skip(if: {}) @include(if: {})", switch(skip), switch(include)),
    }
}

fn mark_used(nodes: &[Node], fragments: &[Vec<Node>], used: &mut [bool]) {
    for node in nodes {
        match node {
            Node::Field(..) => {}
            Node::Inline(_, _, nodes) => mark_used(nodes, fragments, used),
            Node::Spread(index, _) => {
                used[*index] = true;
                mark_used(&fragments[*index], fragments, used);
            }
        }
    }
}

/// Runs `check` on so many documents. No file is left behind when one fails: it is shown whole.
pub fn for_each(cases: u32, actions: bool, check: impl Fn(&Sample) -> Result<(), String>) -> Result<(), String> {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let result = runner.run(&samples(actions), |sample| check(&sample).map_err(TestCaseError::fail));
    result.map_err(|error| error.to_string())
}
