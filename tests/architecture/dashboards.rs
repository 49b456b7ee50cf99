//! Checks that dashboard, alerts and runbooks belong together: every panel is described, every alert has its runbook.

use std::collections::BTreeSet;

use pillion::config::settings_table::SETTINGS;
use pillion_test_support::yaml;
use serde_json::Value;

use super::{files_in, read, root};

const RUNBOOKS: &str = "docs/runbooks";

fn alerts() -> Vec<Value> {
    let rules = yaml::read(&read("dashboards/rules.yaml")).expect("YAML");
    let groups = rules.get("groups").and_then(Value::as_array).into_iter().flatten();
    let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
    rules.filter(|rule| rule["alert"].is_string()).cloned().collect()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("{value} has no {key}"))
}

#[test]
fn every_alert_has_its_runbook() {
    let alerts = alerts();
    let named: BTreeSet<String> = alerts.iter().map(|alert| text(alert, "alert").to_owned()).collect();
    assert_eq!(named.len(), alerts.len(), "an alert has a name of its own");
    let pages = files_in(&root().join(RUNBOOKS), "md").into_iter();
    let pages: BTreeSet<String> =
        pages.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).filter(|name| name != "README").collect();
    assert_eq!(named, pages, "left: alerts; right: pages of {RUNBOOKS}");
    let index = read(format!("{RUNBOOKS}/README.md"));
    for alert in &alerts {
        let (name, annotations) = (text(alert, "alert"), &alert["annotations"]);
        assert!(!text(annotations, "summary").is_empty() && !text(annotations, "description").is_empty(), "{name}");
        assert_eq!(text(annotations, "runbook_url"), format!("{RUNBOOKS}/{name}.md"));
        assert!(["critical", "warning"].contains(&text(&alert["labels"], "severity")), "{name}");
        let row = format!("| [{name}]({name}.md) | {} |", text(&alert["labels"], "severity"));
        assert!(index.contains(&row), "{RUNBOOKS}/README.md has no row {row}");
        let page = read(format!("{RUNBOOKS}/{name}.md"));
        assert!(page.starts_with(&format!("# {name}\n")), "{name}");
        for part in ["What it means", "What to look at", "What to do"] {
            assert!(page.contains(&format!("\n## {part}\n")), "{name} does not say: {part}");
        }
    }
}

/// What a page tells somebody to set has to be there.
#[test]
fn settings_in_runbooks_exist() {
    let keys: BTreeSet<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
    let groups: BTreeSet<&str> = keys.iter().filter_map(|key| Some(key.split_once('.')?.0)).collect();
    let mut named = 0;
    for page in files_in(&root().join(RUNBOOKS), "md") {
        let text = read(&page);
        for code in text.split('`').skip(1).step_by(2) {
            let is_key = code.chars().all(|c| c.is_ascii_lowercase() || "._".contains(c));
            let Some((group, _)) = code.split_once('.').filter(|_| is_key) else { continue };
            if groups.contains(group) {
                named += 1;
                assert!(keys.contains(code), "{}: there is no setting {code}", page.display());
            }
        }
    }
    assert!(named > 15, "{named}");
}

/// All panels, those in collapsed rows as well.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    let mut next: Vec<&Value> = dashboard["panels"].as_array().into_iter().flatten().collect();
    while let Some(panel) = next.pop() {
        next.extend(panel["panels"].as_array().into_iter().flatten());
        found.push(panel);
    }
    found
}

fn dashboard() -> Value {
    serde_json::from_str(&read("dashboards/pillion.json")).expect("JSON")
}

#[test]
fn every_panel_says_what_it_shows() {
    let dashboard = dashboard();
    let panels = panels(&dashboard);
    let ids: BTreeSet<u64> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "ids are unique");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = text(panel, "title");
        assert!(text(panel, "description").ends_with('.'), "{title} has no description");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            let expression = text(target, "expr");
            assert!(expression.contains("job=~\"$job\",instance=~\"$instance\""), "{title}: {expression}");
        }
    }
}

/// Panels and rows that a runbook names, in italics, are there.
#[test]
fn panels_in_runbooks_exist() {
    let dashboard = dashboard();
    let titles: BTreeSet<&str> = panels(&dashboard).iter().filter_map(|panel| panel["title"].as_str()).collect();
    let mut named = 0;
    for page in files_in(&root().join(RUNBOOKS), "md") {
        for title in read(&page).split('*').skip(1).step_by(2) {
            named += 1;
            let title = title.replace('\n', " ");
            assert!(titles.contains(title.trim()), "{}: there is no panel {title}", page.display());
        }
    }
    assert!(named > 10, "{named}");
}

/// The first look: what is wrong has a colour, everything else is folded.
#[test]
fn the_first_row_is_open_and_coloured() {
    let dashboard = dashboard();
    let top: Vec<&Value> = dashboard["panels"].as_array().into_iter().flatten().collect();
    let rows: Vec<&Value> = top.iter().copied().filter(|panel| panel["type"] == "row").collect();
    let is_collapsed: Vec<bool> = rows.iter().map(|row| row["collapsed"] == true).collect();
    assert_eq!(is_collapsed.iter().filter(|is_collapsed| !**is_collapsed).count(), 1);
    assert_eq!(is_collapsed.first(), Some(&false));
    let mut coloured = 0;
    for stat in top.iter().filter(|panel| panel["type"] == "stat") {
        let defaults = &stat["fieldConfig"]["defaults"];
        let steps = defaults["thresholds"]["steps"].as_array().map_or(0, Vec::len);
        assert!(steps >= 1, "{} would have Grafana's own thresholds", stat["title"]);
        coloured += usize::from(steps > 1);
        let is_state = stat["title"] == "Upstream" || stat["title"] == "Configuration";
        assert_eq!(is_state, defaults["mappings"].is_array(), "{}", stat["title"]);
    }
    assert!(coloured >= 6, "{coloured}");
    let kinds: BTreeSet<&str> = panels(&dashboard).iter().filter_map(|panel| panel["type"].as_str()).collect();
    assert!(["table", "heatmap", "state-timeline"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    assert!(dashboard["annotations"]["list"].as_array().is_some_and(|list| list.len() >= 3));
}
