//! The Redis client, for rate limits and the response cache that replicas share.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Script};
use tokio::sync::OnceCell;

/// The connection to Redis, made when it is first needed and again whenever it is lost.
pub(crate) struct RedisStore {
    client: Client,
    connection: OnceCell<ConnectionManager>,
    script: Script,
}

/// Redis did not respond, or not in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreUnavailable;

/// How long a request waits for Redis.
const COMMAND_TIMEOUT: Duration = Duration::from_millis(50);

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
        Ok(Self { client, connection: OnceCell::new(), script: Script::new(STEP) })
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
            ConnectionManager::new_lazy_with_config(self.client.clone(), config).map_err(|_| StoreUnavailable)
        };
        self.connection.get_or_try_init(connect).await.cloned()
    }

    /// The entry under `key`, and its remaining lifetime.
    pub(crate) async fn get(&self, key: &str) -> Option<(String, Duration)> {
        let mut connection = self.connection().await.ok()?;
        let mut both = redis::pipe();
        both.get(key).pttl(key);
        let reply = both.query_async::<(Option<String>, i64)>(&mut connection);
        let (text, left) = tokio::time::timeout(COMMAND_TIMEOUT, reply).await.ok()?.ok()?;
        Some((text?, Duration::from_millis(u64::try_from(left).ok()?)))
    }

    /// Stores an entry. A failure is not reported: the entry can be fetched again.
    pub(crate) async fn put(&self, key: &str, text: String, time: Duration) {
        let Ok(mut connection) = self.connection().await else { return };
        let mut command = redis::cmd("SET");
        command.arg(key).arg(text).arg("PX").arg(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let _ = tokio::time::timeout(COMMAND_TIMEOUT, command.query_async::<()>(&mut connection)).await;
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
            let (next, keys): (u64, Vec<String>) =
                scan.query_async(&mut connection).await.map_err(|_| StoreUnavailable)?;
            if !keys.is_empty() {
                let removed = redis::cmd("UNLINK").arg(keys).query_async::<()>(&mut connection).await;
                removed.map_err(|_| StoreUnavailable)?;
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
        let reply = tokio::time::timeout(COMMAND_TIMEOUT, reply).await.map_err(|_| StoreUnavailable)?;
        match reply.ok().and_then(|text| text.parse().ok()).ok_or(StoreUnavailable)? {
            0 => Ok(Ok(())),
            wait => Ok(Err(Duration::from_micros(wait))),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
