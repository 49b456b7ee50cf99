//! Fetches an upstream operation whose response has extension fields, and resolves these.

use std::time::Instant;

use bytes::Bytes;

use crate::execution::authorized_extensions::AuthorizedExtensions;
use crate::execution::context::ExecutionContext;
use crate::execution::spans;
use crate::fetch::upstream_operation;
use crate::graphql::extension_rows::{RootFields, Spliced};
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
        Ok(response) => response,
        Err(error) => return PartResult::plain(Err(error)),
    };
    let began = Instant::now();
    let extended = match (execution.extensions, std::str::from_utf8(&response.body)) {
        (Some(extensions), Ok(text)) => extend_text(execution, extensions, part, text).await,
        _ => None,
    };
    let ended = Instant::now();
    let extended = match extended {
        None => return PartResult::plain(Ok(response)),
        Some(Err(_no_room)) => return PartResult::plain(Err(UpstreamError::NoRoom)),
        Some(Ok(extended)) => extended,
    };
    spans::record_phase(execution.services, &execution.context.trace, "resolve fields", began, ended);
    response.body = Bytes::from(extended.text);
    PartResult {
        outcome: Ok(response),
        root_fields: extended.root_fields,
        field_errors: extended.field_errors,
        client_headers: extended.client_headers,
        fields_time: ended.duration_since(began),
    }
}

/// A response of the upstream with its extension fields.
#[derive(Default)]
struct ExtendedText {
    /// The response.
    text: String,
    /// Where its root fields stand, if it has nothing but data.
    root_fields: Option<RootFields>,
    /// What went wrong.
    field_errors: Vec<FieldError>,
    /// Headers of the handlers for the client.
    client_headers: ClientHeaders,
}

/// A response to `part` with its extension fields; `None` if it stays as it is.
async fn extend_text(
    execution: &ExecutionContext<'_>,
    extensions: &AuthorizedExtensions,
    part: &UpstreamOperation,
    text: &str,
) -> Option<Result<ExtendedText, NoRoom>> {
    match scan_response(&extensions.sites, &part.shape, text) {
        Some(scan) => Some(resolve_fields(execution, extensions, part, Piece { json: text, scan }).await),
        None => {
            let text = restore_errors(&extensions.sites, &part.edits, text)?;
            Some(Ok(ExtendedText { text, ..ExtendedText::default() }))
        }
    }
}

async fn resolve_fields(
    execution: &ExecutionContext<'_>,
    extensions: &AuthorizedExtensions,
    part: &UpstreamOperation,
    response: Piece<'_>,
) -> Result<ExtendedText, NoRoom> {
    let (bytes, has_errors) = (response.scan.bytes(), response.scan.has_errors);
    execution.context.charge(bytes)?;
    let json = response.json;
    let Extended { pieces, client_headers } = extend(execution, extensions, &[response], 0).await;
    execution.context.release(bytes);
    let (spliced, field_errors) =
        pieces.into_iter().next().map_or((None, Vec::new()), |ExtendedPiece { json, errors }| (json, errors));
    let Spliced { mut text, root_fields } =
        spliced.unwrap_or_else(|| Spliced { text: json.to_owned(), root_fields: None });
    if has_errors && let Some(restored) = restore_errors(&extensions.sites, &part.edits, &text) {
        text = restored;
    }
    let charged = execution.context.charge(text.len());
    // A write that happened must not look as if it had not.
    if execution.plan.kind != OperationKind::Mutation {
        charged?;
    }
    Ok(ExtendedText { text, root_fields, field_errors, client_headers })
}
