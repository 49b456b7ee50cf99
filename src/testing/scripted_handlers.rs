//! The handlers of a case: respond as it says, and note what they got.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::HeaderMap;
use indexmap::IndexMap;

use crate::action::handler_error::TransportError;
use crate::handler_client::exchange::HandlerHttpResponse;
use crate::handler_client::stand_in::{HandlerStandIn, StandInCall};
use crate::model::error_kind::{ErrorKind, Reason};
use crate::testing::case_reply::{Fault, Reply};

/// A request that a handler or the upstream got.
#[derive(Clone, Debug)]
pub(crate) struct SeenRequest {
    /// The action, if it is a handler's.
    pub action: Option<String>,
    /// The method.
    pub method: String,
    /// The whole address of a handler; of the upstream path and query.
    pub url: String,
    /// Path and query.
    pub path: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// The handlers of a case.
pub(crate) struct ScriptedHandlers {
    replies: IndexMap<String, Vec<Reply>>,
    state: Mutex<State>,
}

/// What has happened so far.
#[derive(Default)]
struct State {
    /// How many responses of each action have been taken.
    taken: HashMap<String, usize>,
    seen: Vec<SeenRequest>,
    unexpected: Vec<String>,
}

impl ScriptedHandlers {
    /// These responses, by the names of actions.
    #[must_use]
    pub(crate) fn new(replies: IndexMap<String, Vec<Reply>>) -> Self {
        Self { replies, state: Mutex::default() }
    }

    /// What they got, in order.
    #[must_use]
    pub(crate) fn seen(&self) -> Vec<SeenRequest> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).seen.clone()
    }

    /// Calls for which the case has no response.
    #[must_use]
    pub(crate) fn unexpected(&self) -> Vec<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).unexpected.clone()
    }
}

impl HandlerStandIn for ScriptedHandlers {
    fn respond(&self, call: &StandInCall<'_>) -> Result<HandlerHttpResponse, TransportError> {
        let name = call.action.name.as_str();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let url = &call.request.url;
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        state.seen.push(SeenRequest {
            action: Some(name.to_owned()),
            method: call.request.method.to_string(),
            url: url.to_string(),
            path: format!("{}{query}", url.path()),
            headers: call.request.headers.clone(),
            body: call.request.body.clone(),
        });
        let replies = self.replies.get(name).map(Vec::as_slice).unwrap_or_default();
        let index = state.taken.entry(name.to_owned()).or_default();
        let reply = replies.get(*index).or_else(|| replies.last());
        *index += 1;
        match reply {
            None => {
                state.unexpected.push(format!("a call of \"{name}\", for which the case has no response"));
                let text = "the case has no response for this action";
                Err(TransportError::Connect(Reason::new(ErrorKind::ConnectionRefused, text)))
            }
            Some(Reply::Fault(fault)) => Err(transport_error(*fault)),
            Some(Reply::Response { status, headers, body }) => Ok(HandlerHttpResponse {
                status: *status,
                headers: headers.clone(),
                body: body.clone(),
                is_value: false,
            }),
        }
    }
}

fn transport_error(fault: Fault) -> TransportError {
    match fault {
        Fault::Unreachable => {
            TransportError::Connect(Reason::new(ErrorKind::ConnectionRefused, "the case says: unreachable"))
        }
        Fault::Timeout => TransportError::Timeout,
        Fault::Closed => TransportError::Broken(Reason::new(ErrorKind::ConnectionClosed, "the case says: closed")),
    }
}
