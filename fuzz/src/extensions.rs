//! Extension fields in any document: what the upstream is asked for instead is valid by its schema, and its response with
//! their values is JSON in which nothing is left of what was asked for because of them.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::{Arc, OnceLock};

use apollo_compiler::ast::{Field, Selection, Type};
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::Valid;
use apollo_compiler::{Node, Schema, ast};
use indexmap::IndexMap;
use pillion::graphql::check_document::check_document;
use pillion::graphql::client_schema::UpstreamSchema;
use pillion::graphql::document::{self, Document};
use pillion::graphql::extension_rows::{RowValue, Spliced};
use pillion::graphql::extension_sites::ExtensionSites;
use pillion::graphql::merge::{UpstreamResult, read_upstream_result};
use pillion::graphql::merge_schema::merge;
use pillion::graphql::plan::{self, PlanOptions, UpstreamOperation};
use pillion::graphql::root_types::RootTypes;
use pillion::graphql::scan_rows::scan_response;
use pillion::graphql::schema::{self, RoleSchema};
use pillion::graphql::upstream_errors::restore_errors;
use pillion::graphql::validate::validate_document;
use pillion::model::action::ActionSchema;
use pillion::model::limits::Limits;
use pillion::model::response::Dialect;
use serde_json::Value;

use super::actions;

const UPSTREAM: &str = "
type Query { users(limit: Int): [User!] user(id: ID): User! node: Node any: Any page: Page! grid: [[User]!]! json: JSON }
type Mutation { touch: Touched! }
type Touched { returning: [User!]! }
interface Node { id: ID! }
union Any = User | Shop
scalar JSON
type User implements Node { id: ID! tenant: Int name: String friends(first: Int): [User!] best: User! data: JSON }
type Shop implements Node { id: ID! name: String }
type Page { nodes: [User]! edges: [Edge!]! }
type Edge { node: User! }
";

const ACTIONS: &str = "
type Query {
  profile(id: ID!, size: Int): Profile
  seat(id: ID!, tenant: Int): Int
  bare(id: ID): Int
  open(node: ID): Int
}
type Profile { picture: String owner_id: ID }
";

const CONFIG: &str = "
fields:
  User.profile: 'profile(id: $id)'
  User.seat: 'seat(id: $id, tenant: $tenant)'
  User.x: 'bare(id: $name)'
  Node.open: 'open(node: $id)'
relationships:
  Profile.owner: 'user(id: $owner_id)'
";

struct Sample {
    actions: ActionSchema,
    upstream: Valid<Schema>,
    merged: RoleSchema,
    roots: RootTypes,
}

fn sample() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let actions = actions::with_relationships(ACTIONS, "", CONFIG);
        let roots = RootTypes::usual(Dialect::Standard);
        let own = schema::of_actions(&actions, &roots, "user").expect("a schema of actions");
        let upstream = Schema::parse(UPSTREAM, "upstream").expect("SDL");
        let shown = UpstreamSchema { schema: upstream.clone(), directives: Vec::new() };
        let merged = merge(&shown, &own, &actions, &roots).unwrap_or_else(|error| panic!("{error}"));
        Sample { actions, upstream: upstream.validate().expect("a valid schema"), merged, roots }
    })
}

/// A document.
pub fn extension_fields(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (sample, limits) = (sample(), Limits::default());
    let Ok(document) = document::parse(text, &limits) else { return };
    if check_document(&document, &limits).is_err() {
        return;
    }
    let Sample { actions, merged, roots, .. } = sample;
    let is_valid = validate_document(&merged.schema, &document, None, (actions, roots), 1).is_ok();
    for operation in document.operations() {
        let sites = ExtensionSites::find(&document, operation, &merged.schema, &merged.extension_fields);
        let Some(sites) = sites.map(Arc::new) else { continue };
        let options =
            PlanOptions { schema: actions, roots, limits: &limits, serves_introspection: true, sites: Some(&sites) };
        let Ok(plan) = plan::plan(&document, operation, &options, &|_| true) else { continue };
        for part in &plan.parts {
            let masked: String = serde_json::from_str(&part.query_json).expect("a string");
            if is_valid {
                assert_valid(&masked, text);
                let masked = document::parse(&masked, &limits).expect("it is valid");
                assert_spliced(&sites, part, &masked, text);
            }
        }
    }
}

fn assert_valid(masked: &str, text: &str) {
    let valid = ast::Document::parse(masked, "masked").map_err(|failed| failed.errors);
    let valid = valid.and_then(|parsed| match parsed.to_executable_validate(&sample().upstream) {
        Ok(_) => Ok(()),
        Err(failed) => Err(failed.errors),
    });
    assert!(valid.is_ok(), "of {text}\nthe upstream gets {masked}\n{valid:?}");
}

fn assert_spliced(sites: &ExtensionSites, part: &UpstreamOperation, masked: &Document, text: &str) {
    for seed in 0..4 {
        let mut upstream = Upstream { document: masked, seed, made: 0, written: String::new() };
        let response = upstream.response();
        let Some(scan) = scan_response(sites, &part.shape, &response) else { continue };
        let value = |row: usize| match (row as u64 + seed) % 5 {
            0 => RowValue::NullAbove,
            1 => RowValue::Json("{\"a\":[1,\"}\"]}"),
            _ => RowValue::Json("0"),
        };
        let Spliced { text: spliced, root_fields } = scan.splice(sites, &response, value).expect("data may be null");
        if let Some(fields) = root_fields {
            let read = read_upstream_result(spliced.as_bytes()).expect("a response");
            let known = UpstreamResult::of_root_fields(spliced.as_bytes(), &fields).expect("they are within it");
            assert_eq!(known.data, read.data, "of {text}\nand {response}\ncomes {spliced}");
        }
        let spliced = restore_errors(sites, &part.edits, &spliced).unwrap_or(spliced);
        let parsed: Value = serde_json::from_str(&spliced)
            .unwrap_or_else(|error| panic!("of {text}\nand {response}\ncomes {spliced}\n{error}"));
        assert!(!has_alias(sites, &parsed), "of {text}\nand {response}\ncomes {spliced}");
        // Nothing but rows has changed: without them the response is what it was.
        assert!(!scan.rows.is_empty() || !has_alias(sites, &serde_json::from_str(&response).expect("JSON")));
    }
}

fn has_alias(sites: &ExtensionSites, value: &Value) -> bool {
    match value {
        Value::Object(object) => {
            object.iter().any(|(name, value)| sites.read_alias(name).is_some() || has_alias(sites, value))
        }
        Value::Array(list) => list.iter().any(|value| has_alias(sites, value)),
        _ => false,
    }
}

/// An upstream that responds to a valid document by its schema, with values from a seed.
struct Upstream<'d> {
    document: &'d Document,
    seed: u64,
    made: u64,
    written: String,
}

type Fields<'d> = IndexMap<&'d str, (&'d Type, Vec<&'d Node<Field>>)>;

impl<'d> Upstream<'d> {
    fn response(&mut self) -> String {
        let [operation] = self.document.operations() else { panic!("it is not one operation") };
        let root = sample().upstream.root_operation(operation.operation_type).expect("its root");
        self.written.push_str("{\"data\":");
        self.object(root, &[&operation.selection_set]);
        self.written.push('}');
        std::mem::take(&mut self.written)
    }

    fn next(&mut self, below: u64) -> u64 {
        self.made += 1;
        let mut hasher = DefaultHasher::new();
        (self.seed, self.made).hash(&mut hasher);
        hasher.finish() % below
    }

    /// The document's limits bound the recursion.
    fn object(&mut self, type_name: &str, selection_sets: &[&'d [Selection]]) {
        let possible: Vec<&str> = possible_types(type_name);
        let chosen = self.next(possible.len() as u64);
        let runtime = possible[usize::try_from(chosen).expect("small")];
        let mut fields = Fields::new();
        selection_sets.iter().for_each(|selection_set| self.collect(runtime, selection_set, &mut fields));
        self.written.push('{');
        for (index, (name, (ty, nodes))) in fields.into_iter().enumerate() {
            if index > 0 {
                self.written.push(',');
            }
            self.written.push_str(&format!("\"{name}\":"));
            let below: Vec<&'d [Selection]> = nodes.iter().map(|node| node.selection_set.as_slice()).collect();
            self.value(ty, &below);
        }
        self.written.push('}');
    }

    fn collect(&self, runtime: &str, selection_set: &'d [Selection], fields: &mut Fields<'d>) {
        static TYPENAME: OnceLock<Type> = OnceLock::new();
        for selection in selection_set {
            let directives = match selection {
                Selection::Field(field) => &field.directives,
                Selection::InlineFragment(inline) => &inline.directives,
                Selection::FragmentSpread(spread) => &spread.directives,
            };
            // The same condition has the same value everywhere.
            let is_skipped = directives.iter().any(|directive| {
                let mut hasher = DefaultHasher::new();
                (self.seed, directive.to_string()).hash(&mut hasher);
                matches!(directive.name.as_str(), "skip" | "include") && hasher.finish().is_multiple_of(3)
            });
            match selection {
                _ if is_skipped => {}
                Selection::Field(field) => {
                    let definition = sample().upstream.type_field(runtime, &field.name).ok();
                    let ty = match definition {
                        Some(definition) => &definition.ty,
                        None => TYPENAME.get_or_init(|| ast::Type::Named(apollo_compiler::name!("ID"))),
                    };
                    fields.entry(field.response_name()).or_insert((ty, Vec::new())).1.push(field);
                }
                Selection::InlineFragment(inline) => {
                    if inline.type_condition.as_ref().is_none_or(|name| possible_types(name).contains(&runtime)) {
                        self.collect(runtime, &inline.selection_set, fields);
                    }
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = self.document.fragment(&spread.fragment_name).expect("it is valid");
                    if possible_types(&fragment.type_condition).contains(&runtime) {
                        self.collect(runtime, &fragment.selection_set, fields);
                    }
                }
            }
        }
    }

    fn value(&mut self, ty: &Type, below: &[&'d [Selection]]) {
        let is_large = self.written.len() > 16 * 1024;
        if !ty.is_non_null() && (is_large || self.next(6) == 0) {
            self.written.push_str("null");
        } else if ty.is_list() {
            let length = if is_large { 0 } else { self.next(4) };
            self.written.push('[');
            for index in 0..length {
                self.written.push_str(if index > 0 { " , " } else { "" });
                self.value(ty.item_type(), below);
            }
            self.written.push(']');
        } else if below.iter().any(|selection_set| !selection_set.is_empty()) {
            self.object(ty.inner_named_type(), below);
        } else {
            let leaves = ["7", "\"a\\\"}{\\\\\"", "-1.50e3", "\"\\u00e9\\n\"", "true"];
            let leaf = self.next(leaves.len() as u64);
            self.written.push_str(leaves[usize::try_from(leaf).expect("small")]);
        }
    }
}

fn possible_types(name: &str) -> Vec<&'static str> {
    let schema = &sample().upstream;
    match schema.types.get_key_value(name) {
        Some((_, ExtendedType::Union(union))) => union.members.iter().map(|member| member.as_str()).collect(),
        Some((interface, ExtendedType::Interface(_))) => {
            let implements = |definition: &&ExtendedType| match definition {
                ExtendedType::Object(object) => object.implements_interfaces.contains(interface),
                _ => false,
            };
            schema.types.values().filter(implements).map(|definition| definition.name().as_str()).collect()
        }
        Some((name, _)) => vec![name.as_str()],
        None => Vec::new(),
    }
}
