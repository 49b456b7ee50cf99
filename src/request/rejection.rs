//! Rejections: every reason why a request is rejected as a whole, with its code.

use crate::action::before::BeforeError;
use crate::action::handler_error::UNEXPECTED;
use crate::action::presets::PresetError;
use crate::graphql::document::{DocumentError, SyntaxError};
use crate::graphql::introspect::IntrospectionError;
use crate::graphql::plan::PlanError;
use crate::graphql::validate::Unknown;
use crate::graphql::value_error::CoerceError;
use crate::memory::NoRoom;
use crate::model::action::OperationKind;
use crate::model::error_kind::ErrorKind;
use crate::model::label::Label;
use crate::model::request::Excess;
use crate::model::response::{Dialect, RequestError, location_at};
use crate::protocol::http::HttpError;
use crate::session::SessionError;
use crate::upstream::UpstreamError;

/// Why a request is rejected as a whole.
#[derive(Clone, Debug)]
pub(crate) enum Rejection {
    /// The document breaks rules.
    Invalid {
        /// Each error, up to the limit.
        diagnostics: Vec<SyntaxError>,
        /// How many more there are.
        more: usize,
        /// Is it the grammar?
        syntax: bool,
        /// The first name that does not exist: all that Hasura reports.
        unknown: Option<Unknown>,
    },
    /// Anything else.
    Request(RequestError),
}

/// Hasura's code for documents that break a rule.
pub(crate) const VALIDATION_FAILED: &str = "validation-failed";

/// The code of a document that cannot be planned without the upstream's schema.
pub(crate) const SCHEMA_UNKNOWN: &str = "schema-unknown";

/// The code of a call that its caller's session does not allow.
pub(crate) const PERMISSION_DENIED: &str = "permission-denied";

/// The code of a document that is not in the list of trusted documents. Hasura has a more general one.
const DOCUMENT_NOT_ALLOWED: &str = "document-not-allowed";

/// The code of a hash whose document is not known. Its client sends the text then.
pub(crate) const PERSISTED_QUERY_NOT_FOUND: &str = "PERSISTED_QUERY_NOT_FOUND";

/// The code of a hash that is not that of the text beside it.
const HASH_MISMATCH: &str = "PERSISTED_QUERY_HASH_MISMATCH";

/// The code of what costs more than is allowed.
pub(crate) const LIMIT_EXCEEDED: &str = "query-limit-exceeded";

impl Rejection {
    /// A document that cannot be planned.
    #[must_use]
    pub(crate) fn of_plan(error: PlanError, text: &str) -> Self {
        match error {
            PlanError::Invalid(diagnostics) => Self::Invalid { diagnostics, more: 0, syntax: false, unknown: None },
            PlanError::TooMany { .. } => Self::limit(error.to_string()),
            PlanError::Fragment(ref fragment) => {
                let location = location_at(text, fragment.offset);
                Self::Request(RequestError::new(400, VALIDATION_FAILED, error.to_string()).located(vec![location]))
            }
        }
    }

    /// A value that its type does not take.
    #[must_use]
    pub(crate) fn of_value(dialect: Dialect, error: CoerceError, text: &str) -> Self {
        let locations = error.offset.map(|offset| location_at(text, offset)).into_iter().collect();
        let rejection = RequestError::new(400, VALIDATION_FAILED, error.message_in(dialect)).at(error.path);
        Self::Request(rejection.located(locations))
    }

    /// An argument that the configuration fills, and for which this caller's session has no value.
    #[must_use]
    pub(crate) fn of_preset(action: &str, error: &PresetError) -> Self {
        Self::Request(RequestError::new(400, PERMISSION_DENIED, format!("action \"{action}\": {error}")))
    }

    /// A call for which the upstream cannot be asked with this caller's session.
    #[must_use]
    pub(crate) fn of_before(action: &str, error: &BeforeError) -> Self {
        Self::Request(RequestError::new(400, PERMISSION_DENIED, format!("action \"{action}\": {error}")))
    }

    /// A variable of `@skip` or `@include` that has no boolean.
    #[must_use]
    pub(crate) fn condition(name: &str) -> Self {
        let message = format!("Variable \"${name}\" decides about a field and must be a Boolean.");
        Self::Request(RequestError::new(400, VALIDATION_FAILED, message).at(format!("$.variableValues.{name}")))
    }

    /// A root field that is not there for this role.
    #[must_use]
    pub(crate) fn unknown_root_field(name: &str, root: &str) -> Self {
        let message = format!("field '{name}' not found in type: '{root}'");
        Self::Request(RequestError::new(400, VALIDATION_FAILED, message).at(format!("$.selectionSet.{name}")))
    }

    /// A mutation of a role that has none.
    #[must_use]
    pub(crate) fn no_mutations() -> Self {
        Self::Request(RequestError::new(400, VALIDATION_FAILED, "no mutations exist").at("$"))
    }

    /// GET for something that writes.
    #[must_use]
    pub(crate) fn get_must_read(kind: OperationKind) -> Self {
        let message = format!("a {} cannot be sent by GET; send it by POST", kind.keyword());
        Self::Request(RequestError::new(405, "method-not-allowed", message))
    }

    /// A subscription over HTTP.
    #[must_use]
    pub(crate) fn subscription() -> Self {
        let message = "subscriptions are not supported over HTTP, use websockets instead";
        Self::Request(RequestError::new(400, VALIDATION_FAILED, message))
    }

    /// A document that is not in the list of trusted documents.
    #[must_use]
    pub(crate) fn document_not_allowed(dialect: Dialect) -> Self {
        Self::Request(match dialect {
            Dialect::Hasura => RequestError::new(400, VALIDATION_FAILED, "query is not allowed"),
            Dialect::Standard => RequestError::new(403, DOCUMENT_NOT_ALLOWED, "the document is not in the allow-list"),
        })
    }

    /// The hash of a document that is not known, with the words by which clients of automatic persisted queries know it.
    #[must_use]
    pub(crate) fn persisted_query_not_found() -> Self {
        Self::Request(RequestError::new(200, PERSISTED_QUERY_NOT_FOUND, "PersistedQueryNotFound"))
    }

    /// The hash of another document than the one beside it.
    #[must_use]
    pub(crate) fn hash_mismatch() -> Self {
        Self::Request(RequestError::new(400, HASH_MISMATCH, "provided sha does not match query"))
    }

    /// The upstream could not be queried. `may_write`: by what may be a mutation.
    #[must_use]
    pub(crate) fn upstream(error: &UpstreamError, may_write: bool) -> Self {
        Self::Request(upstream_error(error, may_write))
    }

    /// A document that may select an extension field, while the upstream's schema is not known. Only that tells whether it
    /// does, and where its rows are.
    #[must_use]
    pub(crate) fn schema_unknown(reason: Option<&str>) -> Self {
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let message = format!(
            "the document selects a field that an action may resolve on the upstream's types, and the upstream's schema is \
             not known{reason}"
        );
        Self::Request(RequestError::new(503, SCHEMA_UNKNOWN, message))
    }

    /// An internal error. Its text goes to the log, not to the client.
    #[must_use]
    pub(crate) fn internal(reason: &str) -> Self {
        tracing::error!(
            error.kind = ErrorKind::Internal.label(),
            error.message = reason,
            "internal error (bug), please report: a request has failed"
        );
        Self::Request(RequestError::new(500, UNEXPECTED, "internal error"))
    }

    fn limit(message: String) -> Self {
        Self::Request(RequestError::new(400, LIMIT_EXCEEDED, message))
    }
}

impl From<Excess> for Rejection {
    fn from(excess: Excess) -> Self {
        Self::limit(excess.to_string())
    }
}

impl From<NoRoom> for Rejection {
    fn from(no_room: NoRoom) -> Self {
        Self::Request(no_room.into())
    }
}

impl From<IntrospectionError> for Rejection {
    fn from(error: IntrospectionError) -> Self {
        Self::limit(error.to_string())
    }
}

impl From<HttpError> for Rejection {
    fn from(error: HttpError) -> Self {
        let code = match &error {
            HttpError::InvalidJson(_) => "invalid-json",
            HttpError::Malformed(_) => "parse-failed",
            HttpError::BatchTooLarge { .. } => "batch-limit-exceeded",
        };
        Self::Request(RequestError::new(400, code, error.to_string()))
    }
}

impl From<DocumentError> for Rejection {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Invalid { syntax, diagnostics, more } => {
                Self::Invalid { diagnostics, more, syntax, unknown: None }
            }
            DocumentError::TooLong { .. } | DocumentError::TooMany { .. } => Self::limit(error.to_string()),
            DocumentError::UnknownOperation(_) | DocumentError::NameForAnonymous | DocumentError::NotOneOperation => {
                Self::Request(RequestError::new(400, VALIDATION_FAILED, error.to_string()))
            }
        }
    }
}

impl From<SessionError> for Rejection {
    fn from(error: SessionError) -> Self {
        let rejection = RequestError::new(error.status, error.code, error.message);
        Self::Request(RequestError { plain: error.plain, ..rejection })
    }
}

/// A request without a response of the upstream.
#[must_use]
pub(crate) fn upstream_error(error: &UpstreamError, may_write: bool) -> RequestError {
    let status = match error {
        UpstreamError::TimedOut => 504,
        UpstreamError::NoRoom => 503,
        _ => 502,
    };
    let rejection = RequestError::new(status, code_of(error), error.to_string());
    if may_write && error.may_have_been_executed() { rejection.possibly_executed() } else { rejection }
}

/// The code of an operation that the upstream did not respond to.
#[must_use]
pub(crate) fn code_of(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::TimedOut => TIMED_OUT,
        UpstreamError::NoRoom => BUSY,
        _ => FAILED,
    }
}

const TIMED_OUT: &str = "upstream-timeout";
const BUSY: &str = "busy";
const FAILED: &str = "upstream-error";

/// Is it the code of an operation that the upstream did not respond to?
#[must_use]
pub(crate) fn is_code_of_upstream(code: &str) -> bool {
    matches!(code, TIMED_OUT | BUSY | FAILED)
}
