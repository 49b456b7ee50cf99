//! Media types: which content of a body or a response can be imported.

use crate::config::yaml::Node;

/// The content that is chosen of several.
#[derive(Debug)]
pub(crate) enum Content<'d> {
    /// JSON.
    Json {
        /// As the document has it.
        media_type: &'d str,
        /// Of any value if absent.
        schema: Option<&'d Node>,
    },
    /// The fields of an HTML form.
    Form {
        /// Its fields.
        schema: Option<&'d Node>,
    },
    /// Neither.
    Other {
        /// As the document has it.
        media_type: &'d str,
    },
}

/// The first JSON of a `content`, or else a form, or else the first one.
pub(crate) fn content_of(node: &Node) -> Option<Content<'_>> {
    let entries = || node.member("content").map(Node::entries).unwrap_or_default().iter();
    let found = |is_wanted: fn(&str) -> bool| entries().find(|(name, ..)| is_wanted(name));
    if let Some((name, _, media)) = found(is_json) {
        return Some(Content::Json { media_type: name, schema: media.member("schema") });
    }
    if let Some((.., media)) = found(|name| essence(name) == "application/x-www-form-urlencoded") {
        return Some(Content::Form { schema: media.member("schema") });
    }
    entries().next().map(|(name, ..)| Content::Other { media_type: name })
}

fn is_json(name: &str) -> bool {
    let name = essence(name);
    name == "application/json" || name.ends_with("+json") || name == "*/*" || name == "application/*"
}

/// Without parameters.
fn essence(name: &str) -> String {
    name.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
