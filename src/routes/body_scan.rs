//! Scans a body that is no usual GraphQL request for an action: an upload, another content type, or JSON that is larger
//! than a request with an action may be. Only its documents count, never files, variables or other text, and nothing of
//! it is held but the document that is being read. A body that cannot be understood here passes: the upstream knows no
//! actions, so nothing of ours is carried out by it.

use std::sync::Arc;

use http::HeaderMap;

use crate::memory::Share;
use crate::model::response::RequestError;
use crate::protocol::document_finder::{DocumentFinder, FinderResult, unescape};
use crate::protocol::media_type::ContentType;
use crate::protocol::multipart::{OperationsReader, Piece};
use crate::protocol::query_string::read_query_string;
use crate::runtime::prepare::selects_action;
use crate::runtime::services::Services;
use crate::runtime::snapshot::Snapshot;

/// Looks for actions in a body that arrives in pieces.
pub(crate) struct BodyScan<'s> {
    services: &'s Services,
    snapshot: &'s Arc<Snapshot>,
    content_type: ContentType,
    bytes_max: usize,
    finder: DocumentFinder,
    /// For uploads.
    operations: Option<OperationsReader>,
    documents: usize,
    /// What the finder holds.
    share: Share,
    held_bytes: usize,
}

impl<'s> BodyScan<'s> {
    /// Nothing has come yet, and `share` is empty.
    #[must_use]
    pub(crate) fn new(
        services: &'s Services,
        snapshot: &'s Arc<Snapshot>,
        headers: &HeaderMap,
        content_type: ContentType,
        share: Share,
    ) -> Self {
        let bytes_max = snapshot.catalog.limits.max_request_body_size;
        let is_upload = content_type == ContentType::Multipart;
        let operations = is_upload.then(|| OperationsReader::new(headers)).flatten();
        let finder = DocumentFinder::new(bytes_max);
        Self { services, snapshot, content_type, bytes_max, finder, operations, documents: 0, share, held_bytes: 0 }
    }

    /// Looks through the next piece.
    ///
    /// # Errors
    /// The rejection, if there is an action in it.
    pub(crate) async fn feed(&mut self, piece: &[u8]) -> Result<(), RequestError> {
        let is_json = self.content_type == ContentType::Json;
        // UTF-16 and UTF-32 spell every name with these in between, and neither JSON nor GraphQL has them.
        if is_json && memchr::memchr(0, piece).is_some() {
            return Err(not_text());
        }
        let all_found = self.find(piece);
        if let Some(more) = self.finder.held().checked_sub(self.held_bytes) {
            self.share.grow(more)?;
            self.held_bytes += more;
        }
        for found in all_found {
            self.documents += 1;
            let is_rejected = match found {
                FinderResult::Document(text) => self.is_action(&text).await,
                FinderResult::TooLong => is_json,
            };
            if is_rejected {
                return Err(if is_json { self.too_large() } else { wrong_content_type() });
            }
        }
        Ok(())
    }

    fn find(&mut self, piece: &[u8]) -> Vec<FinderResult> {
        match (&mut self.operations, self.content_type) {
            (Some(operations), _) => {
                let mut found = Vec::new();
                for piece in operations.feed(piece) {
                    match piece {
                        Piece::Start => self.finder = DocumentFinder::new(self.bytes_max),
                        Piece::Content(bytes) => found.extend(self.finder.feed(&bytes)),
                    }
                }
                found
            }
            (None, ContentType::Multipart | ContentType::Form) => Vec::new(),
            (None, _) => self.finder.feed(piece),
        }
    }

    /// Has no document been found in all that has come?
    #[must_use]
    pub(crate) fn has_found_nothing(&self) -> bool {
        self.documents == 0
    }

    /// The same for a body that has come whole, in which documents may also stand in other ways: a form's field, or bare.
    ///
    /// # Errors
    /// The rejection, if there is an action in it.
    pub(crate) async fn look_through(mut self, body: &[u8]) -> Result<(), RequestError> {
        self.feed(body).await?;
        let text = match self.content_type {
            ContentType::Form => std::str::from_utf8(body).ok().and_then(|body| read_query_string(body).ok()?.query),
            ContentType::Other if !self.finder.is_json() => std::str::from_utf8(body).ok().map(str::to_owned),
            _ => None,
        };
        match text {
            Some(text) if self.has_action(&text).await => Err(wrong_content_type()),
            _ => Ok(()),
        }
    }

    /// A document as JSON has it.
    async fn is_action(&self, text: &[u8]) -> bool {
        if !self.snapshot.catalog.may_name_action(text) {
            return false;
        }
        let Some(document) = unescape(text) else { return false };
        self.has_action(&document).await
    }

    async fn has_action(&self, document: &str) -> bool {
        selects_action(self.services, self.snapshot, document).await
    }

    /// The error for a body that is too large to be scanned as a whole.
    #[must_use]
    pub(crate) fn too_large(&self) -> RequestError {
        let message = format!("a request with an action in it must not be larger than {} bytes", self.bytes_max);
        RequestError::new(413, "body-too-large", message)
    }
}

/// The error for an action in another content type.
#[must_use]
pub(crate) fn wrong_content_type() -> RequestError {
    let message = "a document with an action in it must be sent as application/json";
    RequestError::new(415, "unsupported-media-type", message)
}

/// The error for bytes that JSON never has.
#[must_use]
pub(crate) fn not_text() -> RequestError {
    RequestError::new(400, "invalid-json", "the body is not UTF-8 text")
}
