//! Connections of the admin listener: few, with deadlines, so that a health check always gets a response.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::BytesMut;
use http::Response;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream, ServerApp};
use pingora::http::ResponseHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::sync::oneshot;

use crate::downstream::connection_deadline::ConnectionDeadline;
use crate::downstream::framing_stream::StrictStream;
use crate::downstream::session::DownstreamTimeouts;
use crate::downstream::session_deadline::deadline_of;
use crate::memory::MemoryOwner;
use crate::runtime::services::Services;
use crate::server::connection_lifecycle::Listener;

/// An application for operators.
#[async_trait]
pub(crate) trait OperatorApp: Send + Sync + 'static {
    /// Responds to a request whose head has been read. Nothing, if it has written its response itself, which a stream is.
    async fn respond(&self, session: &mut ServerSession) -> Option<Response<Vec<u8>>>;
}

/// A small application and its connections.
pub(crate) struct AdminListener<S> {
    requests: Arc<Requests<S>>,
    services: Arc<Services>,
    /// Those that are open, the oldest first.
    open: Arc<Mutex<Vec<Open>>>,
}

struct Open {
    deadline: Arc<ConnectionDeadline>,
    /// Ends the connection when it is dropped.
    _keeps: oneshot::Sender<()>,
}

impl<S> AdminListener<S> {
    /// In front of `app`.
    #[must_use]
    pub(crate) fn new(app: S, services: Arc<Services>) -> Self {
        Self { requests: Arc::new(Requests { app, services: Arc::clone(&services) }), services, open: Arc::default() }
    }

    /// Takes a slot, if need be that of the oldest idle connection: a peer that connects and sends a request at once is
    /// served, however many others only hold connections. `None` if all are serving a request.
    fn enter(&self, deadline: &Arc<ConnectionDeadline>, max: usize) -> Option<Slot> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= max {
            self.services.metrics.shed.with_label_values(&["admin_connections"]).inc();
            let oldest = open.iter().position(|one| one.deadline.is_waiting())?;
            open.remove(oldest);
        }
        let (keeps, evicted) = oneshot::channel();
        open.push(Open { deadline: Arc::clone(deadline), _keeps: keeps });
        Some(Slot { all: Arc::clone(&self.open), deadline: Arc::clone(deadline), evicted })
    }
}

/// A slot among the connections, given back when it is dropped.
pub(crate) struct Slot {
    all: Arc<Mutex<Vec<Open>>>,
    deadline: Arc<ConnectionDeadline>,
    evicted: oneshot::Receiver<()>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|one| !Arc::ptr_eq(&one.deadline, &self.deadline));
    }
}

impl<S: OperatorApp> Listener for AdminListener<S> {
    type Admitted = Slot;

    fn services(&self) -> &Arc<Services> {
        &self.services
    }

    fn admit(self: Arc<Self>, _: &Stream, timeouts: &DownstreamTimeouts) -> Option<(Arc<ConnectionDeadline>, Slot)> {
        let deadline = Arc::new(ConnectionDeadline::new(timeouts.head, timeouts.download, None));
        let slot = self.enter(&deadline, self.services.configured().settings.admin.max_connections)?;
        Some((deadline, slot))
    }

    /// Reads heads as the client listener does: to the letter, and not more than there may be.
    async fn serve(self: Arc<Self>, stream: Stream, deadline: Arc<ConnectionDeadline>, shutdown: ShutdownWatch) {
        let bytes_max = self.services.configured().settings.limits.max_request_header_size;
        let share = self.services.memory.empty(MemoryOwner::default());
        let (stream, _) = StrictStream::new(stream, BytesMut::new(), deadline, (share, bytes_max));
        // It is none that could be used again.
        drop(self.requests.process_new(Box::new(stream), &shutdown).await);
    }

    async fn evicted(slot: &mut Slot) {
        // It ends when the sender is dropped.
        let _ = (&mut slot.evicted).await;
    }

    async fn cleanup(&self) {}
}

/// The application, which records on the connection's deadline when a head has been read and when the response is
/// complete.
struct Requests<S> {
    app: S,
    services: Arc<Services>,
}

#[async_trait]
impl<S: OperatorApp> HttpServerApp for Requests<S> {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if !session.read_request().await.ok()? {
            return None;
        }
        let keepalive = self.services.configured().settings.keepalive_timeout;
        // The deadline below is shorter as a rule, and exact.
        session.set_keepalive((!*shutdown.borrow()).then_some(60));
        let deadline = deadline_of(&session).cloned();
        if let Some(deadline) = &deadline {
            deadline.head_was_read();
        }
        let response = self.app.respond(&mut session).await;
        if let Some(deadline) = &deadline {
            // Within this time the response has to be read, too, and the rest of a body to be sent.
            deadline.next_head_within(keepalive);
        }
        if let Some(response) = response {
            let (head, body) = response.into_parts();
            session.write_response_header(Box::new(ResponseHeader::from(head))).await.ok()?;
            if !body.is_empty() {
                session.write_response_body(body.into(), true).await.ok()?;
            }
        }
        let settings = HttpPersistentSettings::for_session(&session);
        let stream = session.finish().await.ok()??;
        Some(ReusedHttpStream::from_reusable_stream(stream, settings))
    }
}
