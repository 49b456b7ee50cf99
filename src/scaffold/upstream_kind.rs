//! Which GraphQL server an upstream is, by its schema.

use apollo_compiler::schema::ExtendedType;

use crate::graphql::client_schema::UpstreamSchema;
use crate::model::response::Dialect;

/// Which server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamKind {
    /// Hasura: root types and errors of its own.
    Hasura,
    /// PostGraphile: connections, and a query type that has itself as a field.
    PostGraphile,
    /// Any other one.
    Other,
}

impl UpstreamKind {
    /// By its error format, and its schema if that is known.
    #[must_use]
    pub(crate) fn of(dialect: Dialect, upstream: Option<&UpstreamSchema>) -> Self {
        if dialect == Dialect::Hasura {
            return Self::Hasura;
        }
        if upstream.is_some_and(is_postgraphile) { Self::PostGraphile } else { Self::Other }
    }

    /// As people know it.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hasura => "Hasura",
            Self::PostGraphile => "PostGraphile",
            Self::Other => "a GraphQL server",
        }
    }
}

fn is_postgraphile(upstream: &UpstreamSchema) -> bool {
    let schema = &upstream.schema;
    let Some(query) = &schema.schema_definition.query else { return false };
    let Some(ExtendedType::Object(root)) = schema.types.get(query.name.as_str()) else { return false };
    let holds_itself = root.fields.get("query").is_some_and(|field| field.ty.inner_named_type() == &query.name);
    holds_itself && schema.types.contains_key("PageInfo")
}
