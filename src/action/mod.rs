//! What a handler is given and what it must give back. All pure.

pub mod answer;
pub mod error_list;
pub mod headers;
pub mod payload;
pub mod relationship;
pub mod shape;
pub mod template;
pub mod transform;
