//! `pillion health`: the health check of the instance on this machine, for containers that have no HTTP client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cli::{config_file, flag_of};
use crate::config::load::text_of;
use crate::server::listener::reachable;

/// Timeout of the health check.
const PATIENCE: Duration = Duration::from_secs(2);

/// The command.
#[must_use]
pub(crate) fn command() -> Command {
    let ready = Arg::new("ready").long("ready").action(ArgAction::SetTrue);
    let verbose = Arg::new("verbose").long("verbose").action(ArgAction::SetTrue);
    Command::new("health")
        .about("Asks the Pillion that runs here whether it is alive.")
        .arg(ready.help("Ask whether it is ready for requests instead"))
        .arg(verbose.help("Ask whether it is ready, and for the details; sends admin.token"))
}

/// Runs the health check.
///
/// # Errors
/// What the instance reports, or why it cannot be reached.
pub(crate) fn run(arguments: &ArgMatches) -> Result<(), String> {
    // Nothing else of the configuration counts: the running instance may use an older one.
    let setting = |key: &str| text_of(key, config_file(arguments), &|setting| flag_of(arguments, setting));
    let text = setting("admin_listen");
    let address = text.and_then(|text| text.parse().ok()).ok_or("error: admin_listen: this is not an address")?;
    let is_verbose = arguments.get_flag("verbose");
    let path = match (arguments.get_flag("ready"), is_verbose) {
        (_, true) => "/readyz?verbose",
        (true, false) => "/readyz",
        (false, false) => "/healthz",
    };
    let is_sendable = |token: &String| token.bytes().all(|byte| byte.is_ascii_graphic());
    let token = if is_verbose { setting("admin.token").filter(is_sendable) } else { None };
    let address = reachable(address);
    let unreachable =
        |error| format!("error: no response from Pillion at http://{address}{path} (admin_listen): {error}");
    let response = get(address, path, token.as_deref()).map_err(unreachable)?;
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or_default();
    let is_good = head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.0 200");
    if is_good {
        print!("{body}");
        return Ok(());
    }
    Err(format!("error: {}", body.trim_end()))
}

fn get(address: SocketAddr, path: &str, token: Option<&str>) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n{token}Connection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.take(RESPONSE_BYTES_MAX).read_to_string(&mut response)?;
    Ok(response)
}

/// Bytes of the response that are read.
const RESPONSE_BYTES_MAX: u64 = 64 * 1024;
