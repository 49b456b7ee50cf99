//! The life cycle of a connection, the same on the client listener and on the admin listener: admission, deadline, serving,
//! and the end. What differs is a [`Listener`]'s.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;

use crate::downstream::connection_deadline::{ConnectionDeadline, DeadlineKind};
use crate::downstream::session::{DownstreamTimeouts, TooSlow};
use crate::runtime::services::Services;
use crate::telemetry::metrics::Metrics;

/// What one listener decides about its connections.
pub(crate) trait Listener: Send + Sync + 'static {
    /// A connection that has been let in; given back when it is dropped.
    type Admitted: Send;

    /// What requests share.
    fn services(&self) -> &Arc<Services>;

    /// Lets a connection in, whose first head has to arrive within `timeouts`. `None` closes it at once; the listener counts
    /// that.
    fn admit(
        self: Arc<Self>,
        stream: &Stream,
        timeouts: &DownstreamTimeouts,
    ) -> Option<(Arc<ConnectionDeadline>, Self::Admitted)>;

    /// Serves requests until the client or the listener ends the connection. It declares on `deadline` what it waits for.
    fn serve(
        self: Arc<Self>,
        stream: Stream,
        deadline: Arc<ConnectionDeadline>,
        shutdown: ShutdownWatch,
    ) -> impl Future<Output = ()> + Send;

    /// Ends when the connection has to make way for another one.
    fn evicted(admitted: &mut Self::Admitted) -> impl Future<Output = ()> + Send;

    /// No further connection comes.
    fn cleanup(&self) -> impl Future<Output = ()> + Send;
}

/// The connections of a listener.
pub(crate) struct Connections<L>(Arc<L>);

impl<L: Listener> Connections<L> {
    /// None yet.
    #[must_use]
    pub(crate) fn of(listener: L) -> Self {
        Self(Arc::new(listener))
    }
}

#[async_trait]
impl<L: Listener> ServerApp for Connections<L> {
    /// pingora's own task is large, because it could shake hands for TLS, so each connection gets another one.
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let listener = &self.0;
        let timeouts = DownstreamTimeouts::of(&listener.services().configured().settings);
        let (deadline, admitted) = Arc::clone(listener).admit(&stream, &timeouts)?;
        tokio::spawn(live(Arc::clone(listener), stream, shutdown.clone(), timeouts, deadline, admitted));
        None
    }

    async fn cleanup(&self) {
        self.0.cleanup().await;
    }
}

/// Serves a connection until it is over, its client is late, or another connection needs its slot. Dropped in the middle of a
/// head, of an idle time or of a response that is not read: nothing is lost but the connection.
async fn live<L: Listener>(
    listener: Arc<L>,
    stream: Stream,
    shutdown: ShutdownWatch,
    timeouts: DownstreamTimeouts,
    deadline: Arc<ConnectionDeadline>,
    mut admitted: L::Admitted,
) {
    tokio::select! {
        () = Arc::clone(&listener).serve(stream, Arc::clone(&deadline), shutdown) => {}
        waited = deadline.end(timeouts.head) => count(&listener.services().metrics, waited),
        () = L::evicted(&mut admitted) => {}
    }
}

/// A client was late.
fn count(metrics: &Metrics, waited: DeadlineKind) {
    match waited {
        DeadlineKind::Idle => {}
        DeadlineKind::TooSlow => metrics.request_header_timeouts.inc(),
        DeadlineKind::DoesNotRead => metrics.slow_clients.with_label_values(&[TooSlow::Download.label()]).inc(),
    }
}
