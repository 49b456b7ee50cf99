//! `pillion doctor`: a check list of all that Pillion needs: configuration, upstream, handlers, stores, clock and limits, each
//! with what was found, what to do, and the page of the manual.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};

use crate::cli::{NO_UPSTREAM, block_on, has_colours, has_upstream, load_from, source_of, write_out};
use crate::doctor;
use crate::doctor::check_list::as_json;
use crate::doctor::item::{Item, Status};

/// The command.
#[must_use]
pub(crate) fn command() -> Command {
    let format = Arg::new("format").long("format").value_parser(["text", "json"]).default_value("text");
    Command::new("doctor")
        .about("Goes through all that Pillion needs, and says what to do about what is wrong.")
        .long_about(
            "Goes through all that Pillion needs: configuration, variables, files, upstream, handlers, JWKS, auth hook, Redis, \
             PostgreSQL, job store, clock, file descriptors and memory. Run it where Pillion runs, with the same flags and \
             variables. It looks as `pillion check --all` does: nothing that it sends has an effect.\n\n\
             Exit status: 0 if nothing has failed, 1 if something has.",
        )
        .arg(format.help("Output format"))
}

/// Goes through the list and prints it.
pub(crate) fn run(arguments: &ArgMatches) -> ExitCode {
    let items = match items(arguments) {
        Ok(items) => items,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::FAILURE;
        }
    };
    let is_json = arguments.get_one::<String>("format").is_some_and(|format| format == "json");
    let text = if is_json { format!("{:#}\n", as_json(&items)) } else { rendered(&items, Style::of_terminal()) };
    if let Err(message) = write_out(text.as_bytes()) {
        eprintln!("{message}");
        return ExitCode::FAILURE;
    }
    let has_failed = items.iter().any(|item| item.status == Status::Failed);
    if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn items(arguments: &ArgMatches) -> Result<Vec<Item>, String> {
    let loaded = load_from(arguments, NO_UPSTREAM);
    block_on(doctor::items(&source_of(arguments), loaded, has_upstream(arguments)))
}

/// What the terminal can show.
#[derive(Clone, Copy)]
struct Style {
    is_unicode: bool,
    has_colours: bool,
}

impl Style {
    /// Marks beyond ASCII on terminals that say that they take UTF-8, ASCII everywhere else.
    fn of_terminal() -> Self {
        // The first of them that is set decides: https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/V1_chap08.html
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|name| std::env::var(name).ok());
        let locale = locale.map(|locale| locale.to_ascii_uppercase()).find(|locale| !locale.is_empty());
        let is_utf8 = locale.is_some_and(|locale| locale.contains("UTF-8") || locale.contains("UTF8"));
        Self { is_unicode: is_utf8 && std::io::stdout().is_terminal(), has_colours: has_colours() }
    }

    fn mark(self, status: Status) -> String {
        let mark = match (status, self.is_unicode) {
            (Status::Passed, true) => "✓",
            (Status::Failed, true) => "✗",
            (Status::Warned, true) => "!",
            (Status::Passed, false) => "[ok]",
            (Status::Failed, false) => "[x] ",
            (Status::Warned, false) => "[!] ",
        };
        let colour = match status {
            Status::Passed => 32,
            Status::Warned => 33,
            Status::Failed => 31,
        };
        if self.has_colours { format!("\x1b[{colour}m{mark}\x1b[0m") } else { mark.to_owned() }
    }
}

fn rendered(items: &[Item], style: Style) -> String {
    let mut text = String::new();
    let width = items.iter().map(|item| item.area.name().len()).max().unwrap_or(0);
    let indent = " ".repeat(width + if style.is_unicode { 4 } else { 7 });
    for item in items {
        let name = item.area.name();
        text.push_str(&format!("{} {name:width$}  {}\n", style.mark(item.status), item.found));
        if item.status != Status::Passed {
            let help = if item.help.is_empty() { String::new() } else { format!("{}\n{indent}", item.help) };
            text.push_str(&format!("{indent}{help}see {}\n", item.area.manual()));
        }
    }
    let count = |status| items.iter().filter(|item| item.status == status).count();
    let (passed, warned, failed) = (count(Status::Passed), count(Status::Warned), count(Status::Failed));
    text.push_str(&format!("\n{passed} passed, {warned} to look at, {failed} failed\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::item::Area;

    #[test]
    fn the_list_is_rendered_for_terminals_and_pipes() {
        let items = [
            Item::passed(Area::Clock, "as the upstream's"),
            Item::new(Area::Upstream, Status::Failed, "http://shop: TCP: closed", "start it"),
        ];
        let plain = rendered(&items, Style { is_unicode: false, has_colours: false });
        assert_eq!(
            plain,
            "[ok] clock     as the upstream's\n[x]  upstream  http://shop: TCP: closed\n               start it\n               \
             see docs/how-to/doctor.md#upstream\n\n1 passed, 0 to look at, 1 failed\n"
        );
        assert!(plain.is_ascii());
        let unicode = rendered(&items, Style { is_unicode: true, has_colours: true });
        assert!(
            unicode.starts_with("\x1b[32m✓\x1b[0m clock     as the upstream's\n\x1b[31m✗\x1b[0m upstream"),
            "{unicode}"
        );
    }
}
