//! The request context: who sent a request, how it came, its deadline, and its share of the memory budget. It is made where a
//! request arrives and borrowed from there on.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, header};
use tokio::sync::OnceCell;

use crate::auth::authenticated::Authenticated;
use crate::memory::{Charge, NoRoom, Share};
use crate::model::request::Caller;
use crate::protocol::media_type::ResponseType;
use crate::protocol::trace::TraceContext;
use crate::request::freshness::Freshness;
use crate::request::live_dependencies::LiveDependencies;
use crate::session::SessionError;

/// One request, or one execution of an operation whose client gets more than one response.
pub(crate) struct RequestContext {
    /// Who sent it. What outlives the request shares it.
    pub caller: Arc<Caller>,
    /// The trace it belongs to.
    pub trace: TraceContext,
    /// How it came, for logs: a path without its query, or the name of a protocol.
    pub way: Cow<'static, str>,
    /// Path and query for the upstream's part, if they are not the path that it came by.
    pub upstream_path: Option<String>,
    /// The query of the client's URL.
    pub query: String,
    /// GET may only read.
    pub is_get: bool,
    /// What the client takes.
    pub response_type: ResponseType,
    /// Does this path show real statuses in Hasura's dialect?
    pub shows_status: bool,
    /// The headers that let a page of another origin read the response, if it may.
    pub cors: HeaderMap,
    /// Responses of so many bytes are compressed.
    pub compressed_from: usize,
    /// When its head had been read.
    pub started: Instant,
    /// When the whole request must be over.
    pub deadline: Instant,
    /// Has its client requested less time than requests have?
    pub is_clients_deadline: bool,
    /// Its share of the memory budget.
    pub share: Option<Arc<Share>>,
    /// Found out once, for all elements of a batch.
    pub authenticated: OnceCell<Result<Authenticated, SessionError>>,
    /// The dependencies of its response, if it can yield more than one.
    pub subscription: Option<Arc<LiveDependencies>>,
    /// How fresh the cached responses are that its response is made of.
    pub freshness: Freshness,
    /// More headers for handlers: those of jobs.
    pub handler_headers: HeaderMap,
}

impl RequestContext {
    /// Of what no client waits for on a connection of its own: a job, a refresh, an operation on a socket.
    #[must_use]
    pub(crate) fn detached(caller: Arc<Caller>, trace: TraceContext, deadline: Instant) -> Self {
        Self {
            caller,
            trace,
            way: Cow::Borrowed(""),
            upstream_path: None,
            query: String::new(),
            is_get: false,
            response_type: ResponseType::Json,
            shows_status: false,
            cors: HeaderMap::new(),
            compressed_from: usize::MAX,
            started: Instant::now(),
            deadline,
            is_clients_deadline: false,
            share: None,
            authenticated: OnceCell::new(),
            subscription: None,
            freshness: Freshness::default(),
            handler_headers: HeaderMap::new(),
        }
    }

    /// The same caller's, for a task that outlives the request. It takes no memory of the request.
    #[must_use]
    pub(crate) fn for_task(&self) -> Self {
        let task = Self::detached(Arc::clone(&self.caller), self.trace.clone(), self.deadline);
        Self { way: self.way.clone(), upstream_path: self.upstream_path.clone(), ..task }
    }

    /// Path and query for the upstream's part.
    #[must_use]
    pub(crate) fn upstream_path(&self) -> &str {
        self.upstream_path.as_deref().unwrap_or(&self.way)
    }

    /// Sets the upstream's CORS headers, if they say more than ours.
    pub(crate) fn set_cors(&mut self, cors: &HeaderMap) {
        if cors.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) || self.cors.is_empty() {
            self.cors = cors.clone();
        }
    }

    /// Takes so many bytes more of the memory budget, for as long as the request lives.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), NoRoom> {
        self.share.as_ref().map_or(Ok(()), |share| share.grow(bytes))
    }

    /// The same for as long as what is returned lives.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub(crate) fn hold(&self, bytes: usize) -> Result<Charge<'_>, NoRoom> {
        self.share.as_ref().map_or(Ok(Charge::default()), |share| share.hold(bytes))
    }

    /// Gives bytes back that were charged before.
    pub(crate) fn release(&self, bytes: usize) {
        if let Some(share) = &self.share {
            share.release(bytes);
        }
    }
}
