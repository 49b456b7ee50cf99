//! Fetches the upstream's rows for relationships of a handler's response, with the caller's credentials.

use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::Value;

use crate::action::relationship::{RelatedError, RowKeys, RowQuery, RowSet};
use crate::execution::context::ExecutionContext;
use crate::fetch::upstream_operation;
use crate::fetch::upstream_operation::Sender;
use crate::graphql::relationship_selection::VariableText;
use crate::model::replay::Replay;
use crate::request::rejection::{LIMIT_EXCEEDED, code_of};
use crate::telemetry::failure_log::UpstreamPurpose;

/// Requests for the rows of one response that are under way at one time.
const REQUESTS_AT_ONCE: usize = 4;

/// Requests for the rows of one response: a long selection is repeated for each key, and makes the documents large.
const REQUESTS_MAX: usize = 32;

/// Fetches all rows. What cannot be had has its error in their place.
pub(crate) async fn fetch(execution: &ExecutionContext<'_>, wanted: &RowKeys) -> RowSet {
    if let Some(watched) = &execution.context.subscription {
        watched.saw_rows();
    }
    let mut found = RowSet::default();
    let max = execution.snapshot.catalog.limits.max_relationship_keys;
    let requests = wanted.requests();
    let too_many = match (wanted.count(), requests.len()) {
        (count, _) if count > max => {
            Some(format!("the response has {count} keys of relationships; at most {max} are looked up"))
        }
        (_, count) if count > REQUESTS_MAX => {
            Some(format!("the relationships of the response need {count} requests; at most {REQUESTS_MAX} are sent"))
        }
        _ => None,
    };
    if let Some(message) = too_many {
        let error = RelatedError::new(LIMIT_EXCEEDED, message);
        requests.iter().for_each(|request| found.fail(request, &error));
        return found;
    }
    fetch_all(execution, wanted, &requests, &mut found).await;
    let missing = wanted.requests_for_missing(&found);
    fetch_all(execution, wanted, &missing, &mut found).await;
    found
}

async fn fetch_all(execution: &ExecutionContext<'_>, wanted: &RowKeys, requests: &[RowQuery], found: &mut RowSet) {
    for some in requests.chunks(REQUESTS_AT_ONCE) {
        let responses = join_all(some.iter().map(|request| fetch_one(execution, wanted, request))).await;
        for (request, response) in some.iter().zip(responses) {
            if let Err(error) = response.and_then(|body| found.read(wanted, request, &body)) {
                found.fail(request, &error);
            }
        }
    }
}

async fn fetch_one(
    execution: &ExecutionContext<'_>,
    wanted: &RowKeys,
    request: &RowQuery,
) -> Result<Bytes, Box<RelatedError>> {
    let given = &execution.request.variables;
    let is_null = |variable: &VariableText| match given.get(&variable.name) {
        Some(value) => value.get() == "null",
        None => variable.default.as_deref().is_none_or(|default| default == "null"),
    };
    let (document, used) = wanted.document(request, &is_null);
    let query = Value::from(document).to_string();
    let body = upstream_operation::rows_request_json(&query, &used, given);
    let ExecutionContext { services, snapshot, context, .. } = execution;
    let sender = Sender::of(execution, UpstreamPurpose::Relationship);
    let response = upstream_operation::send(services, snapshot, context, body.into(), Replay::Reads, sender).await;
    response
        .map(|response| response.body)
        .map_err(|error| Box::new(RelatedError::new(code_of(&error), error.to_string())))
}
