//! The arguments of `pillion actions`.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::cli::codegen::arguments_after_edit;
use crate::cli::{SCHEMA_SETTINGS, report, with_settings};
use crate::edits::create::{HeaderValue, NewAction, NewHeader};
use crate::edits::signature::{FieldSignature, parse_signature};
use crate::model::source::Diagnostic;

/// `actions` for the command line.
#[must_use]
pub(crate) fn command() -> Command {
    let format = option("format", "FORMAT", "Output format").value_parser(["text", "json"]).default_value("text");
    let roles = || Arg::new("role").value_name("ROLE").required(true).num_args(1..).help("Roles");
    Command::new("actions")
        .about("Lists, shows, creates, renames and removes actions, and grants permissions.")
        .long_about(
            "Lists, shows, creates, renames and removes actions, and grants permissions. The files of the metadata folder and \
             pillion.yaml are edited in place: comments, blank lines, order and formatting of everything else stay. Each edit \
             is checked as `pillion check --offline` does before anything is written, and its diff is printed.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(local(Command::new("list").about("Lists all actions.").arg(format.clone())))
        .subcommand(local(
            Command::new("show").about("Shows an action: definition, types, handler, permissions.").arg(name()).arg(format),
        ))
        .subcommand(create())
        .subcommand(derive())
        .subcommand(edit("rename", "Renames an action in all files.").arg(
            Arg::new("new").value_name("NEW").required(true).help("Its new name"),
        ))
        .subcommand(edit("remove", "Removes an action, and the types that only it uses.").arg(
            Arg::new("keep-types").long("keep-types").action(ArgAction::SetTrue).help("Leave its types in actions.graphql"),
        ))
        .subcommand(edit("permit", "Lets roles call an action.").arg(roles()))
        .subcommand(edit("forbid", "Withdraws the permission of roles to call an action.").arg(roles()))
}

fn create() -> Command {
    let signature = "The field: 'query quote(to: String!): Quote', or mutation";
    let types = "SDL of a type that it uses: 'type Quote { price: Float! }'; may be given several times";
    let command = edit("create", "Creates an action.")
        .arg(Arg::new("signature").value_name("SIGNATURE").required(true).help(signature))
        .arg(option("type", "SDL", types).action(ArgAction::Append));
    definition(command)
}

fn derive() -> Command {
    let about = "Creates an action with the arguments and the output of an operation of the upstream.";
    let schema = "The schema, SDL or introspection result, instead of asking the upstream";
    let command = Command::new("derive")
        .about(about)
        .long_about(
            "Creates an action with the arguments and the output of an operation of the upstream. The variables of the operation \
             become its arguments; without any, those of its root field do. Input objects and enums are copied under names of \
             their own, and what is selected becomes object types.",
        )
        .arg(Arg::new("operation").value_name("OPERATION").required(true).help("'mutation ($name: String!) { … }'"))
        .arg(name())
        .arg(option("schema", "FILE", schema))
        .arg(option("as", "ROLE", "As which role the upstream is asked").default_value("admin"))
        .arg(
            Arg::new("upstream-header")
                .long("upstream-header")
                .value_name("NAME: VALUE")
                .action(ArgAction::Append)
                .help("A header to ask the upstream with; may be given several times"),
        );
    let command = definition(command.arg(dry_run()));
    with_settings(command, SCHEMA_SETTINGS)
}

/// The arguments that say how an action is called, and by whom.
fn definition(command: Command) -> Command {
    command
        .arg(option("handler", "URL", "The handler's address, also with {{NAME}} for a variable").required(true))
        .arg(
            option("kind", "KIND", "Asynchronous ones return an id at once")
                .value_parser(["synchronous", "asynchronous"]),
        )
        .arg(
            option("role", "ROLE", "A role that may call it; may be given several times. Default: admin only")
                .action(ArgAction::Append),
        )
        .arg(
            option("header", "NAME: VALUE", "A header that its handler gets; may be given several times")
                .action(ArgAction::Append),
        )
        .arg(
            option("header-from-env", "NAME=VARIABLE", "The same with the value of a variable")
                .action(ArgAction::Append),
        )
        .arg(
            Arg::new("forward-client-headers")
                .long("forward-client-headers")
                .action(ArgAction::SetTrue)
                .help("Send the client's headers on to its handler"),
        )
        .arg(
            option("timeout", "SECONDS", "How long its handler may take. Default: 30")
                .value_parser(value_parser!(u64).range(1..)),
        )
        .arg(option("comment", "TEXT", "Its description"))
        .args(arguments_after_edit())
}

/// A command that edits the action of its first argument.
fn edit(command: &'static str, about: &'static str) -> Command {
    local(Command::new(command).about(about).arg(name()).arg(dry_run()))
}

/// Only the files matter.
fn local(command: Command) -> Command {
    with_settings(command, &["metadata.folder"])
}

fn name() -> Arg {
    Arg::new("name").value_name("NAME").required(true).help("The action's name")
}

fn dry_run() -> Arg {
    Arg::new("dry-run").long("dry-run").action(ArgAction::SetTrue).help("Print the diff, and write nothing")
}

fn option(name: &'static str, kind: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(kind).help(help)
}

/// The value of an argument; empty without one.
pub(super) fn text<'a>(arguments: &'a ArgMatches, name: &str) -> &'a str {
    arguments.get_one::<String>(name).map_or("", String::as_str)
}

/// All values of an argument.
pub(super) fn texts(arguments: &ArgMatches, name: &str) -> Vec<String> {
    arguments.get_many::<String>(name).into_iter().flatten().cloned().collect()
}

/// The action that `create` is given.
pub(super) fn new_action(arguments: &ArgMatches) -> Result<NewAction, String> {
    let failed = |diagnostic: Diagnostic| report(&[diagnostic]);
    let (name, signature) = (text(arguments, "name"), text(arguments, "signature"));
    let signature = parse_signature(signature).map_err(failed)?;
    if signature.name != name {
        let message = format!("the signature is one of \"{}\", and the action is called \"{name}\"", signature.name);
        return Err(failed(Diagnostic::error(None, message, "give both the same name")));
    }
    defined(arguments, signature, texts(arguments, "type").join("\n\n"))
}

/// An action with this signature and these types, defined by the arguments.
pub(super) fn defined(arguments: &ArgMatches, signature: FieldSignature, types: String) -> Result<NewAction, String> {
    let mut headers = Vec::new();
    for header in texts(arguments, "header") {
        // The text itself is not repeated: it may hold a password.
        let (name, value) =
            header.split_once(':').ok_or("error: --header: this is not a header; write 'name: value'")?;
        headers.push(NewHeader { name: name.trim().to_owned(), value: HeaderValue::Text(value.trim().to_owned()) });
    }
    for header in texts(arguments, "header-from-env") {
        let parts = header.split_once('=').filter(|(name, variable)| !name.is_empty() && !variable.is_empty());
        let (name, variable) = parts.ok_or("error: --header-from-env: write name=VARIABLE")?;
        headers.push(NewHeader { name: name.to_owned(), value: HeaderValue::FromEnvironment(variable.to_owned()) });
    }
    Ok(NewAction {
        signature,
        types,
        handler: text(arguments, "handler").to_owned(),
        is_async: text(arguments, "kind") == "asynchronous",
        forward_client_headers: arguments.get_flag("forward-client-headers"),
        headers,
        timeout: arguments.get_one::<u64>("timeout").copied(),
        roles: texts(arguments, "role"),
        comment: arguments.get_one::<String>("comment").cloned(),
    })
}

/// What else is to be known of a new action.
pub(super) fn notes(action: &NewAction) -> Vec<String> {
    let mut notes = Vec::new();
    if action.roles.is_empty() {
        let name = &action.signature.name;
        notes.push(format!("only admin may call it: `pillion actions permit {name} ROLE` lets others"));
    }
    for header in &action.headers {
        if let HeaderValue::FromEnvironment(variable) = &header.value {
            notes.push(format!("set {variable}: the header {}", header.name));
        }
    }
    notes
}
