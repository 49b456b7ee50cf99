//! A selection of the upstream's fields to try a new project with: the first root field that needs no arguments, with a few
//! of its fields.

use apollo_compiler::Schema;
use apollo_compiler::ast::FieldDefinition;
use apollo_compiler::schema::ExtendedType;

use crate::graphql::client_schema::UpstreamSchema;

/// How deep it looks for a field with a value.
const DEPTH_MAX: usize = 4;

/// Of every server, and of no interest.
const LEFT_OUT: [&str; 6] = ["query", "node", "nodeId", "id", "_service", "_entities"];

/// `allProducts { nodes { id } }`; `None` if there is no such field.
#[must_use]
pub(crate) fn sample_selection(upstream: &UpstreamSchema) -> Option<String> {
    let schema = &upstream.schema;
    let root = schema.schema_definition.query.as_ref()?;
    let Some(ExtendedType::Object(root)) = schema.types.get(root.name.as_str()) else { return None };
    let usable = root.fields.values().filter(|field| !LEFT_OUT.contains(&field.name.as_str()));
    usable.filter_map(|field| selection(schema, field, DEPTH_MAX)).next()
}

fn selection(schema: &Schema, field: &FieldDefinition, depth_left: usize) -> Option<String> {
    let needs_arguments = field.arguments.iter().any(|argument| argument.is_required());
    if needs_arguments || depth_left == 0 {
        return None;
    }
    let name = &field.name;
    match schema.types.get(field.ty.inner_named_type().as_str())? {
        ExtendedType::Scalar(_) | ExtendedType::Enum(_) => Some(name.to_string()),
        ExtendedType::Object(object) => {
            let fields: Vec<&FieldDefinition> = object.fields.values().map(|field| &***field).collect();
            let of_name = |name: &str| fields.iter().find(|field| field.name == name).copied();
            // What people know first.
            let preferred = ["id", "name", "nodes", "title"].into_iter().filter_map(of_name);
            let inner = preferred.chain(fields.iter().copied().filter(|field| field.name != "query"));
            let inner = inner.filter_map(|field| selection(schema, field, depth_left - 1)).next()?;
            Some(format!("{name} {{ {inner} }}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use apollo_compiler::Schema;

    use super::*;
    use crate::model::response::Dialect;
    use crate::scaffold::upstream_kind::UpstreamKind;

    fn upstream(sdl: &str) -> UpstreamSchema {
        let schema = Schema::parse(sdl, "upstream.graphql").expect("a schema");
        UpstreamSchema { schema, directives: Vec::new() }
    }

    #[test]
    fn a_field_without_arguments_is_chosen() {
        for (sdl, wanted) in [
            ("type Query { a(id: Int!): Int version(v: Int = 1): String }", Some("version")),
            (
                "type Query { query: Query! node(id: ID!): Int allRows(first: Int): Rows } type Rows { nodes: [Row] } \
                 type Row { size: Int! id: Int! }",
                Some("allRows { nodes { id } }"),
            ),
            ("type Query { a: A } type A { a: A b(x: Int!): Int }", None),
            ("type Query { a(id: Int!): Int }", None),
        ] {
            assert_eq!(sample_selection(&upstream(sdl)).as_deref(), wanted, "{sdl}");
        }
    }

    #[test]
    fn servers_are_told_apart() {
        let postgraphile = upstream("type Query { query: Query! } type PageInfo { hasNextPage: Boolean! }");
        assert_eq!(UpstreamKind::of(Dialect::Standard, Some(&postgraphile)), UpstreamKind::PostGraphile);
        assert_eq!(UpstreamKind::of(Dialect::Hasura, None), UpstreamKind::Hasura);
        let other = upstream("type Query { a: Int }");
        assert_eq!(UpstreamKind::of(Dialect::Standard, Some(&other)), UpstreamKind::Other);
    }
}
