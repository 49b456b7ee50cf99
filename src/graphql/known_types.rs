//! The types of one response of the upstream, found by their text. Where another response has the same text, its type is
//! the same: schemas of other roles, and of an upstream that has changed, are alike but for a few types.

use std::collections::HashMap;
use std::sync::OnceLock;

use apollo_compiler::schema::ExtendedType;
use bytes::Bytes;
use foldhash::fast::RandomState;
use serde_json::value::RawValue;

use crate::graphql::introspection_result::type_texts;

/// A response, and the types that were built from it.
pub struct KnownTypes {
    response: Bytes,
    /// In the order of the response.
    types: Vec<ExtendedType>,
    /// Made when it is first needed: an upstream may never change.
    by_text: OnceLock<ByText>,
}

/// Parts of the response, and which of its types each is.
type ByText = HashMap<Bytes, usize, RandomState>;

impl KnownTypes {
    /// `types` are all of the response, in its order.
    pub(crate) fn new(response: Bytes, types: Vec<ExtendedType>) -> Self {
        Self { response, types, by_text: OnceLock::new() }
    }

    /// The same if their texts are known: as many parts of the response.
    pub(crate) fn with_texts(response: Bytes, types: Vec<ExtendedType>, texts: &[&RawValue]) -> Self {
        let by_text = OnceLock::from(by_text(&response, texts));
        Self { response, types, by_text }
    }

    /// The response.
    #[must_use]
    pub fn response(&self) -> &Bytes {
        &self.response
    }

    /// The type that this text is, if it stands in the response.
    pub(crate) fn find(&self, text: &str) -> Option<&ExtendedType> {
        let index = self.by_text.get_or_init(|| self.read_texts()).get(text.as_bytes())?;
        self.types.get(*index)
    }

    fn read_texts(&self) -> ByText {
        let texts = std::str::from_utf8(&self.response).ok().and_then(|response| type_texts(response).ok());
        by_text(&self.response, &texts.unwrap_or_default())
    }
}

fn by_text(response: &Bytes, texts: &[&RawValue]) -> ByText {
    let part = |text: &&RawValue| response.slice_ref(text.get().as_bytes());
    texts.iter().map(part).enumerate().map(|(index, text)| (text, index)).collect()
}
