//! The check list of `pillion doctor`: an item for each thing that Pillion needs, made of what `pillion check` has found and of
//! the facts of this machine. Pure: what is looked at is looked at before.

use serde_json::{Value, json};

use crate::check::Findings;
use crate::check::probe::{Failure, Step};
use crate::check::target::{Target, TargetResult};
use crate::doctor::facts::{Facts, checked_facts};
use crate::doctor::item::{Area, Item, Status};
use crate::model::source::{Diagnostic, Severity};

/// The list of what `check` has found and of the facts, which are missing if the configuration has errors.
pub(crate) fn check_list(findings: &Findings, facts: Option<&Facts>) -> Vec<Item> {
    let mut items = of_files(findings, facts);
    let Some(facts) = facts else {
        let found = "not looked at: the configuration has errors, which come first";
        items.push(Item::new(Area::Upstream, Status::Warned, found, "correct them, and run pillion doctor again"));
        return items;
    };
    let is_upstream = |target: &&Target| area_of(target) == Area::Upstream;
    items.extend(findings.targets.iter().filter(is_upstream).map(of_target));
    let is_known =
        findings.targets.iter().filter(is_upstream).any(|target| matches!(target.result, TargetResult::Passed(_)));
    if is_known {
        items.extend(of_diagnostics(Area::Schema, &findings.schema, || {
            "the actions go with the upstream's schema".into()
        }));
    }
    items.extend(findings.targets.iter().filter(|target| !is_upstream(target)).map(of_target));
    items.extend(checked_facts(facts));
    items
}

/// The list for programs.
pub(crate) fn as_json(items: &[Item]) -> Value {
    let count = |status| items.iter().filter(|item| item.status == status).count();
    let checks: Vec<Value> = items.iter().map(Item::json).collect();
    json!({ "failed": count(Status::Failed), "warnings": count(Status::Warned), "checks": checks })
}

/// Configuration, variables and files: an item for each thing that is wrong, and one if nothing is.
fn of_files(findings: &Findings, facts: Option<&Facts>) -> Vec<Item> {
    let (variables, others): (Vec<&Diagnostic>, Vec<&Diagnostic>) =
        findings.files.iter().partition(|found| is_about_variable(found));
    let (files, configuration): (Vec<&Diagnostic>, Vec<&Diagnostic>) =
        others.into_iter().partition(|found| is_about_metadata(found));
    let described = |text: fn(&Facts) -> String| facts.map_or_else(|| "nothing is wrong".to_owned(), text);
    let mut items = of_diagnostics(Area::Configuration, configuration, || described(Facts::configuration));
    items.extend(of_diagnostics(Area::Variables, variables, || "all that are named are set".to_owned()));
    items.extend(of_diagnostics(Area::Files, files, || described(Facts::files)));
    items
}

fn of_diagnostics<'d>(
    area: Area,
    diagnostics: impl IntoIterator<Item = &'d Diagnostic>,
    nothing: impl FnOnce() -> String,
) -> Vec<Item> {
    let items: Vec<Item> = diagnostics
        .into_iter()
        .map(|found| {
            let status = if found.severity == Severity::Error { Status::Failed } else { Status::Warned };
            let place = found.place.as_ref();
            let place = place.map(|place| format!("{}:{}:{}: ", place.source.name, place.line, place.column));
            Item::new(area, status, format!("{}{}", place.unwrap_or_default(), found.message), found.help.clone())
        })
        .collect();
    if items.is_empty() { vec![Item::passed(area, nothing())] } else { items }
}

fn is_about_variable(found: &Diagnostic) -> bool {
    let message = &found.message;
    message.contains("variable ") && (message.contains(" is not set") || message.contains(" is not known here"))
}

/// Is it in one of the files of the metadata folder?
fn is_about_metadata(found: &Diagnostic) -> bool {
    let name = found.place.as_ref().map(|place| place.source.name.as_str()).unwrap_or_default();
    let is_action = found.message.contains("action '") || found.message.contains("the type '");
    name.ends_with(".graphql") || name.contains("actions") || found.message.contains("metadata folder") || is_action
}

fn of_target(target: &Target) -> Item {
    let area = area_of(target);
    let name = if target.name.is_empty() { String::new() } else { format!("{}: ", target.name) };
    match &target.result {
        TargetResult::Passed(steps) => {
            let steps: Vec<String> = steps.iter().map(Step::to_string).collect();
            Item::passed(area, format!("{name}{}", steps.join(", ")))
        }
        TargetResult::Failed(failure) | TargetResult::Unreached(failure) => {
            Item::new(area, Status::Failed, format!("{name}{failure}"), help_for(area, failure))
        }
        TargetResult::NotChecked(reason) if area == Area::Upstream => {
            Item::new(area, Status::Failed, format!("{name}{reason}"), "give its URL: --upstream, or upstream.url")
        }
        TargetResult::NotChecked(reason) => {
            Item::new(area, Status::Warned, format!("{name}{reason}"), "look at it where it runs")
        }
        TargetResult::NotAsked(reason) => Item::new(area, Status::Warned, format!("{name}{reason}"), ""),
    }
}

/// The area of what `check` has looked at.
fn area_of(target: &Target) -> Area {
    match target.kind {
        "upstream" => Area::Upstream,
        "JWKS" => Area::Jwks,
        "auth hook" => Area::AuthHook,
        "Redis" => Area::Redis,
        "PostgreSQL" => Area::Postgres,
        _ => Area::Handlers,
    }
}

/// What to do about a step that failed.
fn help_for(area: Area, failure: &Failure) -> String {
    let setting = match area {
        Area::Upstream => "upstream.url",
        Area::Jwks => "auth.jwt.jwk_url",
        Area::AuthHook => "auth.hook",
        Area::Redis => "redis.url",
        Area::Postgres => "the database's URL",
        _ => "the handler's URL",
    };
    match failure.step {
        Step::Dns => format!("correct the host in {setting}, or the DNS of this machine"),
        Step::Tcp => format!("start it, correct {setting}, or let the connection through the firewall"),
        Step::Tls => match area {
            Area::Upstream => "name its CA by upstream.tls_ca_file, or give it a certificate for this host".to_owned(),
            _ => "name its CA by handlers.tls_ca_file, or give it a certificate for this host".to_owned(),
        },
        Step::Http => format!("what listens there does not speak HTTP: correct {setting}"),
        Step::Graphql => "correct upstream.graphql_path, or the credential that the upstream wants".to_owned(),
        Step::Jwks => format!("{setting} must give a JWK set"),
        Step::Redis => format!("correct {setting} and its password"),
        Step::Postgres => format!("correct {setting}, its user and its password"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_area_has_a_section_of_the_manual() {
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/how-to/doctor.md")).expect("the page");
        for area in Area::ALL {
            let heading = format!("\n## {}\n", area.name());
            assert!(page.contains(&heading), "docs/how-to/doctor.md has no section \"{}\"", area.name());
        }
    }

    #[test]
    fn targets_become_items_with_help() {
        let failure = |step| Failure { step, address: "shop:443".into(), reason: "no".into() };
        let failed = Target::unreached("upstream", "https://shop", failure(Step::Tls));
        let item = of_target(&failed);
        assert_eq!((item.area, item.status), (Area::Upstream, Status::Failed));
        assert_eq!(item.found, "https://shop: TLS: shop:443: no");
        assert!(item.help.contains("upstream.tls_ca_file"), "{}", item.help);
        let item = of_target(&Target::new("handler", "shop:80", Ok(vec![Step::Dns, Step::Tcp])));
        assert_eq!(item, Item::passed(Area::Handlers, "shop:80: DNS, TCP"));
        let item = of_target(&Target::not_checked("handler", "action 'a'", "the request decides"));
        assert_eq!((item.status, item.found.as_str()), (Status::Warned, "action 'a': the request decides"));
        let item = of_target(&Target::not_checked("upstream", "", "none is configured"));
        assert_eq!((item.status, item.found.as_str()), (Status::Failed, "none is configured"));
    }

    #[test]
    fn diagnostics_are_sorted_by_what_they_are_about() {
        let error = |message: &str| Diagnostic::error(None, message.to_owned(), "help");
        let files = vec![
            error("the environment variable A is not set"),
            Diagnostic::warning(None, "the variable PILLION_X is not known here, and has no effect".to_owned(), ""),
            error("listen: this is not an address"),
            error("the metadata folder x does not exist"),
        ];
        let items = of_files(&Findings { files, ..Findings::default() }, None);
        let areas: Vec<(Area, Status)> = items.iter().map(|item| (item.area, item.status)).collect();
        assert_eq!(
            areas,
            [
                (Area::Configuration, Status::Failed),
                (Area::Variables, Status::Failed),
                (Area::Variables, Status::Warned),
                (Area::Files, Status::Failed)
            ]
        );
    }
}
