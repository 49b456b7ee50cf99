//! Warnings of environment variables that begin with `PILLION_` and mean nothing here: a misspelt setting.

use std::collections::HashSet;

use crate::config::settings_table::SETTINGS;
use crate::graphql::suggestions::did_you_mean;
use crate::model::source::Diagnostic;

const PREFIX: &str = "PILLION_";

/// Variables that are no settings: the configuration file, and the failure points of tests.
const OTHERS: [&str; 2] = ["PILLION_CONFIG", "PILLION_FAILPOINTS"];

/// A warning for each of these variables that no setting has. Handlers and headers may refer to variables of any name:
/// those that were `looked_up` are known.
#[must_use]
pub fn warnings(names: &[String], looked_up: &HashSet<String>) -> Vec<Diagnostic> {
    let known = || SETTINGS.iter().flat_map(|setting| setting.env).copied().chain(OTHERS);
    let is_known = |name: &str| {
        // A secret may be mounted as a file: NAME_FILE for NAME.
        let own = name.strip_suffix("_FILE").unwrap_or(name);
        known().any(|known| known == name || known == own) || looked_up.contains(name) || looked_up.contains(own)
    };
    let mut unknown: Vec<&String> =
        names.iter().filter(|name| name.starts_with(PREFIX) && !is_known(name) && !is_of_kubernetes(name)).collect();
    unknown.sort();
    let warning = |name: &String| {
        let suggestion = did_you_mean(name, known().filter(|known| known.starts_with(PREFIX)));
        let stop = if suggestion.is_empty() { "" } else { "." };
        let message = format!("the variable {name} is not known here, and has no effect{stop}{suggestion}");
        Diagnostic::warning(None, message, "correct or remove it; pillion serve --help lists all variables")
    };
    unknown.into_iter().map(warning).collect()
}

/// Kubernetes sets such variables in all containers beside a service whose name begins with `pillion`:
/// <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>
fn is_of_kubernetes(name: &str) -> bool {
    let words: Vec<&str> = name.split('_').collect();
    let is_number = |word: &&str| word.bytes().all(|byte| byte.is_ascii_digit());
    let is_port = |rest: &[&str]| match rest {
        [] => true,
        [number, "TCP" | "UDP" | "SCTP"] | [number, "TCP" | "UDP" | "SCTP", "PROTO" | "PORT" | "ADDR"] => {
            is_number(number)
        }
        _ => false,
    };
    (1..words.len()).any(|at| match words.split_at(at).1 {
        ["SERVICE", "HOST"] | ["SERVICE", "PORT", ..] => true,
        ["PORT", rest @ ..] => is_port(rest),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_variables_are_named() {
        let names = [
            "PATH",
            "PILLION_UPSTREAM",
            "PILLION_ADMIN_SECRET_FILE",
            "PILLION_CONFIG",
            "PILLION_QUOTE_TOKEN",
            "PILLION_SERVICE_HOST",
            "PILLION_SERVICE_PORT_HTTP",
            "PILLION_SERVICE_NAME",
            "PILLION_ADMIN_PORT_8001_TCP_ADDR",
            "PILLION_PORT",
            "PILLION_UPSTREAMS",
            "PILLION_HANDLER_TIMEOUT",
        ];
        let looked_up = HashSet::from(["PILLION_QUOTE_TOKEN".to_owned()]);
        let found = warnings(&names.map(str::to_owned), &looked_up);
        let messages: Vec<&str> = found.iter().map(|found| found.message.as_str()).collect();
        let [handler, upstreams] = messages.as_slice() else { panic!("{messages:?}") };
        assert!(handler.starts_with("the variable PILLION_HANDLER_TIMEOUT is not known here"), "{handler}");
        assert!(upstreams.contains("Did you mean \"PILLION_UPSTREAM\""), "{upstreams}");
    }
}
