//! Adds actions to the text of `actions.yaml`: what is there stays as it is, comments and formatting included.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::yaml::parse;
use crate::edits::yaml::reconcile;
use crate::model::source::{Diagnostic, Source};

/// The text of `actions.yaml` with more items at the end of `actions`.
///
/// # Errors
/// Why nothing can be added: the file is not YAML, or `actions` is not a list.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use pillion::edits::append::with_actions;
/// use pillion::model::source::Source;
/// use serde_json::json;
///
/// let source = Arc::new(Source::new("actions.yaml", "actions:\n  - name: a # mine\n\ncustom_types: {}\n"));
/// let text = with_actions(&source, vec![json!({ "name": "b" })]).unwrap();
/// assert_eq!(text, "actions:\n  - name: a # mine\n  - name: b\n\ncustom_types: {}\n");
/// ```
pub fn with_actions(source: &Arc<Source>, added: Vec<Value>) -> Result<String, Diagnostic> {
    let root = parse(source)?;
    let mut wanted = match root.to_json() {
        Value::Null => json!({}),
        value => value,
    };
    let reject = |message: &str, help: &str| Err(Diagnostic::error(Some(root.place.clone()), message, help));
    let Some(file) = wanted.as_object_mut() else {
        return reject("the file must hold a mapping", "write actions: and a list");
    };
    let actions = file.entry("actions").or_insert(Value::Null);
    match actions {
        Value::Null => *actions = added.into(),
        Value::Array(actions) => actions.extend(added),
        _ => return reject("\"actions\" must be a list", "write - name: … on a line of its own"),
    }
    reconcile(source, &wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(text: &str) -> Result<String, String> {
        let source = Arc::new(Source::new("a.yaml", text));
        with_actions(&source, vec![json!({ "name": "b", "x": 1 })]).map_err(|error| error.message)
    }

    #[test]
    fn items_are_added_and_everything_else_stays() {
        for (text, wanted) in [
            ("", "actions:\n  - name: b\n    x: 1\n"),
            ("# ours", "# ours\nactions:\n  - name: b\n    x: 1\n"),
            ("actions:\nother: 1\n", "actions:\n  - name: b\n    x: 1\nother: 1\n"),
            ("actions: [] # none\nother: 1", "actions: # none\n  - name: b\n    x: 1\nother: 1"),
            ("actions: []", "actions:\n  - name: b\n    x: 1\n"),
            ("other: {a: b}\n", "other: {a: b}\nactions:\n  - name: b\n    x: 1\n"),
            ("actions:\n- name: a # x", "actions:\n- name: a # x\n- name: b\n  x: 1\n"),
            ("actions: [{name: a}] # x", "actions: [{name: a}, {name: b, x: 1}] # x"),
            ("{actions: []}", "{actions: [{name: b, x: 1}]}"),
            (
                "actions:\r\n    - name: a\r\n\r\n# next\r\nz: 1\r\n",
                "actions:\r\n    - name: a\r\n    - name: b\r\n      x: 1\r\n\r\n# next\r\nz: 1\r\n",
            ),
            (
                "actions:\n  - name: a\n    text: |\n      one\n\n      two\n    # its end\n",
                "actions:\n  - name: a\n    text: |\n      one\n\n      two\n    # its end\n  - name: b\n    x: 1\n",
            ),
            (
                "actions:\n  - name: a\n\n  # two\n  - name: c\n\n# end\n",
                "actions:\n  - name: a\n\n  # two\n  - name: c\n\n  - name: b\n    x: 1\n\n# end\n",
            ),
        ] {
            assert_eq!(added(text).as_deref(), Ok(wanted), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_added_to_is_rejected() {
        for text in ["[]", "actions: 1", "actions: [", "- - a"] {
            assert!(added(text).is_err(), "{text:?}: {:?}", added(text));
        }
    }
}
