//! Generated code of `tests/fixtures/codegen`, compared with what is committed there. `UPDATE_EXPECT=1 cargo test --test tables`
//! writes it. That it compiles and runs is seen in `tests/e2e/codegen.rs`.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use pillion::codegen::generate;
use pillion::codegen::options::{Framework, Options};
use pillion::codegen::project::{Owner, Project};
use pillion::config::actions::read_all;
use pillion::model::action::ActionSchema;
use pillion_test_support::repository;

fn folder(name: &str) -> PathBuf {
    repository().join("tests/fixtures/codegen").join(name)
}

fn schema_of(name: &str) -> ActionSchema {
    let text = |file: &str| fs::read_to_string(folder(name).join(file)).expect("a fixture");
    let variable = |variable: &str| {
        Some(
            if variable.ends_with("SECRETS") {
                "whsec_dW5zZXQtdW5zZXQtdW5zZXQtdW5zZXQtdW5zZXQt"
            } else {
                "http://handlers"
            }
            .to_owned(),
        )
    };
    let (schema, found) = read_all(&text("actions.graphql"), &text("actions.yaml"), &text("pillion.yaml"), &variable);
    let found: Vec<String> = found.iter().map(ToString::to_string).filter(|text| text.contains("error:")).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    schema
}

fn project_of(name: &str, framework: Framework, actions: &[&str]) -> Result<Project, Vec<String>> {
    let options = Options {
        framework,
        actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        signing_variables: HashMap::from([("func".to_owned(), vec!["FUNC_SECRETS".to_owned()])]),
        session_variables: vec!["x-hasura-org-id".to_owned()],
    };
    generate(&schema_of(name), &options)
}

/// Types of all languages for names and texts that would break code.
pub fn types_equal_the_snapshots() -> Result<(), String> {
    for framework in Framework::ALL.into_iter().filter(|framework| framework.is_types_only()) {
        let project = project_of("hostile", framework, &[]).map_err(|errors| errors.join("\n"))?;
        let [file] = project.files.as_slice() else { return Err(format!("{framework:?} is more than one file")) };
        compare("hostile", &file.path, &file.text)?;
    }
    Ok(())
}

/// A whole project for one action, as its author gets to see it.
pub fn projects_equal_the_snapshots() -> Result<(), String> {
    for framework in Framework::ALL.into_iter().filter(|framework| !framework.is_types_only()) {
        let project = project_of("hostile", framework, &["class"]).map_err(|errors| errors.join("\n"))?;
        let mut text = String::new();
        for file in &project.files {
            let owner = if file.owner == Owner::Author { "its author's" } else { "generated" };
            text.push_str(&format!("{} ({owner})\n", file.path));
        }
        let shown = |path: &str| {
            let is_handler = path.contains("class") && !path.contains("test");
            let is_routes = path.ends_with("actions.ts")
                || path.ends_with("actions.py")
                || path.ends_with("actions.go")
                || path.ends_with("actions.rs");
            is_handler || is_routes
        };
        for file in project.files.iter().filter(|file| shown(&file.path)) {
            text.push_str(&format!("\n==== {}\n{}", file.path, file.text));
        }
        compare("hostile", &format!("{}.txt", framework.name()), &text)?;
    }
    Ok(())
}

fn compare(fixture: &str, file: &str, text: &str) -> Result<(), String> {
    let path = folder(fixture).join(file);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, text).map_err(|error| error.to_string())?;
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    let found = wanted.lines().zip(text.lines()).position(|(wanted, got)| wanted != got);
    if wanted == text { Ok(()) } else { Err(format!("{} differs in line {found:?}", path.display())) }
}

/// Handlers are generated for actions whose requests they get as they are.
pub fn choices_of_actions_are_checked() -> Result<(), String> {
    let errors =
        |actions: &[&str]| project_of("hostile", Framework::Express, actions).expect_err("an error").join("; ");
    let unknown = errors(&["classes"]);
    assert!(unknown.starts_with("there is no action 'classes'; there are class, Class, _, "), "{unknown}");
    let graphql = "type Query { a: Int b: Int }";
    let transformed = "request_transform: {version: 2, template_engine: Kriti, method: GET}";
    let yaml = format!(
        "actions: [{{name: a, definition: {{handler: http://a, {transformed}}}}}, {{name: b, definition: {{handler: http://b}}}}]"
    );
    let (schema, _) = read_all(graphql, &yaml, "", &|_| None);
    let project = generate(&schema, &Options::new(Framework::Flask)).map_err(|errors| errors.join("\n"))?;
    let left_out = ("a".to_owned(), "its requests or responses are transformed, for an API that exists".to_owned());
    assert_eq!(project.left_out, [left_out]);
    assert!(project.files.iter().any(|file| file.path == "handlers/b.py"));
    let named = Options { actions: vec!["a".to_owned()], ..Options::new(Framework::Flask) };
    let errors = generate(&schema, &named).expect_err("an error");
    assert_eq!(errors, ["action 'a': its requests or responses are transformed, for an API that exists"]);
    assert_eq!(generate(&schema, &Options::new(Framework::GoTypes)).expect("types").left_out, []);
    Ok(())
}
