//! The engine: its part of a document goes out, its answer comes back.

pub mod dialect;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use pingora::protocols::ALPN;
use pingora::upstreams::peer::{HttpPeer, Peer};
use reqwest::{Response, Url};

use crate::client::{self, Clients, Fault, Post};
use crate::config::settings::Upstream;

/// Why the engine gave no answer. `Display` is for clients.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum UpstreamError {
    /// No connection.
    #[error("the upstream cannot be reached")]
    Unreachable,
    /// Not in time.
    #[error("the upstream did not answer in time")]
    TimedOut,
    /// The connection ended, or what came was not HTTP.
    #[error("the connection to the upstream broke")]
    Broken,
    /// More than we hold.
    #[error("the upstream's answer is larger than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// A GraphQL response without data.
    #[error("the upstream refused its part of the document with status {status}")]
    Refused {
        /// Its status.
        status: u16,
    },
    /// An answer that is no GraphQL response.
    #[error("the upstream answered {status} with something that is not a GraphQL response")]
    NotGraphql {
        /// Its status.
        status: u16,
    },
}

/// The engine's answer, whole.
#[derive(Debug)]
pub struct EngineReply {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
    /// Its cookies for the client.
    pub set_cookies: Vec<HeaderValue>,
}

/// The engine and how it is reached.
pub struct Engine {
    /// Ask for the engine's parts. What streams through goes over `peer`.
    clients: Clients,
    /// Scheme, host and port.
    origin: Url,
    /// `None` while the engine's name has no address.
    peer: ArcSwapOption<HttpPeer>,
    settings: Upstream,
}

/// One question to the engine.
pub struct Question<'q> {
    /// Path and query of the request.
    pub path: &'q str,
    /// The caller's headers; those about the connection and the body are left out here.
    pub headers: &'q HeaderMap,
    /// The id of the client's request.
    pub request_id: &'q str,
    /// JSON.
    pub body: Bytes,
    /// May it be sent again when an old connection turns out to be dead? Never for a mutation.
    pub may_repeat: bool,
    /// Bytes of the answer that are held.
    pub answer_bytes_max: usize,
    /// How long it may take as a whole.
    pub timeout: Duration,
}

/// Headers that speak of the client's connection or body, not of the client.
const NOT_PASSED_ON: [&str; 16] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "content-encoding",
    "content-type",
    "accept-encoding",
    "expect",
    "accept",
    "x-request-id",
];

impl Engine {
    /// Prepares the connection; nothing is connected or looked up yet, unless the address is a number.
    ///
    /// # Errors
    /// When the file of authorities is no good, or TLS cannot be set up.
    pub fn new(settings: &Upstream) -> Result<Self, String> {
        let literal = settings.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, settings.port));
        let origin = origin(settings);
        let for_clients = settings.clone();
        Ok(Self {
            clients: Clients::new(move || client(&for_clients))?,
            origin: origin.parse().map_err(|error| format!("upstream.url: {origin}: {error}"))?,
            peer: ArcSwapOption::new(literal.map(|address| Arc::new(peer(address, settings)))),
            settings: settings.clone(),
        })
    }

    /// Looks the engine's name up again, so that a new address is used for new connections.
    pub async fn resolve(&self) {
        let host = (self.settings.host.as_str(), self.settings.port);
        // A name that has lost its address keeps the old one: its connections may well be alive.
        let Ok(addresses) = tokio::net::lookup_host(host).await else { return };
        let addresses: Vec<SocketAddr> = addresses.collect();
        let current = self.peer.load();
        let is_known = |address: &SocketAddr| {
            current.as_ref().and_then(|peer| peer.address().as_inet().copied()).as_ref() == Some(address)
        };
        if let Some(first) = addresses.first()
            && !addresses.iter().any(is_known)
        {
            self.peer.store(Some(Arc::new(peer(*first, &self.settings))));
        }
    }

    /// How the engine is reached, for what streams through.
    #[must_use]
    pub fn peer(&self) -> Option<Arc<HttpPeer>> {
        self.peer.load_full()
    }

    /// The settings it was made with.
    #[must_use]
    pub fn settings(&self) -> &Upstream {
        &self.settings
    }

    /// Sends a question and waits for the whole answer.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn ask(&self, question: Question<'_>) -> Result<EngineReply, UpstreamError> {
        let post = Post {
            url: self.url(question.path),
            headers: self.headers(&question),
            body: question.body,
            may_repeat: question.may_repeat,
        };
        let max = question.answer_bytes_max;
        let answer = client::exchange(self.clients.here(), post, max, question.timeout).await;
        let answer = answer.map_err(|fault| error_of(fault, max))?;
        let set_cookies = answer.headers.get_all(header::SET_COOKIE).iter().cloned().collect();
        Ok(EngineReply { status: answer.status, body: answer.body, set_cookies })
    }

    /// Sends a request of a client as it is, and waits for the head of the answer.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub async fn forward(
        &self,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
        may_repeat: bool,
    ) -> Result<Response, UpstreamError> {
        let post = Post { url: self.url(path), headers, body, may_repeat };
        let answer = tokio::time::timeout(self.settings.timeout, client::send(self.clients.here(), post)).await;
        answer.unwrap_or(Err(Fault::Timeout)).map_err(|fault| error_of(fault, 0))
    }

    /// The `Host` that the engine is addressed by, where it must be another than the client's: a server with TLS chooses
    /// certificate and site by it.
    #[must_use]
    pub fn host_header(&self) -> Option<String> {
        self.settings.is_tls.then(|| format!("{}:{}", self.settings.host, self.settings.port))
    }

    /// Is the engine's own name part of each request's address, so that a `Host` beside it would contradict it?
    #[must_use]
    pub fn names_host_itself(&self) -> bool {
        self.settings.is_tls || self.settings.http2
    }

    /// The client chooses path and query, never the host: `//elsewhere/` is a path here.
    fn url(&self, path: &str) -> Url {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let mut url = self.origin.clone();
        url.set_path(path);
        url.set_query(query);
        url
    }

    fn headers(&self, question: &Question<'_>) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(question.headers.len() + 4);
        for (name, value) in question.headers {
            if !NOT_PASSED_ON.contains(&name.as_str()) {
                headers.append(name.clone(), value.clone());
            }
        }
        if self.names_host_itself() {
            headers.remove(header::HOST);
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Ok(id) = HeaderValue::from_str(question.request_id) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        headers
    }
}

fn origin(settings: &Upstream) -> String {
    let scheme = if settings.is_tls { "https" } else { "http" };
    let host = if settings.host.contains(':') { format!("[{}]", settings.host) } else { settings.host.clone() };
    format!("{scheme}://{host}:{}/", settings.port)
}

fn client(settings: &Upstream) -> Result<reqwest::Client, String> {
    let builder = client::builder(settings.connect_timeout, settings.pool_idle_timeout);
    // Answers are wanted as they are: some are passed on, and the others come from the same machine.
    let mut builder = builder.no_proxy().no_gzip().no_brotli();
    builder = match (settings.http2, settings.is_tls) {
        (false, _) => builder.http1_only(),
        (true, true) => builder,
        (true, false) => builder.http2_prior_knowledge(),
    };
    if let Some(path) = &settings.tls_ca_file {
        builder = builder.tls_certs_only(client::certificates(path)?);
    }
    builder.build().map_err(|error| format!("TLS for the upstream cannot be set up: {error}"))
}

fn error_of(fault: Fault, max: usize) -> UpstreamError {
    match fault {
        Fault::Connect => UpstreamError::Unreachable,
        Fault::Timeout => UpstreamError::TimedOut,
        Fault::Broken => UpstreamError::Broken,
        Fault::TooLarge => UpstreamError::TooLarge { max },
    }
}

fn peer(address: SocketAddr, settings: &Upstream) -> HttpPeer {
    let mut peer = HttpPeer::new(address, settings.is_tls, settings.host.clone());
    peer.options.connection_timeout = Some(settings.connect_timeout);
    peer.options.total_connection_timeout = Some(settings.connect_timeout * 2);
    peer.options.read_timeout = Some(settings.timeout.max(settings.idle_timeout));
    peer.options.write_timeout = Some(settings.timeout);
    peer.options.idle_timeout = Some(settings.pool_idle_timeout);
    peer.options.alpn = match (settings.http2, settings.is_tls) {
        (false, _) => ALPN::H1,
        (true, true) => ALPN::H2H1,
        (true, false) => ALPN::H2,
    };
    peer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::limits::Limits;

    fn settings(host: &str) -> Upstream {
        let second = Limits::default().request_timeout;
        Upstream {
            is_tls: false,
            host: host.into(),
            port: 8080,
            graphql_path: None,
            connect_timeout: second,
            timeout: second,
            idle_timeout: second,
            pool_idle_timeout: second,
            http2: false,
            tls_ca_file: None,
            query_root: None,
            mutation_root: None,
            probe_interval: second,
        }
    }

    #[test]
    fn a_path_never_chooses_the_host() {
        crate::install_tls_provider();
        let engine = Engine::new(&settings("::1")).expect("an engine");
        for (path, wanted) in [
            ("/v1/graphql", "http://[::1]:8080/v1/graphql"),
            ("//elsewhere/graphql", "http://[::1]:8080//elsewhere/graphql"),
            ("/graphql?a=b&c=http://x", "http://[::1]:8080/graphql?a=b&c=http://x"),
            ("http://elsewhere/graphql", "http://[::1]:8080/http://elsewhere/graphql"),
            ("/\\elsewhere/x", "http://[::1]:8080//elsewhere/x"),
        ] {
            assert_eq!(engine.url(path).as_str(), wanted);
        }
    }
}
