//! Which requests concern us: the way from a request's head to "pass it on" or to a response of ours.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderMap, Method};

use crate::auth::authenticated::Authenticated;
use crate::config::settings::GraphqlGet;
use crate::http_client::decode::Encoding;
use crate::memory::{NoRoom, Share};
use crate::model::action::OperationKind;
use crate::model::replay::Replay;
use crate::model::response::RequestError;
use crate::pipeline::rejection::Rejection;
use crate::pipeline::snapshot::Snapshot;
use crate::pipeline::{self, Execution, PreparedRequest, RequestContext, Response, Route, response};
use crate::protocol::http::{
    Body, ContentType, Element, QueryParameters, decode, prefers_html, read_body, read_query_string, request_of,
};
use crate::server::admission::rejected;
use crate::server::body::{self, BodyError, Decoded, Opened};
use crate::server::body_scan::{BodyScan, not_text, wrong_content_type};
use crate::server::downstream_session::DownstreamSession;
use crate::server::gateway::{Gateway, RequestState};
use crate::server::get_policy::relayed;
use crate::server::graphql_request::{IncomingRequest, owner, send, tell, tell_upstream_error};
use crate::server::passthrough::{Forwarded, forward, forward_in_pieces};
use crate::server::{client_disconnect, cors, job_completion, metadata_api, request_head_checks, sse, websocket};
use crate::session::header_checks;
use crate::upstream::reads::body_only_reads;

/// Answers a request, or lets it pass (`false`).
///
/// # Errors
/// When the connection to the client broke.
pub async fn screen(
    gate: &Gateway,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
) -> pingora::Result<bool> {
    let configured = gate.world.configured();
    let (limits, own) = (&configured.settings.limits, &configured.protected_headers);
    if let Err(scarce) = ctx.admission.head_was_read(&gate.world, exchange) {
        return turn_away(gate, exchange, ctx, rejected(&gate.world, scarce)).await;
    }
    if let Err(error) = request_head_checks::check(exchange.head(), limits, own, ctx.is_graphql) {
        return turn_away(gate, exchange, ctx, error).await;
    }
    cleanse(gate, exchange, own);
    if let Err(scarce) = ctx.admission.client_is_known(gate, exchange) {
        return turn_away(gate, exchange, ctx, rejected(&gate.world, scarce)).await;
    }
    let share = match share(gate, exchange, ctx.admission.is_incomplete()) {
        Ok(share) => Arc::new(share),
        Err(no_room) => return turn_away(gate, exchange, ctx, no_room.into()).await,
    };
    ctx.share = Some(Arc::clone(&share));
    if metadata_api::is_meant(gate, exchange) {
        // In a box of its own: it is rare, and every request carries the room for what its future may become.
        return Box::pin(metadata_api::screen(gate, exchange, ctx, &share)).await;
    }
    if job_completion::is_meant(gate, exchange) {
        return Box::pin(job_completion::screen(gate, exchange, ctx, &share)).await;
    }
    if let Some(vocabulary) = websocket::vocabulary(gate, exchange, ctx) {
        return Box::pin(websocket::serve(gate, exchange, ctx, vocabulary)).await;
    }
    let snapshot = gate.world.snapshot.load_full();
    if !ctx.is_graphql || snapshot.scanner.is_empty() || request_head_checks::wants_websocket(&exchange.head().headers)
    {
        return Ok(false);
    }
    match exchange.head().method {
        Method::POST => screen_post(gate, &snapshot, exchange, ctx, share).await,
        Method::GET => screen_get(gate, &snapshot, exchange, ctx, share).await,
        _ => Ok(false),
    }
}

/// The share of a request, with its head in it.
fn share(gate: &Gateway, exchange: &DownstreamSession<'_>, is_incomplete: bool) -> Result<Share, NoRoom> {
    let (memory, owner) = (&gate.world.memory, owner(gate, exchange));
    let share = if is_incomplete { memory.incomplete_request(owner) } else { memory.request(owner) }?;
    let bytes = exchange.head_bytes();
    if bytes > USUAL_HEAD_BYTES {
        // Once as it came, and once as it is sent on.
        share.grow(2 * bytes)?;
    }
    Ok(share)
}

/// Heads up to this length are part of what every request takes.
const USUAL_HEAD_BYTES: usize = 2 * 1024;

/// Takes out what others would misunderstand.
fn cleanse(gate: &Gateway, exchange: &mut DownstreamSession<'_>, own: &[HeaderName]) {
    let headers = &exchange.head().headers;
    let look_alikes = header_checks::look_alikes(headers, own);
    let strip_upgrade = headers.contains_key(http::header::UPGRADE) && !request_head_checks::wants_websocket(headers);
    if let Some(cookies) = header_checks::joined_cookies(headers) {
        exchange.replace_header(&http::header::COOKIE, cookies);
    }
    if look_alikes.is_empty() && !strip_upgrade {
        return;
    }
    let dropped = gate.world.metrics.ambiguous_headers_dropped.with_label_values::<&str>(&[]);
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
    gate: &Gateway,
    snapshot: &Arc<Snapshot>,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    let Some(query) = exchange.head().uri.query().map(str::to_owned) else { return Ok(false) };
    // Whoever opens a link wants the upstream's page, which may have a document in its address.
    if prefers_html(&exchange.head().headers) || !look_at_query(&query, |text| snapshot.may_concern_us(text)) {
        return Ok(false);
    }
    let parameters = match read_query_string(&query) {
        Ok(parameters) => parameters,
        Err(error) => return reject(gate, snapshot, exchange, ctx, error.into(), share).await,
    };
    let request = request_of(&parameters, &snapshot.limits).map(Some);
    let element = Element { json: "", request };
    let Route::Execute(ours) = pipeline::understand(&gate.world, snapshot, element).await else { return Ok(false) };
    if has_other_content_type(&exchange.head().headers) {
        // Introspection alone is the upstream's to answer, however it is asked for.
        if ours.is_introspection_only() {
            return Ok(false);
        }
        return reject(gate, snapshot, exchange, ctx, Rejection::Request(wrong_content_type()), share).await;
    }
    // Nobody waits for the body of a GET.
    if let Err(error) = ctx.admission.body_has_arrived(gate, &share) {
        return turn_away(gate, exchange, ctx, error).await;
    }
    let mut visit = IncomingRequest::of(gate, exchange);
    let is_stream = sse::is_meant(exchange, &ours) && ours.kind() != Some(OperationKind::Mutation);
    // In a box of its own: GET is rare, and every request carries the room for what its future may become.
    let asked = (&mut visit, &ours, is_stream);
    if let Some(done) = Box::pin(ask_about_get(gate, snapshot, exchange, ctx, asked, &share)).await? {
        return Ok(done);
    }
    if is_stream {
        let authenticated = match sse::identified(gate, ctx, snapshot, &visit, &ours, &share).await {
            Ok(authenticated) => authenticated,
            Err(answer) => return send(gate, exchange, ctx, &visit, answer, share).await,
        };
        let payload = parameters.to_json();
        let told = sse::Streamed { snapshot, visit: &visit, payload, authenticated, share };
        return Box::pin(sse::serve(gate, exchange, ctx, told)).await;
    }
    let work = Work { snapshot, visit: &visit, ours: &ours, is_get: true, share: &share };
    match work_through(gate, exchange, ctx, &work).await {
        None => client_disconnect::gone(gate, ctx, &visit),
        Some(Execution::Response(answer)) => send(gate, exchange, ctx, &visit, answer, share).await,
        Some(Execution::DelegateToUpstream) => Ok(false),
    }
}

/// May this GET be served? Otherwise it is answered, or passes. Streams of events are our own, so the upstream only says
/// which pages may read them.
async fn ask_about_get(
    gate: &Gateway,
    snapshot: &Arc<Snapshot>,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    (visit, ours, is_stream): (&mut IncomingRequest, &PreparedRequest<'_>, bool),
    share: &Arc<Share>,
) -> pingora::Result<Option<bool>> {
    let rule = gate.world.configured().settings.graphql_get;
    match rule {
        GraphqlGet::Allow => return Ok(None),
        GraphqlGet::Deny if ours.is_introspection_only() => return Ok(Some(false)),
        GraphqlGet::Deny => {
            let error = RequestError::new(405, "method-not-allowed", "a document with an action must be sent by POST");
            return reject(gate, snapshot, exchange, ctx, Rejection::Request(error), Arc::clone(share)).await.map(Some);
        }
        GraphqlGet::Upstream => {}
    }
    let policy = match gate.get_policies.of(&gate.world.engine, &visit.get_asked()).await {
        Ok(policy) => policy,
        Err(error) => {
            tell_upstream_error(gate, exchange, ctx, &error, false).await;
            return Ok(Some(true));
        }
    };
    visit.set_cors(&policy.cors);
    let Some(rejection) = policy.rejection.as_ref().filter(|_| !is_stream) else { return Ok(None) };
    let answer = Response::new(rejection.status.as_u16(), Vec::new(), "upstream_refused_get");
    ctx.kind = "rejected";
    visit.log(gate, &answer, ctx.started);
    let configured = gate.world.configured();
    let missing = cors::missing_headers(&configured.settings.cors, &exchange.head().headers, &rejection.headers);
    let (status, headers, body) = relayed(rejection, &missing);
    exchange.write_head(status, headers.iter()).await?;
    exchange.finish(body).await?;
    Ok(Some(true))
}

/// What is to be answered, and to whom.
struct Work<'w> {
    snapshot: &'w Arc<Snapshot>,
    visit: &'w IncomingRequest,
    ours: &'w PreparedRequest<'w>,
    is_get: bool,
    share: &'w Share,
}

/// `None` if the client has gone meanwhile.
async fn work_through(
    gate: &Gateway,
    exchange: &mut DownstreamSession<'_>,
    ctx: &RequestState,
    work: &Work<'_>,
) -> Option<Execution> {
    let envelope = work.visit.envelope(gate, ctx, work.is_get, Some(work.share));
    let executed = pin!(pipeline::execute(&gate.world, work.snapshot, &envelope, work.ours));
    client_disconnect::unless_given_up(exchange, client_disconnect::may_be_given_up(work.ours), executed).await
}

/// A form can send GET and some content types without asking first; no page needs to.
fn has_other_content_type(headers: &HeaderMap) -> bool {
    headers.contains_key(http::header::CONTENT_TYPE) && ContentType::of(headers) != ContentType::Json
}

/// Looks at a URL's query string, once it is decoded.
fn look_at_query(query: &str, look: impl Fn(&[u8]) -> bool) -> bool {
    // What is not UTF-8 once decoded is the upstream's to reject; it could only be read byte by byte.
    decode(query).map_or_else(
        |_| look(&percent_encoding::percent_decode_str(query).collect::<Vec<u8>>()),
        |decoded| look(decoded.as_bytes()),
    )
}

/// What is to be done about a POST once its body has been understood. Nothing of the body is in it, so that it is not held
/// while a client reads its response.
enum Next {
    /// It is the upstream's.
    Pass,
    Refuse(Rejection),
    Send(Box<IncomingRequest>, Response),
    Stream(Box<IncomingRequest>, String, Authenticated),
    /// Its client has gone.
    Gone(Box<IncomingRequest>),
}

async fn screen_post(
    gate: &Gateway,
    snapshot: &Arc<Snapshot>,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    let looked_at = match look_at_body(gate, snapshot, exchange, ctx, &share).await {
        Ok(looked_at) => looked_at,
        Err(BodyError::Broken(error)) => return Err(error.into_down()),
        Err(BodyError::Refused(error)) => return turn_away(gate, exchange, ctx, error).await,
    };
    let body = match looked_at {
        Looked::MayBeOurs(body) => body,
        Looked::NotOurs(wire) => return pass(gate, exchange, ctx, wire, &share).await,
        // In boxes of their own: they are rare, and every request carries the room for what its future may become.
        Looked::OfAnotherType(body) => return Box::pin(screen_other(gate, snapshot, exchange, ctx, body, share)).await,
        Looked::Large(large) => return Box::pin(screen_large(gate, snapshot, exchange, ctx, large, &share)).await,
    };
    let next = understand_post(gate, snapshot, exchange, ctx, &body, &share).await;
    let wire = body.into_wire();
    if let Next::Pass = next {
        return pass(gate, exchange, ctx, wire, &share).await;
    }
    drop(wire);
    match next {
        Next::Pass => Ok(false),
        Next::Refuse(rejection) => reject(gate, snapshot, exchange, ctx, rejection, share).await,
        Next::Send(visit, answer) => send(gate, exchange, ctx, &visit, answer, share).await,
        Next::Stream(visit, payload, authenticated) => {
            let told = sse::Streamed { snapshot, visit: &visit, payload, authenticated, share };
            Box::pin(sse::serve(gate, exchange, ctx, told)).await
        }
        Next::Gone(visit) => client_disconnect::gone(gate, ctx, &visit),
    }
}

async fn understand_post(
    gate: &Gateway,
    snapshot: &Arc<Snapshot>,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    body: &Whole,
    share: &Share,
) -> Next {
    match read_body(body.text(), &gate.world.configured().settings.limits) {
        Err(error) => Next::Refuse(error.into()),
        Ok(Body::One(element)) => {
            let visit = Box::new(IncomingRequest::of(gate, exchange));
            let json = element.json;
            match pipeline::understand(&gate.world, snapshot, element).await {
                Route::Passthrough => Next::Pass,
                Route::Execute(ours) if sse::is_meant(exchange, &ours) => {
                    match sse::identified(gate, ctx, snapshot, &visit, &ours, share).await {
                        Err(answer) => Next::Send(visit, answer),
                        Ok(authenticated) => Next::Stream(visit, json.to_owned(), authenticated),
                    }
                }
                Route::Execute(ours) => {
                    let work = Work { snapshot, visit: &visit, ours: &ours, is_get: false, share };
                    match work_through(gate, exchange, ctx, &work).await {
                        None => Next::Gone(visit),
                        Some(Execution::Response(answer)) => Next::Send(visit, answer),
                        Some(Execution::DelegateToUpstream) => Next::Pass,
                    }
                }
            }
        }
        Ok(Body::Batch(elements)) => {
            let visit = Box::new(IncomingRequest::of(gate, exchange));
            let batch = understand_batch(gate, snapshot, elements).await;
            if !batch.iter().any(|(_, verdict)| concerns_us(verdict)) {
                return Next::Pass;
            }
            let elements = Elements { snapshot, visit: &visit, batch: &batch, text: body.text(), share };
            match Box::pin(work_through_batch(gate, exchange, ctx, &elements)).await {
                None => Next::Gone(visit),
                Some(answer) => Next::Send(visit, answer),
            }
        }
    }
}

/// A body that is no JSON: whoever names an action in it is told how to send it, and everything else is the upstream's.
async fn screen_other(
    gate: &Gateway,
    snapshot: &Arc<Snapshot>,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    body: Whole,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    let headers = &exchange.head().headers;
    let scan = BodyScan::new(gate, snapshot, headers, ContentType::of(headers), share.sibling());
    match scan.look_through(body.text()).await {
        Ok(()) => pass(gate, exchange, ctx, body.into_wire(), &share).await,
        Err(error) => reject(gate, snapshot, exchange, ctx, Rejection::Request(error), share).await,
    }
}

/// A body that is larger than one with an action may be. It passes while it is looked through, so that none of it is held.
async fn screen_large(
    gate: &Gateway,
    snapshot: &Arc<Snapshot>,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    large: Large,
    share: &Share,
) -> pingora::Result<bool> {
    let headers = &exchange.head().headers;
    let content_type = ContentType::of(headers);
    let mut scan = BodyScan::new(gate, snapshot, headers, content_type, share.sibling());
    if let Some(decoded) = large.decoded_beginning {
        // Nobody opens all of it: a small body can become any size. So a document must stand at its beginning.
        if let Err(error) = scan.feed(&decoded.text).await {
            return turn_away(gate, exchange, ctx, error).await;
        }
        if content_type == ContentType::Json && scan.has_found_nothing() {
            let error = scan.too_large();
            return turn_away(gate, exchange, ctx, error).await;
        }
        drop(decoded);
        if large.is_whole {
            return pass(gate, exchange, ctx, large.wire, share).await;
        }
        return pass_in_pieces(gate, exchange, ctx, large.wire, None, share).await;
    }
    pass_in_pieces(gate, exchange, ctx, large.wire, Some(scan), share).await
}

async fn pass_in_pieces(
    gate: &Gateway,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    beginning: Bytes,
    scan: Option<BodyScan<'_>>,
    share: &Share,
) -> pingora::Result<bool> {
    ctx.body_was_read = true;
    let forwarded = forward_in_pieces(gate, exchange, &mut ctx.admission, (beginning, scan), share).await;
    // Nobody has read all of it.
    finish_forwarded(gate, exchange, ctx, forwarded, || true).await
}

/// What a body is, as far as its bytes tell.
enum Looked {
    /// Nothing of ours is in it.
    NotOurs(Bytes),
    /// JSON that may name an action or introspection.
    MayBeOurs(Whole),
    /// No JSON, and it may name an action.
    OfAnotherType(Whole),
    /// More than is held.
    Large(Large),
}

/// A body that has been read.
struct Whole {
    /// As it came.
    wire: Bytes,
    /// As it is meant, if it was compressed.
    decoded: Option<Decoded>,
}

impl Whole {
    fn text(&self) -> &[u8] {
        self.decoded.as_ref().map_or(&self.wire, |decoded| &decoded.text)
    }

    /// Whoever only sends it on needs it as it came.
    fn into_wire(self) -> Bytes {
        self.wire
    }
}

/// The beginning of a body.
struct Large {
    /// As it came.
    wire: Bytes,
    /// Is that all that comes?
    is_whole: bool,
    /// As it is meant, if it was compressed.
    decoded_beginning: Option<Decoded>,
}

async fn look_at_body(
    gate: &Gateway,
    snapshot: &Arc<Snapshot>,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    share: &Share,
) -> Result<Looked, BodyError> {
    let limits = &snapshot.limits;
    let bytes_max = limits.max_request_body_size;
    let headers = &exchange.head().headers;
    let encoding = Encoding::of(headers)?;
    let content_type = ContentType::of(headers);
    if content_type == ContentType::OtherCharset {
        let message = "the body's character set is not understood here; send UTF-8";
        return Err(RequestError::new(415, "unsupported-media-type", message).into());
    }
    check_query_of_post(gate, snapshot, exchange).await?;
    let is_compressed = encoding != Encoding::Identity;
    let how = body::How { bytes_max, is_replayed: !gate.world.engine.is_plain(), wants_all: !is_compressed };
    let wire = match body::read_up_to(exchange, share, how).await? {
        body::Read::Whole(wire) => wire,
        body::Read::Beginning(wire) => {
            let decoded_beginning = match is_compressed {
                true => Some(body::decode_beginning(encoding, &wire, limits, share)?),
                false => None,
            };
            return Ok(Looked::Large(Large { wire, is_whole: false, decoded_beginning }));
        }
    };
    ctx.body_was_read = true;
    ctx.admission.body_has_arrived(gate, share)?;
    let decoded = match encoding {
        Encoding::Identity => None,
        encoding => match body::decode(encoding, &wire, limits, share).await? {
            Opened::Whole(decoded) => Some(decoded),
            Opened::Beginning(decoded) => {
                return Ok(Looked::Large(Large { wire, is_whole: true, decoded_beginning: Some(decoded) }));
            }
        },
    };
    look_at_text(snapshot, content_type, Whole { wire, decoded }).map_err(BodyError::from)
}

/// A document in the URL of a POST would be another one than that in its body.
async fn check_query_of_post(
    gate: &Gateway,
    snapshot: &Arc<Snapshot>,
    exchange: &DownstreamSession<'_>,
) -> Result<(), RequestError> {
    let query = exchange.head().uri.query().unwrap_or_default();
    if query.is_empty() || !look_at_query(query, |text| snapshot.may_name_action(text)) {
        return Ok(());
    }
    let has_action = match read_query_string(query) {
        Ok(QueryParameters { query: Some(document), .. }) => snapshot.selects_action(&gate.world, &document).await,
        Ok(_) => false,
        // Several readers could understand it in several ways.
        Err(_) => true,
    };
    let message = "a document with an action in it must be in the body of a POST, not in its URL";
    if has_action { Err(RequestError::new(400, request_head_checks::BAD_REQUEST, message)) } else { Ok(()) }
}

fn look_at_text(snapshot: &Snapshot, content_type: ContentType, body: Whole) -> Result<Looked, RequestError> {
    let text = body.text();
    let (is_json, may_be_ours) = match content_type {
        // UTF-16 and UTF-32 spell every name with these in between, and neither JSON nor GraphQL has them.
        ContentType::Json if memchr::memchr(0, text).is_some() => return Err(not_text()),
        ContentType::Json => (true, snapshot.may_concern_us(text)),
        ContentType::Form => {
            (false, snapshot.may_name_action(&percent_encoding::percent_decode(text).collect::<Vec<u8>>()))
        }
        // Introspection in another form than JSON is the upstream's to answer.
        _ => (false, snapshot.may_name_action(text)),
    };
    Ok(match (may_be_ours, is_json) {
        (false, _) => Looked::NotOurs(body.into_wire()),
        (true, true) => Looked::MayBeOurs(body),
        (true, false) => Looked::OfAnotherType(body),
    })
}

/// Lets a request pass whose body has been read.
pub(crate) async fn pass(
    gate: &Gateway,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    body: Bytes,
    share: &Share,
) -> pingora::Result<bool> {
    share.shrink_to(body.len());
    if !gate.world.engine.is_plain() && exchange.has_kept_body() {
        return Ok(false);
    }
    let head = exchange.head();
    // What is in the URL may name another document.
    let is_plain = !head.headers.contains_key(http::header::CONTENT_ENCODING) && head.uri.query().is_none();
    let (is_graphql, text) = (ctx.is_graphql, body.clone());
    let only_reads = || is_plain && is_graphql && body_only_reads(&text, &gate.world.configured().settings.limits);
    // In a box of its own: it is rare, and every request carries the room for what its future may become.
    let forwarded = Box::pin(forward(gate, exchange, ctx, body, Replay::IfItReads(&only_reads), share)).await;
    finish_forwarded(gate, exchange, ctx, forwarded, || is_graphql && !only_reads()).await
}

async fn finish_forwarded(
    gate: &Gateway,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    forwarded: Forwarded,
    may_write: impl FnOnce() -> bool,
) -> pingora::Result<bool> {
    match forwarded {
        Forwarded::Done => {}
        Forwarded::Refused(error) => return turn_away(gate, exchange, ctx, error).await,
        Forwarded::Broken(error) => return Err(error.into_down()),
        Forwarded::Gone => return Err(client_disconnect::nobody_there()),
        Forwarded::Cut => exchange.shutdown().await,
        Forwarded::Failed(error) => drop(tell_upstream_error(gate, exchange, ctx, &error, may_write()).await),
    }
    Ok(true)
}

/// Elements of a batch, as they were written and as they are understood.
type Batch<'b> = Vec<(&'b str, Route<'b>)>;

async fn understand_batch<'b>(gate: &Gateway, snapshot: &Arc<Snapshot>, elements: Vec<Element<'b>>) -> Batch<'b> {
    let mut batch = Batch::with_capacity(elements.len());
    for element in elements {
        let json = element.json;
        batch.push((json, pipeline::understand(&gate.world, snapshot, element).await));
    }
    batch
}

fn concerns_us(verdict: &Route<'_>) -> bool {
    matches!(verdict, Route::Execute(ours) if ours.concern().any())
}

/// What is the upstream's may be a mutation.
fn may_be_given_up(verdict: &Route<'_>) -> bool {
    matches!(verdict, Route::Execute(ours) if client_disconnect::may_be_given_up(ours))
}

/// What is to be answered of a batch, and to whom.
struct Elements<'w> {
    snapshot: &'w Arc<Snapshot>,
    visit: &'w IncomingRequest,
    batch: &'w Batch<'w>,
    /// All of it, as it was written.
    text: &'w [u8],
    share: &'w Share,
}

/// `None` if the client has gone meanwhile.
async fn work_through_batch(
    gate: &Gateway,
    exchange: &mut DownstreamSession<'_>,
    ctx: &RequestState,
    elements: &Elements<'_>,
) -> Option<Response> {
    let answered = pin!(answer_batch(gate, ctx, elements));
    let may_be_given_up = elements.batch.iter().all(|(_, verdict)| may_be_given_up(verdict));
    client_disconnect::unless_given_up(exchange, may_be_given_up, answered).await
}

/// Every element on its own, in order.
async fn answer_batch(gate: &Gateway, ctx: &RequestState, elements: &Elements<'_>) -> Response {
    let Elements { snapshot, visit, batch, text, share } = elements;
    let envelope = visit.envelope(gate, ctx, false, Some(share));
    let envelope = RequestContext { batch: std::str::from_utf8(text).ok(), ..envelope };
    let mut answers = Vec::with_capacity(batch.len());
    for (json, verdict) in *batch {
        let executed = match verdict {
            Route::Execute(ours) => pipeline::execute(&gate.world, snapshot, &envelope, ours).await,
            Route::Passthrough => Execution::DelegateToUpstream,
        };
        answers.push(match executed {
            Execution::Response(answer) => answer,
            Execution::DelegateToUpstream => pipeline::fetch_upstream(&gate.world, snapshot, &envelope, json).await,
        });
    }
    response::batch(answers)
}

/// Rejects a request that concerns us before it is understood. The credential is checked first all the same.
async fn reject(
    gate: &Gateway,
    snapshot: &Arc<Snapshot>,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    rejection: Rejection,
    share: Arc<Share>,
) -> pingora::Result<bool> {
    let visit = IncomingRequest::of(gate, exchange);
    let envelope = visit.envelope(gate, ctx, false, None);
    let answer = pipeline::reject(&gate.world, snapshot, &envelope, rejection).await;
    count_rejected(gate, answer.outcome);
    send(gate, exchange, ctx, &visit, answer, share).await
}

/// Refuses a request for what is wrong with its HTTP, and ends the connection.
pub(crate) async fn turn_away(
    gate: &Gateway,
    exchange: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    error: RequestError,
) -> pingora::Result<bool> {
    ctx.kind = "rejected";
    count_rejected(gate, error.code);
    tell(gate, exchange, ctx, error).await?;
    Ok(true)
}

fn count_rejected(gate: &Gateway, reason: &str) {
    gate.world.metrics.rejected.with_label_values(&[reason]).inc();
}
