//! The form of the log in production: a JSON object on each line, with `timestamp`, `level`, `message`, the fields of the
//! event, and `target`. It is written in one pass, because each request with an action has a line.

use std::fmt;
use std::time::SystemTime;

use humantime::format_rfc3339_micros;
use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::model::json::write_text;

/// Formats lines.
pub(crate) struct JsonFormat;

impl<S, N> FormatEvent<S, N> for JsonFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Line::new(SystemTime::now(), *metadata.level());
        event.record(&mut line);
        writer.write_str(&line.finish(metadata.target())?)
    }
}

/// The line about an event, as far as it is written.
struct Line {
    json: Vec<u8>,
    /// Of an event of the `log` crate, whose metadata names no target of its own.
    target: Option<String>,
}

/// Longer than nearly all lines.
const LINE_BYTES: usize = 1024;

impl Line {
    fn new(now: SystemTime, level: Level) -> Self {
        let mut line = Self { json: Vec::with_capacity(LINE_BYTES), target: None };
        line.json.push(b'{');
        line.name("timestamp");
        line.text(&format_rfc3339_micros(now).to_string());
        line.name("level");
        line.text(level.as_str());
        line
    }

    /// Ends the line of an event with this target.
    fn finish(mut self, target: &str) -> Result<String, fmt::Error> {
        let of_log_crate = self.target.take();
        self.name("target");
        self.text(of_log_crate.as_deref().unwrap_or(target));
        self.json.extend_from_slice(b"}\n");
        String::from_utf8(self.json).map_err(|_| fmt::Error)
    }

    /// A name is one of our source, where none needs an escape.
    fn name(&mut self, name: &str) {
        if self.json.len() > 1 {
            self.json.push(b',');
        }
        self.json.push(b'"');
        self.json.extend_from_slice(name.as_bytes());
        self.json.extend_from_slice(b"\":");
    }

    fn text(&mut self, text: &str) {
        write_text(text, &mut self.json);
    }

    fn number(&mut self, field: &Field, number: impl Serialize) {
        if field.name() == "log.line" {
            return;
        }
        self.name(field.name());
        // Writing a number to memory cannot fail.
        let _ = serde_json::to_writer(&mut self.json, &number);
    }
}

impl Visit for Line {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.number(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "log.target" => self.target = Some(value.to_owned()),
            // Where the event stands in the source of a library, as `log.line`.
            "log.module_path" | "log.file" => {}
            name => {
                self.name(name);
                self.text(value);
            }
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field.name());
        self.text(&format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::telemetry::captured_lines::CapturedLines;

    /// What follows the timestamp in each line.
    fn lines_of(events: impl FnOnce()) -> Vec<String> {
        let lines = CapturedLines::of(
            |lines| tracing_subscriber::fmt().event_format(JsonFormat).with_writer(move || lines.clone()).finish(),
            events,
        );
        let after_time = |line: &str| line.split_once("Z\",").map(|(_, rest)| rest.to_owned());
        lines.lines().map(|line| after_time(line).unwrap_or_default()).collect()
    }

    #[test]
    fn a_line_is_an_object_in_the_order_of_its_fields() {
        let lines = lines_of(|| {
            let (role, denied) = (Some("user"), None::<&str>);
            let client = Some(tracing::field::display("::1"));
            tracing::info!(request_id = "8f", client.address = client, role, denied, status = 200, ms = 1.5, "request");
            tracing::warn!(target: "other", r#type = "x", open = true, left = -3, whole = 2.0, kinds = ?["a"], "{}", 1);
            tracing::error!(ratio = f64::NAN, "no number");
        });
        let target = module_path!();
        assert_eq!(
            lines,
            [
                format!(
                    r#""level":"INFO","message":"request","request_id":"8f","client.address":"::1","role":"user","status":200,"ms":1.5,"target":"{target}"}}"#
                ),
                r#""level":"WARN","message":"1","type":"x","open":true,"left":-3,"whole":2.0,"kinds":"[\"a\"]","target":"other"}"#.to_owned(),
                format!(r#""level":"ERROR","message":"no number","ratio":null,"target":"{target}"}}"#),
            ]
        );
    }

    #[test]
    fn what_clients_send_is_escaped() {
        let lines = lines_of(|| tracing::info!(path = "/\u{1b}[2J\"\\\n{\"level\":\"ERROR\"}\u{e9}", "request"));
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains(r#""path":"/\u001b[2J\"\\\n{\"level\":\"ERROR\"}é","#), "{}", lines[0]);
    }

    #[test]
    fn an_event_of_the_log_crate_names_its_own_target_and_no_source_file() {
        let lines = lines_of(|| {
            let file = "/home/someone/library/src/lib.rs";
            let of_library = "pingora_core::apps";
            tracing::error!(
                target: "log",
                { log.target = of_library, log.module_path = of_library, log.file = file, log.line = 7 },
                "a handshake failed"
            );
        });
        assert_eq!(lines, [r#""level":"ERROR","message":"a handshake failed","target":"pingora_core::apps"}"#]);
    }

    #[test]
    fn the_time_has_microseconds() -> Result<(), fmt::Error> {
        let line = Line::new(UNIX_EPOCH + Duration::from_micros(1_764_409_896_000_010), Level::INFO).finish("t")?;
        assert_eq!(line, "{\"timestamp\":\"2025-11-29T09:51:36.000010Z\",\"level\":\"INFO\",\"target\":\"t\"}\n");
        Ok(())
    }
}
