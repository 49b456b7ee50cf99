//! Resolves extension fields: collects the keys of their rows, has their values fetched, completes these, and puts them
//! into the rows. Rows of relationships below such a value may have extension fields again, which is another round.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::action::complete_value::{
    CompletedPart, CompletedValue, Completer, CompletionError, CompletionRules, complete_value,
};
use crate::action::handler_error::{ErrorExtensions, HandlerError};
use crate::action::key_arguments::CallKeys as CallKey;
use crate::action::relationship::{FoundRows, RowKeys, RowSet, RowSource};
use crate::execution::authorize::AuthorizedField;
use crate::execution::authorized_extensions::AuthorizedExtensions;
use crate::execution::context::ExecutionContext;
use crate::fetch::relationship_rows;
use crate::graphql::extension_rows::{RowScan, RowValue, Spliced};
use crate::graphql::scan_rows::scan_value;
use crate::graphql::selection::SubSelection;
use crate::handler::failure::{CallFailure, ExchangeFacts};
use crate::handler::field_error::FieldError;
use crate::handler::field_values::FieldValues;
use crate::handler::result::{HandlerCallError, HandlerCallErrorCause};
use crate::handler::row_keys::{CallKeys, FieldKeys, Target};
use crate::handler::{failure, field_calls};
use crate::memory;
use crate::model::json_value::JsonNode;
use crate::model::response::{Location, PathSegment};
use crate::model::types::TypeRef;
use crate::request::rejection::LIMIT_EXCEEDED;
use crate::request::response::ClientHeaders;
use crate::runtime::snapshot::Snapshot;

/// Completes a value as `ty`, with the upstream's rows that belong to it.
pub(crate) async fn complete_with_rows(
    execution: &ExecutionContext<'_>,
    ty: &TypeRef,
    value: JsonNode<'_>,
    selected: &SubSelection,
) -> CompletedValue {
    let rules = completion_rules(execution.snapshot);
    let mut wanted = RowKeys::default();
    let completed = complete_value(&rules, ty, value, selected, &mut wanted);
    if !wanted.is_needed() || completed.is_lost(rules.dialect) {
        return completed;
    }
    // Boxed: rare, and otherwise every call carries the size of this future.
    let found = memory::boxed(|| rows_of_relationships(execution, &wanted, 0)).await;
    complete_value(&rules, ty, value, selected, &mut FoundRows { wanted: &wanted, found: &found })
}

/// The rules of completion in this generation.
#[must_use]
pub(crate) fn completion_rules(snapshot: &Snapshot) -> CompletionRules<'_> {
    CompletionRules {
        types: &snapshot.catalog.schema.types,
        dialect: snapshot.catalog.dialect,
        max_list_length: snapshot.catalog.limits.max_list_length,
    }
}

/// The rows of relationships, with their extension fields.
async fn rows_of_relationships(execution: &ExecutionContext<'_>, wanted: &RowKeys, round: usize) -> RowSet {
    let mut found = relationship_rows::fetch(execution, wanted).await;
    let Some(extensions) = execution.extensions else { return found };
    let (mut ids, mut pieces) = (Vec::new(), Vec::new());
    for (id, shape, json) in found.with_extension_fields(wanted) {
        ids.push(id);
        pieces.push(Piece { json, scan: scan_value(&extensions.sites, shape, json) });
    }
    if pieces.is_empty() {
        return found;
    }
    let extended = extend(execution, extensions, &pieces, round).await;
    drop(pieces);
    let dialect = execution.snapshot.catalog.dialect;
    for (id, piece) in ids.into_iter().zip(extended.pieces) {
        let errors = piece.errors.into_iter().map(|error| error.into_related(dialect)).collect();
        found.replace(id, piece.json.map(|spliced| spliced.text), errors);
    }
    found
}

/// A piece of the upstream's JSON with the extension fields that were found in it.
pub(crate) struct Piece<'p> {
    /// The text.
    pub json: &'p str,
    /// Its rows.
    pub scan: RowScan<'p>,
}

/// A piece with the values of its extension fields.
pub(crate) struct ExtendedPiece {
    /// The text; `None` if null has taken all of it.
    pub json: Option<Spliced>,
    /// What went wrong.
    pub errors: Vec<FieldError>,
}

/// Pieces with the values of their extension fields.
pub(crate) struct Extended {
    /// In the order in which they were given.
    pub pieces: Vec<ExtendedPiece>,
    /// Headers of the handlers for the client.
    pub client_headers: ClientHeaders,
}

/// Resolves the extension fields of all pieces in one round. The rounds before it are `round`.
pub(crate) fn extend<'f>(
    execution: &'f ExecutionContext<'_>,
    extensions: &'f AuthorizedExtensions,
    pieces: &'f [Piece<'_>],
    round: usize,
) -> BoxFuture<'f, Extended> {
    // Boxed: rounds follow upon rounds.
    memory::boxed(|| extend_once(execution, extensions, pieces, round))
}

async fn extend_once(
    execution: &ExecutionContext<'_>,
    extensions: &AuthorizedExtensions,
    pieces: &[Piece<'_>],
    round: usize,
) -> Extended {
    let keys = FieldKeys::collect(extensions, pieces.iter().map(|piece| (piece.json, &piece.scan)));
    count_rows(execution, extensions, &keys);
    let values = match excess(execution, extensions, &keys, round) {
        Some(message) => keys.calls.iter().map(|call| failed(call.keys.len(), &message)).collect(),
        None => {
            let calls = keys.calls.iter().filter_map(|call| Some((extensions.calls.get(call.index)?, call)));
            keys.calls.iter().for_each(|call| extensions.note_called(call.index));
            let calls: Vec<_> = calls.map(|(field, call)| fetch_values(execution, field, call)).collect();
            join_all(calls).await
        }
    };
    let completed = Completions::new(extensions, &keys, &values).complete(execution, round).await;
    log_misfits(execution, &keys, &completed);
    let (errors, failures) = (errors_by_key(&values), IndexMap::new());
    let mut assembler = Assembler { execution, extensions, keys: &keys, completed: &completed, errors, failures };
    let mut extended: Vec<ExtendedPiece> =
        pieces.iter().enumerate().map(|(index, piece)| assembler.piece(index, piece)).collect();
    let failures = std::mem::take(&mut assembler.failures);
    let client_headers = values.iter().flat_map(|values| values.client_headers.iter().cloned()).collect();
    add_failures(&mut extended, failures, values);
    Extended { pieces: extended, client_headers }
}

/// Boxed, so that the type of a future does not hold the types of all that it may wait for.
fn fetch_values<'f, 'e>(
    execution: &'f ExecutionContext<'e>,
    field: &'f AuthorizedField,
    call: &'f CallKeys,
) -> BoxFuture<'f, FieldValues<'e>> {
    memory::boxed(|| field_calls::fetch(execution, field, &call.keys))
}

fn count_rows(execution: &ExecutionContext<'_>, extensions: &AuthorizedExtensions, keys: &FieldKeys) {
    for call in &keys.calls {
        let Some(field) = extensions.calls.get(call.index) else { continue };
        let counter = &execution.services.metrics.field_rows;
        counter.with_label_values(&[field.action().name.as_str()]).inc_by(call.rows as u64);
    }
}

/// Why no handler is called in this round.
fn excess(
    execution: &ExecutionContext<'_>,
    extensions: &AuthorizedExtensions,
    keys: &FieldKeys,
    round: usize,
) -> Option<String> {
    let limits = &execution.snapshot.catalog.limits;
    if round >= limits.max_field_rounds && keys.count() > 0 {
        return Some(format!(
            "extension fields below extension fields need more than {} rounds of handler calls",
            limits.max_field_rounds
        ));
    }
    let count = extensions.add_keys(keys.count());
    let message =
        || format!("the response has {count} keys of extension fields; at most {} are resolved", limits.max_field_keys);
    (count > limits.max_field_keys).then(message)
}

fn failed<'e>(keys: usize, message: &str) -> FieldValues<'e> {
    let extensions = Map::from_iter([("code".to_owned(), Value::from(LIMIT_EXCEEDED))]);
    let extensions = ErrorExtensions::Given(extensions);
    let error = HandlerError { message: message.to_owned(), path: Vec::new(), extensions };
    FieldValues::all_failed(keys, HandlerCallError { cause: HandlerCallErrorCause::Listed(error), internal: None })
}

/// A value of a key, completed for one selection.
struct Completion {
    /// Its call, and its key among those of the call.
    of: (usize, usize),
    /// What is selected: a place in [`Completions::selections`].
    selection: usize,
    result: Result<CompletedPart, usize>,
}

/// After so many values other requests are served.
const COMPLETED_IN_A_ROW: usize = 256;

/// What of a call's values is selected, and for each of its keys which completion that is.
struct Selected {
    call: usize,
    selection: Arc<SubSelection>,
    completions: Vec<Option<usize>>,
}

/// All values of one round, each completed once for each selection.
struct Completions<'v, 'e> {
    fields: Vec<&'v AuthorizedField>,
    values: &'v [FieldValues<'e>],
    selections: Vec<Selected>,
    all: Vec<Completion>,
    /// Their JSON.
    text: String,
    /// The completion of each row, piece by piece.
    of_rows: Vec<Vec<Option<usize>>>,
}

impl<'v, 'e> Completions<'v, 'e> {
    fn new(extensions: &'v AuthorizedExtensions, keys: &FieldKeys, values: &'v [FieldValues<'e>]) -> Self {
        let fields = keys.calls.iter().filter_map(|call| extensions.calls.get(call.index)).collect();
        let mut completions =
            Self { fields, values, selections: Vec::new(), all: Vec::new(), text: String::new(), of_rows: Vec::new() };
        for piece in &keys.pieces {
            // Few groups have many rows: which selection of which call is looked up once for each group.
            let mut of_groups: Vec<Option<usize>> = vec![None; piece.selections.len()];
            let of_row = |target: &Target| {
                let Target::Key { call, key, group } = target else { return None };
                let known = of_groups.get_mut(*group)?;
                let selected =
                    *known.get_or_insert_with(|| completions.selected(keys, *call, piece.selections.get(*group)));
                completions.completion(selected, (*call, *key))
            };
            let of_rows = piece.targets.iter().map(of_row).collect();
            completions.of_rows.push(of_rows);
        }
        completions
    }

    /// Where this selection of a call's values stands.
    fn selected(&mut self, keys: &FieldKeys, call: usize, selection: Option<&Arc<SubSelection>>) -> usize {
        let selection = selection.cloned().unwrap_or_default();
        let is_same = |known: &Selected| known.call == call && Arc::ptr_eq(&known.selection, &selection);
        self.selections.iter().position(is_same).unwrap_or_else(|| {
            let count = keys.calls.get(call).map_or(0, |call| call.keys.len());
            self.selections.push(Selected { call, selection, completions: vec![None; count] });
            self.selections.len() - 1
        })
    }

    /// Where the completion of a key's value for this selection stands.
    fn completion(&mut self, selection: usize, of: (usize, usize)) -> Option<usize> {
        let known = self.selections.get_mut(selection)?.completions.get_mut(of.1)?;
        let index = *known.get_or_insert(self.all.len());
        if index == self.all.len() {
            self.all.push(Completion { of, selection, result: Err(usize::MAX) });
        }
        Some(index)
    }

    async fn complete(mut self, execution: &ExecutionContext<'_>, round: usize) -> Self {
        let mut wanted = RowKeys::default();
        self.complete_with(execution, &mut wanted).await;
        if wanted.is_needed() {
            let found = memory::boxed(|| rows_of_relationships(execution, &wanted, round + 1)).await;
            self.complete_with(execution, &mut FoundRows { wanted: &wanted, found: &found }).await;
        }
        self
    }

    async fn complete_with(&mut self, execution: &ExecutionContext<'_>, rows: &mut (dyn RowSource + Send)) {
        let rules = completion_rules(execution.snapshot);
        let Self { fields, values, selections, all, text, .. } = self;
        let mut json = Vec::new();
        for (index, some) in all.chunks_mut(COMPLETED_IN_A_ROW).enumerate() {
            if index > 0 {
                tokio::task::yield_now().await;
            }
            let mut completer = Completer::new(&rules, rows, json);
            for completion in some {
                let (call, key) = completion.of;
                let (Some(field), Some(values)) = (fields.get(call), values.get(call)) else { continue };
                let Some(Selected { selection, .. }) = selections.get(completion.selection) else { continue };
                completion.result = match values.values.get(key) {
                    Some(Ok(value)) => Ok(completer.add(&field.field().ty, value.node(), selection)),
                    Some(Err(failure)) => Err(*failure),
                    None => Err(usize::MAX),
                };
            }
            json = completer.into_json();
        }
        // Every piece of it was text.
        *text = String::from_utf8(json).unwrap_or_default();
    }
}

/// One line for each call that has a value which does not fit its type.
fn log_misfits(execution: &ExecutionContext<'_>, keys: &FieldKeys, completed: &Completions<'_, '_>) {
    let mut logged = Vec::new();
    for Completion { of: (call, key), selection, result } in &completed.all {
        let Some(error) = result.as_ref().ok().and_then(|completed| completed.errors.first()) else { continue };
        if logged.contains(call) {
            continue;
        }
        logged.push(*call);
        let key = keys.calls.get(*call).map(|call| call.keys.get(*key));
        let (Some(field), Some(key)) = (completed.fields.get(*call), key) else { continue };
        let Some(Selected { selection, .. }) = completed.selections.get(*selection) else { continue };
        if let Ok(sent) = field.call(&execution.snapshot.catalog.schema.types, CallKey::One(key)) {
            let facts = ExchangeFacts { status: None, attempts: 1, duration: Duration::ZERO };
            failure::log(execution, &sent, &CallFailure::of_shape(error, selection), facts);
        }
    }
}

/// Rows with the same failure.
struct FailedRows {
    piece: usize,
    error: FirstRow,
    rows: usize,
}

/// The first of them.
struct FirstRow {
    path: Vec<PathSegment>,
    location: Location,
}

/// Puts the values of one round into the pieces.
struct Assembler<'a, 'e> {
    execution: &'a ExecutionContext<'e>,
    extensions: &'a AuthorizedExtensions,
    keys: &'a FieldKeys,
    completed: &'a Completions<'a, 'e>,
    /// Errors beside values, by call and key: there may be as many as there are rows.
    errors: HashMap<(usize, usize), Vec<&'a HandlerError>>,
    /// By call and failure.
    failures: IndexMap<(usize, usize), FailedRows>,
}

fn errors_by_key<'v>(values: &'v [FieldValues<'_>]) -> HashMap<(usize, usize), Vec<&'v HandlerError>> {
    let mut by_key: HashMap<_, Vec<_>> = HashMap::new();
    for (call, values) in values.iter().enumerate() {
        values.errors.iter().for_each(|(key, error)| by_key.entry((call, *key)).or_default().push(error));
    }
    by_key
}

impl<'a> Assembler<'a, '_> {
    fn piece(&mut self, index: usize, piece: &Piece<'_>) -> ExtendedPiece {
        let mut errors = Vec::new();
        let (Some(keys), Some(of_rows)) = (self.keys.pieces.get(index), self.completed.of_rows.get(index)) else {
            let json = Spliced { text: piece.json.to_owned(), root_fields: None };
            return ExtendedPiece { json: Some(json), errors };
        };
        let mut values = Vec::with_capacity(keys.targets.len());
        for (row, (target, completion)) in keys.targets.iter().zip(of_rows).enumerate() {
            let value = match (target, completion.and_then(|completion| self.completed.all.get(completion))) {
                (Target::Key { call, key, .. }, Some(completion)) => {
                    self.value(index, piece, row, (*call, *key), completion, &mut errors)
                }
                (Target::NullKey { is_nullable: true }, _) | (Target::Key { .. }, None) => RowValue::Json("null"),
                (Target::NullKey { is_nullable: false }, _) => {
                    let message = "a key of the row is null, and the field may not be null".to_owned();
                    self.push(&mut errors, piece, row, listed(message));
                    RowValue::NullAbove
                }
                (Target::Missing { key, is_nullable }, _) => {
                    let message = format!("the upstream's response lacks the key field \"{key}\" of the row");
                    self.push(&mut errors, piece, row, listed(message));
                    null(*is_nullable)
                }
            };
            values.push(value);
        }
        let value = |row: usize| values.get(row).copied().unwrap_or(RowValue::Json("null"));
        ExtendedPiece { json: piece.scan.splice(&self.extensions.sites, piece.json, value), errors }
    }

    fn value(
        &mut self,
        index: usize,
        piece: &Piece<'_>,
        row: usize,
        (call, key): (usize, usize),
        completion: &Completion,
        errors: &mut Vec<FieldError>,
    ) -> RowValue<'a> {
        let is_nullable = self.completed.fields.get(call).is_none_or(|field| field.field().ty.is_nullable());
        match &completion.result {
            Ok(completed) => {
                for error in self.errors.get(&(call, key)).into_iter().flatten() {
                    let cause = HandlerCallErrorCause::Listed((*error).clone());
                    self.push(errors, piece, row, HandlerCallError { cause, internal: None });
                }
                for error in &completed.errors {
                    self.push(errors, piece, row, shape(error));
                }
                let json = self.completed.text.get(completed.range.clone()).unwrap_or("null");
                if completed.null_escapes { RowValue::NullAbove } else { RowValue::Json(json) }
            }
            Err(failure) => {
                let known = self.failures.get_mut(&(call, *failure));
                match known {
                    Some(known) => known.rows += 1,
                    None => {
                        if let Some((path, location)) = self.place(piece, row) {
                            let failed = FailedRows { piece: index, error: FirstRow { path, location }, rows: 1 };
                            self.failures.insert((call, *failure), failed);
                        }
                    }
                }
                null(is_nullable)
            }
        }
    }

    fn place(&self, piece: &Piece<'_>, row: usize) -> Option<(Vec<PathSegment>, Location)> {
        let row = piece.scan.rows.get(row)?;
        let site = piece.scan.groups.get(row.group)?.first()?;
        let site = self.extensions.sites.sites.get(*site)?;
        Some((piece.scan.path(&self.extensions.sites, row), site.location))
    }

    /// Adds an error of one row, within the limit on errors.
    fn push(&self, errors: &mut Vec<FieldError>, piece: &Piece<'_>, row: usize, error: HandlerCallError) {
        if errors.len() < self.execution.snapshot.catalog.limits.max_errors
            && let Some((path, location)) = self.place(piece, row)
        {
            errors.push(FieldError { path, location, rows: 1, error });
        }
    }
}

fn null(is_nullable: bool) -> RowValue<'static> {
    if is_nullable { RowValue::Json("null") } else { RowValue::NullAbove }
}

fn listed(message: String) -> HandlerCallError {
    let extensions = Map::from_iter([("code".to_owned(), Value::from("unexpected"))]);
    let extensions = ErrorExtensions::Given(extensions);
    let error = HandlerError { message, path: Vec::new(), extensions };
    HandlerCallError { cause: HandlerCallErrorCause::Listed(error), internal: None }
}

fn shape(error: &CompletionError) -> HandlerCallError {
    HandlerCallError { cause: HandlerCallErrorCause::Shape(error.clone()), internal: None }
}

/// Each failed call has its errors once, at the first of its rows.
fn add_failures(
    extended: &mut [ExtendedPiece],
    failed: IndexMap<(usize, usize), FailedRows>,
    values: Vec<FieldValues<'_>>,
) {
    let mut failures: Vec<Vec<Option<_>>> =
        values.into_iter().map(|values| values.failures.into_iter().map(Some).collect()).collect();
    for ((call, failure), FailedRows { piece, error, rows }) in failed {
        let failure = failures.get_mut(call).and_then(|failures| failures.get_mut(failure)).and_then(Option::take);
        let (Some(failure), Some(piece)) = (failure, extended.get_mut(piece)) else { continue };
        for one in failure.errors {
            piece.errors.push(FieldError { path: error.path.clone(), location: error.location, rows, error: one });
        }
    }
}
