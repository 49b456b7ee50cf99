//! How each family's cases are run.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use apollo_compiler::ast::OperationDefinition;
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::{Name, Node, Schema};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pillion::action::batch_response::{BatchElement, BatchTarget, read_batch};
use pillion::action::complete_value::{CompletedValue, CompletionRules, complete_value};
use pillion::action::handler_error::HandlerError;
use pillion::action::handler_error::HandlerResponseError;
use pillion::action::handler_response::{self, HandlerResponse, ReadRules};
use pillion::action::header_precedence::{self, Precedence};
use pillion::action::relationship::{FoundRows, RowKeys, RowSet, RowSource};
use pillion::action::template;
use pillion::action::transform::{self, Lookup, TransformedRequest};
use pillion::config::prefix::{self, Prefixes};
use pillion::config::settings::Settings;
use pillion::config::transform::{read_request, read_response};
use pillion::config::values::Values;
use pillion::config::yaml;
use pillion::graphql::check_extension_fields;
use pillion::graphql::client_schema::UpstreamSchema;
use pillion::graphql::coerce::{coerce_argument_values, coerce_variable_values};
use pillion::graphql::collect_fields::Condition;
use pillion::graphql::document::{self, Document, DocumentError};
use pillion::graphql::merge::{Merged, read_upstream_result, write};
use pillion::graphql::merge_schema::merge;
use pillion::graphql::plan::{self, FieldSource, Plan, PlanError, PlanOptions, PlanStep, PlannedCall};
use pillion::graphql::relationship_selection::VariableText;
use pillion::graphql::root_types::RootTypes;
use pillion::graphql::selection::{Selector, SubSelection};
use pillion::graphql::{schema, validate};
use pillion::kriti::eval::{Environment, evaluate};
use pillion::kriti::{TemplateError, parse};
use pillion::model::action::{ActionSchema, ConfiguredHeader, Handler, HeaderRules, WrittenValue};
use pillion::model::extension_field::{ArgumentTemplate, ExtensionField};
use pillion::model::json::{RawObject, parse_strict};
use pillion::model::json_value::JsonValue;
use pillion::model::limits::Limits;
use pillion::model::response::Dialect;
use pillion::model::secret::Secret;
use pillion::model::source::{Diagnostic, Severity, Source};
use pillion::model::transform::RequestTransform;
use pillion::session::claims::{JwtRules, check_registered, session};
use pillion::session::credential::{AuthRules, Credential, read};
use pillion::session::hook;
use pillion::session::{Session, SessionError};
use pillion_test_support::trials;
use serde_json::{Value, json};

use super::before::before;
use super::edits::edits;
use super::extension_rows::extension_rows;
use super::openapi::openapi;
use super::{Family, actions};

pub const FAMILIES: &[Family] = trials![
    batches,
    before,
    coercion,
    configuration,
    directives,
    extension_fields,
    extension_rows,
    headers,
    hooks,
    masks,
    merging,
    edits,
    openapi,
    plans,
    relationships,
    responses,
    schemas,
    shapes,
    templates,
    timeouts,
    tokens,
    jwt_settings,
    transforms,
    urls,
    validation,
];

fn text<'c>(case: &'c Value, key: &str) -> &'c str {
    case[key].as_str().unwrap_or_else(|| panic!("{}: \"{key}\" is missing", case["name"]))
}

/// What most upstreams call their root types.
pub fn roots() -> RootTypes {
    RootTypes::usual(Dialect::Standard)
}

/// Plans an operation of a document, introspection included.
pub fn plan(
    document: &Document,
    operation: &Node<OperationDefinition>,
    schema: &ActionSchema,
    condition: Condition<'_>,
) -> Result<Plan, PlanError> {
    let (roots, limits) = (roots(), Limits::default());
    let surroundings = PlanOptions { schema, roots: &roots, limits: &limits, serves_introspection: true, sites: None };
    plan::plan(document, operation, &surroundings, condition)
}

fn parse(case: &Value) -> Result<Document, String> {
    let limits = Limits::default();
    let parsed = document::parse(text(case, "document"), &limits);
    parsed
        .and_then(|document| pillion::graphql::check_document::check_document(&document, &limits).map(|()| document))
        .map_err(|error| match error {
            DocumentError::Invalid { diagnostics, .. } => {
                diagnostics.into_iter().map(|diagnostic| diagnostic.message).collect::<Vec<_>>().join("\n")
            }
            other => other.to_string(),
        })
}

fn make_plan(case: &Value) -> Result<Plan, String> {
    let schema = actions::from_sdl(text(case, "actions"));
    let document = parse(case)?;
    let operation = document.operation(case["operation"].as_str()).map_err(|error| error.to_string())?;
    let condition = |name: &str| case["conditions"][name].as_bool().unwrap_or(true);
    plan(&document, operation, &schema, &condition).map_err(|error| match error {
        PlanError::Invalid(diagnostics) => {
            diagnostics.into_iter().map(|diagnostic| diagnostic.message).collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    })
}

/// Fields with their owners, then the steps.
fn plans(case: &Value) -> String {
    let plan = match make_plan(case) {
        Ok(plan) => plan,
        Err(error) => return format!("error: {error}"),
    };
    let owner = |owner: FieldSource| match owner {
        FieldSource::Upstream(index) => format!("engine {index}"),
        FieldSource::Action(index) => format!("action {index}"),
        FieldSource::Introspection(index) => format!("introspection {index}"),
        FieldSource::TypeName => "us".to_owned(),
    };
    let fields: Vec<String> =
        plan.fields.iter().map(|field| format!("{}: {}", field.response_name, owner(field.owner))).collect();
    let steps: Vec<String> = plan
        .steps
        .iter()
        .map(|step| match step {
            PlanStep::Upstream(index) => format!("engine {index}"),
            PlanStep::Action(index) => format!("action {index}"),
            PlanStep::Introspection(index) => format!("introspection {index}"),
        })
        .collect();
    format!("{}; steps: {}", fields.join(", "), steps.join(", "))
}

/// What the upstream is sent, with its variables, and our own part.
fn masks(case: &Value) -> String {
    let plan = match make_plan(case) {
        Ok(plan) => plan,
        Err(error) => return format!("error: {error}"),
    };
    let mut lines = Vec::new();
    let assert_columns = |masked: &str| assert_eq!(columns(masked), columns(text(case, "document")), "{masked}");
    for part in &plan.parts {
        let query: String = serde_json::from_str(&part.query_json).expect("a JSON string");
        assert_columns(&query);
        lines.push(json!({ "engine": query, "variables": part.variables }).to_string());
    }
    if let Some(own) = &plan.own {
        let own = own.serialize().no_indent().to_string();
        lines.push(json!({ "own": own, "variables": plan.own_variables }).to_string());
    }
    lines.join("\n")
}

/// How many columns each line has, as upstreams count them.
pub fn columns(text: &str) -> Vec<usize> {
    text.split(['\n', '\r']).map(|line| line.encode_utf16().count()).collect()
}

/// The input of the document's only action call.
fn coercion(case: &Value) -> String {
    let schema = actions::from_sdl(text(case, "actions"));
    let document = parse(case).expect("a valid document");
    let operation = document.operation(None).expect("one operation");
    let given = case["variables"].as_str().unwrap_or("{}");
    let given: RawObject<'_> = serde_json::from_str(given).expect("variables are JSON");
    let plan = plan(&document, operation, &schema, &|_| true).expect("a plan");
    let call = plan.calls.first().expect("an action call");
    let input = coerce_variable_values(&schema.types, operation, &plan.own_variables, &given).and_then(|variables| {
        let arguments = &call.fields.first().expect("a field").arguments;
        coerce_argument_values(&schema.types, &call.action.arguments, arguments, &variables)
    });
    input.map_or_else(|error| format!("{} at {}", error.message, error.path), |input| Value::Object(input).to_string())
}

/// The errors in our part, each with its place.
fn validation(case: &Value) -> String {
    let schema = actions::from_sdl(text(case, "actions"));
    let plan = match make_plan(case) {
        Ok(plan) => plan,
        Err(error) => return format!("error: {error}"),
    };
    let visible = schema::of_actions(&schema, &roots(), "user").expect("a schema");
    let Some(own) = plan.own else { return "valid".into() };
    match validate::validate(&visible.schema, &own, text(case, "document"), 20) {
        Ok(()) => "valid".into(),
        Err((diagnostics, _)) => {
            let place = |diagnostic: &document::SyntaxError| {
                diagnostic.location.map(|at| format!("{}:{} ", at.line, at.column))
            };
            diagnostics
                .iter()
                .map(|diagnostic| place(diagnostic).unwrap_or_default() + &diagnostic.message)
                .collect::<Vec<_>>()
                .join("\n")
        }
    }
}

/// A handler's value, cut to the selection, and what is wrong with it.
fn shapes(case: &Value) -> String {
    let schema = actions::from_sdl(text(case, "actions"));
    let document = parse(case).expect("a valid document");
    let operation = document.operation(None).expect("one operation");
    let plan = plan(&document, operation, &schema, &|_| true).expect("a plan");
    let call = plan.calls.first().expect("an action call");
    let selected = selected(case, &document, operation, &schema, call);
    let dialect = if case["dialect"] == "hasura" { Dialect::Hasura } else { Dialect::Standard };
    let value = JsonValue::parse(text(case, "answer").to_owned().into()).expect("JSON");
    let rules = CompletionRules { types: &schema.types, dialect, max_list_length: 1000 };
    shown(complete_value(&rules, &call.action.output, value.node(), &selected, &mut RowKeys::default()))
}

fn selected(
    case: &Value,
    document: &Document,
    operation: &OperationDefinition,
    schema: &ActionSchema,
    call: &PlannedCall,
) -> SubSelection {
    let condition = |name: &str| case["conditions"][name].as_bool().unwrap_or(true);
    let selector = Selector { document, operation, types: &schema.types, condition: &condition, sites: None };
    selector.select(call.action.output.named(), &call.fields.iter().collect::<Vec<_>>())
}

fn shown(shaped: CompletedValue) -> String {
    let mut lines = vec![shaped.json];
    for error in &shaped.errors {
        lines.push(format!("{} at {}", error.message, json!(error.path)));
    }
    if shaped.null_escapes {
        lines.push("null travels on".into());
    }
    lines.join("\n")
}

/// What the upstream is asked for a handler's response, and the response with the rows in it.
fn relationships(case: &Value) -> String {
    let optional = |key: &str| case[key].as_str().unwrap_or_default();
    let schema = actions::with_relationships(text(case, "actions"), optional("custom_types"), optional("config"));
    let document = parse(case).expect("a valid document");
    let operation = document.operation(None).expect("one operation");
    let plan = plan(&document, operation, &schema, &|_| true).expect("a plan");
    let call = plan.calls.first().expect("an action call");
    let selected = selected(case, &document, operation, &schema, call);
    let dialect = if case["dialect"] == "hasura" { Dialect::Hasura } else { Dialect::Standard };
    let value = JsonValue::parse(text(case, "answer").to_owned().into()).expect("JSON");
    let rules = CompletionRules { types: &schema.types, dialect, max_list_length: 1000 };
    let shape_with =
        |rows: &mut dyn RowSource| complete_value(&rules, &call.action.output, value.node(), &selected, rows);
    let mut wanted = RowKeys::default();
    drop(shape_with(&mut wanted));
    let mut lines = Vec::new();
    let mut found = RowSet::default();
    let mut answers = case["engine"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let given = &case["variables"];
    let is_null = |variable: &VariableText| {
        given[&variable.name].is_null() && variable.default.as_deref().is_none_or(|default| default == "null")
    };
    for is_second in [false, true] {
        let requests = if is_second { wanted.requests_for_missing(&found) } else { wanted.requests() };
        for request in requests {
            let (document, variables) = wanted.document(&request, &is_null);
            let uses = if variables.is_empty() { String::new() } else { format!(" with {}", variables.join(", ")) };
            lines.push(format!("asks {document}{uses}"));
            let answer = answers.next().unwrap_or("no response");
            if let Err(error) = found.read(&wanted, &request, answer.as_bytes()) {
                found.fail(&request, &error);
            }
        }
    }
    lines.push(shown(shape_with(&mut FoundRows { wanted: &wanted, found: &found })));
    assert!(answers.next().is_none(), "{}: a response of the upstream is left", case["name"]);
    lines.join("\n")
}

/// Errors of a handler.
fn shown_errors(errors: &[HandlerError]) -> Value {
    let shown = |error: &HandlerError| {
        let extensions = error.extensions.shown(Dialect::Hasura);
        json!({ "message": error.message, "path": error.path, "extensions": extensions })
    };
    errors.iter().map(shown).collect()
}

/// The elements of a response to a batch.
fn batches(case: &Value) -> String {
    let status = u16::try_from(case["status"].as_u64().unwrap_or(200)).expect("a status");
    let rules = ReadRules { is_envelope: case["envelope"] == "graphql", max_errors: 3 };
    let keys = case["keys"].as_str().map(|keys| parse_strict(keys.as_bytes()).expect("keys"));
    let keys: Vec<&Value> = keys.iter().filter_map(Value::as_array).flatten().collect();
    let target = match case["by"].as_str() {
        Some(field) => BatchTarget::Keys { field, keys: &keys },
        None => BatchTarget::Inputs(case["inputs"].as_u64().expect("a number").try_into().expect("a number")),
    };
    let read = handler_response::read(rules, status, text(case, "body").to_owned().into());
    let shown = |element: BatchElement| match (element.value, element.errors.as_slice()) {
        (Ok(value), []) => value.node().to_tree(),
        (Ok(value), errors) => json!({ "value": value.node().to_tree(), "errors": shown_errors(errors) }),
        (Err(error), _) => json!({ "error": shown_errors(&[error])[0] }),
    };
    match read.and_then(|response| read_batch(response, target)) {
        Ok(elements) => elements.into_iter().map(shown).collect::<Value>().to_string(),
        Err(error) => format!("error: {error}"),
    }
}

/// A status and a body, as a value or as an error.
fn responses(case: &Value) -> String {
    let status = u16::try_from(case["status"].as_u64().unwrap_or(200)).expect("a status");
    let rules = ReadRules { is_envelope: case["envelope"] == "graphql", max_errors: 3 };
    match handler_response::read(rules, status, text(case, "body").to_owned().into()) {
        Ok(HandlerResponse { value, errors }) if errors.is_empty() => value.to_string(),
        Ok(HandlerResponse { value, errors }) => format!(r#"{{"data":{value},"errors":{}}}"#, shown_errors(&errors)),
        Err(HandlerResponseError::RejectedWithList(errors)) => json!({ "errors": shown_errors(&errors) }).to_string(),
        Err(HandlerResponseError::Rejected { message, extensions }) => {
            json!({ "message": message, "extensions": extensions.shown(Dialect::Hasura) }).to_string()
        }
        Err(error) => format!("error: {error}"),
    }
}

fn header_map(value: &Value) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        let name = HeaderName::try_from(name.as_str()).expect("a header's name");
        headers
            .append(name, HeaderValue::from_str(value.as_str().expect("a header's value")).expect("a header's value"));
    }
    headers
}

fn session_of(variables: &Value) -> Session {
    match read(&AuthRules::default(), &header_map(variables)) {
        Ok(Credential::Session(session)) => session,
        other => panic!("no session: {other:?}"),
    }
}

fn names(value: &Value) -> Option<Vec<HeaderName>> {
    let names = value.as_array()?.iter();
    Some(names.map(|name| HeaderName::try_from(name.as_str().expect("a name")).expect("a name")).collect())
}

/// The headers that a handler gets, sorted by name.
fn headers(case: &Value) -> String {
    let configured = case["configured"].as_object().into_iter().flatten().map(|(name, value)| ConfiguredHeader {
        name: HeaderName::try_from(name.as_str()).expect("a name"),
        value: template::compile(value.as_str().expect("a template"), &|_| None).expect("a template"),
        written: WrittenValue::default(),
    });
    let rules = HeaderRules {
        forward_client_headers: case["forward"].as_bool().unwrap_or(false),
        ignored_client_headers: names(&case["ignored"]),
        forwarded_client_headers: names(&case["only"]),
        session_headers: case["session_headers"].as_bool().unwrap_or(false),
        configured: configured.collect(),
    };
    let precedence =
        if case["configured_first"] == true { Precedence::ConfiguredFirst } else { Precedence::ClientFirst };
    let made = header_precedence::outgoing(
        &rules,
        precedence,
        &header_map(&case["client"]),
        &session_of(&case["session"]),
        "the-id",
    );
    match made {
        Err(error) => format!("error: {error}"),
        Ok(headers) => {
            let mut lines: Vec<String> =
                headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect();
            lines.sort();
            lines.retain(|line| !line.starts_with("content-type: ") && !line.starts_with("user-agent: "));
            lines.join("\n")
        }
    }
}

/// The response made of an upstream's response and what actions gave.
fn merging(case: &Value) -> String {
    let body = text(case, "engine");
    let Ok(answer) = read_upstream_result(body.as_bytes()) else { return "not a GraphQL response".into() };
    let fields = case["fields"].as_array().expect("fields").iter().map(|name| name.as_str().expect("a name"));
    let value = |name: &str| match case["actions"][name].as_str() {
        Some(json) => Some(json.to_owned().into()),
        None => answer.data.get(name).map(|raw| (*raw).into()),
    };
    let merged = Merged {
        data: (!answer.data_is_null).then(|| fields.map(|name| (name, value(name))).collect()),
        errors: answer.errors.iter().map(|error| error.get().into()).collect(),
        extensions: answer.extensions.into_iter().collect(),
    };
    String::from_utf8(write(&merged)).expect("text")
}

/// The session that a token's claims make.
fn tokens(case: &Value) -> String {
    let rules = match JwtRules::parse(text(case, "secret")) {
        Ok(rules) => rules,
        Err(error) => return format!("refused: {error}"),
    };
    let Ok(Value::Object(claims)) = parse_strict(text(case, "claims").as_bytes()) else {
        panic!("claims are no object")
    };
    let now = case["now"].as_i64().unwrap_or(1000);
    let made = check_registered(&rules, &claims, now).and_then(|()| session(&rules, &claims, case["role"].as_str()));
    made.map_or_else(
        |SessionError { code, message, .. }| format!("{code}: {message}"),
        |session| json!(session).to_string(),
    )
}

/// The session that a token's claims make by the settings of `auth.jwt`: those of the case, or of the recipe that
/// docs/how-to/authentication.md has under this heading.
fn jwt_settings(case: &Value) -> String {
    let config = match case["recipe"].as_str() {
        Some(recipe) => recipe_of_manual(recipe),
        None => text(case, "config").to_owned(),
    };
    let node = yaml::parse(&Arc::new(Source::new("pillion.yaml", config))).expect("YAML");
    let environment = |name: &str| case["environment"][name].as_str().map(str::to_owned);
    let mut diagnostics = Vec::new();
    let upstream = [("upstream.url", "http://upstream:8080"), ("metadata.folder", "metadata")];
    let values = Values::collect(&|_| None, &environment, Some(&node), &upstream, &mut diagnostics);
    let settings = Settings::read(&values, Some(&node), &mut diagnostics);
    if !diagnostics.is_empty() {
        return diagnostics.iter().map(Diagnostic::on_one_line).collect::<Vec<_>>().join("\n");
    }
    let rules = settings.expect("settings").auth;
    if case["headers"].is_object() {
        return match read(&rules, &header_map(&case["headers"])) {
            Ok(Credential::Session(session)) => json!(session).to_string(),
            Ok(Credential::Token { token, .. }) => format!("token {token}"),
            Ok(Credential::AskHook) => "hook".to_owned(),
            Err(error) => format!("{}: {}", error.code, error.message),
        };
    }
    let Ok(Value::Object(claims)) = parse_strict(text(case, "claims").as_bytes()) else {
        panic!("claims are no object")
    };
    let rules = rules.jwt.first().expect("rules");
    let made = check_registered(rules, &claims, 1000).and_then(|()| session(rules, &claims, case["role"].as_str()));
    made.map_or_else(|error| format!("{}: {}", error.code, error.message), |session| json!(session).to_string())
}

/// The YAML under a heading of docs/how-to/authentication.md.
fn recipe_of_manual(heading: &str) -> String {
    let page = std::fs::read_to_string(pillion_test_support::repository().join("docs/how-to/authentication.md"));
    let page = page.expect("the page");
    let (_, section) = page.split_once(&format!("\n### {heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let (_, block) = section.split_once("```yaml\n").expect("a block");
    block.split_once("```").expect("its end").0.to_owned()
}

/// What the loader says about both files, first lines only; `fine` if nothing.
fn configuration(case: &Value) -> String {
    let graphql = case["graphql"].as_str().unwrap_or_default();
    let environment = [("HANDLER", "http://handlers"), ("KEY", "k")];
    let (_, diagnostics) =
        actions::load(graphql, text(case, "yaml"), &environment, case["config"].as_str().unwrap_or_default());
    let with_help = case["with_help"] == json!(true);
    let lines: Vec<String> = diagnostics.iter().map(|diagnostic| first_lines(diagnostic, with_help)).collect();
    if lines.is_empty() { "fine".into() } else { lines.join("\n") }
}

/// The first line of a diagnostic, and perhaps its help.
fn first_lines(diagnostic: &Diagnostic, with_help: bool) -> String {
    let text = diagnostic.to_string();
    // More blanks stand before it where line numbers are longer.
    let help = text.lines().map(str::trim_start).find(|line| with_help && line.starts_with("= help: "));
    let lines = text.lines().take(1).map(str::to_owned).chain(help.map(|help| format!("  {help}")));
    lines.collect::<Vec<_>>().join("\n")
}

/// What is said about extension fields, and what they are.
fn extension_fields(case: &Value) -> String {
    let graphql = text(case, "actions");
    let (schema, diagnostics) = actions::load(graphql, &actions::actions_yaml(graphql), &[], text(case, "config"));
    let prefix = |key: &str| case["prefixes"][key].as_str().unwrap_or_default().to_owned();
    let schema = prefix::apply(schema, &Prefixes { types: prefix("types"), fields: prefix("fields") });
    let with_help = case["with_help"] == json!(true);
    let mut lines: Vec<String> = diagnostics.iter().map(|diagnostic| first_lines(diagnostic, with_help)).collect();
    if diagnostics.iter().all(|diagnostic| diagnostic.severity == Severity::Warning) {
        lines.extend(schema.extension_fields.iter().map(|field| shown_field(field)));
    }
    if let Some(upstream) = case["upstream"].as_str() {
        let upstream = Schema::parse_and_validate(upstream, "upstream.graphql").expect("a valid schema");
        let role = case["role"].as_str().unwrap_or("admin");
        let found = check_extension_fields::diagnostics(&upstream, &schema, role);
        lines = found.iter().map(|diagnostic| first_lines(diagnostic, with_help)).collect();
    }
    if lines.is_empty() {
        return "fine".into();
    }
    lines.join("\n")
}

fn shown_field(field: &ExtensionField) -> String {
    let arguments = field.arguments.iter().map(|(name, template)| format!("{name}: {}", shown_template(template)));
    let by = field.matched_by.as_ref().map(|key| format!(" by {key}")).unwrap_or_default();
    let mut line = format!(
        "{}: {} = {}({}){by}, keys: {}",
        field.coordinate(),
        field.ty,
        field.action,
        arguments.collect::<Vec<_>>().join(", "),
        field.key_fields().join(" ")
    );
    for (what, text) in [("description", &field.description), ("deprecated", &field.deprecated)] {
        line.extend(text.iter().map(|text| format!(", {what}: {text}")));
    }
    line
}

fn shown_template(template: &ArgumentTemplate) -> String {
    match template {
        ArgumentTemplate::Constant(value) => value.to_string(),
        ArgumentTemplate::Key(name) => format!("${name}"),
        ArgumentTemplate::List(items) => {
            format!("[{}]", items.iter().map(shown_template).collect::<Vec<_>>().join(", "))
        }
        ArgumentTemplate::Object(fields) => {
            let field = |(name, field): &(String, ArgumentTemplate)| format!("{name}: {}", shown_template(field));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
    }
}

/// What is said about `actions.graphql`, and how it is written again.
fn directives(case: &Value) -> String {
    let yaml = actions::actions_yaml(text(case, "actions"));
    let (written, mut lines) = actions::written(text(case, "actions"), &yaml);
    let (again, _) = actions::written(&written, &yaml);
    assert_eq!(again, written, "{}", case["name"]);
    lines.push(written.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.join("\n")
}

/// The seconds that a request may take.
fn timeouts(case: &Value) -> String {
    let (schema, diagnostics) = actions::load("", text(case, "yaml"), &[], "");
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let chosen = case["chosen"].as_u64().map(Duration::from_secs);
    let usual = Limits::default();
    let request_timeout = chosen.unwrap_or(usual.request_timeout);
    let limits = Limits { request_timeout, request_timeout_is_given: chosen.is_some(), ..usual };
    limits.for_actions(&schema).request_timeout.as_secs().to_string()
}

/// The types and roots that merging adds to the upstream's schema or changes in it.
fn schemas(case: &Value) -> String {
    let prefix = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
    let prefixes = Prefixes { types: prefix("type_prefix"), fields: prefix("field_prefix") };
    let actions = prefix::apply(actions::from_sdl(text(case, "actions")), &prefixes);
    let own = schema::of_actions(&actions, &roots(), text(case, "role")).expect("a schema");
    let engine = Schema::parse(text(case, "engine"), "engine").expect("SDL");
    let engine = UpstreamSchema { schema: engine, directives: Vec::new() };
    let merged = match merge(&engine, &own, &actions, &roots()) {
        Ok(merged) => merged.schema,
        Err(error) => return error.to_string(),
    };
    let mut lines = Vec::new();
    if let (Some(root), None) = (&merged.schema_definition.mutation, &engine.schema.schema_definition.mutation) {
        lines.push(format!("mutations start from {}", root.name));
    }
    let is_new = |name: &Name, definition: &ExtendedType| engine.schema.types.get(name) != Some(definition);
    for (_, definition) in merged.types.iter().filter(|(name, definition)| is_new(name, definition)) {
        lines.push(definition.to_string());
    }
    // On one line each.
    let lines = lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}

/// `times` repeats the template, and `after` as often after `then`.
fn templates(case: &Value) -> String {
    let times = usize::try_from(case["times"].as_u64().unwrap_or(1)).unwrap_or(1);
    let piece = |key: &str| case[key].as_str().unwrap_or_default();
    let source = [piece("template").repeat(times).as_str(), piece("then"), &piece("after").repeat(times)].concat();
    let template = if case["in_string"] == json!(true) { parse::parse_text(&source) } else { parse::parse(&source) };
    let values = case["values"].as_str().map(|text| parse_strict(text.as_bytes()).expect("values are JSON"));
    let values = values.as_ref().unwrap_or(&case["values"]);
    let environment = Environment {
        variables: values
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), Cow::Borrowed(value)))
            .collect(),
        session_variable: &|name| case["session"][name].as_str().map(str::to_owned),
    };
    let bytes_max =
        case["bytes_max"].as_u64().map_or(1024 * 1024, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    let value = template.and_then(|template| evaluate(&template, &environment, bytes_max));
    match value {
        Ok(value) => value.to_string(),
        Err(TemplateError { message, line, column }) => format!("error {line}:{column}: {message}"),
    }
}

fn transform_handler(text: &str) -> Handler {
    let url = text.parse().expect("an address");
    Handler { template: text.to_owned(), base_url: Secret::new(text.to_owned()), url }
}

fn yaml_node(text: &str) -> pillion::config::yaml::Node {
    let source = Source::new("transform.yaml", text);
    pillion::config::yaml::parse(&Arc::new(source)).expect("a transform is YAML")
}

fn transforms(case: &Value) -> String {
    let mut diagnostics = Vec::new();
    let handler = transform_handler(text(case, "handler"));
    let session = session_of(&case["session"]);
    let payload = case["payload"].to_string().into_bytes();
    let bytes_max =
        case["bytes_max"].as_u64().map_or(1024 * 1024, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    let lookup = Lookup::new(&handler, &payload, &session, bytes_max);
    if let Some(response) = case["response"].as_str() {
        let transform = read_response(&yaml_node(response), &mut diagnostics).expect("a transform");
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let status = u16::try_from(case["status"].as_u64().expect("a status")).expect("a status");
        return match transform::response(&transform, &lookup, status, case["answer"].clone()) {
            Ok(value) => value.to_string(),
            Err(error) => format!("failed {error}"),
        };
    }
    let transform = read_request(&yaml_node(text(case, "request")), &mut diagnostics).expect("a transform");
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let headers = header_map(&case["headers"]);
    let untransformed =
        TransformedRequest { method: Method::POST, url: handler.url.clone(), headers, body: payload.clone().into() };
    match transform::request(&transform, &lookup, untransformed) {
        Err(error) => format!("failed {error}"),
        Ok(TransformedRequest { method, url, headers, body }) => {
            let mut lines: Vec<String> =
                headers.iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().expect("text"))).collect();
            lines.sort();
            let body = String::from_utf8(body.to_vec()).expect("text");
            let end = if body.is_empty() { String::new() } else { format!("\n{body}\n") };
            format!("{method} {url}\n{}{end}", lines.concat())
        }
    }
}

fn urls(case: &Value) -> String {
    let handler = transform_handler("http://api.example:8080/v1");
    let session = session_of(&json!({ "x-hasura-role": "user" }));
    let transform = RequestTransform { url: parse::parse_text(text(case, "url")).ok(), ..RequestTransform::default() };
    let payload = case["input"].to_string().into_bytes();
    let lookup = Lookup::new(&handler, &payload, &session, 1024);
    let untransformed = TransformedRequest {
        method: Method::POST,
        url: handler.url.clone(),
        headers: HeaderMap::new(),
        body: bytes::Bytes::new(),
    };
    match transform::request(&transform, &lookup, untransformed) {
        Ok(outgoing) => outgoing.url.to_string(),
        Err(error) => format!("failed {error}"),
    }
}

/// The session that an auth hook's answer makes.
fn hooks(case: &Value) -> String {
    let status = u16::try_from(case["status"].as_u64().unwrap_or(200)).expect("a status");
    match hook::read(status, text(case, "body").as_bytes()) {
        Err(SessionError { code, message, status, .. }) => format!("{status} {code}: {message}"),
        Ok(answer) => {
            let kept = [("Cache-Control", answer.cache_control), ("Expires", answer.expires)];
            let kept = kept.into_iter().filter_map(|(name, value)| Some(format!(" {name}: {}", value?)));
            format!("{}{}", json!(answer.session), kept.collect::<String>())
        }
    }
}
