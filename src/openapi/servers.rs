//! The address of an API: `servers` of an operation, its path or the document, their variables at their defaults.

use crate::config::yaml::Node;
use crate::openapi::document::Document;
use crate::openapi::listing::Listed;
use crate::openapi::options::is_absolute;

/// The address before the path of an operation, if the document has an absolute one.
pub(crate) fn base_url_of(document: &Document<'_>, listed: &Listed<'_>) -> Option<String> {
    let owners = [listed.node, listed.path_item, document.root()];
    let servers = owners.into_iter().find_map(|owner| owner.member("servers"))?;
    servers.items().iter().find_map(address)
}

fn address(server: &Node) -> Option<String> {
    let mut url = server.member("url").and_then(Node::as_text)?.to_owned();
    for (name, _, variable) in server.member("variables").map(Node::entries).unwrap_or_default() {
        let default = variable.member("default").and_then(Node::scalar_text)?;
        url = url.replace(&format!("{{{name}}}"), &default);
    }
    let is_fine = !url.contains(['{', '}', '?', '#']) && is_absolute(&url);
    is_fine.then(|| url.trim_end_matches('/').to_owned())
}

/// The variables of a template such as `{{NAME}}/v1`.
pub(crate) fn variables_of(template: &str) -> Vec<&str> {
    template.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(name, _)| name.trim()).collect()
}
