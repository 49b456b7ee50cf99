//! Runs an operation of the playground: one HTTP request through the client listener, inside the process, with the times of its
//! phases and calls.

use std::time::Instant;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::console::Console;
use crate::console::playground::OperationRequest;
use crate::console::request::ApiRequest;
use crate::console::response::{ApiError, ApiResult, Reply};
use crate::telemetry::logs::milliseconds;
use crate::telemetry::span_watch::WatchedSpan;

/// Bytes of a response that are shown.
const RESPONSE_BYTES_MAX: usize = 8 * 1024 * 1024;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Runs an operation over HTTP.
pub(super) async fn run(console: &Console, request: &ApiRequest<'_>) -> ApiResult {
    let operation: OperationRequest = request.json()?;
    let trace_id = Uuid::new_v4().simple().to_string();
    let request_id = Uuid::new_v4().to_string();
    let mut http = client_request(console, &operation, "application/graphql-response+json, application/json")?;
    if let Ok(value) = HeaderValue::try_from(format!("00-{trace_id}-{:016x}-00", Uuid::new_v4().as_u64_pair().0.max(1)))
    {
        http.headers_mut().insert(TRACEPARENT, value);
    }
    if let Ok(value) = HeaderValue::try_from(&request_id) {
        http.headers_mut().insert(REQUEST_ID, value);
    }
    let watch = console.services.span_watches.watch(&trace_id);
    let began = Instant::now();
    let response = send(console, http).await?;
    let (head, mut body) = response.into_parts();
    let (mut bytes, mut is_truncated) = (Vec::new(), false);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { break };
        let Some(data) = frame.data_ref() else { continue };
        let room = RESPONSE_BYTES_MAX.saturating_sub(bytes.len());
        bytes.extend_from_slice(data.get(..room).unwrap_or(data));
        if data.len() > room {
            is_truncated = true;
            break;
        }
    }
    let duration = began.elapsed();
    let spans = watch.map(|watch| watch.spans()).unwrap_or_default();
    let headers: Vec<(&str, String)> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    Ok(Reply::json(&json!({
        "status": head.status.as_u16(),
        "headers": headers,
        "body": String::from_utf8_lossy(&bytes),
        "truncated": is_truncated,
        "duration_ms": milliseconds(duration),
        "request_id": request_id,
        "timing": timing(&spans, began, milliseconds(duration)),
    })))
}

/// The request of a client with this operation.
pub(super) fn client_request(
    console: &Console,
    operation: &OperationRequest,
    accept: &'static str,
) -> Result<Request<Full<Bytes>>, ApiError> {
    let configured = console.services.configured();
    let path = configured.settings.graphql_paths.first().map_or("/graphql", String::as_str);
    let uri: Uri = path.parse().map_err(|_| ApiError::internal())?;
    let body = Full::new(Bytes::from(operation.body().to_string()));
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    *headers = operation.client_headers(console)?;
    headers.insert(HOST, HeaderValue::from_static("localhost"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    Ok(request)
}

/// Sends a request to the client listener, inside the process.
pub(super) async fn send(
    console: &Console,
    request: Request<Full<Bytes>>,
) -> Result<http::Response<hyper::body::Incoming>, ApiError> {
    let failed = |reason: String| ApiError::unavailable(format!("the client listener: {reason}"));
    let stream = console.listener.connect().map_err(|error| failed(error.to_string()))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(error.to_string()))?;
    // It ends with the response, or when that is dropped.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(|error| failed(error.to_string()))
}

/// The spans as a waterfall, in the order in which they began; nothing if the request passed through.
fn timing(spans: &[WatchedSpan], began: Instant, total_ms: f64) -> Value {
    if spans.is_empty() {
        return Value::Null;
    }
    let mut spans: Vec<&WatchedSpan> = spans.iter().collect();
    spans.sort_by_key(|span| span.began);
    let steps = spans.into_iter().map(|span| {
        let (name, label) = span.name.split_once(' ').unwrap_or((&span.name, ""));
        json!({
            "name": name,
            "label": (!label.is_empty()).then_some(label),
            "start_ms": milliseconds(span.began.saturating_duration_since(began)),
            "duration_ms": milliseconds(span.ended.saturating_duration_since(span.began)),
        })
    });
    json!({ "total_ms": total_ms, "steps": steps.collect::<Vec<_>>() })
}
