//! Renders responses: the one place where results and errors become what a client reads, in both dialects.

use std::borrow::Cow;
use std::collections::HashMap;

use http::header::{HeaderValue, RETRY_AFTER, SET_COOKIE};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::action::handler_error::{HandlerResponseError, UNEXPECTED};
use crate::graphql::introspect::IntrospectionError;
use crate::graphql::merge::{Merged, UpstreamResult, read_upstream_result, write};
use crate::graphql::plan::{
    FieldSource, Plan, PlanStep, PlannedCall, PlannedIntrospection, UpstreamField, UpstreamOperation,
};
use crate::handler::execution_error::execution_error;
use crate::handler::field_error::FieldError;
use crate::handler::result::{HandlerCallErrorCause, HandlerResult};
use crate::model::action::OperationKind;
use crate::model::response::{
    Dialect, ExecutionError, Location, MAY_HAVE_BEEN_EXECUTED, PathSegment, RequestError, default_extensions,
    possibly_executed,
};
use crate::pipeline::step_result::{Outcome, PartResult, StepOutcome};
use crate::protocol::media_type::ResponseType;
use crate::request::context::RequestContext;
use crate::request::rejection::{LIMIT_EXCEEDED, PERMISSION_DENIED, Rejection, VALIDATION_FAILED, code_of};
use crate::request::response::{ClientHeaders, Response, SUCCESS};
use crate::upstream::{UpstreamError, UpstreamResponse};

/// A plan that was carried out.
pub(crate) struct Finished<'f> {
    /// The plan.
    pub plan: &'f Plan,
    /// The name of the root type.
    pub root_type: &'f str,
    /// The result of each step that ran.
    pub outcome: &'f Outcome,
    /// May all root fields of a part be null, as far as the upstream's schema is known?
    pub may_be_null: &'f dyn Fn(&UpstreamOperation) -> bool,
}

/// The response to a plan that was carried out.
#[must_use]
pub(crate) fn respond(dialect: Dialect, finished: &Finished<'_>) -> Response {
    let response = RenderedResponse::of(dialect, finished);
    let outcome = if response.errors.is_empty() { SUCCESS } else { "errors" };
    let upstream_rejected = response.upstream_rejected;
    let body = match dialect {
        Dialect::Hasura if !response.errors.is_empty() => error_body(response.errors.iter().map(AsRef::as_ref)),
        _ => write(&response.into_merged()),
    };
    let (headers, actions) = (client_headers(finished.outcome), called(finished));
    Response { headers, actions, upstream_rejected, ..Response::new(200, body, outcome) }
}

/// The response to a rejected request.
#[must_use]
pub(crate) fn reject(dialect: Dialect, context: &RequestContext, rejection: &Rejection) -> Response {
    let errors: Vec<RequestError> = request_errors(dialect, rejection).into_iter().map(bounded).collect();
    let first = errors.first();
    let code = first.map_or(UNEXPECTED, |error| error.code);
    let status = first.map_or(500, |error| shown_status(dialect, context, error));
    let errors: Vec<String> = errors.iter().map(|error| render_request_error(dialect, error)).collect();
    let body = error_body(errors.iter().map(AsRef::as_ref));
    // An overloaded server may have room again in a moment.
    let headers = match status {
        429 | 503 => vec![(RETRY_AFTER, HeaderValue::from_static("1"))],
        _ => ClientHeaders::new(),
    };
    Response { headers, allow: (status == 405).then_some("POST"), ..Response::new(status, body, code) }
}

/// The response to an element of a batch that only the upstream has seen.
#[must_use]
pub(crate) fn element(
    dialect: Dialect,
    context: &RequestContext,
    response: &UpstreamResponse,
    may_write: impl FnOnce() -> bool,
) -> Response {
    if read_upstream_result(&response.body).is_err() {
        let error = UpstreamError::NotGraphql { status: response.status.as_u16() };
        return reject(dialect, context, &Rejection::upstream(&error, may_write()));
    }
    Response::new(200, response.body.clone(), "success")
}

/// The response to a batch. A cookie could not be attributed to an element, so there are none, as in Hasura.
#[must_use]
pub(crate) fn batch(responses: Vec<Response>) -> Response {
    let mut body = vec![b'['];
    for (index, response) in responses.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&response.body);
    }
    body.push(b']');
    let outcome = responses.iter().map(|response| response.outcome).find(|outcome| *outcome != SUCCESS);
    let role = responses.iter().find_map(|response| response.role.clone());
    let actions = responses.into_iter().flat_map(|response| response.actions).collect();
    Response { actions, role, ..Response::new(200, body, outcome.unwrap_or(SUCCESS)) }
}

/// Names in a document may be as long as it is; our messages shorten them in the middle.
fn bounded(mut error: RequestError) -> RequestError {
    (error.message, error.path) = (shortened(error.message), shortened(error.path));
    error
}

fn shortened(text: String) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    let half = TEXT_BYTES_MAX / 2;
    let (start, end) = (text.floor_char_boundary(half), text.ceil_char_boundary(text.len() - half));
    format!("{}…{}", text.get(..start).unwrap_or_default(), text.get(end..).unwrap_or_default())
}

/// Bytes of an error's message, and of its path.
const TEXT_BYTES_MAX: usize = 1000;

fn request_errors(dialect: Dialect, rejection: &Rejection) -> Vec<RequestError> {
    let (diagnostics, more, syntax, unknown) = match rejection {
        Rejection::Request(error) => return vec![error.clone()],
        Rejection::Invalid { diagnostics, more, syntax, unknown } => (diagnostics, *more, *syntax, unknown),
    };
    let mut errors: Vec<RequestError> = diagnostics
        .iter()
        .map(|diagnostic| {
            let locations = diagnostic.location.into_iter().collect();
            RequestError::new(400, VALIDATION_FAILED, diagnostic.message.clone()).at("$.query").located(locations)
        })
        .collect();
    if dialect == Dialect::Hasura {
        let first = match (unknown, errors.into_iter().next()) {
            (Some(unknown), _) => RequestError::new(400, VALIDATION_FAILED, unknown.message.clone()).at(&unknown.path),
            (None, Some(mut first)) if syntax => {
                first.message = format!("not a valid graphql query: {}", first.message);
                first
            }
            (None, first) => first.unwrap_or_else(|| RequestError::new(400, VALIDATION_FAILED, "not valid")),
        };
        return vec![first];
    }
    if more > 0 {
        errors.push(RequestError::new(400, VALIDATION_FAILED, format!("… and {more} more errors")));
    }
    errors
}

/// The HTTP status for the client. An HTTP error always shows.
fn shown_status(dialect: Dialect, context: &RequestContext, error: &RequestError) -> u16 {
    let is_about_http = matches!(error.status, 405 | 413 | 415 | 503);
    let is_about_document =
        matches!(error.code, VALIDATION_FAILED | LIMIT_EXCEEDED | PERMISSION_DENIED | "not-supported");
    match dialect {
        _ if is_about_http => error.status,
        Dialect::Hasura if context.shows_status => error.status,
        Dialect::Hasura => 200,
        // https://graphql.github.io/graphql-over-http/draft/#sec-application-json
        Dialect::Standard if is_about_document && context.response_type == ResponseType::Json => 200,
        Dialect::Standard => error.status,
    }
}

/// `{"errors":[…]}`.
fn error_body<'a>(errors: impl Iterator<Item = &'a str>) -> Vec<u8> {
    format!("{{\"errors\":[{}]}}", errors.collect::<Vec<_>>().join(",")).into_bytes()
}

/// A request error as JSON.
fn render_request_error(dialect: Dialect, error: &RequestError) -> String {
    let mut extensions = match dialect {
        Dialect::Hasura => json!({ "path": error.path, "code": error.code }),
        Dialect::Standard => json!({ "code": error.code }),
    };
    if let (true, Value::Object(extensions)) = (error.may_have_been_executed, &mut extensions) {
        extensions.insert(MAY_HAVE_BEEN_EXECUTED.into(), true.into());
    }
    let message = match (dialect, error.plain) {
        (Dialect::Standard, Some(plain)) => plain,
        _ => error.message.as_str(),
    };
    render(message, &error.locations, None, &extensions)
}

fn render(message: &str, locations: &[Location], path: Option<&[PathSegment]>, extensions: &Value) -> String {
    #[derive(Serialize)]
    struct Error<'a> {
        message: &'a str,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        locations: &'a [Location],
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'a [PathSegment]>,
        extensions: &'a Value,
    }
    // Nothing in it can fail to be JSON.
    serde_json::to_string(&Error { message, locations, path, extensions }).unwrap_or_else(|_| "{}".into())
}

fn client_headers(outcome: &Outcome) -> ClientHeaders {
    let of_step = |step: &StepOutcome| match step {
        StepOutcome::Part(part) => {
            let cookies = part.outcome.iter().flat_map(|response| &response.set_cookies);
            let cookies = cookies.map(|cookie| (SET_COOKIE, cookie.clone()));
            cookies.chain(part.client_headers.iter().cloned()).collect()
        }
        StepOutcome::Introspection(_) => ClientHeaders::new(),
        StepOutcome::Call(call) => call.client_headers.clone(),
    };
    let retry_after = retry_after(outcome).map(|seconds| (RETRY_AFTER, seconds.into()));
    outcome.iter().flat_map(|(_, step)| of_step(step)).chain(retry_after).collect()
}

/// `Retry-After`: seconds until all that policies have rejected is worth a retry.
fn retry_after(outcome: &Outcome) -> Option<u64> {
    let errors = outcome.iter().flat_map(|(_, step)| match step {
        StepOutcome::Call(call) => call.errors.iter().collect(),
        StepOutcome::Part(part) => part.field_errors.iter().map(|error| &error.error).collect(),
        StepOutcome::Introspection(_) => Vec::new(),
    });
    let rejected = errors.filter_map(|error| match &error.cause {
        HandlerCallErrorCause::Response(HandlerResponseError::NotSent(rejected)) => Some(rejected.retry_seconds()),
        _ => None,
    });
    rejected.max()
}

fn called(finished: &Finished<'_>) -> Vec<String> {
    let name = |(step, _): &(PlanStep, StepOutcome)| match step {
        PlanStep::Action(index) => finished.plan.calls.get(*index).map(|call| call.action.name.clone()),
        PlanStep::Upstream(_) | PlanStep::Introspection(_) => None,
    };
    finished.outcome.iter().filter_map(name).collect()
}

/// The response as it is put together.
struct RenderedResponse<'f> {
    dialect: Dialect,
    plan: &'f Plan,
    /// `None` once null has taken all of it.
    data: Option<HashMap<&'f str, Cow<'f, str>>>,
    errors: Vec<Cow<'f, str>>,
    extensions: Vec<&'f RawValue>,
    /// Has the upstream rejected its operation as invalid?
    upstream_rejected: bool,
    /// Response names of what succeeded, for the error of a step whose outcome is unknown.
    completed: Vec<&'f str>,
}

impl<'f> RenderedResponse<'f> {
    fn of(dialect: Dialect, finished: &'f Finished<'_>) -> Self {
        let plan = finished.plan;
        let mut response = Self {
            dialect,
            plan,
            data: Some(HashMap::new()),
            errors: Vec::new(),
            extensions: Vec::new(),
            upstream_rejected: false,
            completed: Vec::new(),
        };
        for field in plan.fields.iter().filter(|field| field.owner == FieldSource::TypeName) {
            response.set(&field.response_name, Cow::Owned(Value::from(finished.root_type).to_string()));
        }
        for (step, outcome) in finished.outcome {
            match (step, outcome) {
                (PlanStep::Upstream(index), StepOutcome::Part(result)) => {
                    let part = plan.parts.get(*index);
                    part.into_iter().for_each(|part| response.add_part(part, result, finished.may_be_null));
                    response.add_field_errors(&result.field_errors);
                }
                (PlanStep::Introspection(index), StepOutcome::Introspection(outcome)) => {
                    let planned = plan.introspections.get(*index);
                    planned.into_iter().for_each(|planned| response.add_introspection(planned, outcome));
                }
                (PlanStep::Action(index), StepOutcome::Call(outcome)) => {
                    plan.calls.get(*index).into_iter().for_each(|call| response.add_call(call, outcome));
                }
                _ => {}
            }
            // Hasura reports the first failed step only.
            if dialect == Dialect::Hasura && !response.errors.is_empty() {
                break;
            }
        }
        response
    }

    fn set(&mut self, response_name: &'f str, json: Cow<'f, str>) {
        if let Some(data) = &mut self.data {
            data.insert(response_name, json);
        }
    }

    fn add_call(&mut self, call: &'f PlannedCall, outcome: &'f HandlerResult) {
        for error in &outcome.errors {
            let place = (vec![PathSegment::Field(call.response_name.clone())], call.location);
            let shown = execution_error(self.dialect, self.plan.kind, place, error);
            match &error.cause {
                // Hasura reports the first failed step only, but that step may have several errors.
                HandlerCallErrorCause::Listed(listed) => self.write_error(&shown, !listed.path.is_empty()),
                HandlerCallErrorCause::Response(_) | HandlerCallErrorCause::Shape(_) => self.push_error(&shown),
            }
        }
        if outcome.null_escapes {
            self.data = None;
        }
        if outcome.errors.is_empty() {
            self.completed.push(&call.response_name);
        }
        self.set(&call.response_name, Cow::Borrowed(&outcome.json));
    }

    /// What went wrong with extension fields in the upstream's response.
    fn add_field_errors(&mut self, errors: &[FieldError]) {
        for field_error in errors {
            let shown = field_error.shown(self.dialect, self.plan.kind);
            match &field_error.error.cause {
                HandlerCallErrorCause::Listed(listed) => self.write_error(&shown, !listed.path.is_empty()),
                HandlerCallErrorCause::Response(_) | HandlerCallErrorCause::Shape(_) => self.push_error(&shown),
            }
        }
    }

    fn add_introspection(
        &mut self,
        planned: &'f PlannedIntrospection,
        outcome: &'f Result<String, IntrospectionError>,
    ) {
        match outcome {
            Ok(json) => self.set(&planned.response_name, Cow::Borrowed(json)),
            Err(error) => {
                // `__schema` may not be null, so nothing is left.
                self.data = None;
                self.push_error(&ExecutionError {
                    message: error.to_string(),
                    locations: vec![planned.location],
                    path: vec![PathSegment::Field(planned.response_name.clone())],
                    extensions: default_extensions(self.dialect, LIMIT_EXCEEDED),
                });
            }
        }
    }

    fn add_part(
        &mut self,
        part: &'f UpstreamOperation,
        result: &'f PartResult,
        may_be_null: &dyn Fn(&UpstreamOperation) -> bool,
    ) {
        match (&result.outcome, result.upstream_result()) {
            (Err(error), _) => self.fail_part(part, error),
            (Ok(reply), None) => self.fail_part(part, &UpstreamError::NotGraphql { status: reply.status.as_u16() }),
            (Ok(_), Some(response)) => self.add_response(part, &response, may_be_null),
        }
    }

    fn add_response(
        &mut self,
        part: &'f UpstreamOperation,
        response: &UpstreamResult<'f>,
        may_be_null: &dyn Fn(&UpstreamOperation) -> bool,
    ) {
        self.errors.extend(response.errors.iter().map(|error| Cow::Borrowed(error.get())));
        self.extensions.extend(response.extensions);
        if response.data_is_null {
            // async-graphql returns null for all when its only field fails, also where that field may be null. Then its
            // own fields are null, and the actions' results stay.
            if !may_be_null(part) {
                self.data = None;
            }
            return;
        }
        if !response.has_data {
            // A request error: the upstream has run nothing of its operation, and reports why.
            self.upstream_rejected |= response.errors.first().is_some_and(|error| is_about_validity(error));
            return;
        }
        if response.errors.is_empty() {
            self.completed.extend(part.fields.iter().map(|field| field.response_name.as_str()));
        }
        for UpstreamField { response_name, .. } in &part.fields {
            if let Some(value) = response.data.get(response_name.as_str()) {
                self.set(response_name, Cow::Borrowed(value));
            }
        }
    }

    /// An error on each field of an operation that the upstream did not respond to.
    fn fail_part(&mut self, part: &'f UpstreamOperation, error: &UpstreamError) {
        let mut extensions = default_extensions(self.dialect, code_of(error));
        if self.plan.kind == OperationKind::Mutation && !self.completed.is_empty() {
            extensions.insert("completed".into(), self.completed.clone().into());
        }
        let mut message = error.to_string();
        if self.plan.kind == OperationKind::Mutation && error.may_have_been_executed() {
            message = possibly_executed(&message);
            extensions.insert(MAY_HAVE_BEEN_EXECUTED.into(), true.into());
        }
        for UpstreamField { response_name, location, .. } in &part.fields {
            self.push_error(&ExecutionError {
                message: message.clone(),
                locations: vec![*location],
                path: vec![PathSegment::Field(response_name.clone())],
                extensions: extensions.clone(),
            });
            if self.dialect == Dialect::Hasura {
                return;
            }
        }
    }

    fn push_error(&mut self, error: &ExecutionError) {
        if self.dialect == Dialect::Standard || self.errors.is_empty() {
            self.write_error(error, false);
        }
    }

    /// `has_own_path`: its path is more precise than the failed step, so that Hasura's dialect includes it, too.
    fn write_error(&mut self, error: &ExecutionError, has_own_path: bool) {
        let extensions = Value::Object(error.extensions.clone());
        self.errors.push(Cow::Owned(match self.dialect {
            Dialect::Hasura => render(&error.message, &[], has_own_path.then_some(&error.path), &extensions),
            Dialect::Standard => render(&error.message, &error.locations, Some(&error.path), &extensions),
        }));
    }

    fn into_merged(mut self) -> Merged<'f> {
        let plan = self.plan;
        let data = self.data.take().map(|mut values| {
            let fields = plan.fields.iter().map(|field| {
                let name = field.response_name.as_str();
                (name, values.remove(name), field.may_be_absent)
            });
            let fields = fields.filter(|(_, value, may_be_absent)| value.is_some() || !may_be_absent);
            fields.map(|(name, value, _)| (name, value)).collect()
        });
        Merged { data, errors: self.errors, extensions: self.extensions }
    }
}

/// Does the upstream report its operation as invalid? Hasura names it so; for others an error that has no path comes
/// from before anything ran.
fn is_about_validity(error: &RawValue) -> bool {
    #[derive(serde::Deserialize)]
    struct Error<'a> {
        #[serde(borrow)]
        path: Option<&'a RawValue>,
        #[serde(borrow)]
        extensions: Option<Extensions<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Extensions<'a> {
        #[serde(borrow)]
        path: Option<&'a RawValue>,
        code: Option<Value>,
    }
    let Ok(error) = serde_json::from_str::<Error<'_>>(error.get()) else { return false };
    match error.extensions {
        Some(Extensions { path: Some(_), code: Some(code) }) => code == VALIDATION_FAILED,
        _ => error.path.is_none(),
    }
}
