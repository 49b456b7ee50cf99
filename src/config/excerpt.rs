//! Redaction of YAML: finds the characters that hold secrets, so that excerpts in diagnostics leave them out.

use std::collections::HashSet;
use std::ops::Range;

use saphyr::{MarkedYaml, Scalar, YamlData};

use crate::config::settings_table::{ACTION_KEYS, SETTINGS};

/// Mappings are followed to this depth; everything below is hidden as a whole.
const DEPTH_MAX: usize = 64;

/// Shorter scalars are not looked for elsewhere.
const REPEATED_MIN: usize = 6;

/// Scalars under keys that name something secret, and the same texts wherever else they stand: behind an anchor, for instance.
#[must_use]
pub fn secrets_of(documents: &[MarkedYaml<'_>]) -> Vec<Range<usize>> {
    let mut found = SecretSpan::default();
    documents.iter().for_each(|document| found.walk(document, false, DEPTH_MAX));
    let SecretSpan { mut hidden, secrets, open } = found;
    hidden.extend(open.into_iter().filter(|(text, _)| secrets.contains(text)).map(|(_, range)| range));
    hidden.sort_by_key(|range| range.start);
    hidden
}

#[derive(Default)]
struct SecretSpan {
    hidden: Vec<Range<usize>>,
    secrets: HashSet<String>,
    open: Vec<(String, Range<usize>)>,
}

impl SecretSpan {
    fn walk(&mut self, node: &MarkedYaml<'_>, is_secret: bool, depth_left: usize) {
        let range = node.span.start.index()..node.span.end.index();
        if depth_left == 0 {
            self.hidden.push(range);
            return;
        }
        match &node.data {
            YamlData::Sequence(items) => items.iter().for_each(|item| self.walk(item, is_secret, depth_left - 1)),
            YamlData::Mapping(entries) => {
                for (key, value) in entries {
                    let name = text_of(key).unwrap_or_default();
                    self.walk(key, is_secret, depth_left - 1);
                    if name == "add_headers" {
                        self.walk_values(value, depth_left - 1);
                    } else {
                        self.walk(value, is_secret || names_a_secret(&name), depth_left - 1);
                    }
                }
            }
            YamlData::Tagged(_, inner) => {
                self.walk(inner, is_secret, depth_left - 1);
                if is_secret {
                    self.hidden.push(range);
                }
            }
            YamlData::Value(Scalar::Null | Scalar::Boolean(_)) => {}
            _ if is_secret => {
                self.secrets.extend(text_of(node).filter(|text| text.len() >= REPEATED_MIN));
                self.hidden.push(range);
            }
            _ => self.open.extend(text_of(node).map(|text| (text, range))),
        }
    }

    /// Headers by name: the names are no secrets.
    fn walk_values(&mut self, node: &MarkedYaml<'_>, depth_left: usize) {
        match &node.data {
            YamlData::Mapping(entries) if depth_left > 0 => {
                entries.iter().for_each(|(_, value)| self.walk(value, true, depth_left - 1));
            }
            _ => self.walk(node, true, depth_left),
        }
    }
}

fn text_of(node: &MarkedYaml<'_>) -> Option<String> {
    match &node.data {
        YamlData::Value(Scalar::String(text)) | YamlData::Representation(text, ..) => Some(text.to_string()),
        YamlData::Value(Scalar::Integer(number)) => Some(number.to_string()),
        _ => None,
    }
}

/// Keys whose values are hidden. The names of variables and files that hold a secret are none themselves.
fn names_a_secret(key: &str) -> bool {
    const EXACTLY: [&str; 9] =
        ["value", "key", "keys", "hook", "store", "otlp_headers", "cookie", "authorization", "dsn"];
    const WITHIN: [&str; 6] = ["secret", "token", "password", "passwd", "passphrase", "credential"];
    const AT_END: [&str; 4] = ["_key", "-key", "apikey", "authorization"];
    const NEVER: [&str; 2] = ["_from_env", "_file"];
    let key = key.to_ascii_lowercase();
    if NEVER.iter().any(|end| key.ends_with(end)) {
        return false;
    }
    // In pillion.yaml a dotted key may be written as one word.
    let last = key.rsplit('.').next().unwrap_or_default();
    EXACTLY.contains(&last)
        || WITHIN.iter().any(|word| key.contains(word))
        || AT_END.iter().any(|end| key.ends_with(end))
}

/// For a file that is not valid YAML, whose structure is unknown: everything but the first key of each line, if it is
/// one that such files have.
#[must_use]
pub fn all_but_known_keys(text: &str) -> Vec<Range<usize>> {
    let mut hidden = Vec::new();
    let mut first = 0;
    for line in text.split_inclusive('\n') {
        let characters: Vec<char> = line.chars().collect();
        let end = first + characters.len();
        let start = first + shown_of(&characters);
        if characters.iter().skip(start - first).any(|c| !c.is_whitespace() && !"[]{}|>-\"'".contains(*c)) {
            hidden.push(start..end);
        }
        first = end;
    }
    hidden
}

/// How many characters at the start of a line are shown.
fn shown_of(characters: &[char]) -> usize {
    let indent = characters.iter().take_while(|c| matches!(c, ' ' | '\t' | '-' | '{' | '[')).count();
    let key: String =
        characters.iter().skip(indent).take_while(|c| c.is_ascii_lowercase() || matches!(c, '_' | '-')).collect();
    let after = indent + key.len();
    let is_key = characters.get(after) == Some(&':') && is_known(&key);
    if !is_key {
        return indent;
    }
    after + 1 + characters.iter().skip(after + 1).take_while(|c| **c == ' ').count()
}

/// Keys of Hasura's metadata that are no settings of ours.
const METADATA_KEYS: [&str; 44] = [
    "actions",
    "add_headers",
    "arguments",
    "body",
    "call",
    "comment",
    "custom_types",
    "definition",
    "description",
    "enums",
    "field_mapping",
    "fields",
    "forward_client_headers",
    "handler",
    "headers",
    "ignored_client_headers",
    "input_objects",
    "kind",
    "method",
    "name",
    "objects",
    "output",
    "output_type",
    "permissions",
    "query_params",
    "relationships",
    "remote_table",
    "remove_headers",
    "request_headers",
    "request_transform",
    "response_transform",
    "role",
    "role_name",
    "role_set",
    "scalars",
    "schema",
    "source",
    "template",
    "template_engine",
    "timeout",
    "type",
    "url",
    "value",
    "value_from_env",
];

fn is_known(key: &str) -> bool {
    METADATA_KEYS.contains(&key)
        || SETTINGS.iter().any(|setting| setting.key.split('.').any(|part| part == key))
        || ACTION_KEYS.iter().any(|known| known.key == key)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::config::yaml::parse;
    use crate::model::source::{Diagnostic, Source, SourceLocation};

    /// All lines as excerpts show them.
    fn shown(text: &str) -> String {
        let source = Arc::new(Source::new("x.yaml", text));
        let _ = parse(&source);
        let lines = (1..=text.lines().count()).map(|line| {
            let place = SourceLocation::new(&source, line, 1);
            let shown = Diagnostic::error(Some(place), "x", "").to_string();
            shown
                .lines()
                .nth(2)
                .and_then(|line| line.split_once(" | "))
                .map(|(_, line)| line.to_owned())
                .unwrap_or_default()
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn secrets_are_hidden_wherever_yaml_lets_them_stand() {
        for (text, wanted) in [
            (
                "headers: [{ name: X-Api-Key, value: sk_1 }, {name: Y}]",
                "headers: [{ name: X-Api-Key, value: *** }, {name: Y}]",
            ),
            ("auth: { admin_secret: \"sk_1: x\", typo: 1 }", "auth: { admin_secret: ***, typo: 1 }"),
            ("auth:\r\n  admin_secret: 'ä sk_1'\r\n  typo: ü", "auth:\n  admin_secret: ***\n  typo: ü"),
            ("a:\n  admin_secret: |\n    sk_1\n    sk_2\nb: 1", "a:\n  admin_secret: ***\n    ***\n***\nb: 1"),
            (
                "a:\n  password:\n    - sk_1\n    - [sk_2, x]\nb: 1",
                "a:\n  password:\n    - ***\n    - [***, ***]\nb: 1",
            ),
            ("value: sk_1\n  sk_2\nb: 1", "value: ***\n***\nb: 1"),
            ("name: &a sk_live_1\nvalue: *a\nb: 1", "name: ***\nvalue: ***\nb: 1"),
            ("signing_secrets: 12345678 # and sk_1", "signing_secrets: ***"),
            ("add_headers: { X-Any: sk_1 }", "add_headers: { X-Any: *** }"),
            ("url: redis://u:sk_1@host", "url: redis://***@host"),
            ("value_from_env: NAME\nadmin_secret: true", "value_from_env: NAME\nadmin_secret: true"),
            // Anything that is not YAML.
            ("auth:\n  admin_secret: \"sk_1\n  typo: sk_2", "auth:\n  admin_secret: ***\n  ***"),
            ("- name: x\n  value: sk_1\n  value: sk_2", "- name: ***\n  value: ***\n  value: ***"),
            ("handler: a: sk_1", "handler: ***"),
            ("actions: [", "actions: ["),
        ] {
            assert_eq!(shown(text), wanted, "{text:?}");
        }
    }
}
