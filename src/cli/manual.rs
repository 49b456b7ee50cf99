//! `pillion man`: manual pages, generated from the command line.

use std::path::Path;

use clap::{Arg, ArgMatches, Command};
use clap_mangen::Man;

use crate::cli::write_out;

/// The command.
#[must_use]
pub(crate) fn command() -> Command {
    let folder = Arg::new("folder").value_name("DIR").help("A folder that exists, for a page of each command");
    Command::new("man").about("Prints the manual page, or writes one for each command into a folder.").arg(folder)
}

/// Prints or writes the pages of `whole`, the command line.
///
/// # Errors
/// Why they cannot be written.
pub(crate) fn run(arguments: &ArgMatches, whole: Command) -> Result<(), String> {
    let Some(folder) = arguments.get_one::<String>("folder") else {
        let mut page = Vec::new();
        Man::new(whole).render(&mut page).map_err(|error| format!("error: {error}"))?;
        return write_out(&page);
    };
    clap_mangen::generate_to(whole, Path::new(folder)).map_err(|error| format!("error: {folder}: {error}"))
}
