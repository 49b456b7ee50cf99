//! Builds the upstream's schema from its introspection result, as graphql-js's `buildClientSchema` does.

use std::sync::Arc;

use apollo_compiler::Schema;
use apollo_compiler::schema::{ComponentName, ExtendedType};
use bytes::Bytes;
use serde_json::value::RawValue;

use crate::graphql::introspection_result::{IntrospectionResult, IntrospectionType};
use crate::graphql::known_types::KnownTypes;
use crate::graphql::root_types::RootTypes;
use crate::graphql::schema_builder::{Built, ClientSchemaError, ListedDirective, SchemaBuilder};
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
    let (schema, _) = read_all(response)?;
    schema.check()?;
    Ok(schema)
}

/// The same for one who validates it himself: with large schemas that takes as long as all the rest. Types that are
/// known from other responses are not read again.
///
/// # Errors
/// [`ClientSchemaError`].
pub fn read_client_schema(
    response: &Bytes,
    known: &[Arc<KnownTypes>],
) -> Result<(UpstreamSchema, KnownTypes), ClientSchemaError> {
    if let Some(read) = read_unknown(response, known) {
        return Ok(read);
    }
    // Nothing is known, or it is no schema: an error is worded for the whole response.
    let (schema, types) = read_all(response)?;
    Ok((schema, KnownTypes::new(response.clone(), types)))
}

fn read_all(response: &[u8]) -> Built<(UpstreamSchema, Vec<ExtendedType>)> {
    let response: IntrospectionResult<'_, IntrospectionType<'_>> = match std::str::from_utf8(response) {
        // Else each of its texts is looked through for what is no UTF-8.
        Ok(text) => serde_json::from_str(text)?,
        Err(_) => serde_json::from_slice(response)?,
    };
    let (schema, types, _) = build(response, |builder, definition| builder.named_type(definition))?;
    Ok((schema, types))
}

fn read_unknown(response: &Bytes, known: &[Arc<KnownTypes>]) -> Option<(UpstreamSchema, KnownTypes)> {
    let text = std::str::from_utf8(response).ok().filter(|_| !known.is_empty())?;
    let read: IntrospectionResult<'_, &RawValue> = serde_json::from_str(text).ok()?;
    let built = build(read, |builder, text| match known.iter().find_map(|known| known.find(text.get())) {
        Some(found) => Ok(found.clone()),
        None => builder.named_type(&serde_json::from_str(text.get())?),
    });
    let (schema, types, texts) = built.ok()?;
    Some((schema, KnownTypes::with_texts(response.clone(), types, &texts)))
}

/// The schema, its types as they stand in the response, and what they were built from.
fn build<T>(
    response: IntrospectionResult<'_, T>,
    mut named_type: impl FnMut(&mut SchemaBuilder, &T) -> Built<ExtendedType>,
) -> Built<(UpstreamSchema, Vec<ExtendedType>, Vec<T>)> {
    let Some(introspected) = response.data.and_then(|data| data.schema) else {
        let first = response.errors.and_then(|errors| errors.into_iter().next());
        let message =
            first.and_then(|error| error.message).map_or_else(|| "no data".into(), |text| text.0.into_owned());
        return Err(ClientSchemaError::Rejected(message));
    };
    let mut builder = SchemaBuilder::default();
    let types = introspected.types.iter().map(|definition| named_type(&mut builder, definition));
    let types = types.collect::<Built<Vec<_>>>()?;
    let (schema, directives) = builder.schema(&types, &introspected)?;
    Ok((UpstreamSchema { schema, directives }, types, introspected.types))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::introspection_result::type_texts;

    fn read(response: &Bytes, known: &[Arc<KnownTypes>]) -> Result<(UpstreamSchema, Arc<KnownTypes>), String> {
        let read = read_client_schema(response, known);
        read.map(|(schema, types)| (schema, Arc::new(types))).map_err(|error| error.to_string())
    }

    fn response(extra: &str) -> Bytes {
        let ty = |kind: &str, name: &str| format!(r#"{{"kind":"{kind}","name":"{name}"}}"#);
        let field = |name: &str, ty: &str| format!(r#"{{"name":"{name}","args":[],"type":{ty}}}"#);
        let object = |name: &str, fields: &str| {
            format!(r#"{{"kind":"OBJECT","name":"{name}","interfaces":[],"fields":[{fields}]}}"#)
        };
        let query = object("Query", &[field("a", &ty("OBJECT", "A")), field("b", &ty("OBJECT", "B"))].join(","));
        let (a, b) = (object("A", &field("id", &ty("SCALAR", "Int"))), object("B", &field("id", extra)));
        let rest = r#""queryType":{"name":"Query"},"directives":[]"#;
        format!(r#"{{"data":{{"__schema":{{{rest},"types":[{query},{a},{b}]}}}}}}"#).into()
    }

    #[test]
    fn only_types_of_another_text_are_read() {
        let changed = response(r#"{"kind":"NON_NULL","ofType":{"kind":"SCALAR","name":"Int"}}"#);
        let (_, unlike) = read(&response(r#"{"kind":"SCALAR","name":"String"}"#), &[]).expect("a schema");
        let (_, first) = read(&response(r#"{"kind":"SCALAR","name":"Int"}"#), &[unlike]).expect("a schema");
        let (schema, second) = read(&changed, &[Arc::clone(&first)]).expect("a schema");
        let (wanted, _) = read(&changed, &[]).expect("a schema");
        assert_eq!(schema.schema, wanted.schema);
        let shared = [&first, &second].map(|known| {
            let texts = type_texts(std::str::from_utf8(known.response()).expect("text")).expect("types");
            texts.iter().map(|text| known.find(text.get()).expect("a type").clone()).collect::<Vec<_>>()
        });
        let [first, second] = shared.each_ref();
        let is_shared = |index: usize| match (first.get(index), second.get(index)) {
            (Some(ExtendedType::Object(one)), Some(ExtendedType::Object(other))) => one.ptr_eq(other),
            _ => false,
        };
        assert_eq!([0, 1, 2].map(is_shared), [true, true, false]);
    }

    #[test]
    fn errors_are_those_of_the_whole_response() {
        let (_, known) = read(&response(r#"{"kind":"SCALAR","name":"Int"}"#), &[]).expect("a schema");
        for broken in [
            response(r#"{"kind":"SCALAR"}"#),
            response(r#"{"kind":"NO_SUCH_KIND","name":"Int"}"#),
            response("{"),
            Bytes::from_static(br#"{"errors":[{"message":"not for you"}]}"#),
            Bytes::from_static(b"{\"data\":{\"__schema\":{\"types\":[\"\xff\"]}}}"),
        ] {
            let message = read(&broken, &[]).err();
            assert!(message.is_some() && read(&broken, &[Arc::clone(&known)]).err() == message, "{message:?}");
        }
    }
}
