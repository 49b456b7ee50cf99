//! The form of the log of `pillion dev`: a line for a person, with the reason of a failure in front and without what only
//! programs need.

use std::fmt;
use std::time::SystemTime;

use humantime::format_rfc3339_seconds;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Formats lines.
pub(crate) struct DevelopmentFormat {
    /// Is the level coloured?
    pub has_colours: bool,
}

/// What only programs need, or what the reason says already.
const LEFT_OUT: [&str; 14] = [
    "request_id",
    "trace_id",
    "type",
    "server.address",
    "server.port",
    "client.address",
    "error.kind",
    "upstream.purpose",
    "authenticate_ms",
    "introspect_ms",
    "plan_ms",
    "validate_ms",
    "respond_ms",
    "suppressed",
];

impl<S, N> FormatEvent<S, N> for DevelopmentFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Line::default();
        event.record(&mut line);
        let now = format_rfc3339_seconds(SystemTime::now()).to_string();
        let time = now.get(11..19).unwrap_or_default();
        let level = *event.metadata().level();
        writeln!(writer, "{time} {} {}", self.level(level), line.text())
    }
}

impl DevelopmentFormat {
    fn level(&self, level: Level) -> String {
        let colour = match level {
            Level::ERROR => "31",
            Level::WARN => "33",
            Level::INFO => "32",
            _ => "90",
        };
        let name = format!("{level:<5}");
        if self.has_colours { format!("\u{1b}[{colour}m{name}\u{1b}[0m") } else { name }
    }
}

/// What is known of an event.
#[derive(Default)]
struct Line {
    message: String,
    reason: Option<String>,
    fields: Vec<(&'static str, String)>,
}

impl Line {
    fn text(&self) -> String {
        let mut text = self.message.clone();
        if let Some(reason) = &self.reason {
            text.push_str(": ");
            text.push_str(reason);
        }
        for (name, value) in &self.fields {
            text.push_str(&format!("  {name}={value}"));
        }
        text
    }

    fn add(&mut self, field: &Field, value: &str) {
        let value = without_control(value);
        match field.name() {
            "message" => self.message = value,
            "error.message" => self.reason = Some(value),
            "attempts" if value == "1" => {}
            name if LEFT_OUT.contains(&name) => {}
            "http.response.status_code" => self.fields.push(("status", value)),
            "url.path" => self.fields.push(("path", value)),
            name => self.fields.push((name, value)),
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

/// Diagnostics have lines; of everything else that a terminal would obey, its escape is shown.
fn without_control(text: &str) -> String {
    let shown = |letter: char| match letter {
        '\n' | '\t' => letter.to_string(),
        letter if letter.is_control() => letter.escape_default().to_string(),
        letter => letter.to_string(),
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::captured_lines::CapturedLines;

    #[test]
    fn the_reason_stands_in_front() {
        let form = DevelopmentFormat { has_colours: false };
        let line = CapturedLines::of(
            |lines| tracing_subscriber::fmt().event_format(form).with_writer(move || lines.clone()).finish(),
            || {
                let (request_id, reason) = ("8f", "127.0.0.1:3000: connection refused\u{1b}[2J");
                tracing::warn!(
                    request_id,
                    action = "quote",
                    error.message = reason,
                    attempts = 1,
                    "handler call failed"
                );
            },
        );
        let (_, line) = line.split_at(9);
        assert_eq!(line, "WARN  handler call failed: 127.0.0.1:3000: connection refused\\u{1b}[2J  action=quote\n");
    }
}
