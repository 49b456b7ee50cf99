//! Builds the upstream's schema from its introspection result, as graphql-js's `buildClientSchema` does.

use apollo_compiler::Schema;
use apollo_compiler::schema::ComponentName;

use crate::graphql::introspection_result::IntrospectionResult;
use crate::graphql::root_types::RootTypes;
use crate::graphql::schema_builder::{ClientSchemaError, ListedDirective, SchemaBuilder};
use crate::model::response::Dialect;

/// The upstream's schema as one caller sees it.
#[derive(Clone)]
pub struct UpstreamSchema {
    /// Without the proof that it is valid: it is a part of what is validated later.
    pub schema: Schema,
    /// The directives as the upstream lists them; the schema has more of them, because we use them to represent what
    /// the upstream declares otherwise.
    pub directives: Vec<ListedDirective>,
}

impl UpstreamSchema {
    /// Is it valid?
    ///
    /// # Errors
    /// [`ClientSchemaError::Invalid`] with the first violation.
    pub fn check(&self) -> Result<(), ClientSchemaError> {
        self.schema.clone().validate().map(drop).map_err(|failed| {
            let first = failed.errors.iter().next().map(|diagnostic| diagnostic.error.to_string());
            ClientSchemaError::Invalid(first.unwrap_or_default())
        })
    }

    /// The names of its root types, and the error format of such an upstream.
    #[must_use]
    pub fn roots_and_dialect(&self) -> (RootTypes, Dialect) {
        let definition = &self.schema.schema_definition;
        let name = |root: &Option<ComponentName>| root.as_ref().map(ToString::to_string);
        let query = name(&definition.query).unwrap_or_default();
        RootTypes::of_upstream(&query, name(&definition.mutation), name(&definition.subscription))
    }
}

/// Builds the schema from the bytes of the upstream's response, and validates it.
///
/// # Errors
/// [`ClientSchemaError`].
pub fn build_client_schema(response: &[u8]) -> Result<UpstreamSchema, ClientSchemaError> {
    let schema = read_client_schema(response)?;
    schema.check()?;
    Ok(schema)
}

/// The same for one who validates it himself: with large schemas that takes as long as all the rest.
///
/// # Errors
/// [`ClientSchemaError`].
pub fn read_client_schema(response: &[u8]) -> Result<UpstreamSchema, ClientSchemaError> {
    let response: IntrospectionResult<'_> = match std::str::from_utf8(response) {
        // Else each of its texts is looked through for what is no UTF-8.
        Ok(text) => serde_json::from_str(text)?,
        Err(_) => serde_json::from_slice(response)?,
    };
    let Some(introspected) = response.data.and_then(|data| data.schema) else {
        let first = response.errors.and_then(|errors| errors.into_iter().next());
        let message =
            first.and_then(|error| error.message).map_or_else(|| "no data".into(), |text| text.0.into_owned());
        return Err(ClientSchemaError::Rejected(message));
    };
    let (schema, directives) = SchemaBuilder::default().schema(&introspected)?;
    Ok(UpstreamSchema { schema, directives })
}
