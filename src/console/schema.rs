//! The schema on the console: as a role sees it, the difference between two roles, and the fields of the upstream.

use std::collections::BTreeSet;
use std::sync::Arc;

use apollo_compiler::schema::ExtendedType;
use apollo_compiler::{Node, Schema};
use http::HeaderMap;
use serde_json::{Value, json};
use similar::TextDiff;

use crate::console::Console;
use crate::console::request::ApiRequest;
use crate::console::response::{ApiError, ApiResult, Reply};
use crate::graphql::print_schema::print_schema;
use crate::model::action::ADMIN_ROLE;
use crate::pipeline::introspection;
use crate::runtime::schema_cache::MergedSchema;
use crate::runtime::upstream_health_check;

/// The merged schema of a role.
///
/// # Errors
/// Why the upstream's schema is not known.
pub(super) async fn merged(console: &Console, role: &str) -> Result<Arc<MergedSchema>, ApiError> {
    let merged = upstream_health_check::schema_of(&console.services, role, HeaderMap::new()).await;
    merged.map_err(|error| ApiError::unavailable(format!("the upstream's schema is not known: {error}")))
}

fn role_of(request: &ApiRequest<'_>, name: &str) -> String {
    request.parameter(name).unwrap_or_else(|| ADMIN_ROLE.to_owned())
}

/// SDL or the result of introspection, as JSON or as a file.
pub(super) async fn show(console: &Console, request: &ApiRequest<'_>) -> ApiResult {
    let role = role_of(request, "role");
    let merged = merged(console, &role).await?;
    let is_download = request.parameter("download").is_some();
    if request.parameter("format").is_some_and(|format| format == "introspection") {
        let text = introspection::full_result(&merged).map_err(ApiError::unavailable)?;
        if is_download {
            return Ok(Reply::download("application/json", &format!("schema-{role}.json"), text.into_bytes()));
        }
        let result: Value = serde_json::from_str(&text).unwrap_or_default();
        return Ok(Reply::json(&json!({ "role": role, "introspection": result })));
    }
    let sdl = print_schema(&merged.role_schema);
    if is_download {
        return Ok(Reply::download("text/plain; charset=utf-8", &format!("schema-{role}.graphql"), sdl.into_bytes()));
    }
    Ok(Reply::json(&json!({ "role": role, "sdl": sdl, "own": own(console, &role) })))
}

/// What of the schema is ours.
fn own(console: &Console, role: &str) -> Value {
    let snapshot = console.services.snapshot.load();
    let schema = &snapshot.catalog.schema;
    let actions = schema.actions.values().filter(|action| action.allows(role));
    let roots = &snapshot.catalog.roots;
    let fields: BTreeSet<String> =
        actions.map(|action| format!("{}.{}", roots.of(action.kind), action.field)).collect();
    let types = schema.types.0.iter().filter(|(_, definition)| !definition.is_upstreams);
    let types: Vec<&String> = types.map(|(name, _)| name).collect();
    let extension: Vec<String> = schema.extension_fields.iter().map(|field| field.coordinate()).collect();
    json!({ "fields": fields, "types": types, "extension_fields": extension })
}

/// The difference between the schemas of two roles.
pub(super) async fn difference(console: &Console, request: &ApiRequest<'_>) -> ApiResult {
    let (from, to) = (role_of(request, "from"), role_of(request, "to"));
    let (old, new) = (merged(console, &from).await?, merged(console, &to).await?);
    let (old, new) = (print_schema(&old.role_schema), print_schema(&new.role_schema));
    let diff = TextDiff::from_lines(old.as_str(), new.as_str());
    let diff = if old == new { String::new() } else { diff.unified_diff().header(&from, &to).to_string() };
    Ok(Reply::json(&json!({ "from": from, "to": to, "diff": diff })))
}

/// The root fields and the objects of the upstream: what relationships and extension fields can name.
pub(super) async fn upstream_fields(console: &Console) -> ApiResult {
    let upstream = upstream_health_check::upstream_schema(&console.services).await;
    let Some(upstream) = upstream else {
        let reason = console.services.health.readiness.check().err();
        let reason = reason.unwrap_or_else(|| "it is not fetched, or is no schema".to_owned());
        return Err(ApiError::unavailable(format!("the upstream's schema is not known: {reason}")));
    };
    let schema = &upstream.schema;
    let definition = &schema.schema_definition;
    let root = |name: Option<&str>| name.map(|name| fields(schema, name)).unwrap_or_default();
    let query = definition.query.as_ref().map(|name| name.as_str());
    let mutation = definition.mutation.as_ref().map(|name| name.as_str());
    let objects = schema
        .types
        .iter()
        .filter(|(name, _)| !name.starts_with("__") && Some(name.as_str()) != query && Some(name.as_str()) != mutation);
    let objects = objects.filter_map(|(name, ty)| match ty {
        ExtendedType::Object(_) => Some(json!({ "name": name.as_str(), "fields": fields(schema, name.as_str()) })),
        _ => None,
    });
    Ok(Reply::json(&json!({
        "query": root(query),
        "mutation": root(mutation),
        "objects": objects.collect::<Vec<Value>>(),
    })))
}

fn fields(schema: &Schema, name: &str) -> Vec<Value> {
    let Some(object) = schema.get_object(name) else { return Vec::new() };
    let argument = |argument: &Node<apollo_compiler::ast::InputValueDefinition>| json!({ "name": argument.name.as_str(), "type": argument.ty.to_string() });
    let field = |(name, field): (&apollo_compiler::Name, &apollo_compiler::schema::Component<_>)| {
        let field: &apollo_compiler::schema::Component<apollo_compiler::ast::FieldDefinition> = field;
        json!({
            "name": name.as_str(),
            "args": field.arguments.iter().map(argument).collect::<Vec<_>>(),
            "type": field.ty.to_string(),
            "description": field.description.as_deref(),
        })
    };
    object.fields.iter().map(field).collect()
}
