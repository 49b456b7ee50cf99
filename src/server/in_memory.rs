//! In-memory connections: the client listener without a socket, from the bytes of a request to those of its response.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::Stream;
use pingora::server::configuration::ServerConf;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;

use crate::downstream::session::DownstreamTimeouts;
use crate::runtime::services::Services;
use crate::server::client_listener::ClientListener;
use crate::server::connection_lifecycle::Listener;
use crate::server::listener::client_listener;

/// The client listener, for connections inside the process.
pub(crate) struct InMemoryListener {
    listener: Arc<ClientListener>,
    /// Never used: each connection has one request.
    shutdown: watch::Sender<bool>,
}

/// Bytes that are on their way in one direction.
const PIPE_BYTES: usize = 64 * 1024;

/// Bytes of a response that are read.
const RESPONSE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How long a response is waited for. Requests have their own timeouts, which are shorter.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(300);

impl InMemoryListener {
    /// In front of these services.
    #[must_use]
    pub(crate) fn new(services: &Arc<Services>) -> Self {
        let listener = client_listener(services, None, &Arc::new(ServerConf::default()), None);
        Self { listener: Arc::new(listener), shutdown: watch::Sender::new(false) }
    }

    /// Opens a connection, which ends when the returned half is dropped.
    ///
    /// # Errors
    /// When it is rejected.
    pub(crate) fn connect(&self) -> io::Result<DuplexStream> {
        let (client, server) = tokio::io::duplex(PIPE_BYTES);
        let stream: Stream = Box::new(server);
        let timeouts = DownstreamTimeouts::of(&self.listener.services().configured().settings);
        let admitted = Arc::clone(&self.listener).admit(&stream, &timeouts);
        let (deadline, ()) = admitted.ok_or(io::ErrorKind::ConnectionRefused)?;
        tokio::spawn(Arc::clone(&self.listener).serve(stream, deadline, self.shutdown.subscribe()));
        Ok(client)
    }

    /// Sends the bytes of one request, which must ask for the end of the connection, and reads those of the response.
    ///
    /// # Errors
    /// When there is no response within five minutes, or the connection is rejected.
    pub(crate) async fn exchange(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        let mut client = self.connect()?;
        let exchange = async {
            client.write_all(request).await?;
            let mut response = Vec::new();
            (&mut client).take(RESPONSE_BYTES_MAX).read_to_end(&mut response).await?;
            Ok(response)
        };
        tokio::time::timeout(RESPONSE_TIMEOUT, exchange).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
    }
}
