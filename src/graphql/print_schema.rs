//! Prints a merged schema as SDL: <https://spec.graphql.org/September2025/#sec-Type-System>.

use apollo_compiler::Schema;

use crate::graphql::built_in_schema::built_in;
use crate::graphql::schema::RoleSchema;

/// The schema as a document of the type system, without what every schema has.
#[must_use]
pub fn print_schema(role_schema: &RoleSchema) -> String {
    let mut schema: Schema = (*role_schema.schema).clone();
    let built_in = built_in();
    schema.types.retain(|name, _| !built_in.types.contains_key(name));
    let is_listed = |name: &str| role_schema.directives.iter().any(|listed| listed.name == name);
    schema
        .directive_definitions
        .retain(|name, _| is_listed(name) && !built_in.directive_definitions.contains_key(name) && name != "oneOf");
    schema.to_string()
}
