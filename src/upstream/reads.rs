//! Which requests only read, however they are named: those whose documents are present and hold queries and nothing
//! else. A document that the upstream knows by a hash, an id or a name may be a mutation. Pure.

use serde_json::value::RawValue;

use crate::graphql::document;
use crate::model::action::OperationKind;
use crate::model::json::RawObject;
use crate::model::limits::Limits;
use crate::protocol::http::{Body, Element, read_body};
use crate::protocol::query_string::{decode, read_query_string};

/// Is it certain that this body of a POST only reads? It must be JSON: one request, or a batch of them, each with a
/// document of its own.
#[must_use]
pub fn body_only_reads(body: &[u8], limits: &Limits) -> bool {
    match read_body(body, limits) {
        Ok(Body::One(element)) => element_only_reads(&element, limits),
        Ok(Body::Batch(elements)) => elements.iter().all(|element| element_only_reads(element, limits)),
        Err(_) => false,
    }
}

/// Is it certain that this query string of a GET only reads? Without one, nothing is requested.
#[must_use]
pub fn query_string_only_reads(query: Option<&str>, limits: &Limits) -> bool {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return true };
    let is_known = |pair: &str| {
        let name = decode(pair.split('=').next().unwrap_or_default());
        name.is_ok_and(|name| KNOWN_KEYS.contains(&name.as_str()))
    };
    let Ok(parameters) = read_query_string(query) else { return false };
    let extensions = parameters.extensions.as_deref().filter(|text| !text.is_empty());
    let has_known_extensions = extensions.is_none_or(|text| !names_document(text));
    let document = parameters.query.as_deref();
    query.split('&').all(is_known)
        && has_known_extensions
        && document.is_some_and(|text| document_only_reads(text, limits))
}

/// All that a request is made of. Any other key may name another document than the one that stands beside it.
const KNOWN_KEYS: [&str; 4] = ["query", "operationName", "variables", "extensions"];

fn element_only_reads(element: &Element<'_>, limits: &Limits) -> bool {
    let Ok(Some(request)) = &element.request else { return false };
    let Ok(object) = serde_json::from_str::<RawObject<'_>>(element.json) else { return false };
    object.0.iter().all(|(key, _)| KNOWN_KEYS.contains(&key.as_ref()))
        && request.extensions.map(RawValue::get).is_none_or(|text| !names_document(text))
        && document_only_reads(&request.query, limits)
}

/// Do these extensions name a document, or cannot be read?
fn names_document(extensions: &str) -> bool {
    serde_json::from_str::<RawObject<'_>>(extensions).map_or(true, |object| object.get("persistedQuery").is_some())
}

fn document_only_reads(text: &str, limits: &Limits) -> bool {
    let Ok(document) = document::parse(text, limits) else { return false };
    let operations = document.operations();
    !operations.is_empty() && operations.iter().all(|operation| document::kind_of(operation) == OperationKind::Query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_documents_that_were_read_and_only_query() {
        let cases: &[(&str, bool)] = &[
            (r#"{"query":"{ a }"}"#, true),
            ("\u{feff}{\"query\":\"query A { a } query B { b } fragment F on T { a }\",\"operationName\":\"A\"}", true),
            (r#"{"query":"{ mutation }","variables":{"mutation":1},"extensions":{"x":1}}"#, true),
            (r#"{"query":"{ a # mutation\n b(c: \"mutation\") }"}"#, true),
            (r#"{"query":"\u007b a }"}"#, true),
            (r#"{"query":"mutation { a }"}"#, false),
            (r#"{"query":"\u006dutation { a }"}"#, false),
            (r#"{"\u0071uery":"mutation { a }"}"#, false),
            (r#"{"query":"query A { a } mutation B { b }","operationName":"A"}"#, false),
            (r#"{"query":"subscription { a }"}"#, false),
            (r#"{"query":"fragment F on T { a }"}"#, false),
            (r#"{"query":"{ a "}"#, false),
            (r#"{"query":""}"#, false),
            (r#"{"query":null}"#, false),
            (r#"{"query":["{ a }"]}"#, false),
            // Documents that the upstream knows.
            (r#"{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab"}}}"#, false),
            (r#"{"query":"{ a }","extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab"}}}"#, false),
            (r#"{"query":"{ a }","extensions":{"persisted\u0051uery":{}}}"#, false),
            (r#"{"query":"{ a }","extensions":{"persistedQuery":null,"persistedQuery":{}}}"#, false),
            (r#"{"documentId":"sha256:ab"}"#, false),
            (r#"{"id":"placeOrder"}"#, false),
            (r#"{"queryId":"placeOrder","variables":{}}"#, false),
            (r#"{"doc_id":"1"}"#, false),
            (r#"{"query":"{ a }","id":"placeOrder"}"#, false),
            (r#"{"query":"{ a }","documentId":"sha256:ab"}"#, false),
            (r#"{"query":"{ a }","query":"mutation { a }"}"#, false),
            (r#"{"operationName":"placeOrder"}"#, false),
            // Batches.
            (r#"[{"query":"{ a }"},{"query":"{ b }"}]"#, true),
            (r#"[{"query":"{ a }"},{"id":"placeOrder"}]"#, false),
            (r#"[{"query":"{ a }"},{"extensions":{"persistedQuery":{"sha256Hash":"ab"}}}]"#, false),
            (r#"[{"query":"{ a }"},{"query":"mutation { b }"}]"#, false),
            ("[]", false),
            // Not a request.
            ("", false),
            ("{}", false),
            ("{ a }", false),
            ("query=%7Ba%7D", false),
            (r#""{ a }""#, false),
            (r#"{"query":"{ a }"} x"#, false),
        ];
        for (body, wanted) in cases {
            assert_eq!(body_only_reads(body.as_bytes(), &Limits::default()), *wanted, "{body}");
        }
        assert!(!body_only_reads(b"{\"query\":\"{ a }\xff\"}", &Limits::default()));
    }

    #[test]
    fn query_strings_by_the_same_rule() {
        let cases: &[(Option<&str>, bool)] = &[
            (None, true),
            (Some(""), true),
            (Some("query=%7Ba%7D"), true),
            (Some("query={a}&operationName=&variables=%7B%7D&extensions="), true),
            (Some("query=mutation%7Ba%7D"), false),
            (Some("extensions=%7B%22persistedQuery%22:%7B%7D%7D"), false),
            (Some("query=%7Ba%7D&extensions=%7B%22persistedQuery%22:%7B%7D%7D"), false),
            (Some("query=%7Ba%7D&extensions=x"), false),
            (Some("id=placeOrder"), false),
            (Some("query=%7Ba%7D&id=placeOrder"), false),
            (Some("query=%7Ba%7D&query=mutation%7Ba%7D"), false),
            (Some("documentId=1"), false),
            (Some("operationName=placeOrder"), false),
        ];
        for (query, wanted) in cases {
            assert_eq!(query_string_only_reads(*query, &Limits::default()), *wanted, "{query:?}");
        }
    }
}
