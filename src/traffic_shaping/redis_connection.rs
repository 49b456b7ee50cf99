//! Connections to Redis as it is deployed: one server, a Redis Cluster, or the master that Sentinels name.

use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo, Pipeline, RedisConnectionInfo, RedisFuture,
    RedisResult, TlsCertificates, TlsMode, Value,
};

use crate::model::redis_address::{RedisAddress, RedisDeployment, RedisLogin, RedisNode};
use crate::model::secret::Secret;

/// A connection on which many commands may be under way.
#[derive(Clone)]
pub(crate) enum RedisConnection {
    /// To one server.
    Server(MultiplexedConnection),
    /// To the nodes of a cluster.
    Cluster(ClusterConnection),
}

impl RedisConnection {
    /// Are keys spread over several servers?
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

impl ConnectionLike for RedisConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// Makes connections.
pub(crate) enum RedisConnector {
    /// To a server at a fixed address.
    Server(Client),
    /// To a cluster, by some of its nodes.
    Cluster(Box<ClusterClient>),
    /// To the server that is the master now.
    Sentinel(RedisAddress, Option<TlsCertificates>),
}

/// How long one connection to one server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// How often a command follows the move of a slot to another node of a cluster. After that the topology is asked for.
const CLUSTER_RETRIES: u32 = 3;

/// The longest pause before such an attempt, in milliseconds.
const CLUSTER_RETRY_WAIT_MS: u64 = 20;

impl RedisConnector {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// The client cannot be made of this address.
    pub(crate) fn new(address: &RedisAddress, authorities: Option<Vec<u8>>) -> RedisResult<Self> {
        let certificates =
            authorities.map(|authorities| TlsCertificates { client_tls: None, root_cert: Some(authorities) });
        match &address.deployment {
            RedisDeployment::Server(url) => Ok(Self::Server(match certificates {
                Some(certificates) => Client::build_with_tls(url.expose(), certificates)?,
                None => Client::open(url.expose())?,
            })),
            RedisDeployment::Cluster => {
                let login = login_of(&address.login);
                let info = |node| to_address(node, address.is_tls).into_connection_info();
                let nodes = address.nodes.iter().map(|node| Ok(info(node)?.set_redis_settings(login.clone())));
                let nodes: RedisResult<Vec<_>> = nodes.collect();
                let builder = ClusterClient::builder(nodes?)
                    .retries(CLUSTER_RETRIES)
                    .min_retry_wait(1)
                    .max_retry_wait(CLUSTER_RETRY_WAIT_MS);
                let builder = match certificates {
                    Some(certificates) => builder.certs(certificates),
                    None => builder,
                };
                Ok(Self::Cluster(Box::new(builder.build()?)))
            }
            RedisDeployment::Sentinel { .. } => {
                sentinels(address, certificates.as_ref())?;
                Ok(Self::Sentinel(address.clone(), certificates))
            }
        }
    }

    /// Can a part be unavailable while the rest serves?
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Makes a connection. A master is asked for each time.
    ///
    /// # Errors
    /// What Redis, a Sentinel or the connection says.
    pub(crate) async fn connect(&self, response_timeout: Duration) -> RedisResult<RedisConnection> {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(response_timeout))
            .set_connection_timeout(Some(CONNECT_TIMEOUT));
        match self {
            Self::Server(client) => {
                client.get_multiplexed_async_connection_with_config(&config).await.map(RedisConnection::Server)
            }
            Self::Cluster(client) => {
                let config =
                    ClusterConfig::new().set_response_timeout(response_timeout).set_connection_timeout(CONNECT_TIMEOUT);
                client.get_async_connection_with_config(config).await.map(RedisConnection::Cluster)
            }
            Self::Sentinel(address, certificates) => {
                let mut client = sentinels(address, certificates.as_ref())?.build()?;
                client.get_async_connection_with_config(&config).await.map(RedisConnection::Server)
            }
        }
    }
}

fn sentinels(address: &RedisAddress, certificates: Option<&TlsCertificates>) -> RedisResult<SentinelClientBuilder> {
    let RedisDeployment::Sentinel { master, database, login } = &address.deployment else {
        return Err((redis::ErrorKind::InvalidClientConfig, "the address names no Sentinel").into());
    };
    let nodes = address.nodes.iter().map(|node| to_address(node, address.is_tls));
    let mut builder =
        SentinelClientBuilder::new(nodes, master, SentinelServerType::Master)?.set_client_to_redis_db(*database);
    if address.is_tls {
        builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
    }
    if let Some(certificates) = certificates {
        builder = builder
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_certificates(certificates.clone());
    }
    if let Some(user) = &address.login.user {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = &address.login.password {
        builder = builder.set_client_to_redis_password(password.expose());
    }
    if let Some(user) = &login.user {
        builder = builder.set_client_to_sentinel_username(user);
    }
    if let Some(password) = &login.password {
        builder = builder.set_client_to_sentinel_password(password.expose());
    }
    Ok(builder)
}

fn login_of(login: &RedisLogin) -> RedisConnectionInfo {
    let info = RedisConnectionInfo::default();
    let info = login.user.iter().fold(info, RedisConnectionInfo::set_username);
    login.password.iter().map(Secret::expose).fold(info, RedisConnectionInfo::set_password)
}

fn to_address(node: &RedisNode, is_tls: bool) -> ConnectionAddr {
    let (host, port) = (node.host.clone(), node.port);
    if is_tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    }
}
