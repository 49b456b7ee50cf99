//! The upstream: sends operations to it and reads its responses.

pub(crate) mod client;
pub(crate) mod dialect;
pub(crate) mod introspect;
pub(crate) mod reads;
pub(crate) mod stand_in;
mod unless_same;

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery};
use http::{Method, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use pingora::protocols::ALPN;
use pingora::upstreams::peer::{HttpPeer, Peer};
use rustls::ClientConfig;

use crate::config::settings::Upstream;
use crate::http_client::connection_pool::{Pool, Streamed};
use crate::http_client::dns_filter::FilteringResolver;
use crate::http_client::tls::client_config;
use crate::http_client::{PerThread, TransportFault, charge, connection_pool, message};
use crate::memory::Share;
use crate::model::error_kind::{ErrorKind, Reason};
use crate::model::replay::Replay;
use crate::protocol::hop_by_hop::end_to_end;
use crate::upstream::client::Client;
use crate::upstream::stand_in::{StandInRequest, StandInResponse, UpstreamStandIn};

/// Why the upstream gave no response. `Display` is for clients.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum UpstreamError {
    /// No connection.
    #[error("the upstream cannot be reached")]
    Unreachable(Reason),
    /// Not in time.
    #[error("the upstream did not respond in time")]
    TimedOut,
    /// The connection ended, or what came was not HTTP.
    #[error("the connection to the upstream broke")]
    Broken(Reason),
    /// More than we hold.
    #[error("the upstream's response is larger than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// The memory budget has no room for its response.
    #[error("there is no memory for the upstream's response now; try again later")]
    NoRoom,
    /// A response that is no GraphQL response.
    #[error("the upstream responded with {status} and something that is not a GraphQL response")]
    NotGraphql {
        /// Its status.
        status: u16,
    },
}

impl UpstreamError {
    /// May the upstream have carried out the operation all the same? Without a connection nothing was sent.
    #[must_use]
    pub(crate) fn may_have_been_executed(&self) -> bool {
        !matches!(self, Self::Unreachable(_))
    }

    /// The cause, for metrics and logs.
    #[must_use]
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreachable(reason) | Self::Broken(reason) => reason.kind(),
            Self::TimedOut => ErrorKind::Timeout,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::NoRoom => ErrorKind::Memory,
            Self::NotGraphql { .. } => ErrorKind::NotGraphql,
        }
    }

    /// What happened, for operators: with the words of the system, which clients do not read.
    #[must_use]
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Unreachable(reason) | Self::Broken(reason) => reason.text().to_owned(),
            other => other.to_string(),
        }
    }
}

/// The upstream's response, whole.
#[derive(Debug)]
pub(crate) struct UpstreamResponse {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
    /// Its cookies for the client.
    pub set_cookies: Vec<HeaderValue>,
}

/// The upstream and how it is reached.
pub(crate) struct UpstreamClient {
    /// Send operations to the upstream. Streamed bodies go over `peer`.
    clients: PerThread<Client>,
    /// Send them in clear text over HTTP/1.1.
    plain: Option<PerThread<Arc<Pool>>>,
    /// Scheme, host and port.
    origin: Uri,
    /// `None` while the upstream's name has no address.
    peer: ArcSwapOption<HttpPeer>,
    settings: Upstream,
    tls: Arc<ClientConfig>,
    /// Responds in place of the upstream, if there is one.
    stand_in: Option<Arc<dyn UpstreamStandIn>>,
}

/// The upstream's response to a client's own request, whose body comes in pieces.
pub(crate) enum Forwarded<'f> {
    /// In clear text.
    Plain(Streamed<'f>),
    /// With TLS or over HTTP/2.
    General(Response<Incoming>),
    /// Of a stand-in; its body, until it has been taken.
    StandIn(StandInResponse, Option<Bytes>),
    /// Any of these, of whose body this beginning has been read already, until it has been taken.
    Begun(Box<Self>, Option<Bytes>),
}

impl Forwarded<'_> {
    /// The same, whose body begins with what has been read of it already.
    #[must_use]
    pub(crate) fn after(self, beginning: Bytes) -> Self {
        Self::Begun(Box::new(self), Some(beginning).filter(|beginning| !beginning.is_empty()))
    }

    /// Its head.
    #[must_use]
    pub(crate) fn head(&self) -> (StatusCode, &HeaderMap) {
        match self {
            Self::Plain(response) => (response.status, &response.headers),
            Self::General(response) => (response.status(), response.headers()),
            Self::StandIn(response, _) => (response.status, &response.headers),
            Self::Begun(response, _) => response.head(),
        }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When it breaks off.
    pub(crate) async fn next_chunk(&mut self) -> Result<Option<Bytes>, TransportFault> {
        match self {
            Self::Plain(response) => response.next_chunk().await,
            Self::General(response) => client::next_chunk(response.body_mut()).await,
            Self::StandIn(_, body) => Ok(body.take()),
            Self::Begun(response, beginning) => match beginning.take() {
                Some(beginning) => Ok(Some(beginning)),
                // Boxed: it is a future of this same function.
                None => Box::pin(response.next_chunk()).await,
            },
        }
    }
}

/// A client's POST on its way to the upstream. Dropped before its end, it breaks off there as well.
pub(crate) enum Upload<'f> {
    /// In clear text.
    Plain(Box<connection_pool::Upload<'f>>),
    /// With TLS or over HTTP/2.
    General(client::Upload),
}

impl<'f> Upload<'f> {
    /// Sends a piece of the body; `false` once the upstream does not want more.
    ///
    /// # Errors
    /// When the connection broke.
    pub(crate) async fn write(&mut self, piece: Bytes) -> Result<bool, TransportFault> {
        match self {
            Self::Plain(upload) => upload.write(&piece).await,
            Self::General(upload) => Ok(upload.write(piece).await),
        }
    }

    /// Ends the body and reads the head of the response.
    ///
    /// # Errors
    /// When the connection broke.
    pub(crate) async fn finish(self) -> Result<Forwarded<'f>, TransportFault> {
        match self {
            Self::Plain(upload) => upload.finish().await.map(Forwarded::Plain),
            Self::General(upload) => upload.finish().await.map(Forwarded::General),
        }
    }
}

/// A whole response, with its headers.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// Of requests that have none, or whose body comes later.
static NO_BODY: Bytes = Bytes::new();

/// One question to the upstream.
pub(crate) struct UpstreamRequest<'q> {
    /// Path and query of the request.
    pub path: &'q str,
    /// The caller's headers; those about the connection and the body are left out here.
    pub headers: &'q HeaderMap,
    /// The id of the client's request.
    pub request_id: &'q str,
    /// JSON.
    pub body: Bytes,
    /// May it be sent again when an old connection turns out to be dead?
    pub replay: Replay<'q>,
    /// Bytes of the response that are held.
    pub max_response_bytes: usize,
    /// Whom they are charged to.
    pub share: Option<&'q Share>,
    /// How long it may take as a whole.
    pub timeout: Duration,
}

/// Headers that describe the client's body or the encodings it accepts, not the client.
static NOT_PASSED_ON: [HeaderName; 6] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_TYPE,
    header::ACCEPT_ENCODING,
    header::EXPECT,
    header::ACCEPT,
];

impl UpstreamClient {
    /// Prepares the connection; nothing is connected or looked up yet, unless the address is a number.
    ///
    /// # Errors
    /// When the file of authorities is no good, or TLS cannot be set up.
    pub(crate) fn new(settings: &Upstream) -> Result<Self, String> {
        let literal = settings.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, settings.port));
        let origin = origin(settings);
        let tls = Arc::new(client_config(settings.tls_ca_file.as_deref(), "upstream.tls_ca_file")?);
        let (connect, idle) = (settings.connect_timeout, settings.pool_idle_timeout);
        let plain = || PerThread::new(move || Ok(Arc::new(Pool::new(FilteringResolver::NOTHING, connect, idle))));
        let is_plain = !settings.is_tls && !settings.http2;
        let (for_clients, tls_of_clients) = (settings.clone(), Arc::clone(&tls));
        Ok(Self {
            clients: PerThread::new(move || Ok(client::client(&for_clients, &tls_of_clients)))?,
            plain: is_plain.then(plain).transpose()?,
            origin: origin.parse::<Uri>().map_err(|error| format!("upstream.url: {origin}: {error}"))?,
            peer: ArcSwapOption::new(literal.map(|address| Arc::new(peer(address, settings)))),
            settings: settings.clone(),
            tls,
            stand_in: None,
        })
    }

    /// The same with a stand-in for the upstream, which is then never connected to.
    #[must_use]
    pub(crate) fn with_stand_in(self, stand_in: Option<Arc<dyn UpstreamStandIn>>) -> Self {
        Self { stand_in, ..self }
    }

    /// How TLS is spoken with it.
    #[must_use]
    pub(crate) fn tls(&self) -> &Arc<ClientConfig> {
        &self.tls
    }

    /// Looks the upstream's name up again, so that a new address is used for new connections.
    pub(crate) async fn resolve(&self) {
        if self.stand_in.is_some() {
            return;
        }
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

    /// How the upstream is reached, for what streams through.
    #[must_use]
    pub(crate) fn peer(&self) -> Option<Arc<HttpPeer>> {
        if self.stand_in.is_some() { None } else { self.peer.load_full() }
    }

    /// The settings it was made with.
    #[must_use]
    pub(crate) fn settings(&self) -> &Upstream {
        &self.settings
    }

    /// Sends a question and waits for the whole response.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub(crate) async fn fetch(&self, question: &UpstreamRequest<'_>) -> Result<UpstreamResponse, UpstreamError> {
        let max = question.max_response_bytes;
        // Cancel safety: at the timeout the connection is dropped as well, so a late response cannot be taken for the
        // next one.
        let response = tokio::time::timeout(question.timeout, pin!(self.exchange(question))).await;
        response.unwrap_or(Err(TransportFault::Timeout)).map_err(|fault| error_of(fault, max))
    }

    async fn exchange(&self, question: &UpstreamRequest<'_>) -> Result<UpstreamResponse, TransportFault> {
        let (uri, body) = (self.uri(question.path)?, question.body.clone());
        if let Some(stand_in) = &self.stand_in {
            let (_, target) = authority_and_target(&uri);
            let headers = self.headers(question);
            let request = StandInRequest { method: &Method::POST, target, headers: &headers, body: &body };
            let StandInResponse { status, headers, body } =
                stand_in.respond_within(&request, question.max_response_bytes)?;
            charge(question.share, body.len())?;
            let set_cookies = headers.get_all(header::SET_COOKIE).iter().cloned().collect();
            return Ok(UpstreamResponse { status, body, set_cookies });
        }
        if let Some(plain) = &self.plain {
            return self.exchange_plainly(plain.here(), &uri, question).await;
        }
        let headers = || self.headers(question);
        let response = client::send(self.clients.here(), &Method::POST, uri, headers, body, question.replay).await?;
        let (head, body) = response.into_parts();
        let set_cookies = head.headers.get_all(header::SET_COOKIE).iter().cloned().collect();
        let body = client::read_body(body, question.max_response_bytes, question.share).await?;
        Ok(UpstreamResponse { status: head.status, body, set_cookies })
    }

    async fn exchange_plainly(
        &self,
        plain: &Pool,
        uri: &Uri,
        question: &UpstreamRequest<'_>,
    ) -> Result<UpstreamResponse, TransportFault> {
        let (authority, target) = authority_and_target(uri);
        let request = message::Request {
            method: &Method::POST,
            authority,
            target,
            headers: &self.headers(question),
            body: &question.body,
            replay: question.replay,
            max_response_bytes: question.max_response_bytes,
            share: question.share,
        };
        let message::Response { status, headers, body } = plain.exchange(&request).await?;
        let set_cookies = headers.get_all(header::SET_COOKIE).iter().cloned().collect();
        Ok(UpstreamResponse { status, body, set_cookies })
    }

    /// The connection pool of each thread.
    pub(crate) fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.plain.iter().flat_map(PerThread::all).map(Arc::as_ref)
    }

    /// Is it reached in clear text over HTTP/1.1?
    #[must_use]
    pub(crate) fn is_plain(&self) -> bool {
        self.plain.is_some() || self.stand_in.is_some()
    }

    /// Where a client's request for this path goes.
    ///
    /// # Errors
    /// When it is no path.
    pub(crate) fn address(&self, path: &str) -> Result<Uri, UpstreamError> {
        self.uri(path).map_err(|fault| error_of(fault, 0))
    }

    /// Sends a client's request as it is, and waits for the head of the response.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub(crate) async fn forward<'f>(
        &'f self,
        method: &'f Method,
        address: &'f Uri,
        headers: &'f HeaderMap,
        body: &'f Bytes,
        replay: Replay<'f>,
    ) -> Result<Forwarded<'f>, UpstreamError> {
        let response = async {
            if let Some(stand_in) = &self.stand_in {
                let (_, target) = authority_and_target(address);
                let request = StandInRequest { method, target, headers, body };
                let response = stand_in.respond_within(&request, usize::MAX)?;
                let body = response.body.clone();
                return Ok(Forwarded::StandIn(response, Some(body)));
            }
            let Some(plain) = &self.plain else {
                let here = self.clients.here();
                let (uri, headers) = (address.clone(), || headers.clone());
                let response = client::send(here, method, uri, headers, body.clone(), replay).await?;
                return Ok(Forwarded::General(response));
            };
            let (authority, target) = authority_and_target(address);
            let request = message::Request {
                method,
                authority,
                target,
                headers,
                body,
                replay,
                // It is passed on as it comes.
                max_response_bytes: usize::MAX,
                share: None,
            };
            plain.here().stream(&request).await.map(Forwarded::Plain)
        };
        // Pinned where it is, here and in `fetch`: what waits for a future by value copies it.
        self.in_time(pin!(response)).await
    }

    /// Begins to send a client's POST whose body is still coming.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub(crate) async fn upload<'f>(
        &'f self,
        address: &'f Uri,
        headers: &'f HeaderMap,
        length: Option<usize>,
    ) -> Result<Upload<'f>, UpstreamError> {
        if self.stand_in.is_some() {
            let reason = Reason::new(ErrorKind::InvalidRequest, "a stand-in takes no body that is larger than is read");
            return Err(UpstreamError::Broken(reason));
        }
        let Some(plain) = &self.plain else {
            let mut headers = headers.clone();
            if let Some(length) = length {
                headers.insert(header::CONTENT_LENGTH, length.into());
            }
            return Ok(Upload::General(client::Upload::begin(self.clients.here(), address.clone(), headers)));
        };
        let (authority, target) = authority_and_target(address);
        let request = message::Request {
            method: &Method::POST,
            authority,
            target,
            headers,
            body: &NO_BODY,
            replay: Replay::Never,
            max_response_bytes: usize::MAX,
            share: None,
        };
        let begun = self.in_time(plain.here().upload(request, length)).await;
        begun.map(Box::new).map(Upload::Plain)
    }

    /// Waits for so long as the upstream may take.
    ///
    /// # Errors
    /// [`UpstreamError`].
    // No `async fn`: that would carry the room of `work` twice.
    pub(crate) fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, TransportFault>>,
    ) -> impl Future<Output = Result<T, UpstreamError>> {
        let done = tokio::time::timeout(self.settings.request_timeout, work);
        done.map(|done| done.unwrap_or(Err(TransportFault::Timeout)).map_err(|fault| error_of(fault, 0)))
    }

    /// Sends a GET and reads the whole response, at most `bytes_max` bytes of its body.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub(crate) async fn get(
        &self,
        path: &str,
        headers: &HeaderMap,
        bytes_max: usize,
    ) -> Result<Fetched, UpstreamError> {
        let fetched = async {
            let uri = self.uri(path)?;
            if let Some(stand_in) = &self.stand_in {
                let (_, target) = authority_and_target(&uri);
                let request = StandInRequest { method: &Method::GET, target, headers, body: &NO_BODY };
                let StandInResponse { status, headers, body } = stand_in.respond_within(&request, bytes_max)?;
                return Ok(Fetched { status, headers, body });
            }
            let Some(plain) = &self.plain else {
                let (here, headers) = (self.clients.here(), || headers.clone());
                let response = client::send(here, &Method::GET, uri, headers, Bytes::new(), Replay::Reads).await?;
                let (head, body) = response.into_parts();
                let body = client::read_body(body, bytes_max, None).await?;
                return Ok(Fetched { status: head.status, headers: head.headers, body });
            };
            let (authority, target) = authority_and_target(&uri);
            let request = message::Request {
                method: &Method::GET,
                authority,
                target,
                headers,
                body: &NO_BODY,
                replay: Replay::Reads,
                max_response_bytes: bytes_max,
                share: None,
            };
            let message::Response { status, headers, body } = plain.here().exchange(&request).await?;
            Ok(Fetched { status, headers, body })
        };
        let fetched = tokio::time::timeout(self.settings.request_timeout, fetched).await;
        fetched.unwrap_or(Err(TransportFault::Timeout)).map_err(|fault| error_of(fault, bytes_max))
    }

    /// The `Host` that the upstream is addressed by, where it must be another than the client's: a server with TLS
    /// chooses certificate and site by it.
    #[must_use]
    pub(crate) fn host_header(&self) -> Option<String> {
        self.settings.is_tls.then(|| self.settings.authority())
    }

    /// Is the upstream's own name part of each request's address, so that a `Host` beside it would contradict it?
    #[must_use]
    pub(crate) fn names_host_itself(&self) -> bool {
        self.settings.is_tls || self.settings.http2
    }

    /// The client chooses path and query, never the host: `//elsewhere/` is a path here.
    fn uri(&self, path: &str) -> Result<Uri, TransportFault> {
        let path = PathAndQuery::try_from(path).map_err(|_| no_path())?;
        let mut parts = self.origin.clone().into_parts();
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).map_err(|_| no_path())
    }

    fn headers(&self, question: &UpstreamRequest<'_>) -> HeaderMap {
        self.operation_headers(question.headers, question.request_id, "application/json")
    }

    /// The headers of a caller's operation whose results are to come as server-sent events.
    #[must_use]
    pub(crate) fn event_stream_headers(&self, callers: &HeaderMap, request_id: &str) -> HeaderMap {
        self.operation_headers(callers, request_id, "text/event-stream")
    }

    fn operation_headers(&self, callers: &HeaderMap, request_id: &str, accept: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(callers.len() + 4);
        for (name, value) in end_to_end(callers) {
            if !NOT_PASSED_ON.contains(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        if self.names_host_itself() {
            headers.remove(header::HOST);
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        headers
    }
}

fn origin(settings: &Upstream) -> String {
    let scheme = if settings.is_tls { "https" } else { "http" };
    format!("{scheme}://{}/", settings.authority())
}

/// The target of a request over our own connection, as its head names it.
fn authority_and_target(uri: &Uri) -> (&str, &str) {
    (uri.authority().map_or("", Authority::as_str), uri.path_and_query().map_or("/", PathAndQuery::as_str))
}

fn no_path() -> TransportFault {
    TransportFault::Broken(Reason::new(ErrorKind::InvalidRequest, "the path of the request is invalid"))
}

impl From<TransportFault> for UpstreamError {
    fn from(fault: TransportFault) -> Self {
        error_of(fault, 0)
    }
}

fn error_of(fault: TransportFault, max: usize) -> UpstreamError {
    match fault {
        TransportFault::Connect(reason) => UpstreamError::Unreachable(reason),
        TransportFault::Timeout => UpstreamError::TimedOut,
        TransportFault::Broken(reason) => UpstreamError::Broken(reason),
        TransportFault::TooLarge => UpstreamError::TooLarge { max },
        TransportFault::NoRoom => UpstreamError::NoRoom,
    }
}

fn peer(address: SocketAddr, settings: &Upstream) -> HttpPeer {
    let mut peer = HttpPeer::new(address, settings.is_tls, settings.host.clone());
    peer.options.connection_timeout = Some(settings.connect_timeout);
    peer.options.total_connection_timeout = Some(settings.connect_timeout * 2);
    peer.options.read_timeout = Some(settings.request_timeout.max(settings.stream_idle_timeout));
    peer.options.write_timeout = Some(settings.request_timeout);
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
            request_timeout: second,
            stream_idle_timeout: second,
            pool_idle_timeout: second,
            http2: false,
            tls_ca_file: None,
            query_type: None,
            mutation_type: None,
            health_check_interval: second,
            websocket_init: crate::config::settings::WebSocketInit::Lazy,
        }
    }

    #[test]
    fn a_number_with_colons_stands_in_brackets() {
        crate::install_tls_provider();
        let upstream = |host| UpstreamClient::new(&Upstream { is_tls: true, ..settings(host) }).expect("an upstream");
        assert_eq!(upstream("::1").host_header().as_deref(), Some("[::1]:8080"));
        assert_eq!(upstream("upstream").host_header().as_deref(), Some("upstream:8080"));
    }

    #[test]
    fn a_path_never_chooses_the_host() {
        crate::install_tls_provider();
        let upstream = UpstreamClient::new(&settings("::1")).expect("an upstream");
        for (path, wanted) in [
            ("/v1/graphql", "http://[::1]:8080/v1/graphql"),
            ("//elsewhere/graphql", "http://[::1]:8080//elsewhere/graphql"),
            ("/graphql?a=b&c=http://x", "http://[::1]:8080/graphql?a=b&c=http://x"),
            ("/@elsewhere/x", "http://[::1]:8080/@elsewhere/x"),
        ] {
            assert_eq!(upstream.uri(path).map(|uri| uri.to_string()).as_deref(), Ok(wanted));
        }
        assert_eq!(upstream.uri("@elsewhere/graphql"), Err(no_path()));
    }
}
