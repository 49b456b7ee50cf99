//! One webhook call, from the request to the last byte of the answer, within one deadline.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderValue, SET_COOKIE};
use http::{HeaderMap, Method};
use reqwest::Request;

use crate::action::answer::CallFault;
use crate::model::chunks::{Chunks, TooLong};

/// A call that has been allowed and whose request is ready.
#[derive(Debug)]
pub struct WebhookCall {
    /// The handler's address, variables filled in.
    pub url: reqwest::Url,
    /// All headers.
    pub headers: HeaderMap,
    /// JSON.
    pub body: Bytes,
    /// How long the whole exchange may take.
    pub timeout: Duration,
    /// Bytes of the decoded answer that are held.
    pub answer_bytes_max: usize,
    /// May it be sent again if the connection ends before any answer?
    pub may_repeat: bool,
}

/// What a handler answered.
#[derive(Debug)]
pub struct WebhookAnswer {
    /// The status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The body, decoded.
    pub body: Bytes,
}

/// Cookies of one answer that go on to the client.
const COOKIES_MAX: usize = 50;

impl WebhookAnswer {
    /// The cookies for the client, in order.
    pub fn set_cookies(&self) -> impl Iterator<Item = &HeaderValue> {
        self.headers.get_all(SET_COOKIE).iter().take(COOKIES_MAX)
    }
}

/// Makes the call.
///
/// # Errors
/// [`CallFault`], when no whole answer came.
pub async fn call(client: &reqwest::Client, call: WebhookCall) -> Result<WebhookAnswer, CallFault> {
    let timeout = call.timeout;
    // Dropped when the time is up: the request may have reached the handler, so it counts as sent.
    tokio::time::timeout(timeout, call_untimed(client, call)).await.unwrap_or(Err(CallFault::Timeout))
}

async fn call_untimed(client: &reqwest::Client, call: WebhookCall) -> Result<WebhookAnswer, CallFault> {
    let mut request = Request::new(Method::POST, call.url);
    *request.headers_mut() = call.headers;
    *request.body_mut() = Some(call.body.into());
    let again = call.may_repeat.then(|| request.try_clone()).flatten();
    let mut response = match (client.execute(request).await, again) {
        (Err(error), Some(again)) if !error.is_connect() => client.execute(again).await,
        (first, _) => first,
    }
    .map_err(|error| fault_of(&error))?;
    let status = response.status().as_u16();
    let headers = std::mem::take(response.headers_mut());
    let body = read_body(response, call.answer_bytes_max).await?;
    Ok(WebhookAnswer { status, headers, body })
}

async fn read_body(mut response: reqwest::Response, bytes_max: usize) -> Result<Bytes, CallFault> {
    let mut chunks = Chunks::new(bytes_max);
    while let Some(chunk) = response.chunk().await.map_err(|error| fault_of(&error))? {
        chunks.push(chunk).map_err(|TooLong| CallFault::TooLarge { max: bytes_max })?;
    }
    Ok(chunks.finish())
}

/// The library's own words hold the address, so only the kind of fault is taken from them.
fn fault_of(error: &reqwest::Error) -> CallFault {
    if error.is_timeout() && !error.is_connect() {
        return CallFault::Timeout;
    }
    if error.is_connect() || error.source().is_some_and(|source| source.is::<std::io::Error>()) {
        return CallFault::Connect;
    }
    CallFault::Broken
}
