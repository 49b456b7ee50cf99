//! The response cache of calls that share requests: each input has an entry of its own, so that only unknown ones are asked
//! for.

use futures_util::future::join_all;

use crate::action::batch_response::{BatchTarget, read_batch};
use crate::action::handler_error::{HandlerError, HandlerResponseError, TransportError};
use crate::action::handler_response::HandlerResponse;
use crate::action::header_precedence;
use crate::execution::context::ExecutionContext;
use crate::execution::detached::DetachedExecution;
use crate::handler::cache_entries;
use crate::handler::cache_key::Dependencies;
use crate::handler::call_inputs::CallInputs;
use crate::handler::field_values::FieldValues;
use crate::handler::joined_calls::{JoinedCall, Wanted, send};
use crate::model::json_value::JsonValue;
use crate::model::label::Label;
use crate::model::traffic::CacheRules;
use crate::telemetry::labels::CacheOutcome;
use crate::traffic_shaping::response_cache::{CacheLookup, CachedResponse, Flight, Key};

/// Takes what is cached, and fetches the rest. `ended` gets each request that was sent for it.
pub(crate) async fn fetch<'e>(
    execution: &ExecutionContext<'e>,
    inputs: CallInputs<'_>,
    found: &mut FieldValues<'e>,
    ended: &mut (dyn FnMut(JoinedCall) + Send),
) {
    if inputs.action().is_some_and(|action| action.responds_with().is_some()) {
        return take_responses(execution, inputs, found);
    }
    let rules = inputs.action().and_then(|action| action.policies.cache.clone());
    let Some(rules) = rules else {
        return send(execution, inputs, without_fill(0..inputs.len()), found, ended).await;
    };
    let mut keys = keys(execution, inputs, &rules, found).await;
    let mut unguarded = Vec::new();
    for _ in 0..PASSES_MAX {
        let Looked { wanted, flights, stale } = look(execution, inputs, keys, found);
        refresh(execution, inputs, stale);
        let wanted = from_redis(execution, inputs, &rules, wanted, found).await;
        // Before others are waited for: they may wait for these.
        send(execution, inputs, wanted, found, ended).await;
        keys = wait(execution, inputs, flights, found, &mut unguarded).await;
        if keys.is_empty() {
            break;
        }
    }
    // Their leaders had a response that cannot be cached, or went away again and again.
    unguarded.extend(keys.into_iter().map(|(index, _)| index));
    count(execution, inputs, CacheOutcome::Miss, unguarded.len());
    send(execution, inputs, without_fill(unguarded), found, ended).await;
}

/// The values of an action without a handler: what the upstream has said before the call.
fn take_responses(execution: &ExecutionContext<'_>, inputs: CallInputs<'_>, found: &mut FieldValues<'_>) {
    for index in 0..inputs.len() {
        let value = response(execution, inputs, index);
        match value {
            Ok(value) => found.set(index, value),
            Err(error) => found.fail([index], error, |_| None),
        }
    }
}

fn response(
    execution: &ExecutionContext<'_>,
    inputs: CallInputs<'_>,
    index: usize,
) -> Result<JsonValue, HandlerResponseError> {
    let call = inputs.call(&execution.snapshot.catalog.schema.types, index)?;
    let response = call.clearance()?.response.clone().unwrap_or_default();
    let (Some(field), Some(key)) = (inputs.matched_by(), inputs.matched_value(index)) else { return Ok(response) };
    let list = HandlerResponse { value: response, errors: Vec::new() };
    let mut elements = read_batch(list, BatchTarget::Keys { field, keys: &[key] })?;
    let element = elements.pop().map(|element| element.value);
    element
        .unwrap_or_else(|| Ok(JsonValue::default()))
        .map_err(|HandlerError { message, extensions, .. }| HandlerResponseError::Rejected { message, extensions })
}

/// How often a leader that went away without a response is replaced.
const PASSES_MAX: usize = 2;

/// After so many keys other requests are served.
const KEYS_IN_A_ROW: usize = 256;

fn without_fill(indexes: impl IntoIterator<Item = usize>) -> Vec<Wanted> {
    indexes.into_iter().map(|index| Wanted { index, fill: None }).collect()
}

fn count(execution: &ExecutionContext<'_>, inputs: CallInputs<'_>, outcome: CacheOutcome, times: usize) {
    if let (Some(action), Ok(times @ 1..)) = (inputs.action(), u64::try_from(times)) {
        let labels = [action.name.as_str(), outcome.label()];
        execution.services.metrics.response_cache_lookups.with_label_values(&labels).inc_by(times);
    }
}

/// The keys of the entries. An entry of an element that was matched with its key is not one of a whole list.
async fn keys(
    execution: &ExecutionContext<'_>,
    inputs: CallInputs<'_>,
    rules: &CacheRules,
    found: &mut FieldValues<'_>,
) -> Vec<(usize, Key)> {
    let Some(action) = inputs.action() else { return Vec::new() };
    let headers = header_precedence::storable_headers(&action.headers, execution.context.caller.to_handlers());
    let query = &execution.context.query;
    let dependencies = Dependencies { action, session: execution.session, headers: &headers, query };
    let template = dependencies.template(rules.by.as_deref(), inputs.matched_by());
    let mut keys = Vec::with_capacity(inputs.len());
    for index in 0..inputs.len() {
        match inputs.call(&execution.snapshot.catalog.schema.types, index) {
            Ok(call) => {
                let data = call.data().map(AsRef::as_ref);
                keys.push((index, template.key_with_data(call.input(), data)));
            }
            Err(error) => found.fail([index], error, |_| None),
        }
        if index % KEYS_IN_A_ROW == KEYS_IN_A_ROW - 1 {
            tokio::task::yield_now().await;
        }
    }
    keys
}

/// What the cache has, without waiting for anything.
#[derive(Default)]
struct Looked {
    /// Unknown; this caller is their leader.
    wanted: Vec<Wanted>,
    /// Fetched by others at this time.
    flights: Vec<(usize, Key, Flight)>,
    /// Known, but to be fetched again.
    stale: Vec<Wanted>,
}

fn look(
    execution: &ExecutionContext<'_>,
    inputs: CallInputs<'_>,
    keys: Vec<(usize, Key)>,
    found: &mut FieldValues<'_>,
) -> Looked {
    let mut looked = Looked::default();
    let (mut hits, mut stales) = (0, 0);
    for (index, key) in keys {
        match execution.services.traffic.responses.try_get_or_lead(&key) {
            Ok(CacheLookup::Fresh(kept)) => {
                hits += 1;
                take(found, index, &kept);
            }
            Ok(CacheLookup::Stale(kept, fill)) => {
                stales += 1;
                take(found, index, &kept);
                looked.stale.extend(fill.map(|fill| Wanted { index, fill: Some(fill) }));
            }
            Ok(CacheLookup::Miss(fill)) => looked.wanted.push(Wanted { index, fill: Some(fill) }),
            Ok(CacheLookup::Nothing) => looked.wanted.push(Wanted { index, fill: None }),
            Err(flight) => looked.flights.push((index, key, flight)),
        }
    }
    count(execution, inputs, CacheOutcome::Hit, hits);
    count(execution, inputs, CacheOutcome::Stale, stales);
    looked
}

/// The value is shared with the cache, whose memory is limited by itself.
fn take(found: &mut FieldValues<'_>, index: usize, kept: &CachedResponse) {
    found.set(index, kept.value.clone());
    found.add_client_headers(kept.headers.clone());
}

/// Fetches stale entries while the old ones are used.
fn refresh(execution: &ExecutionContext<'_>, inputs: CallInputs<'_>, stale: Vec<Wanted>) {
    let Some(action) = inputs.action().filter(|_| !stale.is_empty()) else { return };
    let detached = DetachedExecution::of(execution, action.timeout);
    let owned = inputs.select(&stale.iter().map(|wanted| wanted.index).collect::<Vec<_>>());
    let wanted: Vec<Wanted> =
        stale.into_iter().enumerate().map(|(index, Wanted { fill, .. })| Wanted { index, fill }).collect();
    // It ends with the deadline of its calls, the action's timeout.
    tokio::spawn(async move {
        let execution = detached.context();
        let mut unused = FieldValues::new(wanted.len());
        send(&execution, owned.inputs(), wanted, &mut unused, &mut |call: JoinedCall| call.record(&execution)).await;
    });
}

/// Takes what other replicas have stored. Gives the rest.
async fn from_redis(
    execution: &ExecutionContext<'_>,
    inputs: CallInputs<'_>,
    rules: &CacheRules,
    wanted: Vec<Wanted>,
    found: &mut FieldValues<'_>,
) -> Vec<Wanted> {
    let Some(shared) = execution.services.traffic.redis.as_ref().filter(|_| !wanted.is_empty()) else {
        count(execution, inputs, CacheOutcome::Miss, wanted.len());
        return wanted;
    };
    let name = |wanted: &Wanted| wanted.fill.as_ref().map(|fill| fill.key().shared()).unwrap_or_default();
    let names: Vec<String> = wanted.iter().map(name).collect();
    let mut entries = shared.get_all(&names).await.into_iter();
    let mut unknown = Vec::new();
    let all = wanted.len();
    for wanted in wanted {
        let entry = entries.next().flatten();
        let kept =
            entry.zip(wanted.fill.as_ref()).and_then(|(entry, fill)| cache_entries::keep_shared(entry, fill, rules));
        match kept {
            Some(kept) => take(found, wanted.index, &kept),
            None => unknown.push(wanted),
        }
    }
    count(execution, inputs, CacheOutcome::Hit, all - unknown.len());
    count(execution, inputs, CacheOutcome::Miss, unknown.len());
    unknown
}

/// Waits for what others fetch. Gives the keys whose leaders went away; what came but is not cached goes to `unguarded`.
async fn wait(
    execution: &ExecutionContext<'_>,
    inputs: CallInputs<'_>,
    flights: Vec<(usize, Key, Flight)>,
    found: &mut FieldValues<'_>,
    unguarded: &mut Vec<usize>,
) -> Vec<(usize, Key)> {
    let indexes: Vec<usize> = flights.iter().map(|(index, ..)| *index).collect();
    let landing =
        flights.into_iter().map(|(index, key, flight)| async move { (index, key, flight.has_landed().await) });
    // Dropped at the deadline: their leaders go on.
    let Ok(landed) = tokio::time::timeout_at(execution.context.deadline.into(), join_all(landing)).await else {
        found.fail(indexes, TransportError::Timeout.into(), |_| None);
        return Vec::new();
    };
    let (mut again, mut hits) = (Vec::new(), 0);
    for (index, key, has_response) in landed {
        match (has_response, execution.services.traffic.responses.get(&key)) {
            (_, Some(kept)) => {
                hits += 1;
                take(found, index, &kept);
            }
            (true, None) => unguarded.push(index),
            (false, None) => again.push((index, key)),
        }
    }
    count(execution, inputs, CacheOutcome::Hit, hits);
    again
}
