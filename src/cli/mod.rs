//! The command line: what it takes comes out of the table of settings.

#[cfg(feature = "demo")]
pub mod demo;
pub mod serve;

use std::process::ExitCode;

use clap::{Arg, ArgAction, Command};

use crate::config::settings_table::{Kind, SETTINGS, Setting};

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    let result = match matches.subcommand() {
        Some(("serve", arguments)) => serve::run(arguments),
        #[cfg(feature = "demo")]
        Some(("demo", arguments)) => demo::run(arguments),
        _ => Err("no such command".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn command() -> Command {
    let command = Command::new("pillion")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A sidecar reverse proxy that adds actions to a GraphQL API you already run.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(serve_command());
    #[cfg(feature = "demo")]
    let command = command.subcommand(demo::command());
    command
}

fn serve_command() -> Command {
    let config = Arg::new("config").long("config").value_name("FILE").help("pillion.yaml with any of the settings");
    let serve =
        Command::new("serve").about("Stands in front of the engine and serves.").arg(config.env("PILLION_CONFIG"));
    serve.args(SETTINGS.iter().filter_map(|setting| Some(argument(setting, setting.flag?))))
}

fn argument(setting: &Setting, flag: &'static str) -> Arg {
    let mut help = setting.doc.replace('\n', " ");
    if let Some(default) = setting.default {
        help = format!("{help} [default: {default}]");
    }
    if !setting.env.is_empty() {
        help = format!("{help} [env: {}]", setting.env.join(", "));
    }
    let argument = Arg::new(setting.key).long(flag).help(help).action(ArgAction::Append);
    match setting.kind {
        Kind::Bool => argument.num_args(0..=1).default_missing_value("true").require_equals(true).value_name("BOOL"),
        Kind::Choice(choices) => argument.value_name(choices.join("|")),
        Kind::Duration => argument.value_name("TIME"),
        Kind::Bytes | Kind::Count => argument.value_name("NUMBER"),
        Kind::Text | Kind::Secret | Kind::Texts => argument.value_name("VALUE"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::command().debug_assert();
    }
}
