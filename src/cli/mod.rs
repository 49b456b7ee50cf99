//! The command line: its flags are generated from the table of settings.

mod actions;
pub(crate) mod check;
pub(crate) mod codegen;
mod completions;
mod config;
#[cfg(feature = "demo")]
pub(crate) mod demo;
pub(crate) mod dev;
mod doctor;
pub(in crate::cli) mod documents;
mod error;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod jobs;
mod manual;
pub(crate) mod schema;
pub(crate) mod serve;
pub(crate) mod test;
mod version;

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::config::configuration_source::ConfigurationSource;
use crate::config::load::{Loaded, load, text_of};
use crate::config::lost_features::lost_features;
use crate::config::settings_table::{Kind, SETTINGS, Setting};
use crate::model::source::Diagnostic;
use crate::runtime::services::Services;
use crate::runtime::upstream_health_check;

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    let done = |result: Result<(), String>| match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    };
    match matches.subcommand() {
        Some(("serve", arguments)) => serve::run(arguments),
        Some(("actions", arguments)) => done(actions::run(arguments)),
        Some(("check", arguments)) => check::run(arguments),
        Some(("codegen", arguments)) => codegen::run(arguments),
        Some(("completions", arguments)) => done(completions::run(arguments, command())),
        Some(("config", arguments)) => done(config::run(arguments)),
        Some(("dev", arguments)) => dev::run(arguments),
        Some(("doctor", arguments)) => doctor::run(arguments),
        Some(("documents", arguments)) => done(documents::run(arguments)),
        Some(("error", arguments)) => done(error::run(arguments)),
        Some(("explain", arguments)) => done(explain::run(arguments)),
        Some(("health", arguments)) => done(health::run(arguments)),
        Some(("import", arguments)) => done(import::run(arguments)),
        Some(("init", arguments)) => done(init::run(arguments)),
        Some(("jobs", arguments)) => done(jobs::run(arguments)),
        Some(("man", arguments)) => done(manual::run(arguments, command())),
        Some(("schema", arguments)) => done(schema::run(arguments)),
        Some(("test", arguments)) => test::run(arguments),
        Some(("version", arguments)) => {
            version::run(arguments);
            ExitCode::SUCCESS
        }
        #[cfg(feature = "demo")]
        Some(("demo", arguments)) => done(demo::run(arguments)),
        _ => done(Err("no such command".to_owned())),
    }
}

fn command() -> Command {
    let command = Command::new("pillion")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A sidecar reverse proxy that adds actions to a GraphQL API you already run.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(configured(Command::new("serve").about("Stands in front of the upstream and serves.")))
        .subcommand(init::command())
        .subcommand(configured(dev::command()))
        .subcommand(configured(check::command()))
        .subcommand(with_settings(codegen::command(), &["metadata.folder"]))
        .subcommand(configured(doctor::command()))
        .subcommand(with_settings(explain::command(), SCHEMA_SETTINGS))
        .subcommand(with_settings(schema::command(), SCHEMA_SETTINGS))
        .subcommand(with_settings(test::command(), &["metadata.folder", "dialect"]))
        .subcommand(with_settings(health::command(), &["admin_listen"]))
        .subcommand(actions::command())
        .subcommand(import::command(|command| with_settings(command, &["metadata.folder"])))
        .subcommand(jobs::command(|command| with_settings(command, &[])))
        .subcommand(documents::command(|command| with_settings(command, SCHEMA_SETTINGS)))
        .subcommand(config::command(configured))
        .subcommand(error::command())
        .subcommand(completions::command())
        .subcommand(manual::command())
        .subcommand(version::command());
    #[cfg(feature = "demo")]
    let command = command.subcommand(demo::command());
    command
}

/// The settings of commands that look at the merged schema.
const SCHEMA_SETTINGS: &[&str] = &["metadata.folder", "upstream.url", "dialect"];

/// The configuration file that counts if no other one is given, in the current folder.
const CONFIG_FILE: &str = "pillion.yaml";

/// A command with the flags of all settings.
fn configured(command: Command) -> Command {
    with_flags(command, |_| true)
}

/// A command with the flags of these settings. The configuration file and variables may have any others.
fn with_settings(command: Command, keys: &'static [&'static str]) -> Command {
    with_flags(command, |setting| keys.contains(&setting.key))
}

/// A command that reads `pillion.yaml`, that of the current folder if no other one is given.
fn with_flags(command: Command, is_used: impl Fn(&Setting) -> bool) -> Command {
    let help = "pillion.yaml with any of the settings; by default the one in this folder, if there is one";
    let config = Arg::new("config").long("config").value_name("FILE").help(help).hide_default_value(true);
    let has_file = Path::new(CONFIG_FILE).is_file();
    let config = if has_file { config.default_value(CONFIG_FILE) } else { config };
    let settings = SETTINGS.iter().filter(|setting| is_used(setting));
    let settings = settings.filter_map(|setting| Some(argument(setting, setting.flag?)));
    command.arg(config.env("PILLION_CONFIG")).next_help_heading("Settings").args(settings)
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
        Kind::Duration | Kind::DurationOrZero => argument.value_name("TIME"),
        Kind::Bytes | Kind::Count | Kind::Number => argument.value_name("NUMBER"),
        Kind::Text | Kind::Secret | Kind::Texts | Kind::Map => argument.value_name("VALUE"),
    }
}

/// Writes to the standard output. A reader that has seen enough, such as `head`, is no error.
fn write_out(bytes: &[u8]) -> Result<(), String> {
    match std::io::stdout().write_all(bytes) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("error: standard output: {error}")),
        _ => Ok(()),
    }
}

/// An address that does not exist, for commands that do without the upstream.
const NO_UPSTREAM: &[(&str, &str)] = &[("upstream.url", "http://upstream.invalid")];

/// Is there an upstream, by a flag, a variable or the configuration file?
fn has_upstream(arguments: &ArgMatches) -> bool {
    text_of("upstream.url", config_file(arguments), &|setting| flag_of(arguments, setting)).is_some()
}

/// The metadata folder that the arguments, the environment or the configuration file name.
fn metadata_folder(arguments: &ArgMatches) -> Result<PathBuf, String> {
    let folder = text_of("metadata.folder", config_file(arguments), &|setting| flag_of(arguments, setting));
    let folder = folder.filter(|folder| !folder.is_empty());
    folder
        .map(Into::into)
        .ok_or_else(|| "error: no metadata folder is given: --metadata FOLDER, or PILLION_METADATA".to_owned())
}

/// Reads the configuration that the arguments, the environment and the files make.
fn load_from(arguments: &ArgMatches, assumed: &[(&str, &str)]) -> Result<Loaded, Vec<Diagnostic>> {
    let mut loaded = load(config_file(arguments), &|setting| flag_of(arguments, setting), assumed)?;
    let enforcement = loaded.settings.documents.only;
    let lost = lost_features(&loaded.schema, &loaded.documents, &loaded.trusted, enforcement);
    loaded.warnings.extend(lost);
    Ok(loaded)
}

/// Where the configuration comes from, to load it in other ways.
fn source_of(arguments: &ArgMatches) -> ConfigurationSource {
    let flags = SETTINGS.iter().filter_map(|setting| Some((setting.key, flag_of(arguments, setting)?)));
    ConfigurationSource { file: config_file(arguments).map(Path::to_path_buf), flags: flags.collect() }
}

fn config_file(arguments: &ArgMatches) -> Option<&Path> {
    arguments.get_one::<String>("config").map(Path::new)
}

fn flag_of(arguments: &ArgMatches, setting: &Setting) -> Option<Vec<String>> {
    setting.flag?;
    // A command has the flags of those settings only that it uses.
    Some(arguments.try_get_many::<String>(setting.key).ok()??.cloned().collect())
}

/// Probes the upstream once.
///
/// # Errors
/// Its URL, and why it is of no use.
async fn probe_upstream(services: &Services) -> Result<(), String> {
    upstream_health_check::probe(services).await;
    let url = services.configured().settings.upstream.url();
    services.health.readiness.check().map_err(|reason| format!("upstream {url}: {reason}"))
}

/// All errors, for a person.
fn report<'d>(diagnostics: impl IntoIterator<Item = &'d Diagnostic>) -> String {
    let has_colours = has_colours();
    let diagnostics = diagnostics.into_iter();
    let rendered: Vec<String> = diagnostics.map(|diagnostic| diagnostic.render(has_colours)).collect();
    rendered.join("\n\n")
}

/// Both streams must be a terminal, as a report may go to either, and `NO_COLOR` not set: <https://no-color.org>.
fn has_colours() -> bool {
    let is_off = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !is_off && std::io::stdout().is_terminal() && std::io::stderr().is_terminal()
}

fn role_argument() -> Arg {
    Arg::new("role").long("role").value_name("ROLE").default_value("admin").help("As which role sees it")
}

fn header_argument() -> Arg {
    let help = "A header that the caller sends; may be given several times";
    Arg::new("header").long("header").short('H').value_name("NAME: VALUE").action(ArgAction::Append).help(help)
}

/// The headers of `--header`, and the role's.
fn headers_of(arguments: &ArgMatches) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for text in arguments.get_many::<String>("header").into_iter().flatten() {
        // The text itself is not repeated: it may hold a password.
        let (name, value) = header_of(text).ok_or("error: --header: this is not a header; write 'name: value'")?;
        headers.append(name, value);
    }
    let role = arguments.get_one::<String>("role").map_or("admin", String::as_str);
    let role = HeaderValue::try_from(role).map_err(|_| "error: --role: this cannot be a role")?;
    headers.insert(HeaderName::from_static("x-hasura-role"), role);
    Ok(headers)
}

/// `name: value`.
fn header_of(text: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once(':')?;
    Some((HeaderName::try_from(name.trim()).ok()?, HeaderValue::try_from(value.trim()).ok()?))
}

/// Runs a future that sends requests.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T, String> {
    crate::install_tls_provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map(|runtime| runtime.block_on(future)).map_err(|error| format!("error: {error}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::command().debug_assert();
    }
}
