//! The engine: its part of a document goes out, its answer comes back. On pingora's own connectors, so that a call
//! costs no hop between tasks and uses the same kind of connection as what streams through.

pub mod dialect;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::ALPN;
use pingora::protocols::http::client::HttpSession;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::{HttpPeer, Peer};

use crate::config::settings::Upstream;
use crate::model::chunks::{Chunks, TooLong};

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

/// The connection to the engine.
pub struct Engine {
    connector: Connector,
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
    #[must_use]
    pub fn new(settings: &Upstream, conf: &ServerConf) -> Self {
        let literal = settings.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, settings.port));
        Self {
            connector: Connector::new(Some(ConnectorOptions::from_server_conf(conf))),
            peer: ArcSwapOption::new(literal.map(|address| Arc::new(peer(address, settings)))),
            settings: settings.clone(),
        }
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
        // Dropped when the time is up: the connection goes with it, so nobody reads a late answer as his own.
        tokio::time::timeout(question.timeout, self.ask_untimed(&question))
            .await
            .unwrap_or(Err(UpstreamError::TimedOut))
    }

    async fn ask_untimed(&self, question: &Question<'_>) -> Result<EngineReply, UpstreamError> {
        let header = self.request_header(question)?;
        let mut repeated = false;
        loop {
            let mut line = self.connect().await?;
            match line.send(header.clone(), question.body.clone()).await {
                Ok(()) => {}
                Err(NoAnswer::Broken) if line.reused && question.may_repeat && !repeated => {
                    repeated = true;
                    continue;
                }
                Err(NoAnswer::Broken) => return Err(UpstreamError::Broken),
                Err(NoAnswer::TimedOut) => return Err(UpstreamError::TimedOut),
            }
            let reply = read_reply(&mut line.session, question.answer_bytes_max).await?;
            self.release(line).await;
            return Ok(reply);
        }
    }

    /// A connection, new or used.
    ///
    /// # Errors
    /// [`UpstreamError::Unreachable`].
    pub async fn connect(&self) -> Result<Line, UpstreamError> {
        let peer = self.peer().ok_or(UpstreamError::Unreachable)?;
        let got = self.connector.get_http_session(&*peer).await;
        let (session, reused) = got.map_err(|_| UpstreamError::Unreachable)?;
        Ok(Line { session, reused, peer })
    }

    /// Gives a connection whose answer has been read to its end back for others to use.
    pub async fn release(&self, line: Line) {
        let idle = Some(self.settings.pool_idle_timeout);
        self.connector.release_http_session(line.session, &*line.peer, idle).await;
    }

    /// The `Host` that the engine is addressed by, where it must be another than the client's: a server with TLS chooses
    /// certificate and site by it.
    #[must_use]
    pub fn host_header(&self) -> Option<String> {
        self.settings.is_tls.then(|| format!("{}:{}", self.settings.host, self.settings.port))
    }

    fn request_header(&self, question: &Question<'_>) -> Result<Box<RequestHeader>, UpstreamError> {
        let broken = |_| UpstreamError::Broken;
        let mut header =
            RequestHeader::build_no_case(Method::POST, question.path.as_bytes(), Some(24)).map_err(broken)?;
        for (name, value) in question.headers {
            if !NOT_PASSED_ON.contains(&name.as_str()) {
                header.append_header(name.clone(), value.clone()).map_err(broken)?;
            }
        }
        if let Some(host) = self.host_header().or_else(|| self.own_host(question)) {
            header.insert_header(header::HOST, host).map_err(broken)?;
        }
        let fixed: [(HeaderName, HeaderValue); 4] = [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (header::ACCEPT, HeaderValue::from_static("application/json")),
            (header::CONTENT_LENGTH, HeaderValue::from(question.body.len())),
            (HeaderName::from_static("x-request-id"), request_id_value(question.request_id)),
        ];
        for (name, value) in fixed {
            header.insert_header(name, value).map_err(broken)?;
        }
        Ok(Box::new(header))
    }

    /// HTTP/2 clients name the host elsewhere, and our own questions have no client.
    fn own_host(&self, question: &Question<'_>) -> Option<String> {
        let absent = !question.headers.contains_key(header::HOST);
        absent.then(|| format!("{}:{}", self.settings.host, self.settings.port))
    }
}

fn request_id_value(id: &str) -> HeaderValue {
    HeaderValue::from_str(id).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

/// A connection to the engine.
pub struct Line {
    /// What is said on it.
    pub session: HttpSession,
    /// Has it carried a request before?
    pub reused: bool,
    peer: Arc<HttpPeer>,
}

impl Line {
    /// Sends a request and reads the head of its answer, which is not informational.
    ///
    /// # Errors
    /// [`NoAnswer`], and no byte of an answer came.
    pub async fn send(&mut self, mut header: Box<RequestHeader>, body: Bytes) -> Result<(), NoAnswer> {
        if matches!(self.session, HttpSession::H2(_)) {
            address_http2(&mut header, self.peer.is_tls());
        }
        self.session.write_request_header(header).await.map_err(no_answer)?;
        self.session.write_request_body(body, true).await.map_err(no_answer)?;
        self.session.finish_request_body().await.map_err(no_answer)?;
        for _ in 0..INFORMATIONAL_MAX {
            self.session.read_response_header().await.map_err(no_answer)?;
            let is_final = self.session.response_header().is_some_and(|head| !head.status.is_informational());
            if is_final {
                return Ok(());
            }
        }
        Err(NoAnswer::Broken)
    }
}

/// Why not even the head of an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// Not in time.
    TimedOut,
    /// The connection ended, or what came was not HTTP.
    Broken,
}

fn no_answer(error: Box<pingora::Error>) -> NoAnswer {
    match error.etype() {
        pingora::ErrorType::ReadTimedout | pingora::ErrorType::WriteTimedout => NoAnswer::TimedOut,
        _ => NoAnswer::Broken,
    }
}

/// Informational answers before the real one.
const INFORMATIONAL_MAX: usize = 10;

/// HTTP/2 names scheme and host with the path, not in a header of its own.
fn address_http2(header: &mut RequestHeader, is_tls: bool) {
    let scheme = if is_tls { "https" } else { "http" };
    let host = header.remove_header(&header::HOST);
    let host = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default();
    let path = String::from_utf8_lossy(header.raw_path()).into_owned();
    if let Ok(uri) = format!("{scheme}://{host}{path}").parse() {
        header.set_uri(uri);
    }
    header.set_version(http::Version::HTTP_2);
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

async fn read_reply(session: &mut HttpSession, bytes_max: usize) -> Result<EngineReply, UpstreamError> {
    let response = session.response_header().ok_or(UpstreamError::Broken)?;
    let status = response.status;
    let set_cookies = response.headers.get_all(header::SET_COOKIE).iter().cloned().collect();
    let mut chunks = Chunks::new(bytes_max);
    while let Some(chunk) = session.read_response_body().await.map_err(|_| UpstreamError::Broken)? {
        chunks.push(chunk).map_err(|TooLong| UpstreamError::TooLarge { max: bytes_max })?;
    }
    Ok(EngineReply { status, body: chunks.finish(), set_cookies })
}
