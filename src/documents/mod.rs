//! Trusted documents (persisted operations, allow-list) and automatic persisted queries: which documents clients may send, and
//! by which ids they may name them. Pure.

pub mod audience;
pub mod document_hash;
pub mod enforcement;
pub mod export;
pub mod listed;
pub mod manifest;
pub mod normal_form;
pub mod persisted_query_response;
pub mod trusted;
