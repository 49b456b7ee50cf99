//! The limits (`limits.*`), read from the settings. Their defaults stand in [`crate::config::settings_table`] and nowhere
//! else: [`Limits::default`] is what the table says where nothing is configured.

use std::sync::LazyLock;

use crate::config::values::Values;
use crate::model::limits::{ERRORS_MAX, Limits, RECURSION_MAX};
use crate::model::source::Diagnostic;

/// Without a memory limit, which the shell learns of the container.
static DEFAULTS: LazyLock<Limits> = LazyLock::new(|| {
    let mut diagnostics = Vec::new();
    let values = Values::collect(&|_| None, &|_| None, None, &[], &mut diagnostics);
    read(&values, &mut diagnostics)
});

impl Default for Limits {
    fn default() -> Self {
        DEFAULTS.clone()
    }
}

/// Reads all limits. Those that have no default in the table follow from others; see [`Limits::fitted`].
pub(crate) fn read(values: &Values, diagnostics: &mut Vec<Diagnostic>) -> Limits {
    let limits = Limits {
        incomplete_requests_max: values.count("limits.max_incomplete_requests", diagnostics),
        client_requests_max: values.count("limits.max_client_requests", diagnostics),
        event_streams_max: values.count("limits.max_event_streams", diagnostics),
        client_event_streams_max: values.count("limits.max_client_event_streams", diagnostics),
        private_clients_are_limited: [
            "limits.max_client_connections",
            "limits.max_client_requests",
            "limits.max_client_event_streams",
        ]
        .iter()
        .any(|key| values.is_given(key)),
        max_request_body_size: values.bytes("limits.max_request_body_size", diagnostics),
        max_document_size: values.bytes("limits.max_document_size", diagnostics),
        max_tokens: values.count("limits.max_tokens", diagnostics),
        max_depth: values.count("limits.max_depth", diagnostics),
        max_aliases: values.count("limits.max_aliases", diagnostics),
        max_directives: values.count("limits.max_directives", diagnostics),
        max_selections: values.count("limits.max_selections", diagnostics),
        max_root_fields: values.count("limits.max_root_fields", diagnostics),
        max_action_calls: values.count("limits.max_action_calls", diagnostics),
        max_calls_per_action: values.count("limits.max_calls_per_action", diagnostics),
        max_concurrent_requests: values.count("limits.max_concurrent_requests", diagnostics),
        max_connections: values.count("limits.max_connections", diagnostics),
        client_connections_max: values.count("limits.max_client_connections", diagnostics),
        max_values: values.count("limits.max_values", diagnostics),
        max_decompression_ratio: values.count("limits.max_decompression_ratio", diagnostics),
        // The default may follow from the container's memory limit.
        max_memory_bytes: values
            .text("limits.max_memory_bytes")
            .map(|_| values.bytes("limits.max_memory_bytes", diagnostics) as u64),
        max_batch_size: values.count("limits.max_batch_size", diagnostics),
        max_json_depth: values.count("limits.max_json_depth", diagnostics),
        max_handler_response_size: values.bytes("limits.max_handler_response_size", diagnostics),
        max_upstream_response_size: values.bytes("limits.max_upstream_response_size", diagnostics),
        max_before_response_size: values.bytes("limits.max_before_response_size", diagnostics),
        max_list_length: values.count("limits.max_list_length", diagnostics),
        max_relationship_keys: values.count("limits.max_relationship_keys", diagnostics),
        max_field_keys: values.count("limits.max_field_keys", diagnostics),
        max_field_keys_per_call: values.count("limits.max_field_keys_per_call", diagnostics),
        max_field_rounds: values.count("limits.max_field_rounds", diagnostics),
        max_buffered_bytes: values.bytes("limits.max_buffered_bytes", diagnostics),
        max_client_bytes: values.bytes("limits.max_client_bytes", diagnostics),
        max_connection_bytes: values.bytes("limits.max_connection_bytes", diagnostics),
        max_concurrent_handler_calls: values.count("limits.max_concurrent_handler_calls", diagnostics),
        max_request_header_size: values.bytes("limits.max_request_header_size", diagnostics),
        max_request_headers: values.count("limits.max_request_headers", diagnostics),
        max_websocket_message_size: values.bytes("limits.max_websocket_message_size", diagnostics),
        plan_cache_size: values.bytes("limits.plan_cache_size", diagnostics),
        max_introspection_size: values.bytes("limits.max_introspection_size", diagnostics),
        max_introspection_depth: values.count("limits.max_introspection_depth", diagnostics),
        max_template_output_size: values.bytes("limits.max_template_output_size", diagnostics),
        schema_cache_size: values.bytes("limits.schema_cache_size", diagnostics),
        request_timeout: values.duration("limits.request_timeout", diagnostics),
        request_timeout_is_given: values.is_given("limits.request_timeout"),
        max_recursion: RECURSION_MAX,
        max_errors: ERRORS_MAX,
    };
    limits.fitted(|key| values.is_given(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings_table::{Kind, SETTINGS};
    use crate::config::units::parse_bytes;

    /// Each default of the table is the value of the field that is named as its setting: none stands anywhere else.
    #[test]
    fn defaults_stand_in_the_settings_table() {
        let limits = format!("{:?}", Limits::default());
        let limits_of = SETTINGS.iter().filter_map(|setting| Some((setting, setting.key.strip_prefix("limits.")?)));
        let mut seen = 0;
        for (setting, name) in limits_of {
            let Some(text) = setting.default else { continue };
            let value =
                if setting.kind == Kind::Bytes { parse_bytes(text).map(|bytes| bytes.to_string()) } else { None };
            let value = value.unwrap_or_else(|| text.to_owned());
            assert!(limits.contains(&format!(" {name}: {value}")), "{name}: {value} in {limits}");
            seen += 1;
        }
        assert!(seen >= 30, "{seen}");
        let source = include_str!("../model/limits.rs").split("#[cfg(test)]").next().unwrap_or_default();
        assert!(!source.contains("for Limits"), "the model has defaults of its own");
    }
}
