//! Unified diffs of edits, without the secrets in them.

use std::fmt::Write as _;
use std::sync::Arc;

use similar::{ChangeTag, TextDiff};

use crate::config::yaml::parse;
use crate::edits::FileEdit;
use crate::model::source::Source;

/// The change of a file as a unified diff. A file that is created has `/dev/null` as its old name. In YAML `***` stands for
/// secrets, such as values of headers.
#[must_use]
pub fn unified_diff(edit: &FileEdit) -> String {
    let name = edit.path.display().to_string();
    let before = edit.before.as_ref().map_or("/dev/null", |_| name.as_str());
    let old = edit.before.as_deref().unwrap_or_default();
    let (old_shown, new_shown) = (shown(edit, old), shown(edit, &edit.after));
    let diff = TextDiff::from_lines(old, &edit.after);
    let mut text = String::new();
    for hunk in diff.unified_diff().iter_hunks() {
        if text.is_empty() {
            let _ = writeln!(text, "--- {before}\n+++ {name}");
        }
        let _ = writeln!(text, "{}", hunk.header());
        for change in hunk.iter_changes() {
            let line = match change.tag() {
                ChangeTag::Insert => change.new_index().and_then(|index| new_shown.get(index)),
                ChangeTag::Delete | ChangeTag::Equal => change.old_index().and_then(|index| old_shown.get(index)),
            };
            let line = line.map_or("", |line| line.trim_end_matches(['\r', '\n']));
            let _ = writeln!(text, "{}{line}", change.tag());
            if change.missing_newline() {
                text.push_str("\\ No newline at end of file\n");
            }
        }
    }
    text
}

fn shown(edit: &FileEdit, text: &str) -> Vec<String> {
    let source = Arc::new(Source::new("", text));
    if edit.path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
        // It notes where secrets stand, whatever it is.
        let _ = parse(&source);
    }
    source.shown_lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked() {
        let before = "a: 1\nheaders:\n  - name: x\n    value: c4nary # c\n";
        let after = "a: 2\nheaders:\n  - name: x\n    value: c4nary # c\n    b: http://me:pw@h\n";
        let edit = FileEdit { path: "a.yaml".into(), before: Some(before.to_owned()), after: after.to_owned() };
        let wanted = "--- a.yaml\n+++ a.yaml\n@@ -1,4 +1,5 @@\n-a: 1\n+a: 2\n headers:\n   - name: x\n     value: *** # c\n+    b: http://***@h\n";
        assert_eq!(unified_diff(&edit), wanted);
        let created = FileEdit { path: "a.graphql".into(), before: None, after: "scalar A".to_owned() };
        assert_eq!(
            unified_diff(&created),
            "--- /dev/null\n+++ a.graphql\n@@ -0,0 +1 @@\n+scalar A\n\\ No newline at end of file\n"
        );
    }
}
