//! The address of Redis as `redis.url` has it: one server, a Redis Cluster, or a master that Redis Sentinel names.
//!
//! ```text
//! redis://user:password@host:6379/0
//! redis+cluster://user:password@host:6379,host:6379
//! redis+sentinel://user:password@host:26379,host:26379/name-of-master/0
//! ```
//! `rediss` in place of `redis` is TLS to everything that is named.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::model::secret::Secret;

/// Where Redis is and how it is deployed.
#[derive(Clone, Debug)]
pub struct RedisAddress {
    /// How it is deployed.
    pub deployment: RedisDeployment,
    /// What is connected to first: the server, nodes of the cluster, or Sentinels. Empty for a socket in the file system.
    pub nodes: Vec<RedisNode>,
    /// Is everything reached by TLS?
    pub is_tls: bool,
    /// The file of those who certify it, in place of the system's.
    pub tls_ca_file: Option<String>,
    /// Who logs in to Redis, which is not who logs in to Sentinel.
    pub login: RedisLogin,
}

/// How Redis is deployed.
#[derive(Clone, Debug)]
pub enum RedisDeployment {
    /// One server, with its whole address.
    Server(Secret),
    /// A Redis Cluster, whose keys are spread over several masters.
    Cluster,
    /// A server that Sentinels replace by a replica when it fails.
    Sentinel {
        /// The name under which the Sentinels watch it.
        master: String,
        /// The number of the database in it.
        database: i64,
        /// Who logs in to the Sentinels.
        login: RedisLogin,
    },
}

/// A user and a password, as far as they are needed.
#[derive(Clone, Debug, Default)]
pub struct RedisLogin {
    /// The user; without one it is Redis' `default`.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
}

/// A host and its port. An address of version 6 stands without brackets here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisNode {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for RedisNode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(formatter, "[{host}]:{port}") } else { write!(formatter, "{host}:{port}") }
    }
}

/// What is wrong with an address, and what to write. It shows nothing of the address, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: &'static str,
}

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// Hosts that an address may have.
const NODES_MAX: usize = 100;

const SERVER_HELP: &str = "write redis://host:6379, redis+cluster://host:6379,host:6379 or \
                           redis+sentinel://host:26379,host:26379/name-of-master";
const CLUSTER_HELP: &str = "write redis+cluster://user:password@host:6379,host:6379";
const SENTINEL_HELP: &str = "write redis+sentinel://user:password@host:26379,host:26379/name-of-master/0";

fn wrong(message: impl Into<String>, help: &'static str) -> AddressError {
    AddressError { message: message.into(), help }
}

impl RedisAddress {
    /// Reads an address. `sentinel` is who logs in to Sentinels, if the address names some.
    ///
    /// # Errors
    /// [`AddressError`].
    ///
    /// # Examples
    /// ```
    /// use pillion::model::redis_address::{RedisAddress, RedisLogin};
    ///
    /// let address = RedisAddress::parse("redis+cluster://a:1,b", RedisLogin::default()).expect("an address");
    /// assert_eq!(address.shown(), "a:1,b:6379");
    /// assert!(RedisAddress::parse("redis+sentinel://a,b", RedisLogin::default()).is_err());
    /// ```
    pub fn parse(text: &str, sentinel: RedisLogin) -> Result<Self, AddressError> {
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| wrong("this is not an address of Redis", SERVER_HELP))?;
        let (scheme, deployment) = scheme.split_once('+').unwrap_or((scheme, ""));
        let is_tls = match scheme {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            "unix" => return server_at_socket(text),
            _ => return Err(wrong("this is not an address of Redis", SERVER_HELP)),
        };
        match deployment {
            "" => server(text, is_tls),
            "unix" => server_at_socket(text),
            "cluster" => cluster(rest, is_tls),
            "sentinel" => sentinels(rest, is_tls, sentinel),
            _ => Err(wrong("this is not an address of Redis", SERVER_HELP)),
        }
    }

    /// The hosts and the master's name: the address as it may be shown.
    #[must_use]
    pub fn shown(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(ToString::to_string).collect();
        match &self.deployment {
            RedisDeployment::Sentinel { master, .. } => format!("{}/{master}", nodes.join(",")),
            RedisDeployment::Server(_) if nodes.is_empty() => "its socket".to_owned(),
            _ => nodes.join(","),
        }
    }
}

fn server(text: &str, is_tls: bool) -> Result<RedisAddress, AddressError> {
    let url = Url::parse(text).map_err(|_| wrong("this is not the address of one Redis", SERVER_HELP))?;
    let host =
        url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("the host is missing", SERVER_HELP))?;
    if !matches!(url.path(), "" | "/") {
        database(url.path().trim_matches('/'), SERVER_HELP)?;
    }
    let node = RedisNode { host: host.trim_matches(['[', ']']).to_owned(), port: url.port().unwrap_or(PORT) };
    let deployment = RedisDeployment::Server(Secret::new(text.to_owned()));
    // Its login is in its address.
    Ok(RedisAddress { deployment, nodes: vec![node], is_tls, tls_ca_file: None, login: RedisLogin::default() })
}

fn server_at_socket(text: &str) -> Result<RedisAddress, AddressError> {
    let is_path = Url::parse(text).is_ok_and(|url| url.path().len() > 1);
    if !is_path {
        return Err(wrong("the path of the socket is missing", "write redis+unix:///run/redis.sock"));
    }
    let deployment = RedisDeployment::Server(Secret::new(text.to_owned()));
    Ok(RedisAddress { deployment, nodes: Vec::new(), is_tls: false, tls_ca_file: None, login: RedisLogin::default() })
}

fn cluster(rest: &str, is_tls: bool) -> Result<RedisAddress, AddressError> {
    let (authority, path) = split_path(rest, CLUSTER_HELP)?;
    if !matches!(path, "" | "0") {
        return Err(wrong("a Redis Cluster has no database but 0", CLUSTER_HELP));
    }
    let (login, nodes) = login_and_nodes(authority, PORT, CLUSTER_HELP)?;
    Ok(RedisAddress { deployment: RedisDeployment::Cluster, nodes, is_tls, tls_ca_file: None, login })
}

fn sentinels(rest: &str, is_tls: bool, sentinel: RedisLogin) -> Result<RedisAddress, AddressError> {
    let (authority, path) = split_path(rest, SENTINEL_HELP)?;
    let (master, number) = path.split_once('/').unwrap_or((path, "0"));
    let master = decoded(master).filter(|master| !master.is_empty());
    let master = master.ok_or_else(|| wrong("the name of the master is missing", SENTINEL_HELP))?;
    let database = database(number, SENTINEL_HELP)?;
    let (login, nodes) = login_and_nodes(authority, SENTINEL_PORT, SENTINEL_HELP)?;
    let deployment = RedisDeployment::Sentinel { master, database, login: sentinel };
    Ok(RedisAddress { deployment, nodes, is_tls, tls_ca_file: None, login })
}

/// Login and hosts, and the path without slashes around it.
fn split_path<'t>(rest: &'t str, help: &'static str) -> Result<(&'t str, &'t str), AddressError> {
    if rest.contains(['?', '#']) {
        return Err(wrong("such an address has no query and no fragment; encode ? as %3F and # as %23", help));
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if path.contains('@') {
        return Err(wrong("the password has a slash in it; encode it as %2F", help));
    }
    Ok((authority, path.trim_end_matches('/')))
}

fn database(text: &str, help: &'static str) -> Result<i64, AddressError> {
    let number = text.parse::<u16>().map_err(|_| wrong("the database is not a number", help))?;
    Ok(i64::from(number))
}

fn login_and_nodes(
    authority: &str,
    port: u16,
    help: &'static str,
) -> Result<(RedisLogin, Vec<RedisNode>), AddressError> {
    let (login, hosts) = match authority.rsplit_once('@') {
        Some((login, hosts)) => (read_login(login, help)?, hosts),
        None => (RedisLogin::default(), authority),
    };
    let nodes: Result<Vec<RedisNode>, AddressError> = hosts
        .split(',')
        .enumerate()
        .map(|(index, text)| {
            // Its text may be a part of a password.
            let message = || format!("host {} of the list is not a host, or has no valid port", index + 1);
            read_node(text, port).ok_or_else(|| wrong(message(), help))
        })
        .collect();
    let nodes = nodes?;
    if nodes.len() > NODES_MAX {
        return Err(wrong(format!("more than {NODES_MAX} hosts"), "name some; the others are found by them"));
    }
    Ok((login, nodes))
}

fn read_login(text: &str, help: &'static str) -> Result<RedisLogin, AddressError> {
    let (user, password) = text.split_once(':').map_or((text, None), |(user, password)| (user, Some(password)));
    let read = |text: &str| decoded(text).ok_or_else(|| wrong("user or password is not UTF-8", help));
    let user = read(user)?;
    let password = password.map(read).transpose()?.map(Secret::new);
    Ok(RedisLogin { user: (!user.is_empty()).then_some(user), password })
}

fn read_node(text: &str, default_port: u16) -> Option<RedisNode> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok().filter(|port| *port > 0)?),
        _ => (text, default_port),
    };
    // A name may have an underscore here, as in compose.
    let is_host = host.is_ascii() && !host.contains('%') && Host::parse(host).is_ok();
    is_host.then(|| RedisNode { host: host.trim_matches(['[', ']']).to_owned(), port })
}

fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RedisAddress, AddressError> {
        RedisAddress::parse(text, RedisLogin::default())
    }

    fn summary(text: &str) -> String {
        let address = parse(text).expect(text);
        let kind = match &address.deployment {
            RedisDeployment::Server(url) => format!("server {}", url.expose().len()),
            RedisDeployment::Cluster => "cluster".to_owned(),
            RedisDeployment::Sentinel { database, .. } => format!("sentinel {database}"),
        };
        let password = address.login.password.as_ref().map_or("-", Secret::expose);
        let user = address.login.user.as_deref().unwrap_or("-");
        format!("{kind} tls={} {user} {password} {}", address.is_tls, address.shown())
    }

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("redis://h", "server 9 tls=false - - h:6379"),
            ("rediss://u:p@h:1/3", "server 18 tls=true - - h:1"),
            ("unix:///run/redis.sock", "server 22 tls=false - - its socket"),
            ("redis+cluster://a:1,[::1]:2,c_d", "cluster tls=false - - a:1,[::1]:2,c_d:6379"),
            ("rediss+cluster://u:p%40%2F:x@a:1/0", "cluster tls=true u p@/:x a:1"),
            ("valkey+sentinel://a,b:1/main", "sentinel 0 tls=false - - a:26379,b:1/main"),
            ("redis+sentinel://:p@a/main/7/", "sentinel 7 tls=false - p a:26379/main"),
        ] {
            assert_eq!(summary(text), expected, "{text}");
        }
    }

    #[test]
    fn a_bad_address_is_described_without_showing_it() {
        for (text, expected) in [
            ("localhost:6379", "this is not an address of Redis"),
            ("postgres://a", "this is not an address of Redis"),
            ("redis+ring://a", "this is not an address of Redis"),
            ("redis://a:1,b:2", "this is not the address of one Redis"),
            ("redis://a/main", "the database is not a number"),
            ("redis:///0", "the host is missing"),
            ("redis+unix://", "the path of the socket is missing"),
            ("redis+cluster://", "host 1 of the list is not a host, or has no valid port"),
            ("redis+cluster://a:1,b:s3cr3t", "host 2 of the list is not a host, or has no valid port"),
            ("redis+cluster://a:1,,b", "host 2 of the list is not a host, or has no valid port"),
            ("redis+cluster://a:0", "host 1 of the list is not a host, or has no valid port"),
            ("redis+cluster://a/1", "a Redis Cluster has no database but 0"),
            ("redis+cluster://u:s3cr3t/x@a", "the password has a slash in it; encode it as %2F"),
            ("redis+cluster://a?x=1", "such an address has no query and no fragment; encode ? as %3F and # as %23"),
            ("redis+sentinel://a:1", "the name of the master is missing"),
            ("redis+sentinel://a/main/x", "the database is not a number"),
            ("redis+sentinel://u:%ff@a/main", "user or password is not UTF-8"),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.message, expected, "{text}");
            assert!(!format!("{error:?}").contains("s3cr3t"), "{text}");
        }
        let many = format!("redis+cluster://{}", vec!["a"; 101].join(","));
        assert_eq!(parse(&many).expect_err("many").message, "more than 100 hosts");
    }
}
