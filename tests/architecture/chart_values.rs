//! Generates the schema of the Helm chart's values and the table in its README from `values.yaml` and the table of settings.

use pillion_test_support::yaml;
use serde_json::{Map, Value, json};

use super::{assert_committed, read};

const CHART: &str = "config/kubernetes/chart";

/// One key of `values.yaml`, with its path and the comment above it.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    path: Vec<String>,
    doc: String,
    /// What a `@schema` line adds to the schema of the default value.
    schema: Map<String, Value>,
}

#[test]
fn the_schema_of_the_chart_equals_its_values_and_the_settings_table() {
    assert_committed(&format!("{CHART}/values.schema.json"), &values_schema());
}

#[test]
fn the_readme_of_the_chart_lists_its_values() {
    let file = format!("{CHART}/README.md");
    let readme = read(&file);
    let (before, rest) = readme.split_once(TABLE_START).expect("the start of the table");
    let (_, after) = rest.split_once(TABLE_END).expect("the end of the table");
    assert_committed(&file, &format!("{before}{TABLE_START}{}{TABLE_END}{after}", values_table()));
}

#[test]
fn the_manual_lists_the_values_of_the_chart() {
    let page = format!(
        "# Chart values\n\n{TABLE_START}\nThe Helm chart is described in [Kubernetes](../how-to/deployment.md). These are its values.\n\n{}",
        values_table()
    );
    assert_committed("docs/reference/chart.md", &page);
}

/// Helm reads only files of the chart's folder.
#[test]
fn the_chart_has_the_dashboard_and_the_rules() {
    for name in ["pillion.json", "rules.yaml"] {
        assert_committed(&format!("{CHART}/files/{name}"), &read(format!("dashboards/{name}")));
    }
}

const TABLE_START: &str = "<!-- Generated from values.yaml: UPDATE_EXPECT=1 cargo test --test architecture -->\n";
const TABLE_END: &str = "<!-- End of the generated part -->\n";

fn values() -> (Value, Vec<Entry>) {
    let text = read(format!("{CHART}/values.yaml"));
    (yaml::read(&text).expect("YAML"), entries(&text))
}

/// All keys, groups included, in the order of the file. A value stands on the line of its key.
fn entries(text: &str) -> Vec<Entry> {
    let (mut found, mut open, mut doc, mut schema) = (Vec::new(), Vec::<String>::new(), Vec::new(), Map::new());
    for line in text.lines() {
        let trimmed = line.trim_start();
        if let Some(comment) = trimmed.strip_prefix('#') {
            match comment.trim().strip_prefix("@schema ") {
                Some(json) => schema = serde_json::from_str(json).expect("a schema"),
                None => doc.push(comment.trim()),
            }
        } else if let Some((key, _)) = trimmed.split_once(':') {
            open.truncate((line.len() - trimmed.len()) / 2);
            open.push(key.to_owned());
            let entry = Entry { path: open.clone(), doc: doc.join(" "), schema: std::mem::take(&mut schema) };
            found.push(entry);
            doc.clear();
        } else {
            doc.clear();
        }
    }
    found
}

/// The default of a key, and whether keys of the file stand below it.
fn default_of<'v>(values: &'v Value, entry: &Entry) -> &'v Value {
    entry.path.iter().fold(values, |value, key| &value[key])
}

fn is_group(entries: &[Entry], entry: &Entry) -> bool {
    entries.iter().any(|other| other.path.len() > entry.path.len() && other.path.starts_with(&entry.path))
}

fn values_schema() -> String {
    let (values, entries) = values();
    // Of a chart that has this one as a dependency.
    let mut properties = Map::from_iter([("global".to_owned(), json!({ "type": "object" }))]);
    for entry in &entries {
        let default = default_of(&values, entry);
        let mut schema = implied_by(default, is_group(&entries, entry) && !is_open(entry));
        if entry.path.last().is_some_and(|key| has_texts(key)) {
            schema.insert("additionalProperties".into(), json!({ "type": "string" }));
        }
        if !entry.doc.is_empty() {
            schema.insert("description".into(), entry.doc.clone().into());
        }
        schema.extend(entry.schema.clone());
        insert(&mut properties, &entry.path, Value::Object(schema));
    }
    let mut config: Map<String, Value> =
        serde_json::from_str(&pillion::config::settings_doc::json_schema()).expect("JSON");
    config.remove("$schema");
    let definitions = config.remove("$defs");
    properties.insert("config".into(), Value::Object(config));
    let mut schema = json!({
        // The newest that Helm 3 reads.
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart pillion",
        "type": "object",
        "additionalProperties": false,
        "properties": properties
    });
    if let (Some(definitions), Value::Object(schema)) = (definitions, &mut schema) {
        schema.insert("$defs".into(), definitions);
    }
    format!("{schema:#}\n")
}

/// Groups that Kubernetes defines: their keys are not the chart's.
fn is_open(entry: &Entry) -> bool {
    let names = ["resources", "podSecurityContext", "securityContext"];
    entry.path.first().is_some_and(|name| names.contains(&name.as_str()))
}

/// Maps of Kubernetes whose values are strings.
fn has_texts(key: &str) -> bool {
    key == "nodeSelector" || ["labels", "annotations"].iter().any(|name| key.to_lowercase().ends_with(name))
}

fn implied_by(default: &Value, is_closed: bool) -> Map<String, Value> {
    let name = match default {
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        _ => "object",
    };
    let mut schema = Map::from_iter([("type".to_owned(), json!(name))]);
    if is_closed {
        schema.insert("additionalProperties".into(), json!(false));
        schema.insert("properties".into(), json!({}));
    }
    schema
}

fn insert(properties: &mut Map<String, Value>, path: &[String], schema: Value) {
    match path {
        [] => {}
        [name] => drop(properties.insert(name.clone(), schema)),
        [group, rest @ ..] => {
            if let Some(Value::Object(members)) =
                properties.get_mut(group).and_then(|group| group.get_mut("properties"))
            {
                insert(members, rest, schema);
            }
        }
    }
}

/// The values as a table: key, default, description. What groups say stands in the row of the group.
fn values_table() -> String {
    let (values, entries) = values();
    let mut table = String::from("\n| value | default | description |\n|---|---|---|\n");
    let is_inside_an_open_group = |entry: &Entry| entry.path.len() > 1 && is_open(entry);
    for entry in entries.iter().filter(|entry| !is_inside_an_open_group(entry)) {
        let is_group = is_group(&entries, entry) && !is_open(entry);
        let name = entry.path.join(".");
        assert!(is_group || !entry.doc.is_empty(), "values.yaml does not say what {name} is");
        if is_group && entry.doc.is_empty() {
            continue;
        }
        let default = if is_group { String::new() } else { format!("`{}`", default_of(&values, entry)) };
        let doc = entry.doc.replace('|', "\\|");
        let allowed: Vec<&str> = entry
            .schema
            .get("enum")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let allowed = if allowed.is_empty() { String::new() } else { format!("One of {}. ", allowed.join(", ")) };
        table.push_str(&format!("| `{name}` | {default} | {} |\n", format!("{allowed}{doc}").trim()));
    }
    table.push('\n');
    table
}

#[test]
fn entries_have_the_comment_above_them() {
    let text = "# About all.\n\n# Of a,\n# in two lines.\na: 1\n\n# Group.\nb:\n  # @schema {\"minimum\": 1}\n  c: 2\n  d: []\n";
    let entry = |path: &[&str], doc: &str, schema: Value| Entry {
        path: path.iter().map(|key| (*key).to_owned()).collect(),
        doc: doc.to_owned(),
        schema: schema.as_object().cloned().expect("an object"),
    };
    let wanted = [
        entry(&["a"], "Of a, in two lines.", json!({})),
        entry(&["b"], "Group.", json!({})),
        entry(&["b", "c"], "", json!({ "minimum": 1 })),
        entry(&["b", "d"], "", json!({})),
    ];
    assert_eq!(entries(text), wanted);
}
