//! The playground: as whom an operation is run or explained, and its plan.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::action::header_precedence::{SourcedHeader, sourced};
use crate::action::transform::TransformedRequest;
use crate::console::Console;
use crate::console::request::ApiRequest;
use crate::console::response::{ApiError, ApiResult, Reply};
use crate::graphql::action_mode::ActionMode;
use crate::model::action::{ADMIN_ROLE, Action, OperationKind};
use crate::model::json::RawObject;
use crate::model::request::{Caller, GraphqlRequest};
use crate::model::source::{Diagnostic, Source, SourceLocation};
use crate::pipeline::explain::{
    DeniedAction, Explained, ExplainedBefore, ExplainedField, ExplainedStep, NotExplained, explain,
};
use crate::pipeline::explain_text;
use crate::protocol::trace::TraceContext;
use crate::request::context::RequestContext;
use crate::request::rejection::Rejection;
use crate::runtime::upstream_health_check;
use crate::session::Session;
use crate::session::credential::{AuthRules, Credential, read};

/// As whom something is done.
#[derive(Clone, Default, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Identity {
    #[default]
    Admin,
    Role {
        role: String,
        #[serde(default)]
        session_variables: IndexMap<String, String>,
    },
    Token {
        token: String,
    },
    Anonymous,
}

/// An operation, and as whom it is run.
#[derive(Deserialize)]
pub(super) struct OperationRequest {
    pub(super) query: String,
    #[serde(default)]
    pub(super) variables: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) operation_name: Option<String>,
    #[serde(default)]
    pub(super) headers: IndexMap<String, String>,
    #[serde(default, rename = "as")]
    pub(super) identity: Identity,
    /// Of a stream.
    #[serde(default)]
    pub(super) transport: Option<String>,
}

impl Identity {
    /// The role, as far as it is known without a look at a token.
    pub(super) fn role(&self) -> String {
        match self {
            Self::Role { role, .. } => role.clone(),
            Self::Admin | Self::Token { .. } | Self::Anonymous => ADMIN_ROLE.to_owned(),
        }
    }

    /// The headers by which a client is this.
    fn headers(&self) -> Result<HeaderMap, ApiError> {
        let mut headers = HeaderMap::new();
        match self {
            Self::Admin => {
                headers.insert(ROLE, HeaderValue::from_static(ADMIN_ROLE));
            }
            Self::Role { role, session_variables } => {
                for (name, value) in session_variables {
                    add(&mut headers, name, value)?;
                }
                headers.insert(ROLE, HeaderValue::try_from(role).map_err(|_| wrong("this cannot be a role"))?);
            }
            Self::Token { token } => {
                let value = HeaderValue::try_from(format!("Bearer {}", token.trim_start_matches("Bearer ")));
                let mut value = value.map_err(|_| wrong("this cannot be a token"))?;
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
            Self::Anonymous => {}
        }
        Ok(headers)
    }
}

const ROLE: HeaderName = HeaderName::from_static("x-hasura-role");
const ADMIN_SECRET: HeaderName = HeaderName::from_static("x-hasura-admin-secret");

fn wrong(message: &str) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, message)
}

fn add(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), ApiError> {
    // The value itself is not repeated: it may be a secret.
    let failed = || wrong("this is not a header: a name or a value has characters that it cannot have");
    let name = HeaderName::try_from(name.trim()).map_err(|_| failed())?;
    headers.append(name, HeaderValue::try_from(value.trim()).map_err(|_| failed())?);
    Ok(())
}

impl OperationRequest {
    /// The headers of a client that sends it. An admin's and a role's credential is the admin secret, which only this process
    /// sees.
    pub(super) fn client_headers(&self, console: &Console) -> Result<HeaderMap, ApiError> {
        let mut headers = self.shown_headers()?;
        if matches!(self.identity, Identity::Admin | Identity::Role { .. }) {
            let configured = console.services.configured();
            if let Some(secret) = configured.authenticator.admin_secret() {
                let value = HeaderValue::from_bytes(secret.expose().as_bytes());
                let mut value = value.map_err(|_| wrong("the admin secret cannot be sent in a header"))?;
                value.set_sensitive(true);
                headers.insert(ADMIN_SECRET, value);
            }
        }
        Ok(headers)
    }

    /// The same without a secret of ours.
    fn shown_headers(&self) -> Result<HeaderMap, ApiError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            add(&mut headers, name, value)?;
        }
        headers.remove(ADMIN_SECRET);
        for (name, value) in &self.identity.headers()? {
            headers.insert(name, value.clone());
        }
        Ok(headers)
    }

    /// The body of a client that sends it.
    pub(super) fn body(&self) -> Value {
        let mut body = Map::new();
        body.insert("query".into(), self.query.as_str().into());
        if let Some(variables) = self.variables.as_ref().filter(|variables| variables.get() != "null") {
            body.insert("variables".into(), serde_json::from_str(variables.get()).unwrap_or_default());
        }
        if let Some(name) = self.operation_name.as_ref().filter(|name| !name.is_empty()) {
            body.insert("operationName".into(), name.as_str().into());
        }
        body.into()
    }

    /// The session that it would have. Roles and variables are trusted as they are: nothing is authorized by them here.
    pub(super) async fn session(&self, console: &Console) -> Result<(Session, HeaderMap), ApiError> {
        let headers = self.shown_headers()?;
        let configured = console.services.configured();
        let read_session = || match read(&AuthRules::default(), &headers) {
            Ok(Credential::Session(session)) => Ok(session),
            Ok(Credential::Token { .. } | Credential::AskHook) => Err(wrong("give a role instead of a token")),
            Err(error) => Err(wrong(&error.to_string())),
        };
        let session = match self.identity {
            Identity::Admin | Identity::Role { .. } => read_session()?,
            Identity::Token { .. } | Identity::Anonymous => {
                let client = &*configured.handlers.here().general;
                let authenticated = configured.authenticator.authenticate(client, &headers, || None).await;
                authenticated.map_err(|error| wrong(&error.message))?.session
            }
        };
        Ok((session, headers))
    }
}

/// Explains an operation.
pub(super) async fn explain_operation(console: &Console, request: &ApiRequest<'_>) -> ApiResult {
    let operation: OperationRequest = request.json()?;
    let (session, headers) = operation.session(console).await?;
    let services = &console.services;
    let mut upstream_headers = headers.clone();
    upstream_headers.remove(AUTHORIZATION);
    let merged = upstream_health_check::schema_of(services, session.role(), upstream_headers).await;
    let merged = merged.map_err(|error| error.to_string());
    let snapshot = services.snapshot.load_full();
    let source = Arc::new(Source::new("operation", operation.query.as_str()));
    let text = operation.variables.as_ref().map_or("{}", |variables| variables.get());
    let text = if text == "null" { "{}" } else { text };
    let variables: RawObject<'_> =
        serde_json::from_str(text).map_err(|error| ApiError::bad_request(format!("variables: {error}")))?;
    let graphql = GraphqlRequest {
        query: source.text.as_str().into(),
        operation_name: operation.operation_name.as_deref().filter(|name| !name.is_empty()).map(Into::into),
        variables,
        extensions: None,
        excess: None,
    };
    let trace = TraceContext::read(&headers, 1);
    let caller = Caller { headers, for_handlers: None, address: None, request_id: "of-the-request".into() };
    let caller = Arc::new(caller);
    let context = RequestContext::detached(Arc::clone(&caller), trace, Instant::now() + Duration::from_secs(1));
    let context = RequestContext { way: "/graphql".into(), subscription: Some(Arc::default()), ..context };
    let explained = explain(services, &snapshot, &context, &session, &graphql, merged.as_ref().ok());
    let precedence = snapshot.configured.settings.precedence;
    match explained {
        Ok(explained) => {
            let sourced = |action: &Action| {
                let client = caller.to_handlers();
                sourced(&action.headers, precedence, client, &session, &caller.request_id).unwrap_or_default()
            };
            let unchecked = merged.as_ref().err().map(String::as_str);
            let steps: Vec<Value> = explained.steps.iter().map(|step| step_json(step, &sourced)).collect();
            Ok(Reply::json(&plan_json(&explained, &session, unchecked, &steps)))
        }
        Err(NotExplained::Rejected(rejection)) => Err(ApiError::invalid(rejected(&rejection, &source))),
        Err(NotExplained::Denied(denied)) => {
            Err(ApiError::invalid(denied.iter().map(|one| denial(one, session.role(), &source)).collect()))
        }
    }
}

fn plan_json(explained: &Explained, session: &Session, unchecked: Option<&str>, steps: &[Value]) -> Value {
    let variables: Map<String, Value> =
        session.variables().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    json!({
        "concerns_us": explained.concerns_us,
        "kind": explained.kind.keyword(),
        "role": session.role(),
        "session_variables": variables,
        "order": if explained.kind == OperationKind::Mutation { "serial" } else { "parallel" },
        "schema_known": unchecked.is_none(),
        "schema_reason": unchecked,
        "hints": explained.hints,
        "text": explain_text::render(explained, session, unchecked),
        "steps": steps,
    })
}

fn step_json(step: &ExplainedStep, sourced: &dyn Fn(&Action) -> Vec<SourcedHeader>) -> Value {
    match step {
        ExplainedStep::Introspection { response_name } => {
            json!({ "type": "introspection", "response_name": response_name })
        }
        ExplainedStep::Upstream { fields, document, body, extension_fields } => {
            let body: Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
            json!({
                "type": "upstream",
                "fields": fields,
                "document": document,
                "variables": body.get("variables"),
                "extension_fields": extension_fields.iter().map(field_json).collect::<Vec<_>>(),
            })
        }
        ExplainedStep::Action { response_name, action, kind, input, request, rows, before } => {
            let mode = match kind {
                ActionMode::Now => "now",
                ActionMode::Later => "later",
                ActionMode::Result => "result",
            };
            let mut json = json!({
                "type": "action",
                "response_name": response_name,
                "action": action.name,
                "mode": mode,
                "url": action.shown_url(),
                "timeout_seconds": action.timeout.as_secs_f64(),
                "input": input,
                "rows": rows,
                "before": before.as_deref().map(before_json),
            });
            let more = match request {
                Ok(request) => request_json(action, request, &sourced(action)),
                Err(error) => json!({ "not_called_because": error.reason() }),
            };
            if let (Value::Object(json), Value::Object(more)) = (&mut json, more) {
                json.extend(more);
            }
            json
        }
    }
}

fn before_json(before: &ExplainedBefore) -> Value {
    let (variables, missing) = match &before.variables {
        Ok(variables) => (Some(variables), None),
        Err(error) => (None, Some(error.to_string())),
    };
    json!({
        "document": before.document,
        "variables": variables,
        "not_asked_because": missing,
        "asked_as": before.asked_as,
        "required": before.required,
        "sent": before.sent,
    })
}

fn field_json(field: &ExplainedField) -> Value {
    json!({
        "coordinate": field.coordinate,
        "action": field.action.name,
        "rows": field.rows,
        "keys": field.keys,
        "matched_by": field.matched_by,
        "keys_per_call": field.keys_per_call,
        "arguments": field.arguments,
        "url": field.action.shown_url(),
        "before": field.before.as_ref().map(|(document, asked_as)| json!({ "document": document, "asked_as": asked_as })),
    })
}

/// Its address is that of the configuration: variables are filled in in the real one.
fn request_json(action: &Action, request: &TransformedRequest, sourced: &[SourcedHeader]) -> Value {
    let headers: Vec<Value> = request
        .headers
        .iter()
        .map(|(name, value)| match sourced.iter().find(|known| known.name == *name && known.value == *value) {
            Some(known) => sourced_json(known),
            None => {
                json!({ "name": name.as_str(), "value": shown(name, value), "source": "transform", "overrides": [] })
            }
        })
        .collect();
    json!({
        "method": request.method.as_str(),
        "headers": headers,
        "body": action.handler.shown(&String::from_utf8_lossy(&request.body)),
        "not_called_because": null,
    })
}

/// A header with its source.
pub(super) fn sourced_json(header: &SourcedHeader) -> Value {
    let overrides = header
        .overrides
        .iter()
        .map(|(source, value)| json!({ "source": source.name(), "value": shown(&header.name, value) }));
    json!({
        "name": header.name.as_str(),
        "value": shown(&header.name, &header.value),
        "source": header.source.name(),
        "overrides": overrides.collect::<Vec<_>>(),
    })
}

/// A value as it may be shown.
fn shown(name: &HeaderName, value: &HeaderValue) -> String {
    if value.is_sensitive() || [AUTHORIZATION, COOKIE, ADMIN_SECRET].contains(name) {
        return "***".into();
    }
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn rejected(rejection: &Rejection, source: &Arc<Source>) -> Vec<Diagnostic> {
    match rejection {
        Rejection::Request(error) => {
            let place = error.locations.first().map(|at| SourceLocation::new(source, at.line, at.column));
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

fn denial(DeniedAction { action, location }: &DeniedAction, role: &str, source: &Arc<Source>) -> Diagnostic {
    let roles: Vec<&str> = action.roles.iter().map(String::as_str).collect();
    let permissions = if roles.is_empty() { "admin only".to_owned() } else { roles.join(", ") };
    let message = format!("action '{}': role {role} may not call it: permissions are {permissions}", action.name);
    let place = SourceLocation::new(source, location.line, location.column);
    Diagnostic::error(Some(place), message, "give the role a permission for it, or choose another role")
}
