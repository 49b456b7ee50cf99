//! Generates the pages of the manual's reference that list what the code declares: settings, metrics and functions of
//! templates.

use std::borrow::Cow;
use std::fmt::Write as _;

use pillion::config::settings_table::{ACTION_KEYS, Applies, FIELD_KEYS, Kind, SETTINGS, Setting};
use pillion::kriti;
use pillion::kriti::eval::Environment;
use pillion::kriti::functions::Function;
use pillion::kriti::parse::parse;
use serde_json::{Value, json};

use super::assert_committed;

const GENERATED: &str = "<!-- Generated: UPDATE_EXPECT=1 cargo test --test architecture -->\n";

#[test]
fn the_page_of_settings_equals_the_table() {
    let mut page = format!(
        "# Settings\n\n{GENERATED}\nAll settings of `pillion.yaml`, with their flags and environment variables. A flag takes precedence over a \
         variable, that over the file,\nand the file over the default. [Configuration](configuration.md) says how values are written. `pillion \
         config explain KEY` shows the value that\nis in effect and where it comes from.\n"
    );
    let of = |setting: &Setting| setting.key.rsplit_once('.').map_or("", |(group, _)| group);
    let mut groups: Vec<&str> = Vec::new();
    for group in SETTINGS.iter().map(of) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    for group in groups {
        let title = if group.is_empty() { "Top level" } else { group };
        let _ = write!(page, "\n## {title}\n\n| setting | default | flag and variables | |\n|---|---|---|---|\n");
        for setting in SETTINGS.iter().filter(|setting| of(setting) == group) {
            let _ = writeln!(page, "{}", row(setting));
        }
    }
    page.push_str(
        "\n## Settings of one action\n\nBelow `actions.NAME`; each takes precedence over the setting for all.\n\n| key | sample | |\n|---|---|---|\n",
    );
    for key in ACTION_KEYS {
        let _ = writeln!(page, "| `{}` | `{}` | {} |", key.key, cell(key.sample), cell(key.doc));
    }
    page.push_str("\n## Settings of one field\n\nBelow `fields.TYPE.FIELD`.\n\n| key | sample | |\n|---|---|---|\n");
    for key in FIELD_KEYS {
        let _ = writeln!(page, "| `{}` | `{}` | {} |", key.key, cell(key.sample), cell(key.doc));
    }
    assert_committed("docs/reference/settings.md", &page);
}

fn row(setting: &Setting) -> String {
    let name = setting.key.rsplit('.').next().unwrap_or_default();
    let default = match (setting.default, setting.kind) {
        (Some(default), _) => format!("`{default}`"),
        (None, _) => "none".to_owned(),
    };
    let flag = setting.flag.map(|flag| format!("`--{flag}`"));
    let origins: Vec<String> = flag.into_iter().chain(setting.env.iter().map(|name| format!("`{name}`"))).collect();
    let choices = match setting.kind {
        Kind::Choice(choices) => format!(" One of `{}`.", choices.join("`, `")),
        _ => String::new(),
    };
    let at_start = if setting.applies == Applies::AtStart { " Takes effect at the next start." } else { "" };
    format!("| `{name}` | {default} | {} | {}{choices}{at_start} |", origins.join(", "), cell(setting.doc))
}

/// A text within a cell of a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(feature = "server")]
#[test]
fn the_page_of_metrics_equals_the_catalogue() {
    let mut page = format!(
        "# Metrics\n\n{GENERATED}\nAll metrics on `/metrics`. Label values come from the configuration or from fixed lists, never from requests. \
         Histograms have the series\n`_bucket`, `_sum` and `_count`. Beside them are `pillion_build_info{{version}}`, always 1, and those of the \
         process: `process_cpu_seconds_total`,\n`process_resident_memory_bytes`, `process_open_fds`, `process_max_fds`, `process_start_time_seconds` \
         and others.\n\n| metric | type | labels | |\n|---|---|---|---|\n"
    );
    for metric in pillion::internals::METRICS {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, help) = (metric.name, metric.kind, cell(metric.help.trim()));
        let _ = writeln!(page, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
    }
    assert_committed("docs/reference/metrics.md", &page);
}

/// What `--help` says of each command. Only a build with the server has a program.
#[test]
fn the_page_of_commands_equals_their_help() {
    let Some(program) = option_env!("CARGO_BIN_EXE_pillion") else { return };
    let mut page = format!(
        "# Commands\n\n{GENERATED}\nWhat `--help` says of each command. [Command line](cli.md) has examples of the most important ones.\n"
    );
    for command in commands(program, &[]) {
        let _ = write!(page, "\n## pillion {}\n\n", command.join(" "));
        for line in help(program, &command).lines() {
            let _ = writeln!(page, "{}", format!("    {line}").trim_end());
        }
    }
    assert_committed("docs/reference/commands.md", &page);
}

/// The commands below one, in the order of its help.
fn commands(program: &str, above: &[String]) -> Vec<Vec<String>> {
    let help = help(program, above);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| line.starts_with("  "));
    let names = listed.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    let mut found = Vec::new();
    for name in names.filter(|name| *name != "help") {
        let command: Vec<String> = above.iter().cloned().chain([name.to_owned()]).collect();
        found.push(command.clone());
        found.extend(commands(program, &command));
    }
    found
}

fn help(program: &str, command: &[String]) -> String {
    let output = std::process::Command::new(program).args(command).arg("--help").env_clear().output();
    let output = output.expect("the program");
    assert!(output.status.success(), "pillion {} --help", command.join(" "));
    String::from_utf8(output.stdout).expect("text")
}

/// Each function of templates with an example, whose value is what the function gives.
#[test]
fn the_page_of_kriti_shows_every_function() {
    let page = super::read("docs/reference/kriti.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `{{")).collect();
    let mut shown = Vec::new();
    for row in rows {
        let mut cells =
            row.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`').replace("\\|", "|"));
        let (template, wanted) = (cells.next().expect("a template"), cells.next().expect("its value"));
        let value = evaluate(&template);
        let wanted: Value = serde_json::from_str(&wanted).unwrap_or_else(|error| panic!("{row}: {error}"));
        assert_eq!(value, wanted, "{template}");
        shown.push(template);
    }
    for name in Function::names() {
        assert!(shown.iter().any(|template| template.contains(&format!("{name}("))), "{name} has no example");
    }
}

fn evaluate(template: &str) -> Value {
    let body = json!({ "input": { "city": "Bern/CH", "tags": ["a", null, "b"], "sizes": { "m": 2, "s": 1 } } });
    let environment = Environment {
        variables: [("$body", Cow::Borrowed(&body))].into_iter().collect(),
        session_variable: &|name| (name == "x-hasura-user-id").then(|| "7".to_owned()),
    };
    let value = parse(template).and_then(|template| kriti::eval::evaluate(&template, &environment, 4096));
    value.unwrap_or_else(|error| panic!("{template}: {error}"))
}

/// Names before ` = ` in the macros of `tracing` in a source file.
fn logged_fields(source: &str) -> Vec<&str> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let is_name = |name: &&str| name.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '.');
    let macros = code.split("tracing::$level!(").skip(1).chain(code.split("tracing::info!(").skip(1));
    // The message ends them.
    let lines = macros.flat_map(|rest| rest.lines().take_while(|line| !line.trim().starts_with('"')));
    lines.filter_map(|line| line.trim().split_once(" = ")).map(|(name, _)| name).filter(is_name).collect()
}

/// The tables of `docs/reference/logs.md` name every field of the lines about requests and failures.
#[test]
fn the_page_of_logs_names_every_field() {
    let page = super::read("docs/reference/logs.md");
    let (logs, failures) = (super::read("src/telemetry/logs.rs"), super::read("src/telemetry/failure_log.rs"));
    let fields = [logged_fields(&logs), logged_fields(&failures)].concat();
    assert!(fields.contains(&"duration_ms") && fields.len() > 20, "{fields:?}");
    let missing: Vec<_> = fields.iter().filter(|field| !page.contains(&format!("`{field}`"))).collect();
    assert!(missing.is_empty(), "docs/reference/logs.md does not explain {missing:?}");
}
