//! Edits of metadata files and `pillion.yaml` in place.

use std::collections::BTreeSet;
use std::sync::Arc;

use apollo_compiler::Schema;
use pillion::config::actions::read_all;
use pillion::config::document::Document;
use pillion::config::sdl::{self, Signatures};
use pillion::config::yaml;
use pillion::edits::FileEdit;
use pillion::edits::create::{HeaderValue, NewAction, NewHeader, create};
use pillion::edits::derive::derive;
use pillion::edits::files::{ActionFiles, TextFile, type_names};
use pillion::edits::metadata::{MetadataTexts, edited};
use pillion::edits::permissions::{forbid, permit};
use pillion::edits::remove::remove;
use pillion::edits::rename::rename;
use pillion::edits::signature::{FieldSignature, parse_signature};
use pillion::model::source::{Diagnostic, Severity, Source};
use pillion::model::types::Types;
use serde_json::{Map, Value};
use similar::TextDiff;

/// Warnings and errors of an edit, and the diffs of the files that it changes.
pub fn edits(case: &Value) -> String {
    let files = files(&case["files"]);
    let (command, arguments) =
        case["command"].as_object().and_then(|command| command.iter().next()).expect("a command");
    let mut lines = Vec::new();
    let edits = match run(&files, command, arguments, &mut lines) {
        Ok(edits) => edits,
        Err(diagnostics) => return diagnostics.iter().map(Diagnostic::on_one_line).collect::<Vec<_>>().join("\n"),
    };
    if edits.is_empty() {
        lines.push("nothing changes".to_owned());
    }
    lines.extend(errors(&files, &edits));
    lines.extend(edits.iter().map(diff));
    lines.join("\n")
}

fn diff(edit: &FileEdit) -> String {
    let name = edit.path.display().to_string();
    let before = edit.before.as_ref().map_or("/dev/null", |_| name.as_str());
    let (old, new) = (edit.before.as_deref().unwrap_or_default().replace('\r', "␍"), edit.after.replace('\r', "␍"));
    let diff = TextDiff::from_lines(&old, &new);
    diff.unified_diff().context_radius(2).header(before, &name).to_string().trim_end().to_owned()
}

fn run(
    files: &ActionFiles,
    command: &str,
    arguments: &Value,
    lines: &mut Vec<String>,
) -> Result<Vec<FileEdit>, Vec<Diagnostic>> {
    let name = arguments["name"].as_str().unwrap_or_default();
    let roles = texts(&arguments["roles"]);
    let warned = |(edits, warnings): (Vec<FileEdit>, Vec<Diagnostic>)| {
        lines.extend(warnings.iter().map(Diagnostic::on_one_line));
        edits
    };
    match command {
        "create" => {
            let signature = parse_signature(arguments["signature"].as_str().expect("text"));
            let signature = signature.map_err(|diagnostic| vec![diagnostic])?;
            create(files, &action(signature, arguments["types"].as_str().unwrap_or_default(), arguments)).map(warned)
        }
        "derive" => {
            let schema = Schema::parse_and_validate(arguments["schema"].as_str().expect("SDL"), "schema");
            let schema = schema.unwrap_or_else(|failed| panic!("{}", failed.errors));
            let operation = arguments["operation"].as_str().expect("text");
            let derived = derive(&schema, operation, name, &type_names(files)?)?;
            create(files, &action(derived.signature, &derived.types, arguments)).map(warned)
        }
        "permit" => permit(files, name, &roles).map(warned),
        "forbid" => forbid(files, name, &roles),
        "rename" => rename(files, name, arguments["new"].as_str().expect("text")),
        "remove" => {
            let (edits, types) = remove(files, name, arguments["keep_types"] == true)?;
            lines.push(format!("types that are removed: {}", types.join(", ")));
            Ok(edits)
        }
        "document" => Ok(document(files, arguments)),
        other => panic!("unknown command {other}"),
    }
}

fn files(texts: &Value) -> ActionFiles {
    let file = |name: &str| TextFile::new(name, texts[name].as_str().map(|text| text.replace('␍', "\r")).as_deref());
    let config = texts["pillion.yaml"].is_string().then(|| file("pillion.yaml"));
    let others: Vec<&String> = texts.as_object().expect("files").keys().collect();
    let more = |ending: &str| {
        let names = others.iter().filter(|name| name.starts_with("actions/") && name.ends_with(ending));
        names.map(|name| file(name)).collect::<Vec<_>>()
    };
    ActionFiles {
        yaml: [vec![file("actions.yaml")], more(".yaml")].concat(),
        graphql: [vec![file("actions.graphql")], more(".graphql")].concat(),
        config,
        inherited_roles: vec!["manager".to_owned()],
    }
}

fn action(signature: FieldSignature, types: &str, arguments: &Value) -> NewAction {
    let header = |(name, value): (&String, &Value)| {
        let value = match value["env"].as_str() {
            Some(variable) => HeaderValue::FromEnvironment(variable.to_owned()),
            None => HeaderValue::Text(value.as_str().expect("text").to_owned()),
        };
        NewHeader { name: name.clone(), value }
    };
    NewAction {
        signature,
        types: types.to_owned(),
        handler: arguments["handler"].as_str().unwrap_or("http://handlers/new").to_owned(),
        is_async: arguments["async"] == true,
        forward_client_headers: arguments["forward"] == true,
        headers: arguments["headers"].as_object().into_iter().flatten().map(header).collect(),
        timeout: arguments["timeout"].as_u64(),
        roles: texts(&arguments["roles"]),
        comment: arguments["comment"].as_str().map(str::to_owned),
    }
}

fn texts(values: &Value) -> Vec<String> {
    values.as_array().into_iter().flatten().map(|value| value.as_str().expect("text").to_owned()).collect()
}

/// The errors that the edits bring, as the loader finds them.
fn errors(files: &ActionFiles, edits: &[FileEdit]) -> Vec<String> {
    if files.yaml.len() > 1 {
        return Vec::new();
    }
    let text = |file: &TextFile| {
        let edit = edits.iter().find(|edit| edit.path == file.path);
        edit.map_or_else(|| file.source.text.clone(), |edit| edit.after.clone())
    };
    let config = files.config.as_ref().map(text).unwrap_or_default();
    let yaml = text(&files.yaml[0]);
    let (_, found) = read_all(&text(&files.graphql[0]), &yaml, &config, &|_| Some("http://variable".to_owned()));
    let errors = found.iter().filter(|one| one.severity == Severity::Error);
    errors.map(|error| format!("then: {}", error.on_one_line())).collect()
}

/// Commands of the metadata API: `drop` an action, `put` one, `put_type`.
fn document(files: &ActionFiles, changes: &Value) -> Vec<FileEdit> {
    let (yaml, graphql) = (&files.yaml[0], &files.graphql[0]);
    let (before, types) = read(&yaml.source, &graphql.source);
    let mut after = before.clone();
    if let Some(name) = changes["drop"].as_str() {
        after.actions.retain(|action| action["name"] != name);
    }
    if let Some(put) = changes["put"].as_object() {
        after.actions.retain(|action| action["name"] != put["name"]);
        after.actions.push(put.clone().into());
    }
    if let Some(put) = changes["put_types"].as_object() {
        after.custom_types = put.clone();
    }
    let texts = MetadataTexts { yaml: Arc::clone(&yaml.source), graphql: Arc::clone(&graphql.source) };
    let Some((yaml_text, graphql_text)) = edited(&texts, &before, &after, &types) else {
        return vec![FileEdit { path: "neither file can be edited".into(), before: None, after: String::new() }];
    };
    yaml.edited(yaml_text).into_iter().chain(graphql.edited(graphql_text)).collect()
}

fn read(yaml: &Arc<Source>, graphql: &Arc<Source>) -> (Document, Types) {
    let mut signatures = Signatures::default();
    sdl::read(graphql, &mut signatures, &mut Vec::new());
    let document = Document::of_files(&[yaml::parse(yaml).expect("YAML")], None, &signatures);
    let types = signatures.types.iter().map(|(name, (definition, _))| (name.clone(), definition.clone()));
    (document, Types(types.collect()))
}

/// Every comment of these texts.
fn comments(text: &str) -> BTreeSet<&str> {
    text.lines().filter_map(|line| Some(&line[line.find('#')?..])).collect()
}

/// An edit and its inverse give the old bytes, and no comment is lost in between.
pub fn an_edit_and_its_inverse_change_nothing() -> Result<(), String> {
    let file = pillion_test_support::fixtures::read("edits.yaml");
    let mut all = vec![file["defaults"]["files"].clone()];
    all.extend(file["cases"].as_array().expect("cases").iter().map(|case| case["files"].clone()));
    let mut count = 0;
    for texts in all.iter().filter(|files| files.is_object()) {
        let before = files(texts);
        let types = "type InverseOutput { id: ID! }\nenum InverseEnum { A }";
        for signature in
            ["query inverse(a: InverseEnum): InverseOutput", "mutation inverse(a: InverseEnum = A): [InverseOutput!]"]
        {
            let signature = parse_signature(signature).expect("a signature");
            let arguments = Value::Object(Map::new());
            let Ok((edits, _)) = create(&before, &action(signature, types, &arguments)) else { continue };
            let created = after(&before, &edits)?;
            let (edits, _) = permit(&created, "inverse", &["user".to_owned(), "other".to_owned()]).expect("permitted");
            let permitted = after(&created, &edits)?;
            let renamed = after(&permitted, &rename(&permitted, "inverse", "obverse").expect("renamed"))?;
            let renamed = after(&renamed, &rename(&renamed, "obverse", "inverse").expect("renamed"))?;
            let forbidden = forbid(&renamed, "inverse", &["user".to_owned(), "other".to_owned()]).expect("forbidden");
            let forbidden = after(&renamed, &forbidden)?;
            same(&created, &forbidden)?;
            let removed = after(&forbidden, &remove(&forbidden, "inverse", false).expect("removed").0)?;
            same(&before, &removed)?;
            count += 1;
        }
    }
    if count > 10 { Ok(()) } else { Err(format!("only {count} files were edited")) }
}

fn after(files: &ActionFiles, edits: &[FileEdit]) -> Result<ActionFiles, String> {
    let mut files = files.clone();
    for file in files.yaml.iter_mut().chain(&mut files.graphql).chain(&mut files.config) {
        let Some(edit) = edits.iter().find(|edit| edit.path == file.path) else { continue };
        let lost: Vec<&str> = comments(&file.source.text).difference(&comments(&edit.after)).copied().collect();
        if !lost.is_empty() {
            return Err(format!("lost: {lost:?}\n{}", edit.after));
        }
        *file = TextFile::new(&edit.path, Some(&edit.after));
    }
    Ok(files)
}

fn same(before: &ActionFiles, after: &ActionFiles) -> Result<(), String> {
    let all = |files: &ActionFiles| -> Vec<String> {
        let texts = files.yaml.iter().chain(&files.graphql).chain(&files.config);
        texts.map(|file| file.source.text.clone()).collect()
    };
    for (before, after) in all(before).into_iter().zip(all(after)) {
        // A file without a list has one now, and the last line has an end.
        let is_empty = before.lines().all(|line| line.trim().is_empty() || line.starts_with('#'));
        let is_grown = is_empty || !before.ends_with('\n');
        if before != after && !is_grown {
            return Err(format!("before:\n{before}\nafter:\n{after}"));
        }
    }
    Ok(())
}
