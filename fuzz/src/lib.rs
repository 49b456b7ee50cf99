//! What must hold for any bytes, one function a property: it returns, or panics with what does not hold. `fuzz_targets` gives
//! each to libFuzzer (`make fuzz`), `tests/fuzz.rs` runs each on its seeds and on mutations of them from a fixed seed.

pub mod addresses;
pub mod batches;
pub mod cached;
pub mod descriptions;
pub mod documents;
pub mod edited;
pub mod extensions;
pub mod files;
pub mod introspected;
pub mod messages;
pub mod parsed;
pub mod reference;
pub mod sessions;
pub mod templates;
pub mod upstream_results;
pub mod values;

#[path = "../../tests/tables/actions.rs"]
mod actions;

/// A property.
pub type Property = fn(&[u8]);

/// All of them, by the names of their targets and of the folders of their seeds.
pub const PROPERTIES: [(&str, Property); 23] = [
    ("request_head", messages::request_head),
    ("response", messages::response),
    ("json_value", values::json_value),
    ("batch", batches::batch),
    ("connection_init", sessions::connection_init),
    ("query_string", sessions::query_string),
    ("claims", sessions::claims),
    ("scanner", documents::scanner),
    ("only_reads", documents::only_reads),
    ("mask", documents::mask),
    ("fast_parser", parsed::same_tree),
    ("fast_check", parsed::same_verdict),
    ("upstream_result", upstream_results::upstream_result),
    ("introspection", introspected::introspection),
    ("extension_fields", extensions::extension_fields),
    ("cache_key", cached::cache_key),
    ("transformed_address", addresses::transformed_address),
    ("handler_address", addresses::handler_address),
    ("kriti", templates::kriti),
    ("yaml", files::actions_file),
    ("sdl", files::definitions),
    ("openapi", descriptions::openapi),
    ("edits", edited::edits),
];
