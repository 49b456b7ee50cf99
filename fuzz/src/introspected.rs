//! Responses of the upstream to introspection.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use pillion::graphql::client_schema::read_client_schema;
use pillion::graphql::known_types::KnownTypes;

/// The response to introspection. Its schema is the same, or the error, whether its types are known from another response,
/// from this one, or not at all.
pub fn introspection(bytes: &[u8]) {
    let response = Bytes::copy_from_slice(bytes);
    let unknown = read_client_schema(&response, &[]);
    let mut known = vec![usual()];
    for _ in 0..2 {
        match (&unknown, read_client_schema(&response, &known)) {
            (Ok((schema, _)), Ok((other, types))) => {
                assert_eq!(schema.schema, other.schema);
                assert_eq!(format!("{:?}", schema.directives), format!("{:?}", other.directives));
                known.insert(0, Arc::new(types));
            }
            (Err(error), Err(other)) => assert_eq!(error.to_string(), other.to_string()),
            (unknown, other) => panic!("{:?} is not {:?}", unknown.as_ref().err(), other.err()),
        }
    }
}

fn usual() -> Arc<KnownTypes> {
    static USUAL: OnceLock<Arc<KnownTypes>> = OnceLock::new();
    let read = || {
        let response = Bytes::from_static(include_bytes!("../seeds/introspection/usual.json"));
        let (_, types) = read_client_schema(&response, &[]).expect("a schema");
        Arc::new(types)
    };
    Arc::clone(USUAL.get_or_init(read))
}
