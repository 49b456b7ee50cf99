//! `check --upstream`: can the upstream be reached, does it speak GraphQL, and do the actions go with its schema?

use std::collections::{BTreeSet, HashSet};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::check::probe::{Failure, HostPort, ProbeOptions, Step, connect, handshake};
use crate::check::target::Target;
use crate::config::settings::Upstream;
use crate::config::upstream_types;
use crate::graphql::check_before;
use crate::graphql::check_relationships::missing;
use crate::http_client::tls::client_config;
use crate::model::action::{ADMIN_ROLE, ActionSchema};
use crate::model::source::Diagnostic;
use crate::runtime::services::Services;
use crate::runtime::upstream_health_check;

/// What `check` calls it.
pub(crate) const KIND: &str = "upstream";

/// Looks at the upstream, and compares the actions with its schema.
pub(crate) async fn check_upstream(services: &Services) -> (Target, Vec<Diagnostic>) {
    let configured = services.configured();
    let upstream = &configured.settings.upstream;
    let url = format!("{}{}", upstream.url(), upstream.graphql_path.as_deref().unwrap_or_default());
    let reached = match reach(upstream).await {
        Ok(steps) => steps,
        Err(failure) => return (Target::unreached(KIND, url, failure), Vec::new()),
    };
    upstream_health_check::probe(services).await;
    if let Err(reason) = services.health.readiness.check() {
        let failure = Failure { step: Step::Graphql, address: upstream.authority(), reason };
        return (Target::unreached(KIND, url, failure), Vec::new());
    }
    let steps = [reached.as_slice(), &[Step::Http, Step::Graphql]].concat();
    (Target::new(KIND, url, Ok(steps)), compare(services).await)
}

async fn reach(upstream: &Upstream) -> Result<Vec<Step>, Failure> {
    let address = HostPort::new(&upstream.host, upstream.port);
    let stream = connect(&address, ProbeOptions { timeout: upstream.connect_timeout, allows: &|_| true }).await?;
    if !upstream.is_tls {
        return Ok(vec![Step::Dns, Step::Tcp]);
    }
    let config = client_config(upstream.tls_ca_file.as_deref(), "upstream.tls_ca_file");
    let config = config.map_err(|reason| Failure { step: Step::Tls, address: address.to_string(), reason })?;
    handshake(&address, stream, config, upstream.connect_timeout).await?;
    Ok(vec![Step::Dns, Step::Tcp, Step::Tls])
}

/// What is wrong between the actions and the upstream's schema.
async fn compare(services: &Services) -> Vec<Diagnostic> {
    let error = match upstream_health_check::schema_of(services, ADMIN_ROLE, HeaderMap::new()).await {
        Ok(merged) => {
            let schema = &services.snapshot.load().catalog.schema;
            let mut found = missing(&merged.role_schema.schema, schema);
            if let Some(decided) = &merged.decided {
                found.extend(newly_inconsistent(schema, decided));
            }
            found.extend(merged.field_diagnostics.iter().cloned());
            found.extend(compare_as_roles(services, schema, &merged.field_diagnostics).await);
            return found;
        }
        Err(error) => error,
    };
    if !error.conflicts().is_empty() {
        let locations = &services.snapshot.load().catalog.schema.locations;
        return error.conflicts().iter().map(|conflict| conflict.diagnostic(locations)).collect();
    }
    let help = "names that exclude one another cannot be found, and the upstream's part of documents is left to it";
    let mut found = upstream_types::undecided(&services.snapshot.load().catalog.schema);
    found.push(Diagnostic::warning(None, format!("the upstream's schema is not known: {error}"), help));
    found
}

/// The roles that may call the actions of extension fields, and those as which the upstream is asked before calls.
fn roles_with_fields(schema: &ActionSchema) -> BTreeSet<String> {
    let actions = schema.extension_fields.iter().filter_map(|field| schema.actions.get(&field.action));
    let roles = actions.flat_map(|action| action.roles.iter().cloned()).filter(|role| role != ADMIN_ROLE);
    roles.chain(check_before::roles(schema)).collect()
}

/// What is wrong with extension fields for roles and not for an admin, each once.
async fn compare_as_roles(services: &Services, schema: &ActionSchema, of_admin: &[Diagnostic]) -> Vec<Diagnostic> {
    let known: HashSet<_> = of_admin.iter().filter_map(|diagnostic| diagnostic.subject.clone()).collect();
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    for role in roles_with_fields(schema) {
        for diagnostic in compare_as(services, &role).await {
            let is_known = diagnostic.subject.as_ref().is_some_and(|subject| known.contains(subject));
            if !is_known && seen.insert(diagnostic.to_string()) {
                found.push(diagnostic);
            }
        }
    }
    found
}

/// What is wrong with extension fields for a role, which the upstream may show another schema.
async fn compare_as(services: &Services, role: &str) -> Vec<Diagnostic> {
    let Ok(value) = HeaderValue::from_str(role) else { return Vec::new() };
    let headers = HeaderMap::from_iter([(HeaderName::from_static("x-hasura-role"), value)]);
    let error = match upstream_health_check::schema_of(services, role, headers).await {
        Ok(merged) => return merged.field_diagnostics.clone(),
        Err(error) => error,
    };
    let locations = &services.snapshot.load().catalog.schema.locations;
    if !error.conflicts().is_empty() {
        return error.conflicts().iter().map(|conflict| conflict.diagnostic(locations)).collect();
    }
    let message = format!("the upstream's schema as role \"{role}\" sees it is not known: {error}");
    vec![Diagnostic::warning(
        None,
        message,
        "extension fields, and what is asked before calls, could not be checked for the role",
    )]
}

fn newly_inconsistent(before: &ActionSchema, decided: &ActionSchema) -> Vec<Diagnostic> {
    decided.inconsistent.iter().skip(before.inconsistent.len()).cloned().collect()
}
