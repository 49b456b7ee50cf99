//! One HTTP exchange with a handler, from the request to the last byte of the response, within one deadline.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderValue;
use http::{HeaderMap, Method, StatusCode, header};
use reqwest::{Client, Request, Url};
use url::Position;

use crate::action::handler_error::TransportError;
use crate::handler_client::HandlerClient;
use crate::http_client::connection_pool::Pool;
use crate::http_client::decode::{Encoding, RoomFor};
use crate::http_client::{TransportFault, fault_of, message, read_body_within};
use crate::memory::Share;
use crate::model::replay::Replay;
use crate::model::response::RequestError;

/// A call that has been allowed and whose request is ready.
#[derive(Debug)]
pub(crate) struct HandlerHttpRequest {
    /// The method.
    pub method: Method,
    /// The handler's address, variables filled in.
    pub url: Url,
    /// All headers.
    pub headers: HeaderMap,
    /// The body; none is empty.
    pub body: Bytes,
    /// How long the whole exchange may take.
    pub timeout: Duration,
    /// Bytes of the decoded response that are held.
    pub max_response_bytes: usize,
}

/// A handler's response.
#[derive(Debug)]
pub(crate) struct HandlerHttpResponse {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body, decoded.
    pub body: Bytes,
    /// Is the body the action's value already, so that neither its response transform nor its envelope applies?
    pub is_value: bool,
}

/// Makes the call. It is borrowed, and the request to the connection pool too: a future that is given a value takes its size twice,
/// as does one that is given a future, which is pinned therefore.
///
/// # Errors
/// [`TransportError`], when no whole response came. The request may have reached the handler all the same.
pub(crate) async fn call(
    client: &HandlerClient,
    call: &mut HandlerHttpRequest,
    share: Option<&Share>,
) -> Result<HandlerHttpResponse, TransportError> {
    let (timeout, max) = (call.timeout, call.max_response_bytes);
    // Cancel safety: at the timeout the connection is dropped as well, so a late response cannot be taken for the next
    // one.
    let response = tokio::time::timeout(timeout, pin!(exchange(client, call, share))).await;
    response.unwrap_or(Err(TransportFault::Timeout)).map_err(|fault| match fault {
        TransportFault::Connect(reason) => TransportError::Connect(reason),
        TransportFault::Timeout => TransportError::Timeout,
        TransportFault::Broken(reason) => TransportError::Broken(reason),
        TransportFault::TooLarge => TransportError::TooLarge { max },
        TransportFault::NoRoom => TransportError::NoRoom,
    })
}

async fn exchange(
    client: &HandlerClient,
    call: &mut HandlerHttpRequest,
    share: Option<&Share>,
) -> Result<HandlerHttpResponse, TransportFault> {
    match &client.plain {
        Some(plain) if call.url.scheme() == "http" => exchange_plainly(plain, call, share).await,
        _ => exchange_in_general(&client.general, call, share).await,
    }
}

async fn exchange_plainly(
    plain: &Pool,
    call: &mut HandlerHttpRequest,
    share: Option<&Share>,
) -> Result<HandlerHttpResponse, TransportFault> {
    for (name, value) in [(header::ACCEPT, "*/*"), (header::ACCEPT_ENCODING, "gzip, br")] {
        call.headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    let request = message::Request {
        method: &call.method,
        authority: &call.url[Position::BeforeHost..Position::AfterPort],
        target: &call.url[Position::BeforePath..Position::AfterQuery],
        headers: &call.headers,
        body: &call.body,
        replay: Replay::Never,
        max_response_bytes: call.max_response_bytes,
        share,
    };
    let message::Response { status, headers, body } = plain.exchange(&request).await?;
    let body = match Encoding::of(&headers) {
        Ok(encoding @ (Encoding::Gzip | Encoding::Brotli)) => {
            let room: RoomFor<'_> =
                &|bytes| share.map_or(Ok(()), |share| share.grow(bytes)).map_err(RequestError::from);
            let decoded = encoding.decode(&body, call.max_response_bytes, room);
            share.inspect(|share| share.release(body.len()));
            decoded.map(Bytes::from).map_err(|error| fault_of_decoding(&error))?
        }
        // No other coding was requested, so the body is taken as it is.
        _ => body,
    };
    Ok(HandlerHttpResponse { status, headers, body, is_value: false })
}

fn fault_of_decoding(error: &RequestError) -> TransportFault {
    match error.status {
        413 => TransportFault::TooLarge,
        503 => TransportFault::NoRoom,
        _ => TransportFault::invalid_http("the body cannot be decoded"),
    }
}

async fn exchange_in_general(
    client: &Client,
    call: &mut HandlerHttpRequest,
    share: Option<&Share>,
) -> Result<HandlerHttpResponse, TransportFault> {
    let mut request = Request::new(call.method.clone(), call.url.clone());
    *request.headers_mut() = std::mem::take(&mut call.headers);
    if !call.body.is_empty() {
        *request.body_mut() = Some(call.body.clone().into());
    }
    let mut response = client.execute(request).await.map_err(|error| fault_of(&error))?;
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let body = read_body_within(response, call.max_response_bytes, share).await?;
    Ok(HandlerHttpResponse { status, headers, body, is_value: false })
}
