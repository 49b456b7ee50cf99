//! Documents: which of them concern us, what they ask of whom, and how the responses become one. All pure.

pub mod check_relationships;
pub mod client_schema;
pub mod coerce;
pub mod collect_fields;
pub mod diagnostics;
pub mod document;
pub mod document_size;
pub mod introspect;
mod introspection_result;
pub mod literal;
pub mod mask;
pub mod merge;
pub mod merge_schema;
mod nested_roots;
pub mod own_document;
pub mod plan;
pub mod print_schema;
pub mod relationship_selection;
pub mod scan;
pub mod schema;
pub mod selection;
pub mod suggestions;
pub mod validate;
pub mod validation_rules;
pub mod value_error;
pub mod variable_uses;
pub mod variables;
