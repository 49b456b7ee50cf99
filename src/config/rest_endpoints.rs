//! Reads `rest_endpoints.yaml` of Hasura's metadata folder, and finds the documents that its endpoints execute.

use std::sync::Arc;

use apollo_compiler::ast::{OperationDefinition, OperationType, Type};
use http::Method;
use serde_json::Value;

use crate::config::json_nodes::list;
use crate::config::query_collections::QueryCollections;
use crate::config::yaml::{Fields, Node};
use crate::graphql::document::parse;
use crate::model::limits::Limits;
use crate::model::source::{Diagnostic, SourceLocation};
use crate::rest::endpoint::{EndpointVariable, RestEndpoint, read_template};

/// Reads the file's list. Each error stands where the endpoint, or the part of it that is wrong, is defined.
#[must_use]
pub fn read(
    file: &Node,
    collections: &QueryCollections,
    limits: &Limits,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<RestEndpoint> {
    let mut endpoints: Vec<RestEndpoint> = Vec::new();
    for node in file.list("rest_endpoints.yaml", diagnostics) {
        let Some(endpoint) = read_endpoint(node, collections, limits, diagnostics) else { continue };
        if endpoints.iter().any(|other| other.name == endpoint.name) {
            let message = format!("the REST endpoint '{}' is defined twice", endpoint.name);
            node.reject(message, "rename one of them", diagnostics);
        } else if let Some(other) = endpoints.iter().find(|other| other.is_ambiguous_with(&endpoint)) {
            let message = format!("Ambiguous URL paths: {}, {}", other.template, endpoint.template);
            node.reject(
                message,
                "change one of the templates, or their methods, so that no request matches both",
                diagnostics,
            );
        } else {
            endpoints.push(endpoint);
        }
    }
    endpoints
}

fn read_endpoint(
    node: &Node,
    collections: &QueryCollections,
    limits: &Limits,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<RestEndpoint> {
    let fields = Fields::of(node, "a REST endpoint", diagnostics)?;
    let name = fields.required_text("name", diagnostics);
    let template = fields.required_text("url", diagnostics);
    let url = fields.get("url");
    let comment = fields.text("comment", diagnostics);
    let methods = read_methods(&fields, diagnostics);
    let document = fields.get("definition").map(|definition| find_document(definition, collections, diagnostics));
    if document.is_none() {
        node.reject("a REST endpoint has no \"definition\"", HELP_FOR_QUERY, diagnostics);
    }
    fields.finish(diagnostics);
    let (document, (name, template)) = (document??, name.zip(template)?);
    let segments = read_template(&template)
        .map_err(|error| {
            let help = "write segments like users/:id, with a slash between two of them only";
            url.unwrap_or(node).reject(error.to_string(), help, diagnostics);
        })
        .ok()?;
    let operation = read_operation(&name, document, limits, diagnostics)?;
    let place = node.place.clone();
    let document = Arc::clone(document.0);
    let Operation { variables, is_mutation } = operation;
    Some(RestEndpoint { name, template, segments, methods: methods?, document, variables, is_mutation, comment, place })
}

const HELP_FOR_QUERY: &str = "write definition: { query: { collection_name: …, query_name: … } }";

/// The methods that an endpoint may have.
const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// The methods in a list of their names, as far as they are known.
#[must_use]
pub fn methods_of(names: &Value) -> Vec<Method> {
    let is_listed = |method: &&Method| list(names).iter().any(|name| *name == *method.as_str());
    METHODS.iter().filter(is_listed).cloned().collect()
}

fn read_methods(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Vec<Method>> {
    let mut methods = Vec::new();
    for node in fields.list("methods", diagnostics) {
        let found = node.as_text().and_then(|text| METHODS.iter().find(|method| method.as_str() == text));
        match found {
            Some(method) => methods.push(method.clone()),
            None => {
                node.reject("this is no method of an endpoint", "write GET, POST, PUT, PATCH or DELETE", diagnostics);
            }
        }
    }
    if methods.is_empty() {
        let message = "a REST endpoint has no methods";
        diagnostics.push(Diagnostic::error(Some(fields.place().clone()), message, "write methods: [GET], or others"));
        return None;
    }
    Some(methods)
}

/// The text of a document, and where it stands.
type Found<'c> = (&'c Arc<str>, &'c SourceLocation);

fn find_document<'c>(
    definition: &Node,
    collections: &'c QueryCollections,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Found<'c>> {
    let fields = Fields::of(definition, "\"definition\"", diagnostics)?;
    let query = fields.get("query");
    fields.finish(diagnostics);
    let Some(query) = query else {
        definition.reject("\"definition\" has no \"query\"", HELP_FOR_QUERY, diagnostics);
        return None;
    };
    let fields = Fields::of(query, "\"query\"", diagnostics)?;
    let collection = fields.required_text("collection_name", diagnostics);
    let name = fields.required_text("query_name", diagnostics);
    fields.finish(diagnostics);
    let (collection, name) = (collection?, name?);
    let help = "correct the name, or add the query to query_collections.yaml";
    let Some(documents) = collections.get(&collection) else {
        query.reject(format!("there is no query collection '{collection}'"), help, diagnostics);
        return None;
    };
    let found = documents.get(&name);
    if found.is_none() {
        query.reject(format!("the query collection '{collection}' has no query '{name}'"), help, diagnostics);
    }
    found.map(|document| (&document.text, &document.place))
}

struct Operation {
    variables: Vec<EndpointVariable>,
    is_mutation: bool,
}

/// The only operation of a document.
fn read_operation(
    endpoint: &str,
    (text, place): Found<'_>,
    limits: &Limits,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Operation> {
    let mut reject = |message: String, help: &str| {
        diagnostics.push(Diagnostic::error(Some(place.clone()), message, help));
        None
    };
    let document = match parse(text, limits) {
        Ok(document) => document,
        Err(error) => {
            return reject(format!("the query of the REST endpoint '{endpoint}': {error}"), "correct the query");
        }
    };
    let [operation] = document.operations() else {
        return reject(
            format!("the query of the REST endpoint '{endpoint}' must have exactly one operation"),
            "keep one operation in it, and no fragment",
        );
    };
    if operation.operation_type == OperationType::Subscription {
        return reject(format!("the REST endpoint '{endpoint}' has a subscription"), "use a query or a mutation");
    }
    let is_mutation = operation.operation_type == OperationType::Mutation;
    Some(Operation { variables: variables_of(operation), is_mutation })
}

fn variables_of(operation: &OperationDefinition) -> Vec<EndpointVariable> {
    let variables = operation.variables.iter();
    variables
        .map(|variable| EndpointVariable {
            name: variable.name.to_string(),
            type_name: variable.ty.inner_named_type().to_string(),
            is_list: matches!(*variable.ty, Type::List(_) | Type::NonNullList(_)),
            is_nullable: !variable.ty.is_non_null(),
            has_default: variable.default_value.is_some(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::query_collections;
    use crate::config::yaml::parse as parse_yaml;
    use crate::model::source::Source;

    const QUERIES: &str = r#"
- name: shop
  definition:
    queries:
      - { name: quote, query: "query ($to: String!, $tags: [String!]) { quote(to: $to, tags: $tags) { price } }" }
      - { name: pay, query: "mutation ($sum: Int = 1) { pay(sum: $sum) }" }
      - { name: watch, query: "subscription { later }" }
      - { name: two, query: "query A { a } query B { b }" }
      - { name: broken, query: "{ a" }
"#;

    fn read_text(text: &str) -> (Vec<RestEndpoint>, Vec<String>) {
        let yaml = |name: &str, text: &str| parse_yaml(&Arc::new(Source::new(name, text))).expect("YAML");
        let mut diagnostics = Vec::new();
        let collections = query_collections::read(&yaml("query_collections.yaml", QUERIES), &mut diagnostics);
        let limits = Limits::default();
        let endpoints = read(&yaml("rest_endpoints.yaml", text), &collections, &limits, &mut diagnostics);
        (endpoints, diagnostics.iter().map(ToString::to_string).collect())
    }

    fn endpoint(name: &str, url: &str, query: &str) -> String {
        format!(
            "- {{ name: {name}, url: '{url}', methods: [GET], definition: {{ query: {{ collection_name: shop, query_name: {query} }} }} }}\n"
        )
    }

    #[test]
    fn endpoints_know_their_variables() {
        let (endpoints, errors) = read_text(&(endpoint("a", "quote/:to", "quote") + &endpoint("b", "pay", "pay")));
        assert_eq!(errors, [""; 0]);
        let variables: Vec<_> = endpoints[0]
            .variables
            .iter()
            .map(|one| (&*one.name, &*one.type_name, one.is_list, one.is_nullable))
            .collect();
        assert_eq!(variables, [("to", "String", false, false), ("tags", "String", true, true)]);
        assert!(endpoints[1].is_mutation && endpoints[1].variables[0].has_default);
    }

    #[test]
    fn each_error_has_its_place() {
        let twice = endpoint("a", "x/:id", "pay") + &endpoint("b", "x/y", "pay");
        let same = endpoint("a", "x", "pay") + &endpoint("a", "y", "pay");
        for (text, wanted) in [
            (endpoint("a", "foo/", "pay"), ":1:19: error: Empty segments or unnamed variables are not allowed: foo/"),
            (endpoint("a", "foo/:/bar", "pay"), "Empty segments or unnamed variables are not allowed: foo/:/bar"),
            (endpoint("a", ":id/:id", "pay"), "Duplicate variables found in endpoint paths: :id/:id"),
            (endpoint("a", "x", "no"), "the query collection 'shop' has no query 'no'"),
            (
                endpoint("a", "x", "watch"),
                "query_collections.yaml:7:9: error: the REST endpoint 'a' has a subscription",
            ),
            (endpoint("a", "x", "two"), "must have exactly one operation"),
            (endpoint("a", "x", "broken"), "the query of the REST endpoint 'a': the document is not valid"),
            (twice, "rest_endpoints.yaml:2:3: error: Ambiguous URL paths: x/:id, x/y"),
            (same, "the REST endpoint 'a' is defined twice"),
            ("- { name: a, url: x, methods: [get] }".into(), "this is no method of an endpoint"),
            ("- { name: a, url: x, methods: [] }".into(), "a REST endpoint has no methods"),
            ("- { name: a, url: x, methods: [GET] }".into(), "a REST endpoint has no \"definition\""),
        ] {
            let (_, errors) = read_text(&text);
            assert!(errors.iter().any(|error| error.contains(wanted)), "{text}: {errors:?}");
        }
    }
}
