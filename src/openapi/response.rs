//! What an operation returns: the type of its success, and where its errors have their message.

use crate::config::yaml::Node;
use crate::model::source::SourceLocation;
use crate::model::types::TypeRef;
use crate::openapi::document::Document;
use crate::openapi::flatten::{flatten, types_of};
use crate::openapi::listing::Listed;
use crate::openapi::mapping::{Direction, Mapping};
use crate::openapi::media::{Content, content_of};
use crate::openapi::problem::Problem;
use crate::openapi::schema::{TypeBuilder, Usage};
use crate::openapi::types::named;

/// The result of an operation.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    /// Its type; absent if there is no content.
    pub(crate) ty: Option<TypeRef>,
    /// The expression for the message of an error, where the API has it elsewhere than in `message`.
    error_message: Option<&'static str>,
}

/// Reads the responses of an operation.
pub(crate) fn output_of<'d>(
    document: &Document<'d>,
    builder: &mut TypeBuilder<'_, 'd>,
    listed: &Listed<'d>,
    hint: &str,
) -> Result<Output, Problem> {
    let responses = listed.node.member("responses").map(Node::entries).unwrap_or_default();
    let is_success = |code: &str| code.len() == 3 && code.starts_with('2');
    let success = responses.iter().filter(|(code, ..)| is_success(code)).min_by_key(|(code, ..)| code.clone());
    let success = success.or_else(|| responses.iter().find(|(code, ..)| code == "default"));
    let Some((.., success)) = success else {
        let reason = "no successful response is described".to_owned();
        return Err(Problem { place: listed.place.clone(), reason, help: "describe the response with status 2xx" });
    };
    let success = document.follow(success)?;
    let usage = Usage { hint: format!("{hint}Result"), is_input: false };
    let ty = match content_of(success) {
        None => None,
        // Null in all cases: an error of the API then leaves the other fields of a query alone.
        Some(Content::Json { schema: Some(schema), .. }) => {
            let ty = builder.type_of(schema, &usage)?.nullable().clone();
            Some(if builder.is_enum(ty.named()) { as_text(ty) } else { ty })
        }
        Some(Content::Json { schema: None, .. }) => Some(named("JSON")),
        Some(Content::Form { .. }) => return Err(Problem::at(success, "the response is a form, not JSON", "")),
        Some(Content::Other { media_type }) => {
            return Err(Problem::at(success, format!("the response is {media_type}, not JSON"), ""));
        }
    };
    Ok(Output { ty, error_message: error_message(document, responses) })
}

/// Hasura's actions cannot return enums but within objects, so the API's own texts are returned.
fn as_text(ty: TypeRef) -> TypeRef {
    match ty {
        TypeRef::Named(_) => named("String"),
        TypeRef::List(inner) => TypeRef::List(Box::new(as_text(*inner))),
        TypeRef::NonNull(inner) => TypeRef::NonNull(Box::new(as_text(*inner))),
    }
}

/// Where messages are in APIs that have no `message`.
const MESSAGES: [(&str, &str); 6] = [
    ("detail", "$body?.detail"),
    ("title", "$body?.title"),
    ("error_description", "$body?.error_description"),
    ("description", "$body?.description"),
    ("error", "$body?.error"),
    ("reason", "$body?.reason"),
];

fn error_message<'d>(document: &Document<'d>, responses: &'d [(String, SourceLocation, Node)]) -> Option<&'static str> {
    let is_error = |code: &str| code.starts_with('4') || code == "default";
    for (.., response) in responses.iter().filter(|(code, ..)| is_error(code)) {
        let Ok(response) = document.follow(response) else { continue };
        let Some(Content::Json { schema: Some(schema), .. }) = content_of(response) else { continue };
        let Ok(flat) = flatten(document, schema) else { continue };
        let type_of = |name: &str| {
            let schema = document.follow(flat.properties.get(name)?).ok()?;
            types_of(schema).first().copied()
        };
        if type_of("message") == Some("string") {
            return None;
        }
        let found = MESSAGES.iter().find(|(name, _)| type_of(name) == Some("string"));
        if let Some((_, expression)) = found {
            return Some(expression);
        }
        let nested =
            flat.properties.get("error").and_then(|error| flatten(document, document.follow(error).ok()?).ok());
        if nested.is_some_and(|nested| nested.properties.contains_key("message")) {
            return Some("$body?.error.message");
        }
    }
    None
}

impl Output {
    /// The type in GraphQL; success without content is `true`.
    pub(crate) fn graphql_type(&self) -> TypeRef {
        self.ty.clone().unwrap_or_else(|| named("Boolean"))
    }

    /// The template of the response transform, if one is needed.
    ///
    /// # Errors
    /// Why no template can map the names.
    pub(crate) fn template(&self, mapping: &Mapping<'_>) -> Result<Option<String>, String> {
        let value = match &self.ty {
            None => Some("true".to_owned()),
            Some(ty) if mapping.is_needed(ty) => Some(mapping.template(ty, "$body", Direction::FromApi)?),
            Some(_) => None,
        };
        if value.is_none() && self.error_message.is_none() {
            return Ok(None);
        }
        let value = value.unwrap_or_else(|| "{{$body}}".to_owned());
        let error = self.error_message.map_or_else(
            || "{{$body}}".to_owned(),
            |message| {
                format!(r#"{{"message": {{{{ {message} ?? "the API rejected the request" }}}}, "code": {{{{ $body?.code }}}}}}"#)
            },
        );
        Ok(Some(format!("{{{{ if $response.status >= 300 }}}} {error} {{{{ else }}}} {value} {{{{ end }}}}")))
    }
}
