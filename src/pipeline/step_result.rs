//! The results of a plan's steps.

use std::time::Duration;

use crate::graphql::extension_rows::RootFields;
use crate::graphql::introspect::IntrospectionError;
use crate::graphql::merge::{UpstreamResult, read_upstream_result};
use crate::graphql::plan::PlanStep;
use crate::handler::field_error::FieldError;
use crate::handler::result::HandlerResult;
use crate::request::response::ClientHeaders;
use crate::upstream::{UpstreamError, UpstreamResponse};

/// The result of an upstream operation.
pub(crate) type FetchOutcome = Result<UpstreamResponse, UpstreamError>;

/// The result of an upstream operation, with its extension fields.
#[derive(Debug)]
pub(crate) struct PartResult {
    /// The upstream's response, in which the values of extension fields stand.
    pub outcome: FetchOutcome,
    /// Where its root fields stand, if it has nothing but data and that is known.
    pub root_fields: Option<RootFields>,
    /// What went wrong with those.
    pub field_errors: Vec<FieldError>,
    /// Headers of their handlers for the client.
    pub client_headers: ClientHeaders,
    /// How long it took to resolve them.
    pub fields_time: Duration,
}

impl PartResult {
    /// Without extension fields.
    #[must_use]
    pub(crate) fn plain(outcome: FetchOutcome) -> Self {
        Self {
            outcome,
            root_fields: None,
            field_errors: Vec::new(),
            client_headers: ClientHeaders::new(),
            fields_time: Duration::ZERO,
        }
    }

    /// What the upstream gave back; `None` if that is no response of a GraphQL server.
    #[must_use]
    pub(crate) fn upstream_result(&self) -> Option<UpstreamResult<'_>> {
        let body = &self.outcome.as_ref().ok()?.body;
        let known = self.root_fields.as_ref().and_then(|fields| UpstreamResult::of_root_fields(body, fields));
        known.or_else(|| read_upstream_result(body).ok())
    }
}

/// The result of one step.
#[derive(Debug)]
pub(crate) enum StepOutcome {
    /// A part of the upstream.
    Part(PartResult),
    /// A webhook call.
    Call(HandlerResult),
    /// A field of introspection.
    Introspection(Result<String, IntrospectionError>),
}

/// The results of a plan: the steps that ran, in order.
pub(crate) type Outcome = Vec<(PlanStep, StepOutcome)>;

/// Bytes of the results of a plan: its response has as many.
#[must_use]
pub(crate) fn bytes_of(outcome: &Outcome) -> usize {
    let bytes = |step: &StepOutcome| match step {
        StepOutcome::Part(part) => part.outcome.as_ref().map_or(0, |response| response.body.len()),
        StepOutcome::Call(call) => call.json.len(),
        StepOutcome::Introspection(json) => json.as_ref().map_or(0, String::len),
    };
    outcome.iter().map(|(_, step)| bytes(step)).sum()
}
