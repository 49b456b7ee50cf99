//! The connection to Redis that all requests share: made when it is first needed, and again whenever it fails, so that a new master
//! or other nodes of a cluster are found without a restart.
//!
//! One attempt to connect runs at a time, at most two in a second. The crate's own clients do not suit requests that wait 50 ms at most:
//! that of a cluster retries without a pause while no node is reachable, and a connection to the master that a Sentinel named stays
//! with its server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};
use tokio::sync::watch;

use crate::traffic_shaping::redis_connection::{RedisConnection, RedisConnector};

/// The connection, and whether another is being made.
pub(crate) struct RedisLink {
    connector: RedisConnector,
    /// How long a command may take.
    response_timeout: Duration,
    current: watch::Sender<Current>,
    attempt: Mutex<Attempt>,
}

/// What there is to send commands on.
#[derive(Clone)]
enum Current {
    /// An attempt to connect is running, or has not begun.
    Absent,
    /// A connection, and the number of the attempt that made it.
    Connected(RedisConnection, u64),
    /// Why there is no connection.
    Failed(Arc<RedisError>),
}

/// The last attempt to connect.
#[derive(Default)]
struct Attempt {
    number: u64,
    is_running: bool,
    started: Option<Instant>,
}

/// The time from one attempt to connect to the next.
const PAUSE: Duration = Duration::from_millis(500);

/// How long an attempt may take: several Sentinels or nodes may be asked one after the other.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

impl RedisLink {
    /// Nothing is connected yet.
    #[must_use]
    pub(crate) fn new(connector: RedisConnector, response_timeout: Duration) -> Arc<Self> {
        let (current, attempt) = (watch::Sender::new(Current::Absent), Mutex::default());
        Arc::new(Self { connector, response_timeout, current, attempt })
    }

    /// What makes its connections.
    pub(crate) fn connector(&self) -> &RedisConnector {
        &self.connector
    }

    /// The connection and its number. Waits while the first one, or one in place of one that was lost, is being made.
    ///
    /// # Errors
    /// Why there is none. The next attempt is made after a pause.
    pub(crate) async fn connection(self: &Arc<Self>) -> RedisResult<(RedisConnection, u64)> {
        if let Current::Connected(connection, number) = &*self.current.borrow() {
            return Ok((connection.clone(), *number));
        }
        let mut changes = self.current.subscribe();
        self.reconnect();
        let found = changes.wait_for(|current| !matches!(current, Current::Absent)).await;
        match found.as_deref() {
            Ok(Current::Connected(connection, number)) => Ok((connection.clone(), *number)),
            Ok(Current::Failed(error)) => Err(error.as_ref().clone()),
            // The sender is there as long as we are.
            Ok(Current::Absent) | Err(_) => Err(io_error(std::io::ErrorKind::NotConnected)),
        }
    }

    /// A command on the connection of this number failed: connects again if that may help. A connection that may still serve others
    /// is used until then.
    pub(crate) fn failed(self: &Arc<Self>, error: &RedisError, number: u64) {
        let is_current = matches!(&*self.current.borrow(), Current::Connected(_, current) if *current == number);
        if !is_current || !may_be_replaced(error) {
            return;
        }
        if error.is_unrecoverable_error() && !error.is_timeout() && !self.connector.is_cluster() {
            self.replace(number, Current::Failed(Arc::new(error.clone())));
        }
        self.reconnect();
    }

    /// Starts an attempt, unless one is running or the last one was a moment ago.
    fn reconnect(self: &Arc<Self>) {
        let now = Instant::now();
        let mut attempt = self.attempt();
        let is_early = attempt.started.is_some_and(|started| now.duration_since(started) < PAUSE);
        if attempt.is_running || is_early {
            return;
        }
        *attempt = Attempt { number: attempt.number + 1, is_running: true, started: Some(now) };
        let number = attempt.number;
        // Requests wait for the attempt if there is nothing that they could use.
        self.current.send_if_modified(|current| {
            let was_failed = matches!(current, Current::Failed(_));
            if was_failed {
                *current = Current::Absent;
            }
            was_failed
        });
        drop(attempt);
        let link = Arc::clone(self);
        // It ends after a timeout, and a panic in it ends it as well.
        tokio::spawn(async move { link.attempt_to_connect(number).await });
    }

    async fn attempt_to_connect(&self, number: u64) {
        let connecting = tokio::time::timeout(ATTEMPT_TIMEOUT, self.connector.connect(self.response_timeout));
        let timed_out = |_| Err(io_error(std::io::ErrorKind::TimedOut));
        let connected = connecting.await.unwrap_or_else(timed_out);
        let mut attempt = self.attempt();
        attempt.is_running = false;
        self.current.send_replace(match connected {
            Ok(connection) => Current::Connected(connection, number),
            Err(error) => Current::Failed(Arc::new(error)),
        });
    }

    fn replace(&self, number: u64, new: Current) {
        self.current.send_if_modified(|current| {
            let is_current = matches!(current, Current::Connected(_, known) if *known == number);
            if is_current {
                *current = new;
            }
            is_current
        });
    }

    fn attempt(&self) -> MutexGuard<'_, Attempt> {
        // Held for a comparison.
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn io_error(kind: std::io::ErrorKind) -> RedisError {
    std::io::Error::from(kind).into()
}

/// Is it the connection or the server that failed, not the command? A server that has become a replica is one that failed.
fn may_be_replaced(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Server(kind) => {
            matches!(kind, ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::ClusterDown)
        }
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound | ErrorKind::Parse => true,
        _ => error.is_unrecoverable_error(),
    }
}
