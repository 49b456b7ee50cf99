//! `pillion completions`: shell completions, generated from the command line.

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::{Shell, generate};

use crate::cli::write_out;

/// The command.
#[must_use]
pub(crate) fn command() -> Command {
    let shell = Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell));
    Command::new("completions")
        .about("Prints a script that completes commands and flags in a shell.")
        .arg(shell.help("The shell that reads it"))
}

/// Prints the script for `whole`, the command line.
///
/// # Errors
/// Why it cannot be written.
pub(crate) fn run(arguments: &ArgMatches, mut whole: Command) -> Result<(), String> {
    let shell = arguments.get_one::<Shell>("shell").copied().ok_or("error: which shell?")?;
    let mut script = Vec::new();
    generate(shell, &mut whole, "pillion", &mut script);
    write_out(&script)
}
