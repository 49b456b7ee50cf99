//! The Redis client, for rate limits and the response cache that replicas share.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, RedisResult, Script};
use tokio::sync::OnceCell;

use crate::model::error_kind::{ErrorKind, Reason};
use crate::telemetry::availability::Dependency;

/// The connection to Redis, made when it is first needed and again whenever it is lost.
pub(crate) struct RedisStore {
    /// Host and port.
    address: String,
    /// Logs when it goes away and comes back.
    server: Dependency,
    client: Client,
    connection: OnceCell<ConnectionManager>,
    script: Script,
}

/// Redis did not respond, or not in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreUnavailable;

/// How long a request waits for Redis.
const COMMAND_TIMEOUT: Duration = Duration::from_millis(50);

/// Entries that are read or stored in one step.
const KEYS_AT_ONCE: usize = 256;

/// Names that are looked at in one step.
const SCANNED: usize = 1_000;

/// One step of the generic cell rate algorithm for each key, or for none, by Redis' own clock: the time at which all would be
/// allowed again moves by one call. Gives the microseconds to wait, or nothing.
/// <https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>
const STEP: &str = "
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    local wait, all = 0, {}
    for i, key in ipairs(KEYS) do
        all[i] = math.max(tonumber(redis.call('GET', key) or now), now) + tonumber(ARGV[i + 1])
        wait = math.max(wait, all[i] - now - tonumber(ARGV[1]))
    end
    if wait > 0 then return string.format('%.0f', wait) end
    for i, key in ipairs(KEYS) do
        redis.call('SET', key, string.format('%.0f', all[i]), 'PX', math.ceil((all[i] - now) / 1000))
    end
    return '0'
";

impl RedisStore {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// When the address is invalid. The message leaves it out, because it may hold a password.
    pub(crate) fn new(url: &str) -> Result<Self, String> {
        let wrong = || "redis.url: this is not an address of Redis".to_owned();
        let client = Client::open(url).map_err(|_| wrong())?;
        let address = client.get_connection_info().addr().to_string();
        let server = Dependency::new(
            "Redis unavailable: shared rate limits and cached responses do without it",
            "Redis available again",
        );
        Ok(Self { address, server, client, connection: OnceCell::new(), script: Script::new(STEP) })
    }

    /// What a command comes to, within the time that a request waits for Redis.
    async fn in_time<T>(&self, command: impl Future<Output = RedisResult<T>>) -> Result<T, StoreUnavailable> {
        let done = tokio::time::timeout(COMMAND_TIMEOUT, command).await;
        self.note(done.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into())))
    }

    /// Logs when Redis goes away and comes back.
    fn note<T>(&self, done: RedisResult<T>) -> Result<T, StoreUnavailable> {
        match done {
            Ok(value) => {
                self.server.found(&self.address);
                Ok(value)
            }
            Err(error) => {
                self.server.missed(&self.address, &reason_of(&error));
                Err(StoreUnavailable)
            }
        }
    }

    /// Makes a connection of its own and sends PING.
    ///
    /// # Errors
    /// What Redis or the connection says.
    pub(crate) async fn ping(&self, timeout: Duration) -> Result<(), String> {
        let ping = async {
            let mut connection = self.client.get_multiplexed_async_connection().await?;
            redis::cmd("PING").query_async::<()>(&mut connection).await
        };
        let ponged = tokio::time::timeout(timeout, ping).await;
        ponged.map_err(|_| "no response in time".to_owned())?.map_err(|error| error.to_string())
    }

    /// It connects when it is used, and again whenever it has lost the connection.
    async fn connection(&self) -> Result<ConnectionManager, StoreUnavailable> {
        let connect = async || {
            let config = ConnectionManagerConfig::new()
                .set_response_timeout(Some(COMMAND_TIMEOUT))
                .set_connection_timeout(Some(COMMAND_TIMEOUT * 10));
            self.note(ConnectionManager::new_lazy_with_config(self.client.clone(), config))
        };
        self.connection.get_or_try_init(connect).await.cloned()
    }

    /// The entry under `key`, and its remaining lifetime.
    pub(crate) async fn get(&self, key: &str) -> Option<(String, Duration)> {
        let mut connection = self.connection().await.ok()?;
        let mut both = redis::pipe();
        both.get(key).pttl(key);
        let reply = both.query_async::<(Option<String>, i64)>(&mut connection);
        let (text, left) = self.in_time(reply).await.ok()?;
        Some((text?, Duration::from_millis(u64::try_from(left).ok()?)))
    }

    /// The same for several keys, as far as they are there and Redis responds in time.
    pub(crate) async fn get_all(&self, keys: &[String]) -> Vec<Option<(String, Duration)>> {
        let mut entries = Vec::with_capacity(keys.len());
        for some in keys.chunks(KEYS_AT_ONCE) {
            match self.get_some(some).await {
                Ok(found) => entries.extend(found),
                Err(StoreUnavailable) => break,
            }
        }
        entries
    }

    async fn get_some(&self, keys: &[String]) -> Result<Vec<Option<(String, Duration)>>, StoreUnavailable> {
        let mut connection = self.connection().await?;
        let mut both = redis::pipe();
        for key in keys {
            both.get(key).pttl(key);
        }
        let reply = both.query_async::<Vec<(Option<String>, i64)>>(&mut connection);
        let entry =
            |(text, left): (Option<String>, i64)| Some((text?, Duration::from_millis(u64::try_from(left).ok()?)));
        Ok(self.in_time(reply).await?.into_iter().map(entry).collect())
    }

    /// Stores entries, each under its key. A failure is not reported: entries can be fetched again.
    pub(crate) async fn put_all(&self, entries: Vec<(String, String)>, time: Duration) {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        for some in entries.chunks(KEYS_AT_ONCE) {
            let Ok(mut connection) = self.connection().await else { return };
            let mut commands = redis::pipe();
            for (key, text) in some {
                commands.cmd("SET").arg(key).arg(text).arg("PX").arg(time).ignore();
            }
            if self.in_time(commands.query_async::<()>(&mut connection)).await.is_err() {
                return;
            }
        }
    }

    /// Purges the entries with names of this form.
    ///
    /// # Errors
    /// [`StoreUnavailable`].
    pub(crate) async fn forget(&self, pattern: &str) -> Result<(), StoreUnavailable> {
        let mut connection = self.connection().await?;
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(SCANNED);
            let (next, keys): (u64, Vec<String>) = self.note(scan.query_async(&mut connection).await)?;
            if !keys.is_empty() {
                let removed = redis::cmd("UNLINK").arg(keys).query_async::<()>(&mut connection).await;
                self.note(removed)?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Counts one call under each key, beside which stands the time in which one more is allowed; or under none of them.
    ///
    /// # Errors
    /// [`StoreUnavailable`]; or, inside, when the next one will be allowed.
    pub(crate) async fn count(
        &self,
        keys: &[(String, Duration)],
        window: Duration,
    ) -> Result<Result<(), Duration>, StoreUnavailable> {
        let mut connection = self.connection().await?;
        let mut step = self.script.prepare_invoke();
        step.arg(micros(window));
        for (key, interval) in keys {
            step.key(key).arg(micros(*interval));
        }
        let reply = step.invoke_async::<String>(&mut connection);
        match self.in_time(reply).await?.parse().map_err(|_| StoreUnavailable)? {
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

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
