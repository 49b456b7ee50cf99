//! The introspection query, for upstreams of every age.

use std::sync::LazyLock;

use bytes::Bytes;

/// The name of our operation, by which it is known in the upstream's logs.
pub(crate) const OPERATION_NAME: &str = "PillionIntrospection";

/// Editions of the introspection types, the newest first. An upstream that rejects one is queried in the next.
pub(crate) const EDITIONS: usize = 5;

/// Members by edition; an upstream may know any prefix of these.
struct Edition {
    /// `isDeprecated` of directives: after September 2025.
    directive_deprecation: bool,
    /// `__Type.isOneOf`: September 2025.
    one_of: bool,
    /// `isDeprecated` of arguments and input fields.
    input_deprecation: bool,
    /// `specifiedByURL`, `isRepeatable` and the schema's description: October 2021.
    year_2021: bool,
}

/// The question in this edition, of [`EDITIONS`], as the JSON of a request.
#[must_use]
pub(crate) fn introspection_query(edition: usize) -> Bytes {
    static QUESTIONS: LazyLock<[Bytes; EDITIONS]> = LazyLock::new(|| {
        std::array::from_fn(|edition| {
            let document = document_text(edition);
            serde_json::json!({ "query": document, "operationName": OPERATION_NAME }).to_string().into()
        })
    });
    QUESTIONS.get(edition).cloned().unwrap_or_default()
}

/// The introspection query in this edition.
#[must_use]
pub(crate) fn document_text(edition: usize) -> String {
    let edition = Edition {
        directive_deprecation: edition < 1,
        one_of: edition < 2,
        input_deprecation: edition < 3,
        year_2021: edition < 4,
    };
    edition.document()
}

impl Edition {
    fn document(&self) -> String {
        let when = |is_known: bool, text: &'static str| if is_known { text } else { "" };
        let description = when(self.year_2021, "description ");
        let specified_by = when(self.year_2021, "specifiedByURL ");
        let repeatable = when(self.year_2021, "isRepeatable ");
        let one_of = when(self.one_of, "isOneOf ");
        let deprecated = when(self.input_deprecation, "(includeDeprecated: true)");
        let deprecation = when(self.input_deprecation, " isDeprecated deprecationReason");
        let all_directives = when(self.directive_deprecation, "(includeDeprecated: true)");
        let directive_deprecation = when(self.directive_deprecation, " isDeprecated deprecationReason");
        format!(
            "query {OPERATION_NAME} {{ __schema {{ {description}\
             queryType {{ name }} mutationType {{ name }} subscriptionType {{ name }} types {{ ...T }} \
             directives{all_directives} {{ name description {repeatable}locations args{deprecated} {{ ...I }}\
             {directive_deprecation} }} }} }} \
             fragment T on __Type {{ kind name description {specified_by}{one_of}\
             fields(includeDeprecated: true) {{ name description args{deprecated} {{ ...I }} type {{ ...R }} \
             isDeprecated deprecationReason }} \
             inputFields{deprecated} {{ ...I }} interfaces {{ name }} \
             enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }} \
             possibleTypes {{ name }} }} \
             fragment I on __InputValue {{ name description type {{ ...R }} defaultValue{deprecation} }} \
             fragment R on __Type {{ {} }}",
            wrapped_type(WRAPPERS_MAX)
        )
    }
}

/// Lists and non-nulls around a type: four lists, none of them null.
const WRAPPERS_MAX: usize = 9;

fn wrapped_type(wrappers: usize) -> String {
    match wrappers.checked_sub(1) {
        None => "kind name".into(),
        Some(inner) => format!("kind name ofType {{ {} }}", wrapped_type(inner)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::document::parse;
    use crate::model::limits::Limits;

    #[test]
    fn every_edition_is_a_document() {
        for edition in 0..EDITIONS {
            let question: serde_json::Value = serde_json::from_slice(&introspection_query(edition)).expect("JSON");
            let document = parse(question["query"].as_str().expect("a document"), &Limits::default()).expect("GraphQL");
            assert_eq!(
                crate::graphql::check_document::check_document(&document, &Limits::default()),
                Ok(()),
                "edition {edition}"
            );
        }
    }
}
