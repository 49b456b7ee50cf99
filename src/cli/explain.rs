//! `pillion explain`: prints the plan of a document: what would be sent where. Nothing is sent.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Arg, ArgMatches, Command};
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::action::transform::TransformedRequest;
use crate::cli::{NO_UPSTREAM, header_argument, headers_of, load_from, report, role_argument};
use crate::config::load::read_file;
use crate::graphql::action_mode::ActionMode;
use crate::graphql::client_schema::{UpstreamSchema, build_client_schema};
use crate::model::action::{Action, OperationKind};
use crate::model::json::RawObject;
use crate::model::request::{Caller, GraphqlRequest};
use crate::model::source::{Diagnostic, Source, SourceLocation};
use crate::pipeline::explain::{Explained, ExplainedStep, explain};
use crate::protocol::trace::TraceContext;
use crate::request::context::RequestContext;
use crate::request::rejection::Rejection;
use crate::runtime::schema_cache::MergedSchema;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;
use crate::session::Session;
use crate::session::credential::{AuthRules, Credential, read};

/// `explain` for the command line.
#[must_use]
pub(crate) fn command() -> Command {
    Command::new("explain")
        .about("Shows the plan of a document: what would be sent where, in which order, with which headers.")
        .arg(Arg::new("file").value_name("FILE").required(true).help("The document; - is standard input"))
        .arg(role_argument())
        .arg(header_argument())
        .arg(value("variables", "JSON", "The variables, as a JSON object"))
        .arg(value("operation", "NAME", "Which operation of the document"))
        .arg(value(
            "upstream-schema",
            "FILE",
            "The upstream's introspection result; its operation is then validated as well",
        ))
}

fn value(name: &'static str, kind: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(kind).help(help)
}

/// Explains and prints.
///
/// # Errors
/// What is wrong with the configuration, or why the document would be rejected.
pub(crate) fn run(arguments: &ArgMatches) -> Result<(), String> {
    let loaded = load_from(arguments, NO_UPSTREAM).map_err(|diagnostics| report(&diagnostics))?;
    let source = read_document(arguments.get_one::<String>("file").map_or("-", String::as_str))?;
    let upstream = arguments.get_one::<String>("upstream-schema").map(|path| read_schema(path)).transpose()?;
    let headers = headers_of(arguments)?;
    let session = session_of(&headers)?;
    let variables = arguments.get_one::<String>("variables").map_or("{}", String::as_str);
    let variables: RawObject<'_> =
        serde_json::from_str(variables).map_err(|error| format!("error: --variables: {error}"))?;
    crate::install_tls_provider();
    let services = Arc::new(Services::new(loaded).map_err(|reason| format!("error: {reason}"))?);
    let snapshot = snapshot_for(&services, upstream.as_ref());
    let merged = upstream.map(|upstream| MergedSchema::new(&upstream, &snapshot.catalog, session.role())).transpose();
    let merged = merged.map_err(|error| format!("error: --upstream-schema: {error}"))?.map(Arc::new);
    let request = GraphqlRequest {
        query: source.text.as_str().into(),
        operation_name: arguments.get_one::<String>("operation").map(|name| name.as_str().into()),
        variables,
        extensions: None,
        excess: None,
    };
    let trace = TraceContext::read(&headers, 1);
    let caller = Caller { headers, for_handlers: None, address: None, request_id: "of-the-request".into() };
    let context = RequestContext::detached(Arc::new(caller), trace, Instant::now() + Duration::from_secs(1));
    let context = RequestContext { way: "/graphql".into(), subscription: Some(Arc::default()), ..context };
    let explained = explain(&services, &snapshot, &context, &session, &request, merged.as_ref());
    match explained {
        Ok(explained) => {
            print!("{}", render(&explained, &session, merged.is_some()));
            Ok(())
        }
        Err(rejection) => Err(report(&diagnostics(&rejection, &source))),
    }
}

fn read_document(path: &str) -> Result<Arc<Source>, String> {
    if path != "-" {
        return read_file(Path::new(path)).map_err(|diagnostics| report(&diagnostics));
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| format!("error: standard input: {error}"))?;
    Ok(Arc::new(Source::new("-", text)))
}

fn read_schema(path: &str) -> Result<UpstreamSchema, String> {
    let source = read_file(Path::new(path)).map_err(|diagnostics| report(&diagnostics))?;
    build_client_schema(source.text.as_bytes()).map_err(|error| format!("error: {path}: {error}"))
}

/// The role and the `x-hasura-*` headers are trusted as they are: they authorize nothing here.
fn session_of(headers: &HeaderMap) -> Result<Session, String> {
    match read(&AuthRules::default(), headers) {
        Ok(Credential::Session(session)) => Ok(session),
        Ok(Credential::Token { .. } | Credential::AskHook) => {
            Err("error: --header: give a role instead of a token".into())
        }
        Err(error) => Err(format!("error: --header: {error}")),
    }
}

fn snapshot_for(services: &Services, upstream: Option<&UpstreamSchema>) -> Arc<Snapshot> {
    let snapshot = services.snapshot.load_full();
    let Some(upstream) = upstream else { return snapshot };
    let (roots, dialect) = upstream.roots_and_dialect();
    let dialect = services.configured().settings.dialect.unwrap_or(dialect);
    Arc::new(snapshot.for_upstream(roots, dialect))
}

/// Why the document would be rejected, each error with its source location.
fn diagnostics(rejection: &Rejection, source: &Arc<Source>) -> Vec<Diagnostic> {
    match rejection {
        Rejection::Request(error) => {
            let place = error.locations.first().map(|at| SourceLocation {
                source: Arc::clone(source),
                line: at.line,
                column: at.column,
            });
            vec![Diagnostic::error(place, format!("{} ({})", error.message, error.code), "")]
        }
        Rejection::Invalid { diagnostics, .. } => diagnostics
            .iter()
            .map(|diagnostic| {
                let place = diagnostic.offset.map(|offset| SourceLocation::at_offset(source, offset));
                Diagnostic::error(place, diagnostic.message.clone(), "")
            })
            .collect(),
    }
}

fn render(explained: &Explained, session: &Session, is_checked: bool) -> String {
    if !explained.concerns_us {
        return "Nothing of this is an action or introspection: the upstream gets the request as it is.\n".into();
    }
    let count = explained.steps.len();
    let order = match (count, explained.kind) {
        (1, _) => "1 step".to_owned(),
        (_, OperationKind::Mutation) => format!("{count} steps, one after the other"),
        _ => format!("{count} steps, side by side"),
    };
    let mut text = format!("{} as role {}: {order}\n", explained.kind.keyword(), session.role());
    for (index, step) in explained.steps.iter().enumerate() {
        let is_last = index + 1 == count;
        let (branch, trunk) = if is_last { ("└─", "   ") } else { ("├─", "│  ") };
        let (title, details) = describe(step);
        let _ = writeln!(text, "{branch} {}. {title}", index + 1);
        for line in details.lines() {
            let gap = if line.is_empty() { "" } else { "   " };
            let _ = writeln!(text, "{trunk}{gap}{line}");
        }
    }
    let asks_upstream = explained.steps.iter().any(|step| matches!(step, ExplainedStep::Upstream { .. }));
    if asks_upstream && !is_checked {
        text.push_str("The upstream's part has not been checked: give --upstream-schema.\n");
    }
    text
}

fn describe(step: &ExplainedStep) -> (String, String) {
    match step {
        ExplainedStep::Introspection { response_name } => {
            (format!("introspection: {response_name}"), "served from the merged schema".into())
        }
        ExplainedStep::Upstream { fields, document, body } => {
            let rest: Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
            let rest: Map<String, Value> = rest.into_iter().filter(|(key, _)| key != "query").collect();
            let end = if document.ends_with('\n') { "" } else { "\n" };
            let mut details = format!("{document}{end}");
            if !rest.is_empty() {
                let _ = writeln!(details, "with {}", Value::Object(rest));
            }
            (format!("upstream: {}", fields.join(", ")), details)
        }
        ExplainedStep::Action { response_name, action, kind: ActionMode::Result, input, .. } => {
            let title = format!("action {} as {response_name}: what came of a job", action.name);
            (title, format!("input {}\n", Value::Object(input.clone())))
        }
        ExplainedStep::Action { response_name, action, kind, input, request, rows } => {
            let Action { name, timeout, .. } = action.as_ref();
            let method = request.as_ref().map_or("call of", |request| request.method.as_str());
            let (url, seconds) = (action.shown_url(), timeout.as_secs());
            let title = format!("action {name} as {response_name}: {method} {url}, within {seconds} s");
            let mut details = format!("input {}\n", Value::Object(input.clone()));
            if *kind == ActionMode::Later {
                details.push_str("enqueued, and its id is returned; then, on each attempt:\n");
            }
            match request {
                Err(error) => {
                    let _ = writeln!(details, "would not be called: {}", error.reason());
                }
                Ok(request) => describe_request(action, request, &mut details),
            }
            details.push_str("traceparent, x-b3-*: those of the request\n");
            for field in rows {
                let _ = writeln!(details, "rows of the upstream for its response: {field}");
            }
            (title, details)
        }
    }
}

/// Its address is left out: variables are filled in there.
fn describe_request(action: &Action, request: &TransformedRequest, details: &mut String) {
    if request.url.query() != action.handler.url.query() {
        let _ = writeln!(details, "query {}", action.handler.shown(request.url.query().unwrap_or_default()));
    }
    if action.request_transform.is_some() {
        let _ = writeln!(details, "body {}", action.handler.shown(&String::from_utf8_lossy(&request.body)));
    }
    for (name, value) in &request.headers {
        let _ = writeln!(details, "{name}: {}", shown(name, value));
    }
}

/// A value as it may be shown.
fn shown(name: &HeaderName, value: &HeaderValue) -> String {
    if value.is_sensitive() || [AUTHORIZATION, COOKIE].contains(name) {
        return "***".into();
    }
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
