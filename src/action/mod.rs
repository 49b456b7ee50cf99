//! The contract with handlers: payload, headers, transforms, and the completion of responses. Pure.

pub mod batch_error;
pub mod batch_response;
pub mod before;
pub mod complete_value;
pub mod error_list;
pub mod handler_error;
pub mod handler_response;
pub mod header_precedence;
pub mod key_arguments;
pub mod key_text;
pub mod payload;
pub mod presets;
pub mod relationship;
pub mod template;
pub mod transform;
