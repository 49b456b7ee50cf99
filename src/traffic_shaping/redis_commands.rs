//! The commands that are sent to Redis. In a cluster each of them concerns the keys of one slot only, or is sent for each key.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::try_join_all;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo};
use redis::{Cmd, ErrorKind, Pipeline, RedisResult, Script, ServerErrorKind, from_redis_value};

use crate::traffic_shaping::redis_connection::RedisConnection;

/// An entry, and its remaining lifetime.
pub(crate) type Entry = (String, Duration);

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

/// The script that counts calls.
pub(crate) struct CountScript(Script);

impl CountScript {
    pub(crate) fn new() -> Self {
        Self(Script::new(STEP))
    }

    /// Counts one call under each key, beside which stands the time in which one more is allowed; or under none of them. Gives the
    /// microseconds to wait. The script is called by its hash, and by its text if the server does not know it, as after a failover.
    pub(crate) async fn run(
        &self,
        mut connection: RedisConnection,
        keys: &[(String, Duration)],
        window: Duration,
    ) -> RedisResult<String> {
        let called = count("EVALSHA", self.0.get_hash(), keys, window).query_async(&mut connection).await;
        match called {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                count("EVAL", STEP, keys, window).query_async(&mut connection).await
            }
            called => called,
        }
    }
}

fn count(name: &str, script: &str, keys: &[(String, Duration)], window: Duration) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(script).arg(keys.len());
    for (key, _) in keys {
        command.arg(key);
    }
    command.arg(micros(window));
    for (_, interval) in keys {
        command.arg(micros(*interval));
    }
    command
}

/// The entries under these keys.
pub(crate) async fn get(mut connection: RedisConnection, keys: &[String]) -> RedisResult<Vec<Option<Entry>>> {
    let with_lifetime = |commands: &mut Pipeline, key: &String| {
        commands.get(key).pttl(key);
    };
    let found: Vec<(Option<String>, i64)> = if connection.is_cluster() {
        let one = |key| {
            let mut connection = connection.clone();
            let mut commands = redis::pipe();
            with_lifetime(&mut commands, key);
            async move { commands.query_async(&mut connection).await }
        };
        let found: Vec<Vec<(Option<String>, i64)>> = try_join_all(keys.iter().map(one)).await?;
        found.into_iter().flatten().collect()
    } else {
        let mut commands = redis::pipe();
        keys.iter().for_each(|key| with_lifetime(&mut commands, key));
        commands.query_async(&mut connection).await?
    };
    let entry = |(text, left): (Option<String>, i64)| Some((text?, Duration::from_millis(u64::try_from(left).ok()?)));
    Ok(found.into_iter().map(entry).collect())
}

/// Stores entries for a time in milliseconds.
pub(crate) async fn put(mut connection: RedisConnection, entries: &[(String, String)], time: u64) -> RedisResult<()> {
    let set = |(key, text): &(String, String)| {
        let mut command = redis::cmd("SET");
        command.arg(key).arg(text).arg("PX").arg(time);
        command
    };
    if connection.is_cluster() {
        let one = |entry| {
            let mut connection = connection.clone();
            let command = set(entry);
            async move { command.query_async::<()>(&mut connection).await }
        };
        return try_join_all(entries.iter().map(one)).await.map(drop);
    }
    let mut commands = redis::pipe();
    for entry in entries {
        commands.add_command(set(entry)).ignore();
    }
    commands.query_async(&mut connection).await
}

/// The servers that have keys: the masters of a cluster by host and port, or the only server.
pub(crate) async fn masters(connection: RedisConnection) -> RedisResult<Vec<Option<(String, u16)>>> {
    let RedisConnection::Cluster(mut cluster) = connection else { return Ok(vec![None]) };
    let masters = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
    let ponged = cluster.route_command(redis::cmd("PING"), masters).await?;
    let names: HashMap<String, String> = from_redis_value(ponged)?;
    let address = |name: &String| {
        let (host, port) = name.rsplit_once(':')?;
        Some((host.to_owned(), port.parse().ok()?))
    };
    let wrong = || (ErrorKind::UnexpectedReturnType, "the cluster named a node without a port").into();
    names.keys().map(|name| address(name).map(Some).ok_or_else(wrong)).collect()
}

/// Some keys of one server with names of this form, and the cursor of the next ones.
pub(crate) async fn scan(
    mut connection: RedisConnection,
    master: Option<&(String, u16)>,
    cursor: u64,
    pattern: &str,
) -> RedisResult<(u64, Vec<String>)> {
    let mut scan = redis::cmd("SCAN");
    scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(SCANNED);
    match (&mut connection, master) {
        (RedisConnection::Cluster(cluster), Some((host, port))) => {
            let node = SingleNodeRoutingInfo::ByAddress { host: host.clone(), port: *port };
            Ok(from_redis_value(cluster.route_command(scan, RoutingInfo::SingleNode(node)).await?)?)
        }
        _ => scan.query_async(&mut connection).await,
    }
}

/// Removes keys. In a cluster the client makes one command for each slot of it.
pub(crate) async fn unlink(mut connection: RedisConnection, keys: &[String]) -> RedisResult<()> {
    redis::cmd("UNLINK").arg(keys).query_async(&mut connection).await
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
