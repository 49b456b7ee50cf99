//! Connections of the admin listener: few, with deadlines, so that a health check always gets a response.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::BytesMut;
use http::Response;
use pingora::apps::ServerApp;
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::sync::oneshot;

use crate::downstream::connection_deadline::{
    ConnectionDeadline, DeadlineKind, head_was_read, next_head_within, with_deadline,
};
use crate::downstream::framing_stream::StrictStream;
use crate::downstream::head_size_limit::HeadBound;
use crate::memory::MemoryOwner;
use crate::runtime::services::Services;

/// A small application and its connections.
pub(crate) struct Operators<S> {
    requests: Arc<Requests<S>>,
    services: Arc<Services>,
    /// Those that are open, the oldest first.
    open: Mutex<Vec<Open>>,
}

struct Open {
    deadline: Arc<ConnectionDeadline>,
    /// Ends the connection when it is dropped.
    _keeps: oneshot::Sender<()>,
}

impl<S: ServeHttp + Send + Sync + 'static> Operators<S> {
    /// In front of `app`.
    #[must_use]
    pub(crate) fn new(app: S, services: Arc<Services>) -> Self {
        Self { requests: Arc::new(Requests { app, services: Arc::clone(&services) }), services, open: Mutex::default() }
    }

    /// Reads heads as the client listener does: to the letter, and not more than there may be.
    async fn serve(&self, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let bytes_max = self.services.configured().settings.limits.max_request_header_size;
        let bound = HeadBound::new(self.services.memory.empty(MemoryOwner::default()), 0, bytes_max);
        let (stream, _) = StrictStream::new(stream, BytesMut::new(), bound);
        self.requests.process_new(Box::new(stream), shutdown).await
    }

    /// Takes a slot, if need be that of the oldest idle connection: a peer that connects and sends a request at once is
    /// served, however many others only hold connections. `None` if all are serving a request.
    fn enter(&self, deadline: &Arc<ConnectionDeadline>, max: usize) -> Option<Place<'_, S>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= max {
            self.services.metrics.shed.with_label_values(&["admin_connections"]).inc();
            let oldest = open.iter().position(|one| one.deadline.is_waiting())?;
            open.remove(oldest);
        }
        let (keeps, ended) = oneshot::channel();
        open.push(Open { deadline: Arc::clone(deadline), _keeps: keeps });
        Some(Place { all: self, deadline: Arc::clone(deadline), ended })
    }
}

/// A place among the connections, given back when it is dropped.
struct Place<'o, S> {
    all: &'o Operators<S>,
    deadline: Arc<ConnectionDeadline>,
    ended: oneshot::Receiver<()>,
}

impl<S> Drop for Place<'_, S> {
    fn drop(&mut self) {
        let mut open = self.all.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|one| !Arc::ptr_eq(&one.deadline, &self.deadline));
    }
}

#[async_trait]
impl<S: ServeHttp + Send + Sync + 'static> ServerApp for Operators<S> {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let configured = self.services.configured();
        let timeout = configured.settings.request_header_timeout;
        let deadline = Arc::new(ConnectionDeadline::new(timeout, configured.settings.download_rate_min, None));
        let mut place = self.enter(&deadline, configured.settings.admin.max_connections)?;
        let requests = with_deadline(Arc::clone(&deadline), self.serve(stream, shutdown));
        // Dropped in the middle of a head or of an idle time: nothing is lost but the connection.
        tokio::select! {
            stream = requests => stream,
            waited = deadline.end(timeout) => {
                if waited != DeadlineKind::Idle {
                    self.services.metrics.request_header_timeouts.inc();
                }
                None
            }
            _ = &mut place.ended => None,
        }
    }
}

/// The application, which records on the connection's deadline when a head has been read and when the response is
/// complete.
struct Requests<S> {
    app: S,
    services: Arc<Services>,
}

#[async_trait]
impl<S: ServeHttp + Send + Sync> ServeHttp for Requests<S> {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        head_was_read();
        let response = self.app.response(session).await;
        // Within this time the response has to be read, too, and the rest of a body to be sent.
        next_head_within(self.services.configured().settings.keepalive_timeout);
        response
    }
}
