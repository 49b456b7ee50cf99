//! What of an OpenAPI document is imported, and how.

use url::Url;

use crate::graphql::suggestions::did_you_mean;
use crate::model::source::Diagnostic;
use crate::openapi::listing::Listed;

/// The choices of an import.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Operations by their `operationId`. Without these and `tags` all are imported.
    pub operations: Vec<String>,
    /// Operations with one of these tags.
    pub tags: Vec<String>,
    /// The roles that may call the actions.
    pub roles: Vec<String>,
    /// The handler's address before the path, possibly with `{{NAME}}`; by default that of the document's server.
    pub base_url: Option<String>,
    /// What the names of actions and types begin with.
    pub prefix: String,
}

impl Options {
    /// What is wrong with them.
    pub(crate) fn check(&self, listed: &[Listed<'_>]) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        let mut reject = |message: String, help: &str| diagnostics.push(Diagnostic::error(None, message, help));
        let unknown = |name: &&String| !listed.iter().any(|listed| listed.id == **name);
        for name in self.operations.iter().filter(unknown) {
            let suggestion = did_you_mean(name, listed.iter().map(|listed| listed.id.as_str()));
            let stop = if suggestion.is_empty() { "" } else { "." };
            reject(
                format!("--operation: there is no operation \"{name}\"{stop}{suggestion}"),
                "correct its operationId",
            );
        }
        for tag in self.tags.iter().filter(|tag| !listed.iter().any(|listed| listed.has_tag(tag))) {
            reject(format!("--tag: no operation has the tag \"{tag}\""), "correct the tag");
        }
        let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let starts_badly =
            self.prefix.starts_with(|first: char| first.is_ascii_digit()) || self.prefix.starts_with("__");
        if starts_badly || !self.prefix.chars().all(is_part) {
            let message = format!("--prefix: \"{}\" cannot be the beginning of a name", self.prefix);
            reject(message, "use letters, digits and underscores");
        }
        if self.base_url.as_deref().is_some_and(|url| !is_base_url(url)) {
            // It may hold a password, so it is not repeated.
            reject(
                "--base-url: this is not an http or https address without a query".to_owned(),
                "write https://host/path, or {{NAME}} for a variable",
            );
        }
        diagnostics
    }

    pub(crate) fn includes(&self, listed: &Listed<'_>) -> bool {
        let has_all = self.operations.is_empty() && self.tags.is_empty();
        has_all || self.operations.contains(&listed.id) || self.tags.iter().any(|tag| listed.has_tag(tag))
    }
}

fn is_base_url(text: &str) -> bool {
    if text.contains(['?', '#']) {
        return false;
    }
    text.contains("{{") || is_absolute(text)
}

/// Is it an http or https address with a host?
pub(crate) fn is_absolute(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}
