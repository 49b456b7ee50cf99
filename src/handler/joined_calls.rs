//! Handler calls for several inputs of one action: puts them into as few requests as the action takes, sends these side by
//! side within its concurrency limit, and reads the value of each input.

use std::sync::OnceLock;

use futures_util::{StreamExt as _, stream};
use serde_json::Value;

use crate::action::batch_response::{BatchElement, BatchTarget, read_batch};
use crate::action::handler_error::{HandlerError, HandlerResponseError, TransportError};
use crate::execution::authorize::AuthorizedCall;
use crate::execution::context::ExecutionContext;
use crate::execution::row_batch::RowBatch;
use crate::handler::call_inputs::{CallInputs, InputBytes, Joining};
use crate::handler::failure::{CallFailure, ExchangeFacts};
use crate::handler::field_values::FieldValues;
use crate::handler::internal_extension::{ShownError, internal, shows_internal};
use crate::handler::raw_call::RawResult;
use crate::handler::{cache_entries, raw_call, read_response};
use crate::handler_client::exchange::HandlerHttpResponse;
use crate::memory::Charge;
use crate::model::error_kind::ErrorKind;
use crate::model::extension_field::KeyList;
use crate::model::traffic::TrafficPolicy;
use crate::model::types::Types;
use crate::traffic_shaping::response_cache::FillGuard;

/// An input whose value is not known.
pub(crate) struct Wanted {
    /// Its index.
    pub index: usize,
    /// The duty to fill the response cache, if this caller is the leader.
    pub fill: Option<FillGuard>,
}

/// A request that has ended.
pub(crate) struct JoinedCall {
    /// The call that was sent.
    pub call: AuthorizedCall,
    /// What is known of the exchange.
    pub facts: ExchangeFacts,
    /// Its response, of whose body only what may be shown is left.
    pub response: Option<HandlerHttpResponse>,
    /// Why it failed.
    pub failed: Option<CallFailure>,
    /// How many of its inputs the handler rejected.
    pub rejected: usize,
    /// The inputs that it was for.
    pub indexes: Vec<usize>,
}

impl JoinedCall {
    /// Counts it, and logs it if it failed for some of its inputs.
    pub(crate) fn record(&self, execution: &ExecutionContext<'_>) {
        raw_call::record(execution, &self.call, self.facts, self.failed.as_ref());
        if self.failed.is_none() && self.rejected > 0 {
            let message = format!("the handler rejected {} of {} inputs", self.rejected, self.indexes.len());
            let failed = CallFailure { kind: ErrorKind::Rejected, message, is_logged: false };
            crate::handler::failure::log(execution, &self.call, &failed, self.facts);
        }
    }
}

/// Fetches what is wanted. `ended` gets each request once its response has been read.
pub(crate) async fn send<'e>(
    execution: &ExecutionContext<'e>,
    inputs: CallInputs<'_>,
    wanted: Vec<Wanted>,
    found: &mut FieldValues<'e>,
    ended: &mut (dyn FnMut(JoinedCall) + Send),
) {
    let stopped = OnceLock::new();
    let joining = inputs.joining(&execution.snapshot.catalog.limits);
    let chunks = chunks(inputs, joining, wanted);
    let running = chunks.into_iter().map(|chunk| exchange(execution, inputs, joining, chunk, &stopped));
    let mut running = stream::iter(running).buffer_unordered(REQUESTS_AT_ONCE);
    while let Some(done) = running.next().await {
        put(execution, found, done, ended);
    }
}

/// Requests of one field or group at one time. Each also needs a permit of its action.
const REQUESTS_AT_ONCE: usize = 64;

/// Bytes of the inputs of one request, beyond which the next ones have another.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Inputs that share a request.
#[derive(Default)]
struct Chunk {
    wanted: Vec<Wanted>,
    bytes: InputBytes,
}

fn chunks(inputs: CallInputs<'_>, joining: Joining, wanted: Vec<Wanted>) -> Vec<Chunk> {
    let shared = inputs.shared_bytes();
    let mut chunks: Vec<Chunk> = Vec::new();
    for wanted in wanted {
        let mut bytes = inputs.own_bytes(wanted.index);
        let has_room = |chunk: &&mut Chunk| chunk.wanted.len() < joining.max() && chunk.bytes.text < CHUNK_BYTES;
        let last = chunks.last_mut().filter(has_room);
        // One list of keys stands beside the client's arguments once; each input of a batch has them.
        if last.is_none() || !matches!(joining, Joining::Keys(_)) {
            bytes = bytes.plus(shared);
        }
        match last {
            Some(last) => {
                last.wanted.push(wanted);
                last.bytes = last.bytes.plus(bytes);
            }
            None => chunks.push(Chunk { wanted: vec![wanted], bytes }),
        }
    }
    chunks
}

/// The result of a chunk.
struct Done<'e> {
    /// Inputs for which there is no call.
    unfit: Vec<(usize, HandlerResponseError)>,
    /// What came of the others.
    sent: Sent<'e>,
}

enum Sent<'e> {
    /// None of the inputs fits.
    Nothing,
    /// The call was not made: a policy had rejected one before it, or there was no room or time for it.
    NotMade(Vec<usize>, HandlerResponseError),
    /// A response, or none.
    Call(Box<JoinedCall>, Result<Vec<BatchElement>, HandlerResponseError>, Charge<'e>),
}

async fn exchange<'e>(
    execution: &ExecutionContext<'e>,
    inputs: CallInputs<'_>,
    joining: Joining,
    chunk: Chunk,
    stopped: &OnceLock<HandlerResponseError>,
) -> Done<'e> {
    let (all, bytes) = (chunk.wanted, chunk.bytes);
    let not_made = |error| {
        let indexes = all.iter().map(|wanted| wanted.index).collect();
        Done { unfit: Vec::new(), sent: Sent::NotMade(indexes, error) }
    };
    let policies = inputs.action().and_then(|action| execution.snapshot.policies.of(action));
    let permit = async { Some(policies?.concurrency_limit.acquire_for_many().await) };
    // Dropped at the deadline: nothing has been sent by then.
    let Ok(_permit) = tokio::time::timeout_at(execution.context.deadline.into(), permit).await else {
        return not_made(TransportError::Timeout.into());
    };
    if let Some(error) = stopped.get() {
        return not_made(error.clone());
    }
    let Ok(_held) = execution.context.hold(payload_bytes(execution, inputs, bytes)) else {
        return not_made(TransportError::NoRoom.into());
    };
    let (wanted, unfit, call) = prepare(execution, inputs, joining, all);
    let call = match call {
        Some(Ok(call)) => call,
        Some(Err(error)) => {
            let indexes = wanted.iter().map(|wanted| wanted.index).collect();
            return Done { unfit, sent: Sent::NotMade(indexes, error) };
        }
        None => return Done { unfit, sent: Sent::Nothing },
    };
    observe(execution, inputs, &call, wanted.len());
    let RawResult { value, response, facts, charge } = raw_call::call(execution, &call).await;
    // Others that wait for these go on, whatever came of the call.
    wanted.iter().filter_map(|wanted| wanted.fill.as_ref()).for_each(FillGuard::release_waiters);
    let keys: Vec<&Value> = wanted.iter().filter_map(|wanted| inputs.matched_value(wanted.index)).collect();
    let elements = value.and_then(|response| read_batch(response, target(inputs, joining, &keys, wanted.len())));
    if let Err(error @ HandlerResponseError::NotSent(rejected)) = &elements
        && matches!(rejected.policy, TrafficPolicy::RateLimit | TrafficPolicy::Breaker)
    {
        // It would reject the next ones as well; only the first one is counted and logged.
        let _ = stopped.set(error.clone());
    }
    let indexes = wanted.iter().map(|wanted| wanted.index).collect();
    if let (Ok(elements), Some(response)) = (&elements, &response) {
        store(execution, &call, wanted, elements, response).await;
    }
    let failed = elements.as_ref().err().map(CallFailure::of_response);
    let rejected = elements.iter().flatten().filter(|element| element.value.is_err()).count();
    let call = JoinedCall { call, facts, response, failed, rejected, indexes };
    Done { unfit, sent: Sent::Call(Box::new(call), elements, charge) }
}

/// An estimate of what the payload of a chunk takes.
fn payload_bytes(execution: &ExecutionContext<'_>, inputs: CallInputs<'_>, bytes: InputBytes) -> usize {
    let text = execution.request.query.len().saturating_add(bytes.text);
    let is_transformed = inputs.action().is_some_and(|action| action.request_transform.is_some());
    // A template looks things up in the values of the payload, and makes another one.
    let payloads = if is_transformed { text.saturating_mul(2).saturating_add(bytes.values) } else { text };
    payloads.saturating_add(bytes.values)
}

type Prepared = (Vec<Wanted>, Vec<(usize, HandlerResponseError)>, Option<Result<AuthorizedCall, HandlerResponseError>>);

/// The call for those inputs that fit, and the others.
fn prepare(execution: &ExecutionContext<'_>, inputs: CallInputs<'_>, joining: Joining, all: Vec<Wanted>) -> Prepared {
    let types = &execution.snapshot.catalog.schema.types;
    if let (Joining::Batch(_), CallInputs::Rows { field, keys, clearances: [] }) = (joining, inputs) {
        return prepare_rows(types, RowBatch::new(field), keys, all);
    }
    let (mut wanted, mut calls, mut unfit) = (Vec::with_capacity(all.len()), Vec::new(), Vec::new());
    let is_list = matches!(joining, Joining::Keys(_)) && all.len() > 1;
    for one in all {
        // One list of keys needs no call for each: only whether the key fits.
        let call = match is_list {
            true => inputs.check(types, one.index).map(|()| None),
            false => inputs.call(types, one.index).map(Some),
        };
        match call {
            Ok(call) => {
                calls.extend(call);
                wanted.push(one);
            }
            Err(error) => unfit.push((one.index, error)),
        }
    }
    let call = match joining {
        Joining::Batch(_) => AuthorizedCall::batch(&calls).map(Ok),
        Joining::Keys(_) if is_list => {
            let keys: Vec<&Value> = wanted.iter().filter_map(|wanted| inputs.matched_value(wanted.index)).collect();
            let indexes: Vec<usize> = wanted.iter().map(|wanted| wanted.index).collect();
            (!keys.is_empty()).then(|| inputs.call_for_keys(types, &keys, &indexes))
        }
        Joining::Keys(_) | Joining::Separate => calls.pop().map(Ok),
    };
    (wanted, unfit, call)
}

/// The same for rows about which the upstream was not asked: there need be no call for each of them.
fn prepare_rows(types: &Types, mut batch: RowBatch<'_>, keys: &KeyList, all: Vec<Wanted>) -> Prepared {
    let (mut wanted, mut unfit) = (Vec::with_capacity(all.len()), Vec::new());
    for one in all {
        match batch.push(types, keys.get(one.index)) {
            Ok(()) => wanted.push(one),
            Err(error) => unfit.push((one.index, error)),
        }
    }
    (wanted, unfit, batch.into_call().map(Ok))
}

fn target<'k>(inputs: CallInputs<'k>, joining: Joining, keys: &'k [&'k Value], count: usize) -> BatchTarget<'k> {
    match (joining, inputs) {
        (Joining::Separate, _) | (Joining::Keys(_), CallInputs::Calls(_)) => BatchTarget::One,
        (Joining::Batch(_), _) => BatchTarget::Inputs(count),
        (Joining::Keys(_), CallInputs::Rows { field, .. }) => {
            BatchTarget::Keys { field: field.field().matched_by.as_deref().unwrap_or_default(), keys }
        }
    }
}

fn observe(execution: &ExecutionContext<'_>, inputs: CallInputs<'_>, call: &AuthorizedCall, count: usize) {
    if matches!(inputs, CallInputs::Rows { .. }) {
        let metrics = &execution.services.metrics;
        metrics.field_batches.with_label_values(&[&call.action().name]).inc();
        // As many as there are keys, which is far below 2^52.
        metrics.field_batch_size.observe(u32::try_from(count).unwrap_or(u32::MAX).into());
    }
}

/// Stores the elements that are values, each for its input.
async fn store(
    execution: &ExecutionContext<'_>,
    call: &AuthorizedCall,
    wanted: Vec<Wanted>,
    elements: &[BatchElement],
    response: &HandlerHttpResponse,
) {
    let Some(rules) = &call.action().policies.cache else { return };
    let fills: Vec<(Option<FillGuard>, &BatchElement)> =
        wanted.into_iter().map(|wanted| wanted.fill).zip(elements).collect();
    if !cache_entries::is_storable(response) {
        return;
    }
    let entries = fills.iter().filter_map(|(fill, element)| match (fill, &element.value) {
        (Some(fill), Ok(value)) if element.errors.is_empty() => Some((fill, value.clone())),
        _ => None,
    });
    cache_entries::keep(execution, rules, &read_response::client_headers(call, Some(response)), entries.collect())
        .await;
}

fn put<'e>(
    execution: &ExecutionContext<'e>,
    found: &mut FieldValues<'e>,
    Done { unfit, sent }: Done<'e>,
    ended: &mut (dyn FnMut(JoinedCall) + Send),
) {
    for (index, error) in unfit {
        found.fail([index], error, |_| None);
    }
    match sent {
        Sent::Nothing => {}
        Sent::NotMade(indexes, error) => found.fail(indexes, error, |_| None),
        Sent::Call(call, elements, charge) => {
            found.hold(charge);
            found.add_client_headers(read_response::client_headers(&call.call, call.response.as_ref()));
            match elements {
                Ok(elements) => put_elements(found, &call.indexes, elements),
                Err(error) => {
                    let indexes = call.indexes.iter().copied();
                    found.fail(indexes, error, |error| shown(execution, &call.call, call.response.as_ref(), error));
                }
            }
            ended(*call);
        }
    }
}

fn put_elements(found: &mut FieldValues<'_>, indexes: &[usize], elements: Vec<BatchElement>) {
    for (index, BatchElement { value, errors }) in indexes.iter().zip(elements) {
        match value {
            Ok(value) => {
                found.set(*index, value);
                found.errors.extend(errors.into_iter().map(|error| (*index, error)));
            }
            Err(HandlerError { message, extensions, .. }) => {
                found.fail([*index], HandlerResponseError::Rejected { message, extensions }, |_| None);
            }
        }
    }
}

/// The exchange, if the caller may see it and it explains the error.
fn shown(
    execution: &ExecutionContext<'_>,
    call: &AuthorizedCall,
    response: Option<&HandlerHttpResponse>,
    error: &HandlerResponseError,
) -> Option<Value> {
    let is_shown = shows_internal(execution) && !error.is_handlers_own();
    internal(execution, call, response, &ShownError::of(error), is_shown)
}
