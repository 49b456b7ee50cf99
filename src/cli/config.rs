//! `pillion config`: prints the JSON Schema and the example of `pillion.yaml`, and the effective settings with their origin.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use crate::changes::effective_settings::{origin_of, place_text, value_of};
use crate::cli::{report, source_of, write_out};
use crate::config::json_schema::{ACTIONS_DOC, FIELDS_DOC, RELATIONSHIPS_DOC};
use crate::config::settings_doc;
use crate::config::settings_table::{Applies, Kind, MAPS, SETTINGS, Setting};
use crate::config::values::{Origin, Values};
use crate::graphql::suggestions::did_you_mean;

/// The command. `configured` adds all settings to those of its commands that read them.
#[must_use]
pub(crate) fn command(configured: impl Fn(Command) -> Command) -> Command {
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue).help("As JSON, for scripts");
    let key = Arg::new("key").value_name("KEY").required(true);
    let show = Command::new("show").about("Prints each setting's effective value and where it comes from.").arg(json);
    let explain = Command::new("explain")
        .about("Explains one setting or a group of them: meaning, type, default, effective value and its origin.")
        .arg(key.help("Its key, such as limits.request_timeout, its flag or its variable"));
    Command::new("config")
        .about("Shows and explains the settings.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("schema").about("Prints the JSON Schema of pillion.yaml."))
        .subcommand(
            Command::new("example").about("Prints a pillion.yaml with every setting, its default and its reason."),
        )
        .subcommand(configured(show))
        .subcommand(configured(explain))
}

/// Runs the command that the arguments name.
///
/// # Errors
/// What is wrong with the configuration, or that there is no such setting.
pub(crate) fn run(arguments: &ArgMatches) -> Result<(), String> {
    let text = match arguments.subcommand() {
        Some(("schema", _)) => settings_doc::json_schema(),
        Some(("example", _)) => settings_doc::example_yaml(),
        Some(("show", arguments)) => {
            let values = values(arguments)?;
            if arguments.get_flag("json") { shown_as_json(&values) } else { shown_as_text(&values) }
        }
        Some(("explain", arguments)) => {
            let key = arguments.get_one::<String>("key").map(String::as_str).unwrap_or_default();
            explained(key, &values(arguments)?)?
        }
        _ => return Err("error: no such command".to_owned()),
    };
    write_out(text.as_bytes())
}

fn values(arguments: &ArgMatches) -> Result<Values, String> {
    source_of(arguments).values().map_err(|found| report(&found))
}

/// A line for each setting.
fn shown_as_text(values: &Values) -> String {
    let lines: Vec<(String, String)> = SETTINGS
        .iter()
        .map(|setting| {
            let value = value_of(setting, values);
            (format!("{}: {}", setting.key, value_text(&value)), origin_text(values.effective(setting.key).1))
        })
        .collect();
    // Long values do not move the origins of all the others away.
    let width = lines.iter().map(|(line, _)| line.chars().count()).filter(|width| *width <= 60).max().unwrap_or(0);
    lines.iter().map(|(line, origin)| format!("{line:width$}  # {origin}\n")).collect()
}

fn shown_as_json(values: &Values) -> String {
    let entry = |setting: &Setting| {
        let (kind, place) = origin_of(values.effective(setting.key).1);
        json!({ "key": setting.key, "value": value_of(setting, values), "origin": kind, "place": place })
    };
    let entries: Vec<Value> = SETTINGS.iter().map(entry).collect();
    format!("{:#}\n", json!({ "settings": entries }))
}

fn value_text(value: &Value) -> String {
    match value {
        Value::Null => "(not set)".to_owned(),
        Value::String(text) if !text.is_empty() && !text.contains(char::is_control) => text.clone(),
        other => other.to_string(),
    }
}

fn origin_text(origin: &Origin) -> String {
    match origin {
        Origin::Flag(name) => format!("--{name}"),
        Origin::Environment(name) => (*name).to_owned(),
        Origin::File(place) => place_text(place),
        Origin::Default => "default".to_owned(),
    }
}

/// The settings that `name` means: one by its key, flag or variable, or a group.
fn named(name: &str) -> Vec<&'static Setting> {
    let flag = name.strip_prefix("--");
    let is_it = |setting: &&Setting| {
        setting.key == name || setting.env.contains(&name) || (flag.is_some() && setting.flag == flag)
    };
    if let Some(setting) = SETTINGS.iter().find(is_it) {
        return vec![setting];
    }
    let group = format!("{name}.");
    SETTINGS.iter().filter(|setting| setting.key.starts_with(&group)).collect()
}

fn explained(name: &str, values: &Values) -> Result<String, String> {
    if MAPS.contains(&name) {
        let doc = match name {
            "actions" => ACTIONS_DOC,
            "fields" => FIELDS_DOC,
            _ => RELATIONSHIPS_DOC,
        };
        return Ok(format!(
            "{name}\n{}\n  type:       a mapping in pillion.yaml; see pillion config example\n",
            indented(doc)
        ));
    }
    let settings = named(name);
    if settings.is_empty() {
        let known = SETTINGS.iter().map(|setting| setting.key).chain(MAPS);
        let suggestion = did_you_mean(name, known);
        return Err(format!(
            "error: there is no setting \"{name}\".{suggestion}\n  = help: pillion config show lists all of them"
        ));
    }
    let explained: Vec<String> = settings.iter().map(|setting| explained_setting(setting, values)).collect();
    Ok(explained.join("\n"))
}

fn explained_setting(setting: &Setting, values: &Values) -> String {
    let kind = match (setting.kind, setting.format) {
        (Kind::Choice(choices), _) => format!("one of {}", choices.join(", ")),
        (Kind::Secret, _) => "a string that is never shown".to_owned(),
        _ => setting.wanted().to_owned(),
    };
    let mut text = format!("{}\n{}\n", setting.key, indented(setting.doc));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {:<11} {value}", format!("{name}:"));
    };
    line("type", &kind);
    line("default", setting.default.unwrap_or("(not set)"));
    line("value", &value_text(&value_of(setting, values)));
    line("origin", &origin_text(values.effective(setting.key).1));
    if let Some(flag) = setting.flag {
        line("flag", &format!("--{flag}"));
    }
    line("variables", &setting.env.join(", "));
    line("applies", if setting.applies == Applies::AtStart { "at the next start" } else { "on reload" });
    text
}

fn indented(doc: &str) -> String {
    doc.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
