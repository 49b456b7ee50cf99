//! Reachability probes: DNS, TCP, TLS and HTTP one after the other, so that a failure names its step, address and cause.
//! Nothing that a probe sends has a body or an effect.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Method;
use http::header::{DATE, HeaderMap};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A step on the way to a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The name has an address.
    Dns,
    /// The address takes a connection.
    Tcp,
    /// The certificate is trusted.
    Tls,
    /// The peer speaks HTTP.
    Http,
    /// It speaks GraphQL.
    Graphql,
    /// It has keys for tokens.
    Jwks,
    /// It speaks Redis' protocol.
    Redis,
    /// It speaks PostgreSQL's, and lets us in.
    Postgres,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Dns => "DNS",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Http => "HTTP",
            Self::Graphql => "GraphQL",
            Self::Jwks => "JWKS",
            Self::Redis => "Redis",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// The step that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub step: Step,
    /// Host or address, with the port.
    pub address: String,
    pub reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}: {}", self.step, self.address, self.reason)
    }
}

/// A host and its port. An address of version 6 stands without brackets here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostPort {
    host: String,
    port: u16,
}

impl HostPort {
    /// Also of a host in brackets, as it stands in a URL.
    pub(crate) fn new(host: &str, port: u16) -> Self {
        Self { host: host.trim_matches(['[', ']']).to_owned(), port }
    }

    /// Of a URL that has a host and a port.
    pub(crate) fn of(url: &url::Url) -> Option<Self> {
        Some(Self::new(url.host_str()?, url.port_or_known_default()?))
    }

    fn failure(&self, step: Step, reason: impl Into<String>) -> Failure {
        Failure { step, address: self.to_string(), reason: reason.into() }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(formatter, "[{host}]:{port}") } else { write!(formatter, "{host}:{port}") }
    }
}

/// How long each step may take, and which addresses may be connected to.
#[derive(Clone, Copy)]
pub(crate) struct ProbeOptions<'o> {
    pub timeout: Duration,
    pub allows: &'o dyn Fn(IpAddr) -> bool,
}

const TIMED_OUT: &str = "no response in time";

/// Resolves the name and connects to the first address that takes it.
///
/// # Errors
/// [`Failure`] of DNS or TCP.
pub(crate) async fn connect(target: &HostPort, options: ProbeOptions<'_>) -> Result<TcpStream, Failure> {
    let lookup = tokio::net::lookup_host((target.host.as_str(), target.port));
    let found = tokio::time::timeout(options.timeout, lookup).await;
    let found = found.map_err(|_| target.failure(Step::Dns, TIMED_OUT))?;
    let found: Vec<SocketAddr> = found.map_err(|error| target.failure(Step::Dns, error.to_string()))?.collect();
    let allowed: Vec<SocketAddr> = found.into_iter().filter(|address| (options.allows)(address.ip())).collect();
    let mut last = target
        .failure(Step::Dns, "it has no address that may be called (handlers.allow_private, handlers.allow_link_local)");
    for address in allowed {
        let reason = match tokio::time::timeout(options.timeout, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error.to_string(),
            Err(_) => TIMED_OUT.to_owned(),
        };
        last = Failure { step: Step::Tcp, address: address.to_string(), reason };
    }
    Err(last)
}

/// Makes a TLS connection out of this one and ends it.
///
/// # Errors
/// [`Failure`] of TLS, with the verifier's reason.
pub(crate) async fn handshake(
    target: &HostPort,
    stream: TcpStream,
    config: ClientConfig,
    timeout: Duration,
) -> Result<(), Failure> {
    let name = ServerName::try_from(target.host.clone());
    let name = name.map_err(|_| target.failure(Step::Tls, "the host is no name that a certificate can have"))?;
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    match tokio::time::timeout(timeout, connecting).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(target.failure(Step::Tls, deepest(&error))),
        Err(_) => Err(target.failure(Step::Tls, TIMED_OUT)),
    }
}

/// Asks for the options of the server's root with the client that handlers are called with: the handler of an action is not
/// called. Every status shows that the peer speaks HTTP. Gives the server's time, if it says it.
///
/// # Errors
/// [`Failure`] of TLS or HTTP.
pub(crate) async fn ask_options(
    client: &reqwest::Client,
    url: &url::Url,
    timeout: Duration,
) -> Result<Option<SystemTime>, Failure> {
    let root = url.join("/").map_err(|error| error.to_string());
    let target = HostPort::of(url).unwrap_or_else(|| HostPort::new("", 0));
    let root = root.map_err(|reason| target.failure(Step::Http, reason))?;
    match client.request(Method::OPTIONS, root).timeout(timeout).send().await {
        Ok(response) => Ok(time_of(response.headers())),
        Err(error) => {
            // A connection was made a moment ago, so that TLS is what fails now.
            let step = if error.is_connect() && url.scheme() == "https" { Step::Tls } else { Step::Http };
            let reason = if error.is_timeout() { TIMED_OUT.to_owned() } else { deepest(&error.without_url()) };
            Err(target.failure(step, reason))
        }
    }
}

/// <https://www.rfc-editor.org/rfc/rfc9110#field.date>
fn time_of(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}

/// The cause of the cause: what a library wraps around it says less.
fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn anything() -> ProbeOptions<'static> {
        ProbeOptions { timeout: PATIENCE, allows: &|_| true }
    }

    async fn failure(host: &str, port: u16, options: ProbeOptions<'_>) -> Failure {
        connect(&HostPort::new(host, port), options).await.expect_err("no connection")
    }

    #[tokio::test]
    async fn a_failure_names_its_step_and_address() {
        let closed = failure("127.0.0.1", 1, anything()).await;
        assert_eq!((closed.step, closed.address.as_str()), (Step::Tcp, "127.0.0.1:1"));
        assert!(closed.to_string().starts_with("TCP: 127.0.0.1:1: Connection refused"), "{closed}");
        let unknown = failure("nosuch.invalid", 80, anything()).await;
        assert!(unknown.to_string().starts_with("DNS: nosuch.invalid:80: "), "{unknown}");
        let denied = failure("127.0.0.1", 1, ProbeOptions { timeout: PATIENCE, allows: &|_| false }).await;
        assert!(denied.step == Step::Dns && denied.reason.contains("handlers.allow_private"), "{denied}");
        assert_eq!(HostPort::new("[::1]", 80).to_string(), "[::1]:80");
    }
}
