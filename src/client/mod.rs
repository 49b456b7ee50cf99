//! HTTP requests of our own, to handlers and to the engine: one deadline, one limit, no redirects, nothing sent twice
//! unless that is allowed.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use reqwest::{Client, ClientBuilder, Request, Response, Url};
use thread_local::ThreadLocal;

use crate::model::chunks::{Chunks, TooLong};

/// Why no whole answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No connection, or TLS failed.
    Connect,
    /// Not in time.
    Timeout,
    /// The connection ended, or what came was not HTTP.
    Broken,
    /// More than is held.
    TooLarge,
}

/// One client for each thread that asks for one. A connection lives on the thread that made it, and a request that had
/// to go through another thread's connection would wait for that thread twice.
pub struct Clients {
    build: Box<dyn Fn() -> Result<Client, String> + Send + Sync>,
    first: Client,
    own: ThreadLocal<Client>,
}

impl Clients {
    /// Clients that `build` makes.
    ///
    /// # Errors
    /// Why the first one cannot be made.
    pub fn new(build: impl Fn() -> Result<Client, String> + Send + Sync + 'static) -> Result<Self, String> {
        let first = build()?;
        Ok(Self { build: Box::new(build), first, own: ThreadLocal::new() })
    }

    /// This thread's client.
    pub fn here(&self) -> &Client {
        // What could be made once can be made again; if not, a shared connection is better than none.
        self.own.get_or(|| (self.build)().unwrap_or_else(|_| self.first.clone()))
    }
}

/// A client without redirects and cookies. Unused connections are kept for `pool_idle_timeout`.
pub fn builder(connect_timeout: Duration, pool_idle_timeout: Duration) -> ClientBuilder {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(pool_idle_timeout)
        .tcp_nodelay(true)
        // Nothing is sent again behind our back; see `send`.
        .retry(reqwest::retry::never())
}

/// The certificates in a PEM file.
///
/// # Errors
/// When there are none.
pub fn certificates(path: &str) -> Result<Vec<reqwest::Certificate>, String> {
    let pem = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|_| format!("{path}: this is not PEM"))?;
    if certificates.is_empty() {
        return Err(format!("{path}: there is no certificate in it"));
    }
    Ok(certificates)
}

/// A POST.
#[derive(Debug)]
pub struct Post {
    /// Where to.
    pub url: Url,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// May it be sent again if the connection ends before any answer?
    pub may_repeat: bool,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body, decoded.
    pub body: Bytes,
}

/// Sends a request and reads the whole answer, at most `bytes_max` bytes of it, in `timeout`.
///
/// # Errors
/// [`Fault`].
pub async fn exchange(client: &Client, post: Post, bytes_max: usize, timeout: Duration) -> Result<Answer, Fault> {
    let exchange = async {
        let mut response = send(client, post).await?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let body = read_body(response, bytes_max).await?;
        Ok(Answer { status, headers, body })
    };
    // Dropped when the time is up: the connection goes with it, so nobody reads a late answer as his own.
    tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(Fault::Timeout))
}

/// Sends a request and reads the head of its answer.
///
/// # Errors
/// [`Fault`].
pub async fn send(client: &Client, post: Post) -> Result<Response, Fault> {
    let mut request = Request::new(Method::POST, post.url);
    *request.headers_mut() = post.headers;
    *request.body_mut() = Some(post.body.into());
    let again = post.may_repeat.then(|| request.try_clone()).flatten();
    match (client.execute(request).await, again) {
        (Err(error), Some(again)) if fault_of(&error) == Fault::Broken => client.execute(again).await,
        (first, _) => first,
    }
    .map_err(|error| fault_of(&error))
}

async fn read_body(mut response: Response, bytes_max: usize) -> Result<Bytes, Fault> {
    let mut chunks = Chunks::new(bytes_max);
    while let Some(chunk) = response.chunk().await.map_err(|error| fault_of(&error))? {
        chunks.push(chunk).map_err(|TooLong| Fault::TooLarge)?;
    }
    Ok(chunks.finish())
}

/// The library's own words hold the address, so only the kind of fault is taken from them.
#[must_use]
pub fn fault_of(error: &reqwest::Error) -> Fault {
    if error.is_timeout() && !error.is_connect() {
        return Fault::Timeout;
    }
    if error.is_connect() || error.source().is_some_and(<dyn pingora::ErrorTrait + 'static>::is::<std::io::Error>) {
        return Fault::Connect;
    }
    Fault::Broken
}
