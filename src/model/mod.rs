//! The domain model: actions, types, requests, responses, limits. No behaviour but construction and lookup.

pub mod action;
pub mod address;
pub mod before;
pub mod chunks;
pub mod error_code;
pub mod error_kind;
pub mod excerpt;
pub mod extension_field;
pub mod json;
mod json_tape;
pub mod json_value;
pub mod label;
pub mod limits;
pub mod min_rate;
pub mod network;
pub mod preset;
pub mod redis_address;
pub mod replay;
pub mod request;
pub mod response;
pub mod secret;
pub mod source;
pub(crate) mod strict_json;
pub mod traffic;
pub mod transform;
pub mod types;
