//! A stand-in for handlers: responds to handler calls inside the process, for `pillion test` and `pillion dev --mock`.

use serde_json::{Map, Value};

use crate::action::handler_error::TransportError;
use crate::handler_client::exchange::{HandlerHttpRequest, HandlerHttpResponse};
use crate::model::action::{Action, ActionSchema};

/// A call that would have been sent to a handler.
pub(crate) struct StandInCall<'c> {
    /// The action.
    pub action: &'c Action,
    /// The arguments: of a batch those of each call, otherwise the only ones.
    pub inputs: StandInInputs<'c>,
    /// All actions and types.
    pub schema: &'c ActionSchema,
    /// The request, with transform and headers applied.
    pub request: &'c HandlerHttpRequest,
}

/// The arguments of a call.
pub(crate) enum StandInInputs<'c> {
    /// Of one.
    One(&'c Map<String, Value>),
    /// Of each call in a batch, whose response is a list of as many values.
    Batch(Vec<&'c Map<String, Value>>),
}

/// Responds in place of handlers. Everything around the exchange stays as it is: policies, cache, headers, transforms,
/// completion.
pub(crate) trait HandlerStandIn: Send + Sync {
    /// The response to a call.
    ///
    /// # Errors
    /// [`TransportError`], if the handler is to be one that does not respond.
    fn respond(&self, call: &StandInCall<'_>) -> Result<HandlerHttpResponse, TransportError>;
}
