//! The request context: who sent a request, how it came, and its deadline.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use tokio::sync::OnceCell;

use crate::auth::authenticated::Authenticated;
use crate::memory::{Charge, NoRoom, Share};
use crate::model::request::Caller;
use crate::protocol::http::ResponseType;
use crate::protocol::trace::TraceContext;
use crate::request::live_dependencies::LiveDependencies;
use crate::session::SessionError;

/// How a request came, as far as its response depends on it.
pub(crate) struct RequestContext<'e> {
    /// The caller.
    pub caller: &'e Caller,
    /// The trace it belongs to.
    pub trace: &'e TraceContext,
    /// Path and query, for the upstream's part.
    pub path: &'e str,
    /// The query of the client's URL.
    pub query: &'e str,
    /// GET may only read.
    pub is_get: bool,
    /// What the client takes.
    pub response_type: ResponseType,
    /// Does this path show real statuses in Hasura's dialect?
    pub shows_status: bool,
    /// The dependencies of its response, if it can yield more than one.
    pub subscription: Option<Arc<LiveDependencies>>,
    /// When the whole request must be over.
    pub deadline: Instant,
    /// Has its client requested less time than requests have?
    pub is_clients_deadline: bool,
    /// The text of a batch.
    pub batch: Option<&'e str>,
    /// More headers for handlers: those of jobs.
    pub handler_headers: HeaderMap,
    /// Its share of the memory budget.
    pub share: Option<&'e Share>,
    /// Found out once, for all elements of a batch.
    pub authenticated: OnceCell<Result<Authenticated, SessionError>>,
}

impl<'e> RequestContext<'e> {
    /// Of a call that no client waits for.
    #[must_use]
    pub(crate) fn detached(caller: &'e Caller, trace: &'e TraceContext, query: &'e str, deadline: Instant) -> Self {
        Self {
            caller,
            trace,
            path: "",
            query,
            is_get: false,
            response_type: ResponseType::Json,
            shows_status: false,
            subscription: None,
            deadline,
            is_clients_deadline: false,
            batch: None,
            handler_headers: HeaderMap::new(),
            share: None,
            authenticated: OnceCell::new(),
        }
    }

    /// Takes so many bytes more of the memory budget, for as long as the request lives.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), NoRoom> {
        self.share.map_or(Ok(()), |share| share.grow(bytes))
    }

    /// The same for as long as what is returned lives.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub(crate) fn hold(&self, bytes: usize) -> Result<Charge<'e>, NoRoom> {
        self.share.map_or(Ok(Charge::default()), |share| share.hold(bytes))
    }

    /// Gives bytes back that were charged before.
    pub(crate) fn release(&self, bytes: usize) {
        if let Some(share) = self.share {
            share.release(bytes);
        }
    }
}
