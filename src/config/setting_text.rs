//! The text of a setting's value in YAML. A rate limit may be a mapping as well: `{requests: 5, per: 60s, key: address}` is
//! `5 per 60s by address`.

use crate::config::formats::Format;
use crate::config::units::parse_duration;
use crate::config::yaml::{Data, Node};
use crate::model::traffic::RateLimit;

/// How a rate limit is written.
pub const LIMIT_HELP: &str =
    "write 5 per 60s, 5 per 60s by address, 5 per 60s by x-hasura-user-id, or {requests: 5, per: 60s, key: address}";

/// Keys of the mapping, in the order of the text.
const KEYS: [&str; 3] = ["requests", "per", "key"];

/// The text of a value that is none of lists, mappings and null. Where a format is wanted, a number or a boolean is a
/// slip, unless the format has numbers; a rate limit may be a mapping.
#[must_use]
pub fn text_of(node: &Node, format: Option<Format>) -> Option<String> {
    match (&node.data, format) {
        (_, Some(Format::RateLimit)) => limit_text(node),
        (Data::Bool(_), Some(_)) => None,
        (Data::Integer(_) | Data::Float(_), Some(format)) if !format.takes_numbers() => None,
        _ => node.scalar_text(),
    }
}

fn limit_text(node: &Node) -> Option<String> {
    let Data::Map(entries) = &node.data else {
        return matches!(node.data, Data::Text(_)).then(|| node.scalar_text()).flatten();
    };
    if entries.iter().any(|(key, ..)| !KEYS.contains(&key.as_str())) {
        return None;
    }
    let value = |name: &str| entries.iter().find(|(key, ..)| key == name).map(|(.., node)| node);
    let word = |node: &Node| node.scalar_text().filter(|text| !text.contains(char::is_whitespace));
    let (requests, per) = (word(value("requests")?)?, word(value("per")?)?);
    match value("key").filter(|node| !matches!(node.data, Data::Null)) {
        None => Some(format!("{requests} per {per}")),
        Some(key) => Some(format!("{requests} per {per} by {}", word(key)?)),
    }
}

/// Reads the text of a rate limit.
#[must_use]
pub fn parse_limit(text: &str) -> Option<RateLimit> {
    RateLimit::parse(text, parse_duration)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::yaml;
    use crate::model::source::Source;

    #[test]
    fn a_mapping_says_the_same_as_the_text() {
        for (written, wanted) in [
            ("5 per 60s", Some("5 per 60s")),
            ("{requests: 5, per: 60s}", Some("5 per 60s")),
            ("{requests: 5, per: 60, key: address}", Some("5 per 60 by address")),
            ("{per: 1m, requests: 5, key: x-hasura-user-id}", Some("5 per 1m by x-hasura-user-id")),
            ("{requests: 5}", None),
            ("{requests: 5, per: 60s, by: address}", None),
            ("{requests: 5, per: 60s by address}", None),
            ("{requests: [5], per: 60s}", None),
            ("5", None),
            ("[]", None),
        ] {
            let node = yaml::parse(&Arc::new(Source::new("x.yaml", written))).expect("YAML");
            let text = text_of(&node, Some(Format::RateLimit));
            assert_eq!(text.as_deref(), wanted, "{written}");
            assert!(text.is_none_or(|text| parse_limit(&text).is_some()), "{written}");
        }
    }
}
