//! Limits: every bound on what a request may cost, with its reason, and how those that are not configured follow from the
//! memory limit and from others. The other defaults stand in the table of settings.

use std::time::Duration;

use crate::model::action::ActionSchema;

/// Bounds on documents that hold something of ours. Zero never means "unlimited".
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request body on the GraphQL endpoint, on the wire and decoded. Several MB of base64 are normal.
    pub max_request_body_size: usize,
    /// Elements of lists and keys of objects in a request with an action, in all.
    pub max_values: usize,
    /// How many times as large as it came a compressed body may become, beyond [`RATIO_FLOOR_BYTES`].
    pub max_decompression_ratio: usize,
    /// Bytes of a document's text; it is copied into each webhook call.
    pub max_document_size: usize,
    /// Tokens of a document; the parser stops there.
    pub max_tokens: usize,
    /// Nesting the parser follows; recursive walks rely on it.
    pub max_recursion: usize,
    /// Nesting of selection sets, fragments included.
    pub max_depth: usize,
    /// Aliases in a document, fragments counted as often as they are used.
    pub max_aliases: usize,
    /// Directives in a document, counted likewise.
    pub max_directives: usize,
    /// Selections after all fragments are put in place; stops documents that double at every fragment.
    pub max_selections: usize,
    /// Root fields of an operation.
    pub max_root_fields: usize,
    /// Webhook calls that one document may cause.
    pub max_action_calls: usize,
    /// Calls of one action in a document, unless the action overrides it.
    pub max_calls_per_action: usize,
    /// Requests under way at one time, of those whose body has arrived.
    pub max_concurrent_requests: usize,
    /// Requests at one time whose body is still on its way.
    pub incomplete_requests_max: usize,
    /// Requests at one time of one client address, whether their body has arrived or not.
    pub client_requests_max: usize,
    /// Streams of events at one time; most of the time nothing happens on them.
    pub event_streams_max: usize,
    /// Of these, of one client address.
    pub client_event_streams_max: usize,
    /// Are addresses of private networks limited like all others? Mostly they are those of proxies, which have the
    /// requests of many clients, so they are only if such a limit is configured.
    pub private_clients_are_limited: bool,
    /// The weight of all client connections, in units of [`CONNECTION_BYTES`]; connections beyond it are closed at once.
    pub max_connections: usize,
    /// Connections of one client address at one time.
    pub client_connections_max: usize,
    /// Bytes of memory that the program may take; near it, nothing new is taken.
    pub max_memory_bytes: Option<u64>,
    /// Requests in one batch.
    pub max_batch_size: usize,
    /// Nesting of JSON in a request.
    pub max_json_depth: usize,
    /// Errors in one response.
    pub max_errors: usize,
    /// Bytes of a handler's response, decoded.
    pub max_handler_response_size: usize,
    /// Bytes of output of a transform's template, copies of looked-up values included.
    pub max_template_output_size: usize,
    /// Elements of one list in a handler's response.
    pub max_list_length: usize,
    /// Keys by which one handler's response may have rows of the upstream looked up.
    pub max_relationship_keys: usize,
    /// Keys for which all extension fields of one response may call handlers.
    pub max_field_keys: usize,
    /// Of these, keys in one handler call.
    pub max_field_keys_per_call: usize,
    /// Rounds of handler calls for extension fields: rows of a relationship below such a field may have some again.
    pub max_field_rounds: usize,
    /// Bytes of an upstream's response that we must hold to merge it.
    pub max_upstream_response_size: usize,
    /// Bytes of an upstream's response to what it is asked before handler calls: it becomes part of their payloads.
    pub max_before_response_size: usize,
    /// Bytes that requests, operations on sockets and connections may hold at once.
    pub max_buffered_bytes: usize,
    /// Of these, by one client address.
    pub max_client_bytes: usize,
    /// Of these, by one connection.
    pub max_connection_bytes: usize,
    /// Webhook calls at one time.
    pub max_concurrent_handler_calls: usize,
    /// Bytes of all request headers together.
    pub max_request_header_size: usize,
    /// Bytes of one message on a client's socket.
    pub max_websocket_message_size: usize,
    /// Number of request headers.
    pub max_request_headers: usize,
    /// Bytes of documents that the plan cache keeps.
    pub plan_cache_size: usize,
    /// Bytes of a response to introspection: the upstream's to us, and ours to a client.
    pub max_introspection_size: usize,
    /// Lists of fields, interfaces, possible types or input fields within one another in introspection: each multiplies
    /// the response by the size of the schema.
    pub max_introspection_depth: usize,
    /// Bytes that the schemas of the upstream take, as different callers see it. Beyond it those that have not been used
    /// for the longest time are forgotten.
    pub schema_cache_size: usize,
    /// How long one request may take as a whole.
    pub request_timeout: Duration,
    /// Is it configured? Otherwise it follows the actions; see [`Limits::for_actions`].
    pub request_timeout_is_given: bool,
}

/// What a request may take beyond the longest timeout of its actions: for the upstream's part and for us.
const REQUEST_TIMEOUT_MARGIN: Duration = Duration::from_secs(10);

impl Limits {
    /// The same for actions that clients wait for: a request may take at least as long as any of them, unless
    /// configured otherwise.
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

/// Compressed bodies may become so large whatever they were: small JSON may well be very repetitive.
pub const RATIO_FLOOR_BYTES: usize = 256 * 1024;

/// What a request takes of the budget at least.
pub const REQUEST_BYTES: usize = 16 * 1024;

/// What a connection that waits may take, whatever it has done before.
pub const CONNECTION_BYTES: usize = 8 * 1024;

/// The budget of a process whose memory has no limit.
const BUFFERED_BYTES: usize = 256 * MIB;

/// Nesting the parser follows. It bounds our own recursion, so there is nothing to choose.
pub const RECURSION_MAX: usize = 128;

/// Errors in one response.
pub const ERRORS_MAX: usize = 20;

/// So many more requests may still be on their way than are worked on: they hold little but a connection.
const INCOMPLETE_MULTIPLE: usize = 2;

/// One client address has an eighth of the whole, networks of version 6 up to three times that.
pub const CLIENT_PART: usize = 8;

/// The parts of the memory limit that what can grow may take. Together with the program itself (30 MiB), connections and
/// what the allocator keeps back they stay below the limit.
mod part {
    /// Three eighths for what requests hold: the estimates of what values take are on the safe side.
    pub(crate) const BUFFERED: (usize, usize) = (3, 8);
    /// The values of a body take a multiple of its bytes.
    pub(crate) const BODY: usize = 64;
    pub(crate) const HANDLER_RESPONSE: usize = 32;
    pub(crate) const UPSTREAM_RESPONSE: usize = 16;
    pub(crate) const INTROSPECTION: usize = 16;
    pub(crate) const SCHEMA_CACHE: usize = 8;
    pub(crate) const PLAN_CACHE: usize = 32;
    pub(crate) const RESULT_CACHE: usize = 16;
    pub(crate) const CONNECTIONS: usize = 4;
}

impl Limits {
    /// Fits the defaults to the memory limit. `is_given` says which limits are configured, by the name of their
    /// setting.
    #[must_use]
    pub fn fitted(mut self, is_given: impl Fn(&str) -> bool) -> Self {
        let memory = self.max_memory_bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        if !is_given("limits.max_buffered_bytes") {
            let (part, of) = part::BUFFERED;
            self.max_buffered_bytes = memory.map_or(BUFFERED_BYTES, |memory| memory / of * part);
        }
        if !is_given("limits.max_client_bytes") {
            self.max_client_bytes = self.max_buffered_bytes / 2;
        }
        if !is_given("limits.max_connection_bytes") {
            self.max_connection_bytes = self.max_buffered_bytes / 4;
        }
        let at_most = |name: &str, limit: &mut usize, part: usize| {
            if let (Some(memory), false) = (memory, is_given(name)) {
                *limit = (*limit).min(memory / part).max(1);
            }
        };
        at_most("limits.max_request_body_size", &mut self.max_request_body_size, part::BODY);
        at_most("limits.max_handler_response_size", &mut self.max_handler_response_size, part::HANDLER_RESPONSE);
        at_most("limits.max_upstream_response_size", &mut self.max_upstream_response_size, part::UPSTREAM_RESPONSE);
        at_most("limits.max_introspection_size", &mut self.max_introspection_size, part::INTROSPECTION);
        at_most("limits.schema_cache_size", &mut self.schema_cache_size, part::SCHEMA_CACHE);
        at_most("limits.plan_cache_size", &mut self.plan_cache_size, part::PLAN_CACHE);
        at_most("limits.max_connections", &mut self.max_connections, part::CONNECTIONS * CONNECTION_BYTES);
        self.fitted_to_budget(&is_given).shared_out(&is_given)
    }

    /// Fits the defaults to the budget: every admitted request should have room there.
    fn fitted_to_budget(mut self, is_given: impl Fn(&str) -> bool) -> Self {
        let at_most = |name: &str, limit: &mut usize, bound: usize| {
            if !is_given(name) {
                *limit = (*limit).min(bound).max(1);
            }
        };
        let requests = self.max_buffered_bytes / REQUEST_BYTES;
        at_most("limits.max_concurrent_requests", &mut self.max_concurrent_requests, requests);
        at_most("limits.max_concurrent_handler_calls", &mut self.max_concurrent_handler_calls, requests);
        at_most("limits.max_introspection_size", &mut self.max_introspection_size, self.max_connection_bytes);
        self
    }

    /// The defaults of limits that follow from others.
    fn shared_out(mut self, is_given: impl Fn(&str) -> bool) -> Self {
        let otherwise = |name: &str, limit: &mut usize, bound: usize| {
            if !is_given(name) {
                *limit = bound.max(1);
            }
        };
        // Each holds half of what a request takes of the budget, so they take half of it at most.
        let incomplete = self.max_concurrent_requests.saturating_mul(INCOMPLETE_MULTIPLE);
        let incomplete = incomplete.min(self.max_buffered_bytes / REQUEST_BYTES);
        otherwise("limits.max_incomplete_requests", &mut self.incomplete_requests_max, incomplete);
        let of_client = self.max_concurrent_requests / CLIENT_PART;
        otherwise("limits.max_client_requests", &mut self.client_requests_max, of_client);
        let of_client = self.max_connections / CLIENT_PART;
        otherwise("limits.max_client_connections", &mut self.client_connections_max, of_client);
        otherwise("limits.max_event_streams", &mut self.event_streams_max, self.max_connections);
        let of_client = self.event_streams_max / CLIENT_PART;
        otherwise("limits.max_client_event_streams", &mut self.client_event_streams_max, of_client);
        self
    }

    /// Memory of the response cache: as configured, or no more than fits the memory limit.
    #[must_use]
    pub fn cache_bytes_fitted(&self, bytes: usize, is_given: bool) -> usize {
        match self.max_memory_bytes.map(|memory| usize::try_from(memory).unwrap_or(usize::MAX)) {
            Some(memory) if !is_given => bytes.min(memory / part::RESULT_CACHE).max(1),
            _ => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_fit_the_memory_limit() {
        let of = |memory: Option<u64>, given: &[&str]| {
            let limits = Limits { max_memory_bytes: memory, ..Limits::default() };
            limits.fitted(|name| given.contains(&name))
        };
        let unlimited = of(None, &[]);
        assert_eq!((unlimited.max_buffered_bytes, unlimited.max_request_body_size), (256 * MIB, 10 * MIB));
        let shipped = of(Some(256 * MIB as u64), &[]);
        assert_eq!(
            (shipped.max_buffered_bytes, shipped.max_client_bytes, shipped.max_connection_bytes),
            (96 * MIB, 48 * MIB, 24 * MIB)
        );
        assert_eq!(shipped.max_request_body_size, 4 * MIB);
        // What can grow takes less than nine tenths of it; the program itself takes the rest.
        let connections = shipped.max_connections * CONNECTION_BYTES;
        let all = shipped.max_buffered_bytes + shipped.schema_cache_size + shipped.plan_cache_size + connections;
        assert!(all <= 256 * MIB / 10 * 9, "{all}");
        assert_eq!((unlimited.max_connections, unlimited.max_concurrent_requests), (10_000, 4096));
        assert_eq!((shipped.max_connections, shipped.max_concurrent_requests), (8192, 4096));
        let small = of(Some(64 * MIB as u64), &["limits.max_concurrent_handler_calls"]);
        assert_eq!((small.max_connections, small.max_concurrent_requests), (2048, 1536));
        assert_eq!((small.max_concurrent_handler_calls, small.max_introspection_size), (4096, 4 * MIB));
        let mut narrow = Limits { max_buffered_bytes: 8 * MIB, ..Limits::default() };
        narrow = narrow.fitted(|name| name == "limits.max_buffered_bytes");
        assert_eq!((narrow.max_concurrent_requests, narrow.max_introspection_size), (512, 2 * MIB));
        let fair = |limits: &Limits| {
            let all = (limits.max_concurrent_requests, limits.incomplete_requests_max, limits.event_streams_max);
            (all, limits.client_requests_max, limits.client_event_streams_max)
        };
        assert_eq!(fair(&unlimited), fair(&Limits::default()));
        assert_eq!(fair(&shipped), ((4096, 6144, 8192), 512, 1024));
        let few = Limits { max_concurrent_requests: 4, max_connections: 80, ..Limits::default() };
        assert_eq!(fair(&few.fitted(|_| false)), ((4, 8, 80), 1, 10));
        let chosen = of(Some(256 * MIB as u64), &["limits.schema_cache_size", "limits.max_buffered_bytes"]);
        assert_eq!((chosen.schema_cache_size, chosen.max_buffered_bytes), (128 * MIB, 256 * MIB));
        assert_eq!(of(Some(1), &[]).max_request_body_size, 1);
    }
}
