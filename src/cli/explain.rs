//! `pillion explain`: prints the plan of a document: what would be sent where. Nothing of it is sent; the upstream is asked
//! for its schema if it is configured.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Arg, ArgMatches, Command};
use http::header::HeaderMap;

use crate::cli::{
    NO_UPSTREAM, block_on, has_upstream, header_argument, headers_of, load_from, probe_upstream, report, role_argument,
};
use crate::config::load::read_file;
use crate::graphql::client_schema::{UpstreamSchema, build_client_schema};
use crate::model::json::RawObject;
use crate::model::request::{Caller, GraphqlRequest};
use crate::model::response::Location;
use crate::model::source::{Diagnostic, Source, SourceLocation};
use crate::pipeline::explain::{DeniedAction, NotExplained, explain};
use crate::pipeline::explain_text;
use crate::protocol::trace::TraceContext;
use crate::request::context::RequestContext;
use crate::request::rejection::Rejection;
use crate::runtime::schema_cache::MergedSchema;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;
use crate::runtime::upstream_health_check;
use crate::session::Session;
use crate::session::credential::{AuthRules, Credential, read};

/// `explain` for the command line.
#[must_use]
pub(crate) fn command() -> Command {
    Command::new("explain")
        .about("Shows the plan of a document: what would be sent where, in which order, with which headers and bodies.")
        .long_about(
            "Shows the plan of a document: what would be sent where, in which order, with which headers and bodies. \
             Nothing of it is sent. An upstream that is configured (--upstream, PILLION_UPSTREAM, pillion.yaml) is asked \
             for its schema, so that its operation is validated as well; so does a file with its introspection result \
             (--upstream-schema), without asking.",
        )
        .arg(Arg::new("file").value_name("FILE").required(true).help("The document; - is standard input"))
        .arg(role_argument())
        .arg(header_argument())
        .arg(value("variables", "JSON", "The variables, as a JSON object"))
        .arg(value("operation", "NAME", "Which operation of the document"))
        .arg(value(
            "upstream-schema",
            "FILE",
            "The upstream's introspection result, as `schema --upstream-only --format json` prints it, instead of asking",
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
    let known = match upstream {
        Some(upstream) => known_by_file(&services, &upstream, session.role())?,
        None if has_upstream(arguments) => block_on(ask_upstream(&services, session.role(), headers.clone()))?,
        None => KnownUpstream { snapshot: services.snapshot.load_full(), schema: Err(NOT_ASKED.to_owned()) },
    };
    let KnownUpstream { snapshot, schema } = known;
    let merged = schema.as_ref().ok();
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
    let explained = explain(&services, &snapshot, &context, &session, &request, merged);
    match explained {
        Ok(explained) => {
            print!("{}", explain_text::render(&explained, &session, schema.as_ref().err().map(String::as_str)));
            Ok(())
        }
        Err(NotExplained::Rejected(rejection)) => Err(report(&diagnostics(&rejection, &source))),
        Err(NotExplained::Denied(denied)) => {
            let denied: Vec<Diagnostic> = denied.iter().map(|one| denial(one, session.role(), &source)).collect();
            Err(report(&denied))
        }
    }
}

/// What is known of the upstream, or why it is not.
struct KnownUpstream {
    snapshot: Arc<Snapshot>,
    schema: Result<Arc<MergedSchema>, String>,
}

const NOT_ASKED: &str = "give --upstream or --upstream-schema";

fn known_by_file(services: &Services, upstream: &UpstreamSchema, role: &str) -> Result<KnownUpstream, String> {
    let snapshot = snapshot_for(services, upstream);
    let merged = MergedSchema::new(upstream, &snapshot.catalog, role);
    let merged = merged.map_err(|error| format!("error: --upstream-schema: {error}"))?;
    Ok(KnownUpstream { snapshot, schema: Ok(Arc::new(merged)) })
}

/// The plan does not depend on the upstream, so one that does not respond is no error.
async fn ask_upstream(services: &Services, role: &str, headers: HeaderMap) -> KnownUpstream {
    let schema = match probe_upstream(services).await {
        Ok(()) => {
            let merged = upstream_health_check::schema_of(services, role, headers).await;
            merged.map_err(|error| format!("its schema is not known: {error}"))
        }
        Err(reason) => Err(reason),
    };
    KnownUpstream { snapshot: services.snapshot.load_full(), schema }
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

fn snapshot_for(services: &Services, upstream: &UpstreamSchema) -> Arc<Snapshot> {
    let snapshot = services.snapshot.load_full();
    let (roots, dialect) = upstream.roots_and_dialect();
    let dialect = services.configured().settings.dialect.unwrap_or(dialect);
    Arc::new(snapshot.for_upstream(roots, dialect))
}

/// Why the document would be rejected, each error with its source location.
fn diagnostics(rejection: &Rejection, source: &Arc<Source>) -> Vec<Diagnostic> {
    match rejection {
        Rejection::Request(error) => {
            let place = error.locations.first().map(|at| place_of(at, source));
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

fn place_of(at: &Location, source: &Arc<Source>) -> SourceLocation {
    SourceLocation::new(source, at.line, at.column)
}

/// A client in this role gets "no such field"; the person who configures the action gets the reason.
fn denial(DeniedAction { action, location }: &DeniedAction, role: &str, source: &Arc<Source>) -> Diagnostic {
    let roles: Vec<&str> = action.roles.iter().map(String::as_str).collect();
    let permissions = if roles.is_empty() { "admin only".to_owned() } else { roles.join(", ") };
    let message = format!("action '{}': role {role} may not call it: permissions are {permissions}", action.name);
    let help = "add the role to the permissions of the action in actions.yaml, or explain as another one: --role";
    Diagnostic::error(Some(place_of(location, source)), message, help)
}
