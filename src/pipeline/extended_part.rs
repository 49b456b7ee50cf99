//! Fetches an upstream operation whose response has extension fields, and resolves these.

use std::time::Instant;

use bytes::Bytes;

use crate::execution::context::ExecutionContext;
use crate::execution::spans;
use crate::fetch::upstream_operation;
use crate::graphql::merge::read_upstream_result;
use crate::graphql::plan::UpstreamOperation;
use crate::graphql::scan_rows::scan_response;
use crate::graphql::upstream_errors::restore_errors;
use crate::handler::extend_rows::{Extended, ExtendedPiece, Piece, extend};
use crate::handler::field_error::FieldError;
use crate::memory::NoRoom;
use crate::model::action::OperationKind;
use crate::pipeline::step_result::{FetchOutcome, PartResult};
use crate::request::response::ClientHeaders;
use crate::upstream::UpstreamError;

/// Fetches it, and resolves the extension fields of its response.
pub(crate) async fn fetch_extended(execution: &ExecutionContext<'_>, part: &UpstreamOperation) -> PartResult {
    let fetched = upstream_operation::fetch(execution, part).await;
    extend_response(execution, part, fetched).await
}

/// Resolves the extension fields of a response to `part`, whatever it is.
pub(crate) async fn extend_response(
    execution: &ExecutionContext<'_>,
    part: &UpstreamOperation,
    fetched: FetchOutcome,
) -> PartResult {
    let mut response = match fetched {
        Ok(response) if read_upstream_result(&response.body).is_ok() => response,
        other => return PartResult::plain(other),
    };
    let Ok(text) = std::str::from_utf8(&response.body) else { return PartResult::plain(Ok(response)) };
    let began = Instant::now();
    let extended = extend_text(execution, part, text).await;
    let ended = Instant::now();
    spans::record_phase(execution.services, &execution.context.trace, "resolve fields", began, ended);
    let Ok(text) = extended.text else { return PartResult::plain(Err(UpstreamError::NoRoom)) };
    response.body = Bytes::from(text);
    PartResult {
        outcome: Ok(response),
        field_errors: extended.field_errors,
        client_headers: extended.client_headers,
        fields_time: ended.duration_since(began),
    }
}

/// A response of the upstream with its extension fields.
pub(crate) struct ExtendedText {
    /// The response, or that there is no room for it.
    pub text: Result<String, NoRoom>,
    /// What went wrong.
    pub field_errors: Vec<FieldError>,
    /// Headers of the handlers for the client.
    pub client_headers: ClientHeaders,
}

/// Resolves the extension fields of a response to `part`, which is a GraphQL response.
pub(crate) async fn extend_text(
    execution: &ExecutionContext<'_>,
    part: &UpstreamOperation,
    text: &str,
) -> ExtendedText {
    let (mut field_errors, mut client_headers) = (Vec::new(), Vec::new());
    let mut extended_text = None;
    if let Some(extensions) = execution.extensions {
        let mut has_errors = true;
        if let Some(scan) = scan_response(&extensions.sites, &part.shape, text) {
            let bytes = scan.bytes();
            has_errors = scan.has_errors;
            if let Err(no_room) = execution.context.charge(bytes) {
                return ExtendedText { text: Err(no_room), field_errors, client_headers };
            }
            let pieces = [Piece { json: text, scan }];
            let Extended { pieces, client_headers: headers } = extend(execution, extensions, &pieces, 0).await;
            execution.context.release(bytes);
            client_headers = headers;
            for ExtendedPiece { json, errors } in pieces {
                extended_text = json;
                field_errors = errors;
            }
        }
        let current = extended_text.as_deref().unwrap_or(text);
        if has_errors && let Some(restored) = restore_errors(&extensions.sites, &part.edits, current) {
            extended_text = Some(restored);
        }
    }
    let text = extended_text.unwrap_or_else(|| text.to_owned());
    let charged = execution.context.charge(text.len());
    // A write that happened must not look as if it had not.
    let is_lost = charged.is_err() && execution.plan.kind != OperationKind::Mutation;
    let text = match charged {
        Err(no_room) if is_lost => Err(no_room),
        _ => Ok(text),
    };
    ExtendedText { text, field_errors, client_headers }
}
