//! Asks the upstream the queries of `before`: equal ones once, and as many as fit in one request. What cannot be asked, or
//! has no usable response, is an error, so that nothing is called.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::action::before::{AskedQuery, BeforeError, Moment, read_results, request_json};
use crate::execution::context::ExecutionContext;
use crate::fetch::upstream_operation;
use crate::fetch::upstream_operation::{Sender, Terms};
use crate::memory::tree_bytes;
use crate::model::action::{ADMIN_ROLE, Action};
use crate::model::before::{Before, BeforeQuery, Identity};
use crate::model::error_kind::{ErrorKind, Reason};
use crate::model::replay::Replay;
use crate::request::rejection::code_of;
use crate::session::ROLE;
use crate::telemetry::failure_log::UpstreamPurpose;
use crate::upstream::UpstreamError;

/// The query of one call.
pub(crate) struct CallQuery<'q> {
    /// Of which action.
    pub action: &'q Action,
    /// What is asked.
    pub before: &'q Before,
    /// The values of its variables.
    pub variables: Map<String, Value>,
    /// For what.
    pub moment: Moment,
}

/// The root fields of a response, by response name.
pub(crate) type QueryResult = Result<Map<String, Value>, BeforeError>;

/// Queries in one request to the upstream.
const QUERIES_PER_REQUEST: usize = 100;

/// Requests of one document that are under way at one time.
const REQUESTS_AT_ONCE: usize = 4;

/// Asks all queries, each within `timeout`. Gives an result for each.
pub(crate) async fn ask(
    execution: &ExecutionContext<'_>,
    queries: &[CallQuery<'_>],
    timeout: Duration,
) -> Vec<QueryResult> {
    let distinct = Distinct::of(queries);
    let mut requests: Vec<(Asker<'_>, Vec<usize>)> = Vec::new();
    for (index, query) in distinct.firsts.iter().filter_map(|first| queries.get(*first)).enumerate() {
        let asker = Asker::of(query);
        let has_room =
            |(known, asked): &&mut (Asker<'_>, Vec<usize>)| *known == asker && asked.len() < QUERIES_PER_REQUEST;
        match requests.iter_mut().find(has_room) {
            Some((_, asked)) => asked.push(index),
            None => requests.push((asker, vec![index])),
        }
    }
    let mut results: Vec<QueryResult> = distinct.firsts.iter().map(|_| Err(BeforeError::NotAsked)).collect();
    for some in requests.chunks(REQUESTS_AT_ONCE) {
        let asked = some.iter().map(|(asker, asked)| (*asker, distinct.queries(queries, asked)));
        let asked: Vec<_> = asked.collect();
        let found = join_all(asked.iter().map(|(asker, asked)| ask_once(execution, *asker, asked, timeout))).await;
        for (index, result) in some.iter().flat_map(|(_, asked)| asked).zip(found.into_iter().flatten()) {
            if let Some(known) = results.get_mut(*index) {
                *known = result;
            }
        }
    }
    let result = |index: &usize| results.get(*index).cloned().unwrap_or(Err(BeforeError::NotAsked));
    distinct.of.iter().map(result).collect()
}

/// CallQueries that are different, and which of them each is.
struct Distinct {
    firsts: Vec<usize>,
    of: Vec<usize>,
}

impl Distinct {
    fn of(queries: &[CallQuery<'_>]) -> Self {
        let (mut known, mut firsts, mut of) = (HashMap::new(), Vec::new(), Vec::with_capacity(queries.len()));
        for (index, query) in queries.iter().enumerate() {
            let key = (query.action.field.as_str(), Value::Object(query.variables.clone()).to_string());
            of.push(*known.entry(key).or_insert_with(|| {
                firsts.push(index);
                firsts.len() - 1
            }));
        }
        Self { firsts, of }
    }

    /// Those at these positions among the different ones.
    fn queries<'a, 'q>(&self, all: &'a [CallQuery<'q>], positions: &[usize]) -> Vec<&'a CallQuery<'q>> {
        positions.iter().filter_map(|position| all.get(*self.firsts.get(*position)?)).collect()
    }
}

/// In whose name a request is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asker<'a> {
    /// The caller, with the headers of the request.
    Caller,
    /// The session of the caller in this role; the request with the caller's headers is over.
    Session(Option<&'a str>),
    /// Admin.
    Admin,
}

impl<'a> Asker<'a> {
    fn of(query: &CallQuery<'a>) -> Self {
        match (&query.before.identity, query.moment) {
            (Identity::Caller, Moment::Call | Moment::Accept) => Self::Caller,
            (Identity::Caller, Moment::Job) => Self::Session(None),
            (Identity::Role(role), _) => Self::Session(Some(role)),
            (Identity::Admin, _) => Self::Admin,
        }
    }

    /// The headers that the upstream gets.
    fn headers<'h>(self, execution: &'h ExecutionContext<'_>) -> Result<Cow<'h, HeaderMap>, BeforeError> {
        let secret = || execution.snapshot.configured.authenticator.admin_secret();
        let role = match self {
            Self::Caller => return Ok(Cow::Borrowed(&execution.context.caller.headers)),
            Self::Session(role) => role.unwrap_or(execution.session.role()),
            Self::Admin => ADMIN_ROLE,
        };
        let mut headers = HeaderMap::new();
        let mut add = |name: &str, value: &str| {
            let name = HeaderName::try_from(name).ok()?;
            let mut value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
            value.set_sensitive(true);
            headers.insert(name, value);
            Some(())
        };
        let added = secret().and_then(|secret| add("x-hasura-admin-secret", secret.expose()));
        let mut is_whole = added.is_some() && add(ROLE, role).is_some();
        if self != Self::Admin {
            // One that is left out would be a filter that is left out.
            let others = execution.session.variables().filter(|(name, _)| *name != ROLE);
            is_whole &= others.into_iter().all(|(name, value)| add(name, value).is_some());
        }
        match is_whole {
            true => Ok(Cow::Owned(headers)),
            false => Err(not_askable()),
        }
    }
}

fn not_askable() -> BeforeError {
    let message = "the upstream cannot be asked in the name of the action";
    let detail = "there is no admin secret, or a session variable that no header can hold";
    let reason = Reason::new(ErrorKind::InvalidRequest, detail);
    BeforeError::NoResponse { code: "upstream-error", message: message.to_owned(), reason, is_logged: false }
}

/// Asks queries of one asker in one request.
async fn ask_once(
    execution: &ExecutionContext<'_>,
    asker: Asker<'_>,
    queries: &[&CallQuery<'_>],
    timeout: Duration,
) -> Vec<QueryResult> {
    let asked = queries.iter().map(|query| AskedQuery { query: &query.before.query, variables: &query.variables });
    let body = request_json(&asked.collect::<Vec<_>>());
    match send(execution, asker, body, timeout).await {
        Ok(body) => {
            let queries: Vec<&BeforeQuery> = queries.iter().map(|query| &query.before.query).collect();
            read_results(&queries, &body)
        }
        Err(error) => queries.iter().map(|_| Err(error.clone())).collect(),
    }
}

async fn send(
    execution: &ExecutionContext<'_>,
    asker: Asker<'_>,
    body: String,
    timeout: Duration,
) -> Result<Bytes, BeforeError> {
    let headers = asker.headers(execution)?;
    let ExecutionContext { services, snapshot, context, .. } = execution;
    let terms = Terms {
        headers: &headers,
        timeout: timeout.min(services.upstream.settings().request_timeout),
        max_response_bytes: snapshot.catalog.limits.max_before_response_size,
    };
    let sender = Sender::of(execution, UpstreamPurpose::Before);
    context.charge(body.len()).map_err(|_| without_response(&UpstreamError::NoRoom))?;
    let sent = upstream_operation::send_on_terms(services, context, body.into(), Replay::Reads, sender, terms).await;
    let response = sent.map_err(|error| without_response(&error))?;
    if !response.status.is_success() {
        let message = format!("the upstream responded with status {}", response.status.as_u16());
        let reason = Reason::new(ErrorKind::HttpStatus, message.clone());
        return Err(BeforeError::NoResponse { code: "upstream-error", message, reason, is_logged: true });
    }
    // The values, and their text in the payload.
    let bytes = tree_bytes(&response.body).saturating_add(response.body.len());
    context.charge(bytes).map_err(|_| without_response(&UpstreamError::NoRoom))?;
    Ok(response.body)
}

/// There is no response; the failure log has it already.
fn without_response(error: &UpstreamError) -> BeforeError {
    let reason = Reason::new(error.kind(), error.detail());
    BeforeError::NoResponse { code: code_of(error), message: error.to_string(), reason, is_logged: true }
}
