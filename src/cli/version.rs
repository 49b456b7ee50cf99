//! `pillion version`: the version and platform of the program, as JSON for scripts.

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;

/// The command.
#[must_use]
pub(crate) fn command() -> Command {
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue);
    Command::new("version")
        .about("Prints the version.")
        .arg(json.help("As JSON: version, operating system, processor and features"))
}

/// Prints it.
pub(crate) fn run(arguments: &ArgMatches) {
    let version = env!("CARGO_PKG_VERSION");
    if !arguments.get_flag("json") {
        println!("pillion {version}");
        return;
    }
    let features: &[&str] = if cfg!(feature = "demo") { &["server", "demo"] } else { &["server"] };
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    println!("{}", json!({ "version": version, "os": os, "arch": arch, "features": features }));
}
