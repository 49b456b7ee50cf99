//! The description of REST endpoints as [OpenAPI 3.0](https://spec.openapis.org/oas/v3.0.3). Pure.

use std::collections::BTreeMap;

use apollo_compiler::ast::OperationDefinition;
use http::Method;
use serde_json::{Map, Value, json};

use crate::graphql::action_mode::ActionMode;
use crate::graphql::collect_fields::root_fields;
use crate::graphql::document::{self, Document, kind_of};
use crate::graphql::root_types::RootTypes;
use crate::graphql::selection::{OUTPUT, SelectedField, Selector, SubSelection};
use crate::model::action::ActionSchema;
use crate::model::limits::Limits;
use crate::model::types::{TypeKind, TypeRef, Types};
use crate::rest::endpoint::{EndpointVariable, PREFIX, RestEndpoint, Segment};

/// What descriptions are made of.
#[derive(Clone, Copy)]
pub struct Described<'d> {
    /// The actions and their types.
    pub schema: &'d ActionSchema,
    /// The names of the root types.
    pub roots: &'d RootTypes,
    /// The limits on documents.
    pub limits: &'d Limits,
}

/// Describes endpoints: their paths, variables, and responses as far as actions determine them.
#[must_use]
pub fn describe(endpoints: &[&RestEndpoint], described: &Described<'_>) -> Value {
    let mut schemas = Schemas { types: &described.schema.types, named: BTreeMap::new() };
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in endpoints {
        let entry = paths.entry(path_of(endpoint)).or_insert_with(|| json!({}));
        for method in &endpoint.methods {
            entry[method.as_str().to_ascii_lowercase()] = operation(endpoint, method, described, &mut schemas);
        }
    }
    json!({
        "openapi": "3.0.3",
        "info": { "title": "REST endpoints", "version": "" },
        "paths": paths,
        "components": { "schemas": schemas.named.into_iter().collect::<Map<_, _>>() },
    })
}

/// Adds the paths and schemas of `own` to the description that the upstream gives. `None` if that is not one of OpenAPI 3.
#[must_use]
pub fn merged(upstream: Value, own: &Value) -> Option<Value> {
    let Value::Object(mut all) = upstream else { return None };
    if !all.get("openapi")?.as_str()?.starts_with("3.") {
        return None;
    }
    add_members(all.entry("paths").or_insert_with(|| json!({})), own.get("paths")?)?;
    let components = all.entry("components").or_insert_with(|| json!({})).as_object_mut()?;
    add_members(components.entry("schemas").or_insert_with(|| json!({})), own.pointer("/components/schemas")?)?;
    Some(Value::Object(all))
}

fn add_members(to: &mut Value, from: &Value) -> Option<()> {
    let to = to.as_object_mut()?;
    for (name, value) in from.as_object().into_iter().flatten() {
        to.insert(name.clone(), value.clone());
    }
    Some(())
}

fn path_of(endpoint: &RestEndpoint) -> String {
    let segments = endpoint.segments.iter().map(|segment| match segment {
        Segment::Literal(text) => text.clone(),
        Segment::Variable(name) => format!("{{{name}}}"),
    });
    PREFIX.to_owned() + &segments.collect::<Vec<_>>().join("/")
}

fn operation(endpoint: &RestEndpoint, method: &Method, described: &Described<'_>, schemas: &mut Schemas<'_>) -> Value {
    let in_path: Vec<&str> = endpoint.path_variables().map(String::as_str).collect();
    let (path, others): (Vec<&EndpointVariable>, Vec<_>) =
        endpoint.variables.iter().partition(|variable| in_path.contains(&variable.name.as_str()));
    let takes_body = *method != Method::GET && *method != Method::DELETE;
    let mut parameters: Vec<Value> = path.iter().map(|variable| parameter(variable, "path", schemas)).collect();
    if !takes_body {
        // A list has no place in a query string.
        let texts = others.iter().filter(|variable| !variable.is_list);
        parameters.extend(texts.map(|variable| parameter(variable, "query", schemas)));
    }
    let mut operation = json!({
        "summary": endpoint.name,
        "tags": [if endpoint.is_mutation { "mutation" } else { "query" }],
        "parameters": parameters,
        "responses": {
            "200": {
                "description": "The fields of the operation",
                "content": { "application/json": { "schema": response(endpoint, described, schemas).unwrap_or_else(|| json!({})) } },
            },
            "default": {
                "description": "The first error",
                "content": { "application/json": { "schema": error() } },
            },
        },
    });
    if let Some(comment) = &endpoint.comment {
        set(&mut operation, "description", comment.as_str());
    }
    if takes_body && !others.is_empty() {
        let properties = others.iter().map(|variable| (variable.name.clone(), schemas.variable(variable)));
        let properties: Map<String, Value> = properties.collect();
        let mut schema = json!({ "type": "object", "properties": properties });
        let required: Vec<&str> =
            others.iter().filter(|variable| is_required(variable)).map(|variable| variable.name.as_str()).collect();
        if !required.is_empty() {
            set(&mut schema, "required", required.clone());
        }
        let content = json!({ "application/json": { "schema": schema } });
        set(&mut operation, "requestBody", json!({ "required": !required.is_empty(), "content": content }));
    }
    operation
}

fn set(object: &mut Value, member: &str, value: impl Into<Value>) {
    if let Some(object) = object.as_object_mut() {
        object.insert(member.to_owned(), value.into());
    }
}

fn is_required(variable: &EndpointVariable) -> bool {
    !variable.is_nullable && !variable.has_default
}

fn parameter(variable: &EndpointVariable, place: &str, schemas: &mut Schemas<'_>) -> Value {
    json!({
        "name": variable.name,
        "in": place,
        "required": place == "path" || is_required(variable),
        "schema": schemas.variable(variable),
    })
}

fn error() -> Value {
    let text = || json!({ "type": "string" });
    json!({
        "type": "object",
        "properties": { "path": text(), "error": text(), "code": text() },
        "required": ["path", "error", "code"],
    })
}

/// The members of `data`. What the upstream has for its fields is not described.
fn response(endpoint: &RestEndpoint, described: &Described<'_>, schemas: &Schemas<'_>) -> Option<Value> {
    let Described { schema, roots, limits } = described;
    let document = document::parse(&endpoint.document, limits).ok()?;
    let operation = document.operation(None).ok()?;
    let kind = kind_of(operation);
    let root = roots.of(kind);
    let mut properties = Map::new();
    for field in root_fields(&document, operation, root) {
        let described = schema.action(kind, &field.name).map(|action| {
            let mode = ActionMode::of(action, kind);
            let selected = selector(&document, operation, schema).of_call(action, mode, &[field]);
            match mode {
                ActionMode::Now => schemas.output(&action.output, &selected),
                ActionMode::Later => json!({ "type": "string", "format": "uuid" }),
                ActionMode::Result => schemas.job(&action.output, &selected),
            }
        });
        properties.insert(field.response_name().to_string(), described.unwrap_or_else(|| json!({})));
    }
    Some(json!({ "type": "object", "properties": properties }))
}

fn selector<'s>(document: &'s Document, operation: &'s OperationDefinition, schema: &'s ActionSchema) -> Selector<'s> {
    Selector { document, operation, types: &schema.types, condition: &|_| true, sites: None }
}

/// The schemas that others refer to.
struct Schemas<'t> {
    types: &'t Types,
    /// Enums and input objects by name.
    named: BTreeMap<String, Value>,
}

impl Schemas<'_> {
    fn variable(&mut self, variable: &EndpointVariable) -> Value {
        let schema = self.input_type(&variable.type_name);
        let schema = if variable.is_list { json!({ "type": "array", "items": schema }) } else { schema };
        if variable.is_nullable { nullable(schema) } else { schema }
    }

    fn input(&mut self, ty: &TypeRef) -> Value {
        match ty {
            TypeRef::NonNull(inner) => match &**inner {
                TypeRef::List(item) => json!({ "type": "array", "items": self.input(item) }),
                inner => self.input_type(inner.named()),
            },
            TypeRef::List(item) => json!({ "type": "array", "items": self.input(item), "nullable": true }),
            TypeRef::Named(name) => nullable(self.input_type(name)),
        }
    }

    fn input_type(&mut self, name: &str) -> Value {
        let types = self.types;
        let Some(TypeKind::InputObject(fields)) = types.get(name).map(|definition| &definition.kind) else {
            return scalar(types, name);
        };
        if !self.named.contains_key(name) {
            // It may lead to itself.
            self.named.insert(name.to_owned(), Value::Null);
            let properties: Map<String, Value> =
                fields.iter().map(|field| (field.name.clone(), self.input(&field.ty))).collect();
            let is_required = |ty: &TypeRef| !ty.is_nullable();
            let required: Vec<&str> = fields
                .iter()
                .filter(|field| is_required(&field.ty) && field.default.is_none())
                .map(|field| field.name.as_str())
                .collect();
            let mut schema = json!({ "type": "object", "properties": properties });
            if !required.is_empty() {
                set(&mut schema, "required", required);
            }
            self.named.insert(name.to_owned(), schema);
        }
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    fn output(&self, ty: &TypeRef, selected: &SubSelection) -> Value {
        match ty {
            TypeRef::NonNull(inner) => match &**inner {
                TypeRef::List(item) => json!({ "type": "array", "items": self.output(item, selected) }),
                inner => self.output_type(inner.named(), selected),
            },
            TypeRef::List(item) => json!({ "type": "array", "items": self.output(item, selected), "nullable": true }),
            TypeRef::Named(name) => nullable(self.output_type(name, selected)),
        }
    }

    /// The depth of the document bounds the recursion.
    fn output_type(&self, name: &str, selected: &SubSelection) -> Value {
        let Some(fields) = self.types.object(name) else { return scalar(self.types, name) };
        let property = |field: &SelectedField| {
            let schema = match fields.get(&field.name) {
                _ if field.name == "__typename" => json!({ "type": "string" }),
                Some(definition) if field.related.is_none() => self.output(&definition.ty, &field.selected),
                // Rows of the upstream.
                _ => json!({}),
            };
            (field.response_name.clone(), schema)
        };
        let properties: Map<String, Value> = selected.fields.iter().map(property).collect();
        json!({ "type": "object", "properties": properties })
    }

    fn job(&self, output: &TypeRef, selected: &SubSelection) -> Value {
        let property = |field: &SelectedField| {
            let schema = match field.name.as_str() {
                OUTPUT => nullable(self.output_type(output.named(), &field.selected)),
                "errors" => json!({}),
                _ => json!({ "type": "string" }),
            };
            (field.response_name.clone(), schema)
        };
        let properties: Map<String, Value> = selected.fields.iter().map(property).collect();
        json!({ "type": "object", "properties": properties, "nullable": true })
    }
}

fn nullable(mut schema: Value) -> Value {
    // Nothing stands beside a reference.
    if schema.get("$ref").is_some() {
        return json!({ "allOf": [schema], "nullable": true });
    }
    if let Some(object) = schema.as_object_mut()
        && !object.is_empty()
    {
        object.insert("nullable".into(), true.into());
    }
    schema
}

/// A scalar or an enum. One whose values are not known here may be any JSON.
fn scalar(types: &Types, name: &str) -> Value {
    match (name, types.get(name).map(|definition| &definition.kind)) {
        ("Int", _) => json!({ "type": "integer", "format": "int32" }),
        ("Float", _) => json!({ "type": "number" }),
        ("Boolean", _) => json!({ "type": "boolean" }),
        ("String" | "ID", _) => json!({ "type": "string" }),
        ("uuid", _) => json!({ "type": "string", "format": "uuid" }),
        (_, Some(TypeKind::Enum(values))) => json!({ "type": "string", "enum": values.keys().collect::<Vec<_>>() }),
        _ => json!({}),
    }
}
