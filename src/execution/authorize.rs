//! Authorization: from planned calls to authorized ones, the proof that the session's role may make them, and their
//! arguments.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::action::before::BeforeError;
use crate::action::handler_error::HandlerResponseError;
use crate::action::key_arguments::{CallKeys, fill, only_key};
use crate::graphql::coerce::{coerce_argument, is_coerced};
use crate::graphql::selection::SubSelection;
use crate::model::action::{Action, OperationKind};
use crate::model::extension_field::ExtensionField;
use crate::model::json_value::JsonValue;
use crate::model::replay::Replay;
use crate::model::types::{InputValue, Types};
use crate::request::rejection::Rejection;
use crate::runtime::snapshot::Snapshot;
use crate::session::Session;

/// A webhook call that may be made. Only this folder makes one.
#[derive(Clone, Debug)]
pub(crate) struct AuthorizedCall {
    /// Whom to call.
    action: Arc<Action>,
    /// What its handler receives.
    input: Arc<Input>,
    /// The selection set of its output.
    selected: Arc<SubSelection>,
    /// What `before` of the action has come to, once the upstream has been asked.
    clearance: Option<Arc<Clearance>>,
}

/// What `before` of an action has come to for one call.
pub(crate) type Clearance = Result<Cleared, BeforeError>;

/// The upstream was asked, and the call may be made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cleared {
    /// What the handler gets as `data`.
    pub data: Option<Arc<Value>>,
    /// The value of an action without a handler.
    pub response: Option<JsonValue>,
    /// How long that took, of the action's timeout.
    pub spent: Duration,
}

/// The arguments of a call, shared by all calls of a document that are the same.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// Coerced.
    values: Map<String, Value>,
    /// What the upstream has said before the call, if the handler gets it.
    data: Option<Arc<Value>>,
    /// The inputs of several calls instead, if they share a payload.
    batch: Option<Batch>,
    /// The payload that holds them, once one has been made.
    payload: OnceLock<Bytes>,
}

/// The inputs of several calls.
#[derive(Debug)]
enum Batch {
    /// Of these.
    Calls(Vec<Arc<Input>>),
    /// Of rows, as JSON: nothing else is done with them.
    Rows(String),
}

/// What a payload holds.
pub(crate) enum PayloadInput<'i> {
    /// The arguments of one call.
    One(&'i Map<String, Value>),
    /// Those of several.
    Batch(Vec<&'i Map<String, Value>>),
    /// Those of several as a list in JSON.
    Rows(&'i str),
}

/// What a payload has beside its inputs: `data` of one call, or that of each.
#[derive(Clone, Debug)]
pub(crate) enum PayloadData<'i> {
    /// Nothing.
    None,
    /// Of the only call.
    One(&'i Value),
    /// Of each call.
    Each(Vec<&'i Value>),
}

impl Input {
    fn of_payload(&self) -> PayloadInput<'_> {
        match &self.batch {
            None => PayloadInput::One(&self.values),
            Some(Batch::Calls(inputs)) => PayloadInput::Batch(inputs.iter().map(|input| &input.values).collect()),
            Some(Batch::Rows(json)) => PayloadInput::Rows(json),
        }
    }

    fn data_of_payload(&self) -> PayloadData<'_> {
        match &self.batch {
            None => self.data.as_deref().map_or(PayloadData::None, PayloadData::One),
            Some(Batch::Rows(_)) => PayloadData::None,
            Some(Batch::Calls(inputs)) => {
                let all: Option<Vec<&Value>> = inputs.iter().map(|input| input.data.as_deref()).collect();
                all.map_or(PayloadData::None, PayloadData::Each)
            }
        }
    }
}

impl From<Map<String, Value>> for Input {
    fn from(values: Map<String, Value>) -> Self {
        Self { values, data: None, batch: None, payload: OnceLock::new() }
    }
}

impl AuthorizedCall {
    /// A call of the document, whose permission has been checked.
    #[must_use]
    pub(super) fn new(action: &Arc<Action>, input: Arc<Input>, selected: Arc<SubSelection>) -> Self {
        Self { action: Arc::clone(action), input, selected, clearance: None }
    }

    /// A job. It was allowed before it was stored.
    #[must_use]
    pub(crate) fn stored(action: &Arc<Action>, input: Map<String, Value>) -> Self {
        let (action, input) = (Arc::clone(action), Arc::new(input.into()));
        Self { action, input, selected: Arc::default(), clearance: None }
    }

    /// One for several calls of one action, whose payload has the arguments of all of them. `None` without any.
    #[must_use]
    pub(crate) fn batch(calls: &[Self]) -> Option<Self> {
        let action = Arc::clone(&calls.first()?.action);
        let batch = Some(Batch::Calls(calls.iter().map(|call| Arc::clone(&call.input)).collect()));
        let input = Arc::new(Input { batch, ..Input::default() });
        let clearance = combined(calls);
        Some(Self { action, input, selected: Arc::default(), clearance })
    }

    /// One for rows, whose inputs are a list in JSON.
    #[must_use]
    pub(super) fn of_rows(action: &Arc<Action>, inputs: String) -> Self {
        let input = Arc::new(Input { batch: Some(Batch::Rows(inputs)), ..Input::default() });
        Self { action: Arc::clone(action), input, selected: Arc::default(), clearance: None }
    }

    /// Whom to call.
    #[must_use]
    pub(crate) fn action(&self) -> &Arc<Action> {
        &self.action
    }

    /// Its arguments, coerced; of a batch none.
    #[must_use]
    pub(crate) fn input(&self) -> &Map<String, Value> {
        &self.input.values
    }

    /// What its handler gets as `data`.
    #[must_use]
    pub(crate) fn data(&self) -> Option<&Arc<Value>> {
        self.input.data.as_ref()
    }

    /// Must the upstream be asked before it is made?
    #[must_use]
    pub(crate) fn needs_clearance(&self) -> bool {
        self.action.before.is_some() && self.clearance.is_none()
    }

    /// The same call, after the upstream was asked.
    #[must_use]
    pub(crate) fn cleared(&self, clearance: Clearance) -> Self {
        let data = clearance.as_ref().ok().and_then(|cleared| cleared.data.clone());
        // A payload that was made before lacks the data, and another call may have other data.
        let input = match data {
            None => Arc::clone(&self.input),
            data => Arc::new(Input { values: self.input.values.clone(), data, ..Input::default() }),
        };
        Self { input, clearance: Some(Arc::new(clearance)), ..self.clone() }
    }

    /// What the upstream has said before the call. Without it, an action that has `before` is never called.
    ///
    /// # Errors
    /// [`BeforeError`].
    pub(crate) fn clearance(&self) -> Result<&Cleared, BeforeError> {
        static UNASKED: Cleared = Cleared { data: None, response: None, spent: Duration::ZERO };
        match self.clearance.as_deref() {
            Some(Ok(cleared)) => Ok(cleared),
            Some(Err(error)) => Err(error.clone()),
            None if self.action.before.is_none() => Ok(&UNASKED),
            None => Err(BeforeError::NotAsked),
        }
    }

    /// How much of the action's timeout is left for its handler, after the upstream was asked.
    #[must_use]
    pub(crate) fn timeout(&self) -> Duration {
        let spent = self.clearance.as_deref().and_then(|known| known.as_ref().ok()).map(|cleared| cleared.spent);
        self.action.timeout.saturating_sub(spent.unwrap_or_default())
    }

    /// What its payload holds.
    #[must_use]
    pub(crate) fn inputs(&self) -> PayloadInput<'_> {
        self.input.of_payload()
    }

    /// The payload with these arguments, which is made once.
    ///
    /// # Errors
    /// Those of `make`.
    pub(crate) fn payload<E>(
        &self,
        make: impl FnOnce(PayloadInput<'_>, PayloadData<'_>) -> Result<Vec<u8>, E>,
    ) -> Result<Bytes, E> {
        if let Some(payload) = self.input.payload.get() {
            return Ok(payload.clone());
        }
        let payload = Bytes::from(make(self.input.of_payload(), self.input.data_of_payload())?);
        Ok(self.input.payload.get_or_init(|| payload).clone())
    }

    /// The selection set of its output.
    #[must_use]
    pub(crate) fn selected(&self) -> &SubSelection {
        &self.selected
    }

    /// Whether the call may be sent again when its result is unknown: a query, or a mutation that is declared idempotent.
    #[must_use]
    pub(crate) fn replay(&self) -> Replay<'static> {
        Replay::of(self.action.kind == OperationKind::Query || self.action.idempotent)
    }
}

/// What is known of all these calls together: one that may not be made keeps all of them back, and the slowest query
/// counts.
fn combined(calls: &[AuthorizedCall]) -> Option<Arc<Clearance>> {
    let mut slowest: Option<(Duration, &Arc<Clearance>)> = None;
    for call in calls {
        let clearance = call.clearance.as_ref()?;
        let Ok(Cleared { spent, .. }) = clearance.as_ref() else { return Some(Arc::clone(clearance)) };
        if slowest.is_none_or(|(known, _)| known < *spent) {
            slowest = Some((*spent, clearance));
        }
    }
    slowest.map(|(_, clearance)| Arc::clone(clearance))
}

/// An extension field that may be resolved: the role of the session may call its action.
#[derive(Clone, Debug)]
pub(crate) struct AuthorizedField {
    field: Arc<ExtensionField>,
    action: Arc<Action>,
    /// The client's arguments, coerced; none that the configuration gives is among them.
    arguments: Arc<Map<String, Value>>,
}

impl AuthorizedField {
    /// Checks the permission. `arguments` are the client's, coerced.
    ///
    /// # Errors
    /// The role may not call the action.
    pub(crate) fn new(
        snapshot: &Snapshot,
        session: &Session,
        field: &Arc<ExtensionField>,
        arguments: Map<String, Value>,
    ) -> Result<Self, Rejection> {
        // Validation has rejected this already; the permission is checked again where the call becomes possible.
        let action = snapshot.catalog.schema.action(OperationKind::Query, &field.action);
        let may_be_called =
            |action: &&Arc<Action>| action.kind == OperationKind::Query && action.allows(session.role());
        match action.filter(may_be_called) {
            Some(action) if !action.is_async => {
                Ok(Self { field: Arc::clone(field), action: Arc::clone(action), arguments: Arc::new(arguments) })
            }
            _ => Err(Rejection::unknown_root_field(&field.name, &field.type_name)),
        }
    }

    /// The field.
    #[must_use]
    pub(crate) fn field(&self) -> &Arc<ExtensionField> {
        &self.field
    }

    /// Whom to call.
    #[must_use]
    pub(crate) fn action(&self) -> &Arc<Action> {
        &self.action
    }

    /// The client's arguments.
    #[must_use]
    pub(crate) fn arguments(&self) -> &Map<String, Value> {
        &self.arguments
    }

    /// The call for these keys: the arguments in the order of their definition, those with keys coerced.
    ///
    /// # Errors
    /// [`HandlerResponseError::UnfitKey`].
    pub(crate) fn call(&self, types: &Types, keys: CallKeys<'_>) -> Result<AuthorizedCall, HandlerResponseError> {
        let key_fields = self.field.key_fields();
        let values = self.values(types, &key_fields, keys);
        let values: Map<String, Value> = values
            .map(|value| value.map(|(name, value)| (name.to_owned(), value.into_owned())))
            .collect::<Result<_, _>>()?;
        Ok(AuthorizedCall {
            action: Arc::clone(&self.action),
            input: Arc::new(values.into()),
            selected: Arc::default(),
            clearance: None,
        })
    }

    /// The arguments of the call for these keys, by name.
    pub(super) fn values<'v>(
        &'v self,
        types: &'v Types,
        key_fields: &'v [&str],
        keys: CallKeys<'v>,
    ) -> impl Iterator<Item = Result<(&'v str, Cow<'v, Value>), HandlerResponseError>> {
        self.action.arguments.iter().filter_map(move |definition| {
            let value = match self.given(types, definition, key_fields, keys) {
                Some(given) => given,
                None => Ok(Cow::Borrowed(self.arguments.get(&definition.name)?)),
            };
            Some(value.map(|value| (definition.name.as_str(), value)))
        })
    }

    /// Would there be a call for these keys?
    ///
    /// # Errors
    /// [`HandlerResponseError::UnfitKey`].
    pub(crate) fn check(&self, types: &Types, keys: CallKeys<'_>) -> Result<(), HandlerResponseError> {
        let key_fields = self.field.key_fields();
        let mut given =
            self.action.arguments.iter().filter_map(|definition| self.given(types, definition, &key_fields, keys));
        given.try_for_each(|value| value.map(drop))
    }

    /// The value of an argument that the configuration gives.
    fn given<'k>(
        &self,
        types: &Types,
        definition: &InputValue,
        key_fields: &[&str],
        keys: CallKeys<'k>,
    ) -> Option<Result<Cow<'k, Value>, HandlerResponseError>> {
        let (argument, template) = self.field.arguments.iter().find(|(name, _)| *name == definition.name)?;
        if let Some(key) = only_key(template, key_fields, keys).filter(|key| is_coerced(&definition.ty, key)) {
            return Some(Ok(Cow::Borrowed(key)));
        }
        // What does not fit is a value of the upstream, so the error does not show it.
        let unfit = |_| HandlerResponseError::UnfitKey { argument: argument.clone(), ty: definition.ty.to_string() };
        Some(coerce_argument(types, definition, fill(template, key_fields, keys)).map(Cow::Owned).map_err(unfit))
    }
}
