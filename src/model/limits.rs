//! Every bound on what a request may cost, with its reason. `reliability.md` section 4.5 is their source.

use std::time::Duration;

use super::action::ActionSchema;

/// Bounds on documents that hold something of ours. Zero never means "unlimited".
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request body on the GraphQL endpoint, on the wire and decoded. Several MB of base64 are normal.
    pub body_bytes_max: usize,
    /// Bytes of a document's text; it is copied into each webhook call.
    pub document_bytes_max: usize,
    /// Tokens of a document; the parser stops there.
    pub tokens_max: usize,
    /// Nesting the parser follows; recursive walks rely on it.
    pub recursion_max: usize,
    /// Nesting of selection sets, fragments included.
    pub depth_max: usize,
    /// Aliases in a document, fragments counted as often as they are used.
    pub aliases_max: usize,
    /// Directives in a document, counted likewise.
    pub directives_max: usize,
    /// Selections after all fragments are put in place; stops documents that double at every fragment.
    pub selections_max: usize,
    /// Root fields of an operation.
    pub root_fields_max: usize,
    /// Webhook calls that one document may cause.
    pub action_calls_max: usize,
    /// Calls of one action in a document, unless the action says otherwise.
    pub calls_per_action_max: usize,
    /// Requests under way at one time; more are refused before they are read.
    pub concurrent_requests_max: usize,
    /// Connections of clients at one time; more are closed at once.
    pub connections_max: usize,
    /// Bytes of memory that the program may take; near it, nothing new is taken.
    pub memory_bytes_max: Option<u64>,
    /// Requests in one batch.
    pub batch_max: usize,
    /// Nesting of JSON in a request.
    pub json_depth_max: usize,
    /// Errors in one answer.
    pub errors_max: usize,
    /// Bytes of a handler's answer, decoded.
    pub handler_answer_bytes_max: usize,
    /// Bytes that a template of a transform makes, copies of what it looks up included.
    pub template_bytes_max: usize,
    /// Elements of one list in a handler's answer.
    pub list_elements_max: usize,
    /// Keys by which one handler's answer may have rows of the engine looked up.
    pub relationship_keys_max: usize,
    /// Bytes of an engine's answer that we must hold to merge it.
    pub engine_answer_bytes_max: usize,
    /// Bytes of all bodies and answers that are held at once.
    pub buffered_bytes_max: usize,
    /// Webhook calls at one time.
    pub concurrent_calls_max: usize,
    /// Bytes of all request headers together.
    pub header_bytes_max: usize,
    /// Bytes of one message on a client's socket.
    pub socket_message_bytes_max: usize,
    /// Number of request headers.
    pub headers_max: usize,
    /// Bytes of documents that the plan cache keeps.
    pub plan_cache_bytes_max: usize,
    /// Bytes of an answer to introspection: the engine's to us, and ours to a client.
    pub introspection_bytes_max: usize,
    /// Lists of fields, interfaces, possible types or input fields within one another in introspection: each multiplies
    /// the response by the size of the schema.
    pub introspection_depth_max: usize,
    /// Bytes that the schemas of the engine take, as different callers see it. Beyond it those that have not been used
    /// for the longest time are forgotten.
    pub schema_cache_bytes_max: usize,
    /// How long one request may take as a whole.
    pub request_timeout: Duration,
    /// Has somebody chosen that? Otherwise it follows the actions; see [`Limits::for_actions`].
    pub request_timeout_is_given: bool,
}

/// What a request may take beyond the longest timeout of its actions: for the upstream's part and for us.
const REQUEST_TIMEOUT_MARGIN: Duration = Duration::from_secs(10);

impl Limits {
    /// The same for actions that clients wait for: a request may take at least as long as any of them, unless somebody has
    /// chosen otherwise.
    #[must_use]
    pub fn for_actions(mut self, schema: &ActionSchema) -> Self {
        let timeouts = schema.actions.values().filter(|action| !action.is_async).map(|action| action.timeout);
        if let (Some(longest), false) = (timeouts.max(), self.request_timeout_is_given) {
            self.request_timeout = self.request_timeout.max(longest.saturating_add(REQUEST_TIMEOUT_MARGIN));
        }
        self
    }
}

const MIB: usize = 1024 * 1024;

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 10 * MIB,
            document_bytes_max: 256 * 1024,
            tokens_max: 15_000,
            recursion_max: 128,
            depth_max: 64,
            aliases_max: 500,
            directives_max: 500,
            selections_max: 50_000,
            root_fields_max: 100,
            action_calls_max: 20,
            calls_per_action_max: 20,
            concurrent_requests_max: 4096,
            connections_max: 10_000,
            memory_bytes_max: None,
            batch_max: 10,
            json_depth_max: 64,
            errors_max: 20,
            handler_answer_bytes_max: 8 * MIB,
            template_bytes_max: 4 * MIB,
            list_elements_max: 100_000,
            relationship_keys_max: 10_000,
            engine_answer_bytes_max: 64 * MIB,
            buffered_bytes_max: 128 * MIB,
            concurrent_calls_max: 4096,
            header_bytes_max: 32 * 1024,
            headers_max: 100,
            socket_message_bytes_max: MIB,
            plan_cache_bytes_max: 16 * MIB,
            introspection_bytes_max: 32 * MIB,
            introspection_depth_max: 2,
            schema_cache_bytes_max: 128 * MIB,
            request_timeout: Duration::from_secs(70),
            request_timeout_is_given: false,
        }
    }
}
