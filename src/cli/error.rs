//! `pillion error`: explains the code of an error.

use clap::{Arg, ArgMatches, Command};

use crate::cli::write_out;
use crate::graphql::suggestions::did_you_mean;
use crate::model::error_code::{ERROR_CODES, ErrorCode};

/// The command.
#[must_use]
pub(crate) fn command() -> Command {
    let code =
        Arg::new("code").value_name("CODE").help("The code, such as validation-failed; without it all are listed");
    Command::new("error").about("Explains a code of errors: meaning, cause, and what to do.").arg(code)
}

/// Explains the code, or lists all of them.
///
/// # Errors
/// There is no such code.
pub(crate) fn run(arguments: &ArgMatches) -> Result<(), String> {
    let Some(code) = arguments.get_one::<String>("code") else {
        let lines: Vec<String> =
            ERROR_CODES.iter().map(|known| format!("{:<28}{}\n", known.code, known.meaning)).collect();
        return write_out(lines.concat().as_bytes());
    };
    let Some(ErrorCode { code, meaning, cause, help }) = ERROR_CODES.iter().find(|known| known.code == code) else {
        let suggestion = did_you_mean(code, ERROR_CODES.iter().map(|known| known.code));
        return Err(format!(
            "error: Pillion makes no errors with the code \"{code}\".{suggestion}\n  = help: pillion error lists its codes; \
             others are the handler's or the upstream's"
        ));
    };
    write_out(format!("{code}: {meaning}\n  cause: {cause}\n  help:  {help}\n").as_bytes())
}
