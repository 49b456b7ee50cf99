//! The Redis client, for rate limits and the response cache that replicas share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::{RedisError, RedisResult};

use crate::model::error_kind::{ErrorKind, Reason};
use crate::model::redis_address::RedisAddress;
use crate::telemetry::availability::Dependency;
use crate::traffic_shaping::redis_commands::{self, CountScript, Entry};
use crate::traffic_shaping::redis_connection::{RedisConnection, RedisConnector};
use crate::traffic_shaping::redis_link::RedisLink;

/// What replicas share in Redis. The connection is made when it is first needed.
pub(crate) struct RedisStore {
    /// Hosts and ports.
    address: String,
    /// Logs when it goes away and comes back.
    server: Dependency,
    /// When a command failed last: while a node of a cluster is away, commands fail and succeed by turns.
    failed: Mutex<Option<Instant>>,
    link: Arc<RedisLink>,
    script: CountScript,
}

/// Redis did not respond, or not in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreUnavailable;

/// How long a request waits for Redis.
const COMMAND_TIMEOUT: Duration = Duration::from_millis(50);

/// A cluster is available again when no command has failed for so long.
const CLUSTER_QUIET: Duration = Duration::from_secs(1);

/// Entries that are read or stored in one step.
const KEYS_AT_ONCE: usize = 256;

impl RedisStore {
    /// Nothing is connected yet. `authorities` are certificates in place of the system's, PEM.
    ///
    /// # Errors
    /// When the address is invalid. The message leaves it out, because it may hold a password.
    pub(crate) fn new(address: &RedisAddress, authorities: Option<Vec<u8>>) -> Result<Self, String> {
        let connector = RedisConnector::new(address, authorities);
        let connector = connector.map_err(|_| "redis.url: this is not an address of Redis".to_owned())?;
        let server = Dependency::new(
            "Redis unavailable: shared rate limits and cached responses do without it",
            "Redis available again",
        );
        let link = RedisLink::new(connector, COMMAND_TIMEOUT);
        Ok(Self { address: address.shown(), server, failed: Mutex::default(), link, script: CountScript::new() })
    }

    /// Makes the connection. A failure is logged, and the connection is made when it is needed.
    pub(crate) async fn connect(&self) {
        let _ = self.note(self.link.connection().await);
    }

    /// Does something with the connection, within the time that a request waits for Redis.
    async fn run<T>(
        &self,
        command: impl AsyncFnOnce(RedisConnection) -> RedisResult<T>,
    ) -> Result<T, StoreUnavailable> {
        let deadline = tokio::time::Instant::now() + COMMAND_TIMEOUT;
        let timed_out = |_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
        let connection = tokio::time::timeout_at(deadline, self.link.connection()).await.unwrap_or_else(timed_out);
        let (connection, number) = self.note(connection)?;
        let done = tokio::time::timeout_at(deadline, command(connection)).await;
        let done = done.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()));
        if let Err(error) = &done {
            self.link.failed(error, number);
        }
        let done = self.note(done)?;
        self.note_found();
        Ok(done)
    }

    /// Logs when Redis goes away.
    fn note<T>(&self, done: RedisResult<T>) -> Result<T, StoreUnavailable> {
        done.map_err(|error| {
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            self.server.missed(&self.address, &reason_of(&error));
            StoreUnavailable
        })
    }

    /// Logs when Redis comes back.
    fn note_found(&self) {
        if self.link.connector().is_cluster() && self.server.is_lost() {
            let failed = *self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            if failed.is_some_and(|failed| failed.elapsed() < CLUSTER_QUIET) {
                return;
            }
        }
        self.server.found(&self.address);
    }

    /// Makes a connection of its own and sends PING, to all masters of a cluster.
    ///
    /// # Errors
    /// What Redis or the connection says.
    pub(crate) async fn ping(&self, timeout: Duration) -> Result<(), String> {
        let ping = async {
            let mut connection = self.link.connector().connect(timeout).await?;
            redis::cmd("PING").query_async::<()>(&mut connection).await?;
            if !self.link.connector().is_cluster() {
                return Ok(None);
            }
            redis::cmd("CLUSTER").arg("INFO").query_async::<String>(&mut connection).await.map(Some)
        };
        let ponged = tokio::time::timeout(timeout, ping).await;
        let info = ponged.map_err(|_| "no response in time".to_owned())?.map_err(|error| error.to_string())?;
        if info.is_some_and(|info| !info.contains("cluster_state:ok")) {
            return Err("the cluster does not serve all slots (CLUSTER INFO: cluster_state)".to_owned());
        }
        Ok(())
    }

    /// The entry under `key`, and its remaining lifetime.
    pub(crate) async fn get(&self, key: &str) -> Option<Entry> {
        self.run(async |connection| redis_commands::get(connection, &[key.to_owned()]).await)
            .await
            .ok()?
            .into_iter()
            .next()?
    }

    /// The same for several keys, as far as they are there and Redis responds in time.
    pub(crate) async fn get_all(&self, keys: &[String]) -> Vec<Option<Entry>> {
        let mut entries = Vec::with_capacity(keys.len());
        for some in keys.chunks(KEYS_AT_ONCE) {
            match self.run(async |connection| redis_commands::get(connection, some).await).await {
                Ok(found) => entries.extend(found),
                Err(StoreUnavailable) => break,
            }
        }
        entries
    }

    /// Stores entries, each under its key. A failure is not reported: entries can be fetched again.
    pub(crate) async fn put_all(&self, entries: Vec<(String, String)>, time: Duration) {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        for some in entries.chunks(KEYS_AT_ONCE) {
            if self.run(async |connection| redis_commands::put(connection, some, time).await).await.is_err() {
                return;
            }
        }
    }

    /// Purges the entries with names of this form.
    ///
    /// # Errors
    /// [`StoreUnavailable`].
    pub(crate) async fn forget(&self, pattern: &str) -> Result<(), StoreUnavailable> {
        for master in self.run(redis_commands::masters).await? {
            let mut cursor = 0_u64;
            loop {
                let scan = async |connection| redis_commands::scan(connection, master.as_ref(), cursor, pattern).await;
                let (next, keys) = self.run(scan).await?;
                if !keys.is_empty() {
                    self.run(async |connection| redis_commands::unlink(connection, &keys).await).await?;
                }
                if next == 0 {
                    break;
                }
                cursor = next;
            }
        }
        Ok(())
    }

    /// Counts one call under each key, beside which stands the time in which one more is allowed; or under none of them. In a cluster
    /// all keys must be in one slot, as those are that have the same text in braces.
    ///
    /// # Errors
    /// [`StoreUnavailable`]; or, inside, when the next one will be allowed.
    pub(crate) async fn count(
        &self,
        keys: &[(String, Duration)],
        window: Duration,
    ) -> Result<Result<(), Duration>, StoreUnavailable> {
        let reply = self.run(async |connection| self.script.run(connection, keys, window).await).await?;
        match reply.parse().map_err(|_| StoreUnavailable)? {
            0 => Ok(Ok(())),
            wait => Ok(Err(Duration::from_micros(wait))),
        }
    }
}

/// The cause of a failure. Redis' own words hold no password.
fn reason_of(error: &RedisError) -> Reason {
    let kind = match error.kind() {
        _ if error.is_connection_refusal() => ErrorKind::ConnectionRefused,
        _ if error.is_timeout() => ErrorKind::Timeout,
        redis::ErrorKind::AuthenticationFailed => ErrorKind::Rejected,
        _ => ErrorKind::ConnectionFailed,
    };
    Reason::new(kind, error.to_string())
}
