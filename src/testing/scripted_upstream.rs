//! The upstream of a case: responds as it says, describes itself by the schema of the test file, and notes what it got.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use crate::http_client::TransportFault;
use crate::model::error_kind::{ErrorKind, Reason};
use crate::runtime::upstream_health_check::REQUEST_ID;
use crate::testing::case_reply::{Fault, Reply};
use crate::testing::scripted_handlers::SeenRequest;
use crate::testing::upstream_schema::DescribedUpstream;
use crate::upstream::introspect::OPERATION_NAME;
use crate::upstream::stand_in::{StandInRequest, StandInResponse, UpstreamStandIn};

/// The upstream of a case.
pub(crate) struct ScriptedUpstream {
    schema: Option<Arc<DescribedUpstream>>,
    replies: Vec<Reply>,
    state: Mutex<State>,
}

/// What has happened so far.
#[derive(Default)]
struct State {
    seen: Vec<SeenRequest>,
    unexpected: Vec<String>,
}

impl ScriptedUpstream {
    /// With these responses, and a schema if the test file has one.
    #[must_use]
    pub(crate) fn new(schema: Option<Arc<DescribedUpstream>>, replies: Vec<Reply>) -> Self {
        Self { schema, replies, state: Mutex::default() }
    }

    /// What it got, in order, without Pillion's own questions.
    #[must_use]
    pub(crate) fn seen(&self) -> Vec<SeenRequest> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).seen.clone()
    }

    /// Requests for which the case has no response.
    #[must_use]
    pub(crate) fn unexpected(&self) -> Vec<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).unexpected.clone()
    }

    fn scripted(&self, request: &StandInRequest<'_>) -> Result<StandInResponse, TransportFault> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let reply = self.replies.get(state.seen.len()).or_else(|| self.replies.last());
        state.seen.push(SeenRequest {
            action: None,
            method: request.method.to_string(),
            url: request.target.to_owned(),
            path: request.target.to_owned(),
            headers: request.headers.clone(),
            body: request.body.clone(),
        });
        match reply {
            None => {
                state.unexpected.push("a request to the upstream, for which the case has no response".to_owned());
                Err(unavailable("the case has no response of the upstream"))
            }
            Some(Reply::Fault(Fault::Unreachable)) => Err(unavailable("the case says: unreachable")),
            Some(Reply::Fault(Fault::Timeout)) => Err(TransportFault::Timeout),
            Some(Reply::Fault(Fault::Closed)) => Err(TransportFault::closed()),
            Some(Reply::Response { status, headers, body }) => {
                Ok(StandInResponse { status: *status, headers: headers.clone(), body: body.clone() })
            }
        }
    }
}

impl UpstreamStandIn for ScriptedUpstream {
    fn respond(&self, request: &StandInRequest<'_>) -> Result<StandInResponse, TransportFault> {
        if !is_our_own(request) {
            return self.scripted(request);
        }
        let body = match &self.schema {
            // How the upstream takes a GET.
            _ if *request.method == Method::GET => r#"{"data":{"__typename":"Query"}}"#.to_owned(),
            Some(schema) => schema.describe(request.body),
            None => return Err(unavailable("the test file names no schema of the upstream")),
        };
        Ok(json(body))
    }
}

/// Is it a question of Pillion itself: which schema, which dialect, which methods?
fn is_our_own(request: &StandInRequest<'_>) -> bool {
    let is_probe = request.headers.get("x-request-id").is_some_and(|id| id == REQUEST_ID);
    let introspects = || {
        let body: Value = serde_json::from_slice(request.body).unwrap_or_default();
        body.get("operationName").is_some_and(|name| name == OPERATION_NAME)
    };
    is_probe || introspects()
}

fn json(body: String) -> StandInResponse {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, body.len().into());
    StandInResponse { status: StatusCode::OK, headers, body: Bytes::from(body) }
}

fn unavailable(text: &'static str) -> TransportFault {
    TransportFault::Connect(Reason::new(ErrorKind::ConnectionRefused, text))
}
