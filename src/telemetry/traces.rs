//! Tracing: spans for OpenTelemetry, sent over OTLP. They are made when something has ended, of what is known then, so
//! that an unsampled request costs nothing. Names of attributes are those of the semantic conventions:
//! <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use prometheus::IntCounterVec;
use tokio::sync::{mpsc, oneshot};

use crate::config::settings::Traces;
use crate::http_client::outbound::{self, EnvironmentProxy};
use crate::http_client::{TransportFault, fault_of, shown_url};
use crate::model::error_kind::{ErrorKind, Reason};
use crate::model::label::Label;
use crate::telemetry::availability::Dependency;
use crate::telemetry::labels::SpanOutcome;

/// The ids of a span, its trace and its parent.
#[derive(Clone, Debug)]
pub(crate) struct SpanIds {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// Of the span that this one is part of, if there is one.
    pub parent: Option<String>,
    /// Is the parent a remote span?
    pub parent_is_remote: bool,
}

/// Something that has ended.
pub(crate) struct Ended {
    /// Its ids.
    pub place: SpanIds,
    /// Its kind.
    pub kind: SpanKind,
    /// Its name, of low cardinality.
    pub name: String,
    /// When it began.
    pub began: Instant,
    /// When it ended.
    pub ended: Instant,
    /// Its attributes.
    pub attributes: Vec<KeyValue>,
    /// What went wrong, if anything did.
    pub error: Option<&'static str>,
}

enum SpanStatus {
    Span(Box<SpanData>),
    Flush(oneshot::Sender<()>),
}

/// Takes spans.
pub(crate) struct Tracer {
    sender: mpsc::Sender<SpanStatus>,
    receiver: Mutex<Option<mpsc::Receiver<SpanStatus>>>,
    settings: Traces,
    counted: IntCounterVec,
    collector: Dependency,
}

/// Spans that wait to be exported; more are dropped, because nothing waits for them.
const WAITING_MAX: usize = 8_192;

/// Spans that are sent at one time.
const BATCH_MAX: usize = 512;

/// How long a batch is waited for.
const BATCH_TIME: Duration = Duration::from_secs(1);

/// How long the collector may take.
const PATIENCE: Duration = Duration::from_secs(5);

impl Tracer {
    /// Spans are counted by what became of them.
    #[must_use]
    pub(crate) fn new(settings: Traces, counted: IntCounterVec) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let collector =
            Dependency::new("OTLP collector unavailable: spans are dropped", "OTLP collector available again");
        Self { sender, receiver: Mutex::new(Some(receiver)), settings, counted, collector }
    }

    /// Is a trace without a sampling decision recorded? `random` is different for each.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a chance need not be exact")]
    pub(crate) fn decides(&self, random: u64) -> bool {
        (random as f64 / u64::MAX as f64) < self.settings.sample_ratio
    }

    /// Takes a span.
    pub(crate) fn take(&self, ended: Ended) {
        if self.sender.try_send(SpanStatus::Span(Box::new(span_data(ended)))).is_err() {
            self.counted.with_label_values(&[SpanOutcome::Dropped.label()]).inc();
        }
    }

    /// Waits until collected spans are exported, or for a while.
    pub(crate) async fn flush(&self) {
        let (done, is_done) = oneshot::channel();
        let flush = async {
            if self.sender.send(SpanStatus::Flush(done)).await.is_ok() {
                let _ = is_done.await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, flush).await;
    }

    /// Exports spans. Never returns.
    pub(crate) async fn export(&self) {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut receiver) = receiver else { return std::future::pending().await };
        let exporter = match exporter(&self.settings) {
            Ok(exporter) => exporter,
            Err(reason) => {
                tracing::error!(reason, "OTLP exporter not started: no spans are sent");
                return std::future::pending().await;
            }
        };
        loop {
            let (batch, flushes) = gather(&mut receiver).await;
            let count = batch.len() as u64;
            if count > 0 {
                let sent = tokio::time::timeout(PATIENCE, exporter.export(batch)).await;
                let outcome = self.note(sent.map_err(|_| TransportFault::Timeout.reason()));
                self.counted.with_label_values(&[outcome.label()]).inc_by(count);
            }
            for flush in flushes {
                // The caller may have stopped waiting.
                let _ = flush.send(());
            }
        }
    }
}

impl Tracer {
    /// Logs when the collector goes away and comes back.
    fn note(&self, sent: Result<OTelSdkResult, Reason>) -> SpanOutcome {
        let url = reqwest::Url::parse(&self.settings.endpoint).as_ref().map(shown_url).unwrap_or_default();
        let failed = |error: OTelSdkError| Reason::new(ErrorKind::ConnectionFailed, error.to_string());
        match sent.and_then(|exported| exported.map_err(failed)) {
            Ok(()) => {
                self.collector.found(&url);
                SpanOutcome::Sent
            }
            Err(reason) => {
                self.collector.missed(&url, &reason);
                SpanOutcome::Failed
            }
        }
    }
}

/// Collects spans until a batch is full, a flush is requested, or the interval is over.
async fn gather(receiver: &mut mpsc::Receiver<SpanStatus>) -> (Vec<SpanData>, Vec<oneshot::Sender<()>>) {
    let (mut batch, mut flushes) = (Vec::new(), Vec::new());
    let end = tokio::time::Instant::now() + BATCH_TIME;
    while batch.len() < BATCH_MAX && flushes.is_empty() {
        match tokio::time::timeout_at(end, receiver.recv()).await {
            Ok(Some(SpanStatus::Span(span))) => batch.push(*span),
            Ok(Some(SpanStatus::Flush(flush))) => flushes.push(flush),
            Ok(None) => return std::future::pending().await,
            Err(_) => break,
        }
    }
    (batch, flushes)
}

fn span_data(ended: Ended) -> SpanData {
    let Ended { place, kind, name, began, ended, attributes, error } = ended;
    let id = |text: &str| SpanId::from_hex(text).unwrap_or(SpanId::INVALID);
    let trace_id = TraceId::from_hex(&place.trace_id).unwrap_or(TraceId::INVALID);
    let context = SpanContext::new(trace_id, id(&place.span_id), TraceFlags::SAMPLED, false, TraceState::default());
    let before_now = |then: Instant| SystemTime::now().checked_sub(then.elapsed()).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut attributes = attributes;
    attributes.extend(error.map(|error| KeyValue::new("error.type", error)));
    SpanData {
        span_context: context,
        parent_span_id: place.parent.as_deref().map_or(SpanId::INVALID, id),
        parent_span_is_remote: place.parent_is_remote,
        span_kind: kind,
        name: name.into(),
        start_time: before_now(began),
        end_time: before_now(ended),
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: error.map_or(Status::Unset, Status::error),
        instrumentation_scope: InstrumentationScope::builder("pillion").with_version(env!("CARGO_PKG_VERSION")).build(),
    }
}

/// A list of texts as one attribute.
#[must_use]
pub(crate) fn texts(name: &'static str, values: &[String]) -> KeyValue {
    let values = values.iter().map(|text| text.clone().into()).collect();
    KeyValue::new(name, Value::Array(opentelemetry::Array::String(values)))
}

fn exporter(settings: &Traces) -> Result<SpanExporter, String> {
    let endpoint = settings.endpoint.trim_end_matches('/');
    let failed = |error: String| format!("telemetry.otlp_endpoint: {error}");
    let mut exporter = if settings.is_grpc {
        let mut headers = http::HeaderMap::new();
        for (name, value) in &settings.headers {
            let name = name.parse::<http::HeaderName>().map_err(|error| failed(error.to_string()))?;
            headers.insert(name, value.expose().parse().map_err(|_| failed("a header cannot be sent".into()))?);
        }
        let builder = SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(PATIENCE);
        let builder = builder.with_metadata(MetadataMap::from_headers(headers));
        let tls = || ClientTlsConfig::new().with_native_roots();
        if endpoint.starts_with("https:") { builder.with_tls_config(tls()).build() } else { builder.build() }
    } else {
        let has_path = endpoint.split("://").nth(1).is_some_and(|rest| rest.contains('/'));
        let endpoint = if has_path { endpoint.to_owned() } else { format!("{endpoint}/v1/traces") };
        let headers = settings.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
        let client = outbound::builder(PATIENCE, EnvironmentProxy::Used).build();
        let client = client.map_err(|error| failed(format!("TLS cannot be set up: {error}")))?;
        let builder = SpanExporter::builder().with_http().with_http_client(Client(client));
        builder.with_endpoint(endpoint).with_headers(headers).with_timeout(PATIENCE).build()
    }
    .map_err(|error| failed(error.to_string()))?;
    exporter.set_resource(&Resource::builder().with_service_name(settings.service_name.clone()).build());
    Ok(exporter)
}

/// Our client of HTTP, for the library.
#[derive(Debug)]
struct Client(reqwest::Client);

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let url = reqwest::Url::parse(&head.uri.to_string())?;
        let request = self.0.request(head.method, url).headers(head.headers).body(body);
        let received = request.send().await.map_err(|error| fault_of(&error).reason().text().to_owned())?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = received.status();
        *response.headers_mut() = received.headers().clone();
        *response.body_mut() = crate::http_client::read_body(received, RESPONSE_BYTES_MAX).await.unwrap_or_default();
        Ok(response)
    }
}

/// Bytes of a collector's response.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;
