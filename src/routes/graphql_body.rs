//! The body of a POST: read, decoded, and scanned for documents with actions.

use std::sync::Arc;

use bytes::Bytes;

use crate::downstream::body::{BodyError, Decoded, Opened};
use crate::downstream::session::DownstreamSession;
use crate::downstream::{body, request_head_checks};
use crate::http_client::decode::Encoding;
use crate::memory::Share;
use crate::model::response::RequestError;
use crate::protocol::media_type::ContentType;
use crate::protocol::query_string::{QueryParameters, decode, read_query_string};
use crate::routes::body_scan::not_text;
use crate::routes::gateway::{Gateway, RequestState};
use crate::runtime::prepare::selects_action;
use crate::runtime::snapshot::Snapshot;

/// Looks at a URL's query string, once it is decoded.
pub(crate) fn scan_query(query: &str, look: impl Fn(&[u8]) -> bool) -> bool {
    // A query string that is not UTF-8 once decoded is the upstream's to reject; it could only be read byte by byte.
    decode(query).map_or_else(
        |_| look(&percent_encoding::percent_decode_str(query).collect::<Vec<u8>>()),
        |decoded| look(decoded.as_bytes()),
    )
}

/// The kind of a body, as far as its bytes show it.
pub(crate) enum GraphqlBody {
    /// Nothing of ours is in it.
    NotOurs(Bytes),
    /// JSON that may name an action or introspection.
    MayBeOurs(WholeBody),
    /// No JSON, and it may name an action.
    OfAnotherType(WholeBody),
    /// More than is held.
    Large(LargeBody),
}

/// A body that has been read.
pub(crate) struct WholeBody {
    /// As it came.
    pub(crate) wire: Bytes,
    /// As it is meant, if it was compressed.
    pub(crate) decoded: Option<Decoded>,
}

impl WholeBody {
    pub(crate) fn text(&self) -> &[u8] {
        self.decoded.as_ref().map_or(&self.wire, |decoded| &decoded.text)
    }

    /// The original bytes, for passthrough.
    pub(crate) fn into_wire(self) -> Bytes {
        self.wire
    }
}

/// The beginning of a body.
pub(crate) struct LargeBody {
    /// As it came.
    pub(crate) wire: Bytes,
    /// Is that all that comes?
    pub(crate) is_whole: bool,
    /// As it is meant, if it was compressed.
    pub(crate) decoded_beginning: Option<Decoded>,
}

pub(crate) async fn read_graphql_body(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    downstream: &mut DownstreamSession<'_>,
    ctx: &mut RequestState,
    share: &Share,
) -> Result<GraphqlBody, BodyError> {
    let limits = &snapshot.catalog.limits;
    let bytes_max = limits.max_request_body_size;
    let headers = &downstream.head().headers;
    let encoding = Encoding::of(headers)?;
    let content_type = ContentType::of(headers);
    if content_type == ContentType::OtherCharset {
        let message = "the body's character set is not understood here; send UTF-8";
        return Err(RequestError::new(415, "unsupported-media-type", message).into());
    }
    check_query_of_post(gateway, snapshot, downstream).await?;
    let is_compressed = encoding != Encoding::Identity;
    let how = body::How { bytes_max, is_replayed: !gateway.services.upstream.is_plain(), wants_all: !is_compressed };
    let wire = match body::read_up_to(downstream, share, how).await? {
        body::Read::Whole(wire) => wire,
        body::Read::Beginning(wire) => {
            let decoded_beginning = match is_compressed {
                true => Some(body::decode_beginning(encoding, &wire, limits, share)?),
                false => None,
            };
            return Ok(GraphqlBody::Large(LargeBody { wire, is_whole: false, decoded_beginning }));
        }
    };
    ctx.body_was_read = true;
    ctx.admission.body_has_arrived(&gateway.services, share)?;
    let decoded = match encoding {
        Encoding::Identity => None,
        encoding => match body::decode(encoding, &wire, limits, share).await? {
            Opened::Whole(decoded) => Some(decoded),
            Opened::Beginning(decoded) => {
                return Ok(GraphqlBody::Large(LargeBody { wire, is_whole: true, decoded_beginning: Some(decoded) }));
            }
        },
    };
    classify(snapshot, content_type, WholeBody { wire, decoded }).map_err(BodyError::from)
}

/// A document in the URL of a POST would be another one than that in its body.
async fn check_query_of_post(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    downstream: &DownstreamSession<'_>,
) -> Result<(), RequestError> {
    let query = downstream.head().uri.query().unwrap_or_default();
    if snapshot.catalog.rejects_unlisted() && names_document(query) {
        let message = "a document, or its id, must be in the body of a POST, not in its URL";
        return Err(RequestError::new(400, request_head_checks::BAD_REQUEST, message));
    }
    if query.is_empty() || !scan_query(query, |text| snapshot.catalog.may_name_action(text)) {
        return Ok(());
    }
    let has_action = match read_query_string(query) {
        Ok(QueryParameters { query: Some(document), .. }) => {
            selects_action(&gateway.services, snapshot, &document).await
        }
        Ok(_) => false,
        // Several readers could understand it in several ways.
        Err(_) => true,
    };
    let message = "a document with an action in it must be in the body of a POST, not in its URL";
    if has_action { Err(RequestError::new(400, request_head_checks::BAD_REQUEST, message)) } else { Ok(()) }
}

/// Has this query string a document or an id of one? One that cannot be read may have.
fn names_document(query: &str) -> bool {
    read_query_string(query).map_or(true, |parameters| {
        parameters.query.is_some() || parameters.document_id.is_some() || parameters.extensions.is_some()
    })
}

pub(crate) fn classify(
    snapshot: &Snapshot,
    content_type: ContentType,
    body: WholeBody,
) -> Result<GraphqlBody, RequestError> {
    let text = body.text();
    let may_name = |text: &[u8]| snapshot.catalog.rejects_unlisted() || snapshot.catalog.may_name_action(text);
    let (is_json, may_be_ours) = match content_type {
        // UTF-16 and UTF-32 spell every name with these in between, and neither JSON nor GraphQL has them.
        ContentType::Json if memchr::memchr(0, text).is_some() => return Err(not_text()),
        ContentType::Json => (true, snapshot.catalog.may_concern_us(text)),
        ContentType::Form => (false, may_name(&percent_encoding::percent_decode(text).collect::<Vec<u8>>())),
        // Introspection in another form than JSON is left to the upstream.
        _ => (false, may_name(text)),
    };
    Ok(match (may_be_ours, is_json) {
        (false, _) => GraphqlBody::NotOurs(body.into_wire()),
        (true, true) => GraphqlBody::MayBeOurs(body),
        (true, false) => GraphqlBody::OfAnotherType(body),
    })
}
