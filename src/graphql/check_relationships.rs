//! Checks relationships against the upstream's schema: do the root fields, columns and arguments exist?

use apollo_compiler::Schema;
use apollo_compiler::ast::FieldDefinition;

use crate::model::action::ActionSchema;
use crate::model::source::Diagnostic;
use crate::model::types::{Lookup, Relationship};

/// Names that relationships need and `schema`, the merged one of an admin, does not have; with Hasura's messages where
/// it has some.
#[must_use]
pub fn missing(schema: &Schema, actions: &ActionSchema) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (type_name, definition) in &actions.types.0 {
        for relationship in &definition.relationships {
            let owner = format!("for relationship \"{}\" of object type \"{type_name}\"", relationship.name);
            let place = actions.locations.types.get(type_name).cloned();
            for (what, help) in missing_for(schema, relationship) {
                found.push(Diagnostic::error(place.clone(), format!("the {what} {owner} does not exist"), help));
            }
        }
    }
    found
}

fn missing_for(schema: &Schema, Relationship { lookup, .. }: &Relationship) -> Vec<(String, &'static str)> {
    let root_field = lookup.root_field();
    let query = schema.schema_definition.query.as_ref().and_then(|query| schema.get_object(query));
    let field = query.and_then(|query| query.fields.get(root_field.as_str()));
    match (lookup, field) {
        (Lookup::Table { .. }, None) => {
            let what = format!("remote table \"{root_field}\"");
            vec![(what, "track the table, or say in pillion.yaml how the rows are looked up: relationships")]
        }
        (Lookup::RootField { .. }, None) => {
            vec![(format!("root field \"{root_field}\" of the upstream"), "correct it in pillion.yaml")]
        }
        (Lookup::Table { field_mapping, .. }, Some(field)) => {
            let columns = field_mapping.values().filter(|column| !has_column(schema, field, column));
            let what = |column| format!("column \"{column}\" of remote table \"{root_field}\"");
            columns.map(|column| (what(column), "map a column that the table has")).collect()
        }
        (Lookup::RootField { arguments, .. }, Some(field)) => {
            let unknown = arguments.iter().filter(|name| field.argument_by_name(name).is_none());
            let what = |name| format!("argument \"{name}\" of the upstream's root field \"{root_field}\"");
            unknown.map(|name| (what(name), "correct it in pillion.yaml")).collect()
        }
    }
}

/// Can rows be chosen by this column?
fn has_column(schema: &Schema, field: &FieldDefinition, column: &str) -> bool {
    let filter = field.argument_by_name("where");
    let filter = filter.and_then(|filter| schema.get_input_object(filter.ty.inner_named_type()));
    filter.is_some_and(|filter| filter.fields.contains_key(column))
}
