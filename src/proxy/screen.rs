//! Which requests concern us: the way from a request's head to "pass it on" or to an answer of ours.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::body::{self, BodyError};
use super::exchange::Exchange;
use super::forward::{Forwarded, forward};
use super::phases::{Context, Gate};
use super::visit::{Visit, send, tell, tell_upstream_error};
use super::{events, gone, guard, metadata, report, socket};
use crate::client::decode::Encoding;
use crate::execute::overload::Scarce;
use crate::execute::refusal::Refusal;
use crate::execute::respond;
use crate::execute::snapshot::Snapshot;
use crate::execute::{self, Answer, Envelope, Executed, Ours, Verdict};
use crate::model::action::OperationKind;
use crate::model::request::only_reads;
use crate::model::response::RequestError;
use crate::protocol::http::{Body, ContentType, Element, decode, read_body, read_query_string, request_of};

/// Answers a request, or lets it pass (`false`).
///
/// # Errors
/// When the connection to the client broke.
pub async fn screen(gate: &Gate, exchange: &mut Exchange<'_>, ctx: &mut Context) -> pingora::Result<bool> {
    let limits = &gate.world.configured().settings.limits;
    if let Some(scarce) = overloaded(gate, limits.concurrent_requests_max) {
        gate.world.metrics.shed.with_label_values(&[scarce.label()]).inc();
        let message = format!("too much is going on: {}; try again in a moment", scarce.label());
        return turn_away(gate, exchange, ctx, RequestError::new(503, "overloaded", message)).await;
    }
    if let Err(error) = guard::check(exchange.head(), limits, ctx.is_graphql) {
        return turn_away(gate, exchange, ctx, error).await;
    }
    cleanse(gate, exchange);
    if metadata::is_meant(gate, exchange) {
        // In a box of its own: it is rare, and every request carries the room for what its future may become.
        return Box::pin(metadata::screen(gate, exchange, ctx)).await;
    }
    if report::is_meant(gate, exchange) {
        return Box::pin(report::screen(gate, exchange, ctx)).await;
    }
    if let Some(vocabulary) = socket::vocabulary(gate, exchange, ctx) {
        return Box::pin(socket::serve(gate, exchange, ctx, vocabulary)).await;
    }
    let snapshot = gate.world.snapshot.load_full();
    if !ctx.is_graphql || snapshot.scanner.is_empty() || guard::wants_websocket(&exchange.head().headers) {
        return Ok(false);
    }
    match exchange.head().method {
        Method::POST => screen_post(gate, &snapshot, exchange, ctx).await,
        Method::GET => screen_get(gate, &snapshot, exchange, ctx).await,
        _ => Ok(false),
    }
}

/// Sockets are counted apart: they have their own limits, and most of the time nothing happens on them.
fn overloaded(gate: &Gate, max: usize) -> Option<Scarce> {
    let metrics = &gate.world.metrics;
    gate.world.overload.scarce(metrics.requests_in_flight.get() - metrics.sockets.get(), max)
}

/// Takes out what others would misunderstand.
fn cleanse(gate: &Gate, exchange: &mut Exchange<'_>) {
    let headers = &exchange.head().headers;
    let look_alikes = guard::look_alikes(headers);
    let strip_upgrade = headers.contains_key(http::header::UPGRADE) && !guard::wants_websocket(headers);
    if look_alikes.is_empty() && !strip_upgrade {
        return;
    }
    let dropped = gate.world.metrics.look_alike_headers.with_label_values::<&str>(&[]);
    for name in look_alikes {
        dropped.inc();
        exchange.remove_header(&name);
    }
    if strip_upgrade {
        exchange.remove_header(&http::header::UPGRADE);
        exchange.remove_header(&http::header::CONNECTION);
    }
}

async fn screen_get(
    gate: &Gate,
    snapshot: &Arc<Snapshot>,
    exchange: &mut Exchange<'_>,
    ctx: &mut Context,
) -> pingora::Result<bool> {
    let Some(query) = exchange.head().uri.query().map(str::to_owned) else { return Ok(false) };
    if !look_at_query(&query, |text| snapshot.may_concern_us(text)) {
        return Ok(false);
    }
    let parameters = match read_query_string(&query) {
        Ok(parameters) => parameters,
        Err(error) => return refuse(gate, snapshot, exchange, ctx, error.into()).await,
    };
    let request = request_of(&parameters).map(Some);
    let element = Element { json: "", request };
    let visit = Visit::of(gate, exchange);
    match execute::understand(&gate.world, snapshot, element).await {
        Verdict::NotOurs => Ok(false),
        Verdict::Ours(ours) if has_other_content_type(&exchange.head().headers) => {
            // Introspection alone is the engine's to answer, however it is asked for.
            if ours.is_introspection_only() {
                return Ok(false);
            }
            refuse(gate, snapshot, exchange, ctx, wrong_content_type()).await
        }
        Verdict::Ours(ours) if events::is_meant(exchange, &ours) && ours.kind() != Some(OperationKind::Mutation) => {
            let told = events::Streamed { snapshot, visit: &visit, ours: &ours, payload: parameters.to_json() };
            Box::pin(events::serve(gate, exchange, ctx, told)).await
        }
        Verdict::Ours(ours) => {
            match work_through(gate, exchange, ctx, &Work { snapshot, visit: &visit, ours: &ours, is_get: true }).await
            {
                None => gone::gone(gate, ctx, &visit),
                Some(Executed::Answer(answer)) => send(gate, exchange, ctx, &visit, answer).await,
                Some(Executed::LeftToEngine) => Ok(false),
            }
        }
    }
}

/// What is to be answered, and to whom.
struct Work<'w> {
    snapshot: &'w Arc<Snapshot>,
    visit: &'w Visit,
    ours: &'w Ours<'w>,
    is_get: bool,
}

/// `None` if the client has gone meanwhile.
async fn work_through(gate: &Gate, exchange: &mut Exchange<'_>, ctx: &Context, work: &Work<'_>) -> Option<Executed> {
    let envelope = work.visit.envelope(gate, ctx, work.is_get);
    let executed = pin!(execute::execute(&gate.world, work.snapshot, &envelope, work.ours));
    gone::unless_given_up(exchange, gone::may_be_given_up(work.ours), executed).await
}

/// A form can send GET and some content types without asking first; no page needs to.
fn has_other_content_type(headers: &HeaderMap) -> bool {
    headers.contains_key(http::header::CONTENT_TYPE) && ContentType::of(headers) != ContentType::Json
}

/// Looks at a URL's query string, once it is decoded.
fn look_at_query(query: &str, look: impl Fn(&[u8]) -> bool) -> bool {
    // What is not UTF-8 once decoded is the engine's to refuse; it could only be read byte by byte.
    decode(query).map_or_else(
        |_| look(&percent_encoding::percent_decode_str(query).collect::<Vec<u8>>()),
        |decoded| look(decoded.as_bytes()),
    )
}

async fn screen_post(
    gate: &Gate,
    snapshot: &Arc<Snapshot>,
    exchange: &mut Exchange<'_>,
    ctx: &mut Context,
) -> pingora::Result<bool> {
    let mut share = gate.budget.share();
    let looked_at = match look_at_body(gate, snapshot, exchange, ctx, &mut share).await {
        Ok(looked_at) => looked_at,
        Err(BodyError::Broken(error)) => return Err(error.into_down()),
        Err(BodyError::Refused(error)) => return turn_away(gate, exchange, ctx, error).await,
    };
    if !looked_at.may_be_ours {
        return pass(gate, exchange, ctx, looked_at.wire).await;
    }
    if looked_at.content_type != ContentType::Json {
        return refuse(gate, snapshot, exchange, ctx, wrong_content_type()).await;
    }
    match read_body(looked_at.text(), &gate.world.configured().settings.limits) {
        Err(error) => refuse(gate, snapshot, exchange, ctx, error.into()).await,
        Ok(Body::One(element)) => {
            let visit = Visit::of(gate, exchange);
            let json = element.json;
            match execute::understand(&gate.world, snapshot, element).await {
                Verdict::NotOurs => pass(gate, exchange, ctx, looked_at.wire.clone()).await,
                Verdict::Ours(ours) if events::is_meant(exchange, &ours) => {
                    let told = events::Streamed { snapshot, visit: &visit, ours: &ours, payload: json.to_owned() };
                    Box::pin(events::serve(gate, exchange, ctx, told)).await
                }
                Verdict::Ours(ours) => {
                    let work = Work { snapshot, visit: &visit, ours: &ours, is_get: false };
                    match work_through(gate, exchange, ctx, &work).await {
                        None => gone::gone(gate, ctx, &visit),
                        Some(Executed::Answer(answer)) => send(gate, exchange, ctx, &visit, answer).await,
                        Some(Executed::LeftToEngine) => pass(gate, exchange, ctx, looked_at.wire.clone()).await,
                    }
                }
            }
        }
        Ok(Body::Batch(elements)) => {
            let visit = Visit::of(gate, exchange);
            let batch = understand_batch(gate, snapshot, elements).await;
            if !batch.iter().any(|(_, verdict)| concerns_us(verdict)) {
                return pass(gate, exchange, ctx, looked_at.wire.clone()).await;
            }
            let elements = Elements { snapshot, visit: &visit, batch: &batch, text: looked_at.text() };
            match Box::pin(work_through_batch(gate, exchange, ctx, &elements)).await {
                None => gone::gone(gate, ctx, &visit),
                Some(answer) => send(gate, exchange, ctx, &visit, answer).await,
            }
        }
    }
}

fn wrong_content_type() -> Refusal {
    let message = "a document with an action in it must be sent as application/json";
    Refusal::Request(RequestError::new(415, "unsupported-media-type", message))
}

/// A body that has been read and searched.
struct LookedAt {
    /// As it came.
    wire: Bytes,
    /// As it is meant, if it was compressed.
    decoded: Option<Vec<u8>>,
    content_type: ContentType,
    may_be_ours: bool,
}

impl LookedAt {
    fn text(&self) -> &[u8] {
        self.decoded.as_deref().unwrap_or(&self.wire)
    }
}

async fn look_at_body(
    gate: &Gate,
    snapshot: &Snapshot,
    exchange: &mut Exchange<'_>,
    ctx: &mut Context,
    share: &mut body::Share,
) -> Result<LookedAt, BodyError> {
    let bytes_max = gate.world.configured().settings.limits.body_bytes_max;
    let headers = &exchange.head().headers;
    let encoding = Encoding::of(headers)?;
    let content_type = ContentType::of(headers);
    if content_type == ContentType::OtherCharset {
        let message = "the body's character set is not understood here; send UTF-8";
        return Err(RequestError::new(415, "unsupported-media-type", message).into());
    }
    let query = exchange.head().uri.query();
    if query.is_some_and(|query| look_at_query(query, |text| snapshot.may_name_action(text))) {
        let message = "a document with an action in it must be in the body of a POST, not in its URL";
        return Err(RequestError::new(400, guard::BAD_REQUEST, message).into());
    }
    let wire = body::read(exchange, bytes_max, share, !gate.world.engine.is_plain()).await?;
    ctx.body_was_read = true;
    let decoded = match encoding {
        Encoding::Identity => None,
        encoding => {
            let decoded = encoding.decode(&wire, bytes_max)?;
            share.grow(decoded.len())?;
            Some(decoded)
        }
    };
    let may_be_ours = may_be_ours(snapshot, content_type, decoded.as_deref().unwrap_or(&wire))?;
    Ok(LookedAt { wire, decoded, content_type, may_be_ours })
}

fn may_be_ours(snapshot: &Snapshot, content_type: ContentType, text: &[u8]) -> Result<bool, RequestError> {
    // UTF-16 and UTF-32 spell every name with these in between, and neither JSON nor GraphQL has them.
    if content_type != ContentType::Multipart && memchr::memchr(0, text).is_some() {
        return Err(RequestError::new(400, "invalid-json", "the body is not UTF-8 text"));
    }
    if content_type == ContentType::Form {
        let decoded: Vec<u8> = percent_encoding::percent_decode(text).collect();
        return Ok(snapshot.may_name_action(&decoded));
    }
    // Introspection in another form than JSON is the engine's to answer.
    let is_json = content_type == ContentType::Json;
    Ok(if is_json { snapshot.may_concern_us(text) } else { snapshot.may_name_action(text) })
}

/// Lets a request pass whose body has been read.
pub(super) async fn pass(
    gate: &Gate,
    exchange: &mut Exchange<'_>,
    ctx: &mut Context,
    body: Bytes,
) -> pingora::Result<bool> {
    if !gate.world.engine.is_plain() && exchange.has_kept_body() {
        return Ok(false);
    }
    let is_plain = !exchange.head().headers.contains_key(http::header::CONTENT_ENCODING);
    let may_repeat = is_plain && ctx.is_graphql && only_reads(&body);
    let may_write = ctx.is_graphql && !may_repeat;
    // In a box of its own: it is rare, and every request carries the room for what its future may become.
    match Box::pin(forward(&gate.world.engine, exchange, body, may_repeat)).await {
        Forwarded::Done => {}
        Forwarded::Gone => return Err(gone::nobody_there()),
        Forwarded::Cut => exchange.shutdown().await,
        Forwarded::Failed(error) => drop(tell_upstream_error(gate, exchange, ctx, &error, may_write).await),
    }
    Ok(true)
}

/// Elements of a batch, as they were written and as they are understood.
type Batch<'b> = Vec<(&'b str, Verdict<'b>)>;

async fn understand_batch<'b>(gate: &Gate, snapshot: &Arc<Snapshot>, elements: Vec<Element<'b>>) -> Batch<'b> {
    let mut batch = Batch::with_capacity(elements.len());
    for element in elements {
        let json = element.json;
        batch.push((json, execute::understand(&gate.world, snapshot, element).await));
    }
    batch
}

fn concerns_us(verdict: &Verdict<'_>) -> bool {
    matches!(verdict, Verdict::Ours(ours) if ours.concern().any())
}

/// What is the engine's may be a mutation.
fn may_be_given_up(verdict: &Verdict<'_>) -> bool {
    matches!(verdict, Verdict::Ours(ours) if gone::may_be_given_up(ours))
}

/// What is to be answered of a batch, and to whom.
struct Elements<'w> {
    snapshot: &'w Arc<Snapshot>,
    visit: &'w Visit,
    batch: &'w Batch<'w>,
    /// All of it, as it was written.
    text: &'w [u8],
}

/// `None` if the client has gone meanwhile.
async fn work_through_batch(
    gate: &Gate,
    exchange: &mut Exchange<'_>,
    ctx: &Context,
    elements: &Elements<'_>,
) -> Option<Answer> {
    let answered = pin!(answer_batch(gate, ctx, elements));
    let may_be_given_up = elements.batch.iter().all(|(_, verdict)| may_be_given_up(verdict));
    gone::unless_given_up(exchange, may_be_given_up, answered).await
}

/// Every element on its own, in order.
async fn answer_batch(gate: &Gate, ctx: &Context, elements: &Elements<'_>) -> Answer {
    let Elements { snapshot, visit, batch, text } = elements;
    let envelope = Envelope { batch: std::str::from_utf8(text).ok(), ..visit.envelope(gate, ctx, false) };
    let mut answers = Vec::with_capacity(batch.len());
    for (json, verdict) in *batch {
        let executed = match verdict {
            Verdict::Ours(ours) => execute::execute(&gate.world, snapshot, &envelope, ours).await,
            Verdict::NotOurs => Executed::LeftToEngine,
        };
        answers.push(match executed {
            Executed::Answer(answer) => answer,
            Executed::LeftToEngine => execute::ask_engine(&gate.world, snapshot, &envelope, json).await,
        });
    }
    respond::batch(answers)
}

/// Refuses a request that concerns us before it is understood. The credential is checked first all the same.
async fn refuse(
    gate: &Gate,
    snapshot: &Arc<Snapshot>,
    exchange: &mut Exchange<'_>,
    ctx: &mut Context,
    refusal: Refusal,
) -> pingora::Result<bool> {
    let visit = Visit::of(gate, exchange);
    let envelope = visit.envelope(gate, ctx, false);
    let answer = execute::refuse(&gate.world, snapshot, &envelope, refusal).await;
    count_rejected(gate, answer.outcome);
    send(gate, exchange, ctx, &visit, answer).await
}

/// Refuses a request for what is wrong with its HTTP, and ends the connection.
pub(super) async fn turn_away(
    gate: &Gate,
    exchange: &mut Exchange<'_>,
    ctx: &mut Context,
    error: RequestError,
) -> pingora::Result<bool> {
    ctx.kind = "refused";
    count_rejected(gate, error.code);
    tell(gate, exchange, ctx, error).await?;
    Ok(true)
}

fn count_rejected(gate: &Gate, reason: &str) {
    gate.world.metrics.rejected.with_label_values(&[reason]).inc();
}
