//! `pillion actions show`: everything about an action.

use std::fmt::Write as _;

use clap::ArgMatches;
use serde_json::{Value, json};

use crate::cli::actions::arguments::text;
use crate::cli::actions::{edit, list};
use crate::cli::{metadata_folder, report, write_out};
use crate::config::action_summary::{ActionDetails, ShownBefore, ShownHeader, details};
use crate::config::document::Document;
use crate::config::load::read_files;
use crate::edits::files::no_such_action;
use crate::model::types::Types;

/// Prints it.
///
/// # Errors
/// What is wrong with the files, or that there is no such action.
pub(super) fn run(arguments: &ArgMatches) -> Result<(), String> {
    let name = text(arguments, "name");
    let loaded = list::load(arguments)?;
    let files = read_files(&metadata_folder(arguments)?, &mut Vec::new());
    let document = Document::of_files(&files.actions, files.inherited_roles.as_ref(), &files.signatures);
    let types = files.signatures.types.iter().map(|(name, (definition, _))| (name.clone(), definition.clone()));
    let types = Types(types.collect());
    let Some(details) = details(&loaded.schema, &document, &types, name) else {
        let missing = no_such_action(&edit::read(arguments)?, name).map_err(|found| report(&found))?;
        return Err(report(&[missing]));
    };
    if text(arguments, "format") == "json" {
        return write_out(format!("{:#}\n", json!(details)).as_bytes());
    }
    write_out(rendered(&details).as_bytes())
}

fn rendered(details: &ActionDetails) -> String {
    let summary = &details.summary;
    let mut out = format!("{} {}, {}\n", summary.kind, summary.operation, summary.name);
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:<16}{value}");
    };
    if let (Some(file), Some(number)) = (&summary.file, summary.line) {
        line("defined in", &format!("{file}:{number}"));
    }
    if let Some(comment) = &summary.comment {
        line("comment", comment);
    }
    let responds = details.before.as_ref().and_then(|before| before.respond.as_deref());
    match responds {
        Some(field) => {
            line("handler", &format!("none: its value is \"{field}\" of before, within {} s", details.timeout));
        }
        None => line("handler", &format!("{} {}, within {} s", details.method, summary.handler, details.timeout)),
    }
    if let Some(before) = &details.before {
        show_before(before, &mut line);
    }
    let headers: Vec<String> = details.headers.iter().map(header).collect();
    lines(&mut line, "headers", &headers);
    line("client headers", if details.forward_client_headers { "sent on" } else { "not sent on" });
    let transforms = [("request", details.request_transform), ("response", details.response_transform)];
    let transforms: Vec<&str> =
        transforms.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect();
    if !transforms.is_empty() {
        line("transforms", &transforms.join(", "));
    }
    let roles = [vec!["admin".to_owned()], summary.roles.clone()].concat();
    line("permissions", &roles.join(", "));
    lines(&mut line, "relationships", &details.relationships);
    lines(&mut line, "fields", &details.fields);
    let policies: Vec<String> = details.policies.iter().filter_map(policy).collect();
    lines(&mut line, "policies", &policies);
    format!("{out}\n{}", details.definition)
}

fn show_before(before: &ShownBefore, line: &mut impl FnMut(&str, &str)) {
    let query: Vec<String> = before.query.lines().map(str::to_owned).collect();
    lines(line, "before", &query);
    line("asked as", &before.asked_as);
    let required: Vec<String> = before.require.iter().map(|(role, names)| format!("{role}: {names}")).collect();
    lines(line, "required", &required);
    if !before.send.is_empty() {
        line("sent as data", &before.send.join(", "));
    }
}

fn lines(line: &mut impl FnMut(&str, &str), name: &str, values: &[String]) {
    for (index, value) in values.iter().enumerate() {
        line(if index == 0 { name } else { "" }, value);
    }
}

fn header(header: &ShownHeader) -> String {
    match (&header.value_from_env, &header.value) {
        (Some(variable), _) => format!("{}: from the variable {variable}", header.name),
        (None, value) => format!("{}: {}", header.name, value.as_deref().unwrap_or_default()),
    }
}

/// What is not in force is left out.
fn policy((name, value): (&String, &Value)) -> Option<String> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Bool(true) => Some(name.clone()),
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            Some(format!("{name}: {}", items.join("; ")))
        }
        value => Some(format!("{name}: {value}")),
    }
}
