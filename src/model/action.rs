//! An action: a root field whose value comes from a handler.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderName;
use indexmap::IndexMap;
use url::Url;

use crate::kriti::Template;
use crate::model::before::Before;
use crate::model::extension_field::ExtensionField;
use crate::model::preset::Presets;
use crate::model::secret::Secret;
use crate::model::source::{Diagnostic, SourceFile, SourceLocation};
use crate::model::traffic::TrafficRules;
use crate::model::transform::{RequestTransform, ResponseTransform};
use crate::model::types::{Deprecation, InputValue, TypeRef, Types};

/// The kinds of operation a GraphQL document can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// Reads; its root fields may run side by side.
    Query,
    /// Writes; its root fields run one after another.
    Mutation,
    /// Yields more than one result.
    Subscription,
}

impl OperationKind {
    /// The keyword that introduces it.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Mutation => "mutation",
            Self::Subscription => "subscription",
        }
    }
}

/// One root field that a handler resolves.
#[derive(Clone, Debug)]
pub struct Action {
    /// Its name in the metadata; handlers, logs and metrics use it.
    pub name: String,
    /// The root field's name: the action's, with the prefix for fields if one is configured.
    pub field: String,
    /// On which root it stands: query or mutation.
    pub kind: OperationKind,
    /// Does its root field return an id at once, under which the result can be queried later?
    pub is_async: bool,
    /// Its arguments, in the order of their definition.
    pub arguments: Vec<InputValue>,
    /// The type of the handler's response.
    pub output: TypeRef,
    /// Whom to call.
    pub handler: Handler,
    /// What the handler's headers are made of.
    pub headers: HeaderRules,
    /// How long the whole exchange with the handler may take.
    pub timeout: Duration,
    /// The roles that may call it. `admin` always may.
    pub roles: BTreeSet<String>,
    /// For readers of the schema.
    pub comment: Option<String>,
    /// Why it should not be called any more.
    pub deprecated: Option<Deprecation>,
    /// How often one document may call it.
    pub calls_per_document_max: usize,
    /// May a call whose fate is unknown be sent again?
    pub idempotent: bool,
    /// How the request to its handler is rewritten.
    pub request_transform: Option<RequestTransform>,
    /// Parameters of the client's URL that are added to the handler's.
    pub forwarded_query_params: Vec<String>,
    /// Headers of the handler's response that the client gets, beside cookies.
    pub response_headers: Vec<HeaderName>,
    /// Calls that its handler takes in one request; `None` if it takes one call only.
    pub batch_size: Option<usize>,
    /// Is a 2xx body of the handler a GraphQL response, `{"data": …, "errors": […]}`?
    pub has_envelope: bool,
    /// How the handler's response is.
    pub response_transform: Option<ResponseTransform>,
    /// How often a job of it is tried.
    pub attempts_max: usize,
    /// Jobs of it at one time.
    pub concurrency_max: usize,
    /// How much of it may go on, and what happens when its handler fails.
    pub policies: TrafficRules,
    /// Arguments that are filled, and hidden from the roles for which they are.
    pub presets: Presets,
    /// What the upstream is asked before the handler is called.
    pub before: Option<Arc<Before>>,
}

/// The role that may call everything.
pub const ADMIN_ROLE: &str = "admin";

impl Action {
    /// The name of the type under which the result of an asynchronous action is shown.
    #[must_use]
    pub fn result_type(&self) -> String {
        self.field.clone()
    }

    /// Where its handler is called, as it may be shown: variables are not filled in.
    #[must_use]
    pub fn shown_url(&self) -> &str {
        let transformed = self.request_transform.as_ref().and_then(|transform| transform.url.as_ref());
        transformed.map_or(self.handler.template.as_str(), Template::source)
    }

    /// The root field of `before` that is its value, if it has no handler.
    #[must_use]
    pub fn responds_with(&self) -> Option<&str> {
        self.before.as_ref()?.respond.as_deref()
    }

    /// May `role` call this action?
    #[must_use]
    pub fn allows(&self, role: &str) -> bool {
        role == ADMIN_ROLE || self.roles.contains(role)
    }
}

/// The address of a handler.
#[derive(Clone)]
pub struct Handler {
    /// As its author wrote it, `{{VAR}}` and all. The only form that anyone is shown.
    pub template: String,
    /// With the variables filled in; they may be secrets.
    pub base_url: Secret,
    /// The same, parsed.
    pub url: Url,
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Handler").field(&self.template).finish()
    }
}

impl Handler {
    /// None: the action is made of upstream operations alone. Nothing calls it; see [`Action::responds_with`].
    #[must_use]
    pub fn none(url: Url) -> Self {
        Self { template: "none".to_owned(), base_url: Secret::new("none".to_owned()), url }
    }

    /// What a template made, as it may be shown: not where the address with its variables filled in is part of it.
    #[must_use]
    pub fn shown<'t>(&self, made: &'t str) -> &'t str {
        let has_variables = self.template != self.base_url.expose();
        if has_variables && made.contains(self.base_url.expose()) { "***" } else { made }
    }
}

/// What the headers of a webhook call are made of.
#[derive(Clone, Debug, Default)]
pub struct HeaderRules {
    /// Are the client's headers sent on?
    pub forward_client_headers: bool,
    /// Replaces the default list of client headers that are not sent on.
    pub ignored_client_headers: Option<Vec<HeaderName>>,
    /// If given, only these client headers are sent on.
    pub forwarded_client_headers: Option<Vec<HeaderName>>,
    /// Are all session variables sent, also without the client's headers, and once more as JSON?
    pub session_headers: bool,
    /// Headers of the action itself. Of two with one name the first counts.
    pub configured: Vec<ConfiguredHeader>,
}

/// A header that the action's author has set.
#[derive(Clone, Debug)]
pub struct ConfiguredHeader {
    /// Its name.
    pub name: HeaderName,
    /// Its value, in pieces.
    pub value: Vec<ValuePiece>,
    /// How the value was written, as far as that may be shown.
    pub written: WrittenValue,
}

/// How a header's value was written. A plain one may be a secret, so it is not among these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WrittenValue {
    /// The name of an environment variable.
    FromEnvironment(String),
    /// A template that is nothing but `{{…}}`, or has such parts.
    Template(String),
    /// As it is.
    #[default]
    Plain,
}

/// A piece of a header's value.
#[derive(Clone, Debug)]
pub enum ValuePiece {
    /// Text, environment variables already filled in.
    Text(Secret),
    /// The id of the request at hand.
    RequestId,
    /// A session variable, by its lower-case name; nothing if the session has none.
    SessionVariable(String),
}

/// All actions and the types they use, as loaded.
#[derive(Clone, Debug, Default)]
pub struct ActionSchema {
    /// By the name of their root field.
    pub actions: IndexMap<String, Arc<Action>>,
    /// By name.
    pub types: Types,
    /// The fields that it adds to the upstream's types.
    pub extension_fields: Vec<Arc<ExtensionField>>,
    /// Where each action and each type was written, for diagnostics.
    pub locations: SourceMap,
    /// Names of types that are not defined here and have not been looked up in the upstream's schema yet, each with the
    /// errors to report if it does not have them either.
    pub undecided: IndexMap<String, Vec<Diagnostic>>,
    /// Why the omitted objects cannot be used. Each has a subject.
    pub inconsistent: Vec<Diagnostic>,
    /// What may be left out.
    pub tolerated: Tolerated,
}

/// Which actions and types may be left out when they cannot be used, so that the others are served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tolerated {
    /// None: all must be right.
    #[default]
    Nothing,
    /// Those that an administrator has accepted, as [`SourceFile`]s are shown, and extension fields: the metadata API
    /// changes the actions that they need, and cannot correct them.
    These(HashSet<String>),
    /// All.
    Everything,
}

impl Tolerated {
    /// May it be left out?
    #[must_use]
    pub fn includes(&self, subject: &SourceFile) -> bool {
        match self {
            Self::Nothing => false,
            Self::These(names) => {
                matches!(subject, SourceFile::ExtensionField(_)) || names.contains(&subject.to_string())
            }
            Self::Everything => true,
        }
    }
}

/// Where things were written.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    /// Actions, by the name of their root field.
    pub actions: HashMap<String, SourceLocation>,
    /// Types, by name.
    pub types: HashMap<String, SourceLocation>,
    /// Extension fields, as `Type.field`.
    pub extension_fields: HashMap<String, SourceLocation>,
}

impl ActionSchema {
    /// The names by which a document can select something of ours: root fields of actions, and extension fields.
    pub fn own_names(&self) -> impl Iterator<Item = &str> {
        let fields = self.extension_fields.iter().map(|field| field.name.as_str());
        self.actions.keys().map(String::as_str).chain(fields)
    }

    /// The action that resolves the root field `name` of an operation of this kind. The result of an asynchronous one
    /// is queried, or subscribed to, under its own name.
    #[must_use]
    pub fn action(&self, kind: OperationKind, name: &str) -> Option<&Arc<Action>> {
        let is_on_root =
            |action: &Arc<Action>| action.kind == kind || action.is_async && kind != OperationKind::Mutation;
        self.actions.get(name).filter(|action| is_on_root(action))
    }
}
