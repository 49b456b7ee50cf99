//! Configuration: files, flags and variables become the model. Pure but for `load`, which belongs to the shell.

pub mod action_settings;
pub mod actions;
pub mod document;
pub mod downstream_settings;
pub mod excerpt;
pub mod formats;
pub mod json_schema;
pub mod limits_settings;
pub mod listen_address;
#[cfg(feature = "server")]
pub mod load;
pub mod lost_features;
pub mod metadata;
pub mod metadata_keys;
pub mod metadata_schema;
pub mod prefix;
pub mod print;
pub mod relationship_settings;
pub mod resolve;
mod resolve_types;
pub mod resolver;
mod root_field_call;
pub mod sdl;
mod sdl_directives;
pub mod setting_text;
pub mod settings;
pub mod settings_doc;
pub mod settings_table;
pub mod traffic_settings;
pub mod transform;
pub mod typed_fields;
pub mod units;
pub mod unknown_variables;
pub mod upstream_types;
pub mod values;
pub mod warnings;
pub mod yaml;
