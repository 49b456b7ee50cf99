//! The result of a test run as JUnit's XML, which continuous integration reads.

use std::fmt::Write as _;

use crate::testing::report::{CaseOutcome, CaseReport, Report};

/// A test suite for each file.
#[must_use]
pub(crate) fn xml(report: &Report) -> String {
    let total = report.passed + report.failed + report.updated;
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"pillion\" tests=\"{total}\" failures=\"{}\">\n",
        report.failed
    );
    for file in &report.files {
        let failed = file.cases.iter().filter(|case| case.outcome == CaseOutcome::Failed).count();
        let time = seconds(file.cases.iter().map(|case| case.duration_ms).sum());
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{0}\" tests=\"{1}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\" time=\"{time}\">",
            escaped(&file.file),
            file.cases.len()
        );
        for case in &file.cases {
            add_case(&mut xml, &file.file, case);
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn add_case(xml: &mut String, file: &str, case: &CaseReport) {
    let (name, file, time) = (escaped(&case.name), escaped(file), seconds(case.duration_ms));
    let _ = write!(
        xml,
        "    <testcase name=\"{name}\" classname=\"{file}\" file=\"{file}\" line=\"{}\" time=\"{time}\"",
        case.line
    );
    if case.outcome != CaseOutcome::Failed {
        xml.push_str("/>\n");
        return;
    }
    let summary: Vec<&str> = case.mismatches.iter().map(|mismatch| mismatch.what.as_str()).collect();
    let details: String =
        case.mismatches.iter().map(|mismatch| format!("{}:\n{}", mismatch.what, mismatch.shown())).collect();
    let _ =
        writeln!(xml, ">\n      <failure message=\"{}\">{}</failure>", escaped(&summary.join(", ")), escaped(&details));
    if !case.log.is_empty() {
        let _ = writeln!(xml, "      <system-err>{}</system-err>", escaped(&case.log.join("\n")));
    }
    xml.push_str("    </testcase>\n");
}

fn seconds(milliseconds: f64) -> String {
    format!("{:.6}", milliseconds / 1000.0)
}

/// XML 1.0 has no way to write most control characters.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            control if control.is_control() => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::compare::Mismatch;
    use crate::testing::report::FileReport;

    #[test]
    fn failures_are_escaped() {
        let case = |outcome, mismatches| CaseReport {
            name: "a <b> & \"c\"\u{1}".into(),
            line: 3,
            outcome,
            duration_ms: 1.5,
            mismatches,
            log: vec!["x < y".into()],
        };
        let mut report = Report::default();
        let failed = case(CaseOutcome::Failed, vec![Mismatch::new("status", "200", "<400>")]);
        report.add(FileReport { file: "a.test.yaml".into(), cases: vec![case(CaseOutcome::Passed, vec![]), failed] });
        let xml = xml(&report);
        assert!(xml.contains("<testsuite name=\"a.test.yaml\" tests=\"2\" failures=\"1\""), "{xml}");
        assert!(xml.contains("name=\"a &lt;b&gt; &amp; &quot;c&quot;\u{fffd}\""), "{xml}");
        assert!(xml.contains("<failure message=\"status\">status:\n- 200\n+ &lt;400&gt;\n</failure>"), "{xml}");
        assert!(xml.contains("<system-err>x &lt; y</system-err>"), "{xml}");
    }
}
