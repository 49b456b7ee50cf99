//! A request whose whole body has been read and found to be none of ours, sent on by hand: pingora's own way costs more, and
//! replays only what fits its retry buffer of 64 KiB.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::Version;
use http::header::{self, HeaderMap, HeaderValue};

use super::exchange::Exchange;
use super::gone::unless_gone;
use super::visit::add_host;
use crate::protocol::hop_by_hop::end_to_end;
use crate::upstream::{self, Engine, UpstreamError};

/// How a forwarded request ended.
#[derive(Debug)]
pub enum Forwarded {
    /// The answer is with the client.
    Done,
    /// No byte of an answer has been passed on; the client can be told.
    Failed(UpstreamError),
    /// The client has gone.
    Gone,
    /// The answer broke off half-way; the connection must go, so that nobody takes half for the whole.
    Cut,
}

/// Sends a POST on and streams the answer back, for as long as the client is there.
pub async fn forward(engine: &Engine, exchange: &mut Exchange<'_>, body: Bytes, may_repeat: bool) -> Forwarded {
    let path = exchange.head().uri.path_and_query().map_or("/", |path| path.as_str());
    let address = match engine.address(path) {
        Ok(address) => address,
        Err(error) => return Forwarded::Failed(error),
    };
    let headers = request_headers(engine, exchange);
    let asked = pin!(engine.forward(&address, &headers, &body, may_repeat));
    match unless_gone(exchange, asked).await {
        None => Forwarded::Gone,
        Some(Err(error)) => Forwarded::Failed(error),
        Some(Ok(answer)) => match stream_back(answer, exchange, engine.settings().idle_timeout).await {
            Ok(()) => Forwarded::Done,
            Err(Cut) => Forwarded::Cut,
        },
    }
}

fn request_headers(engine: &Engine, exchange: &Exchange<'_>) -> HeaderMap {
    let head = exchange.head();
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    for (name, value) in end_to_end(&head.headers) {
        headers.append(name.clone(), value.clone());
    }
    headers.remove(header::EXPECT);
    headers.remove(header::CONTENT_LENGTH);
    if engine.names_host_itself() {
        headers.remove(header::HOST);
    } else {
        add_host(&mut headers, &head.uri);
    }
    headers
}

struct Cut;

async fn stream_back(
    mut answer: upstream::Forwarded<'_>,
    exchange: &mut Exchange<'_>,
    idle: Duration,
) -> Result<(), Cut> {
    let (status, headers) = answer.head();
    // It was chunked, or ended with the connection; either way its length is not known yet.
    let is_chunked = exchange.head().version == Version::HTTP_11
        && !headers.contains_key(header::CONTENT_LENGTH)
        && !matches!(status.as_u16(), 204 | 304);
    let chunked = HeaderValue::from_static("chunked");
    let coding = is_chunked.then_some((&header::TRANSFER_ENCODING, &chunked));
    exchange.write_head(status, end_to_end(headers).chain(coding)).await.map_err(|_| Cut)?;
    loop {
        let next = pin!(tokio::time::timeout(idle, answer.next_chunk()));
        let chunk = unless_gone(exchange, next).await.ok_or(Cut)?.map_err(|_| Cut)?;
        let Some(chunk) = chunk.map_err(|_| Cut)? else { break };
        exchange.write_body(chunk).await.map_err(|_| Cut)?;
    }
    exchange.finish(Bytes::new()).await.map_err(|_| Cut)
}
