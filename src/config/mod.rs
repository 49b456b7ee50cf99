//! Files, flags and variables become the model. Everything here is pure but `load`, which the shell owns.

pub mod action_settings;
pub mod client_settings;
pub mod document;
pub mod excerpt;
pub mod guard_settings;
pub mod lint;
#[cfg(feature = "server")]
pub mod load;
pub mod metadata;
pub mod prefix;
pub mod print;
pub mod relationship_settings;
pub mod resolve;
mod resolve_types;
pub mod sdl;
mod sdl_directives;
pub mod settings;
pub mod settings_doc;
pub mod settings_table;
pub mod transform;
pub mod upstream_types;
pub mod values;
pub mod yaml;
