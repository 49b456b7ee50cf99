//! Every family of `tests/fixtures/*.yaml` through the pure functions: no sockets, no clocks, no mocks.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_errors_doc,
    clippy::must_use_candidate,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that fails says so by a panic"
)]

mod actions;
mod before;
mod codegen;
mod edits;
mod extension_rows;
mod families;
mod openapi;
mod properties;
mod random_templates;
mod schemas;

use codegen::{choices_of_actions_are_checked, projects_equal_the_snapshots, types_equal_the_snapshots};
use edits::an_edit_and_its_inverse_change_nothing;
use libtest_mimic::{Arguments, Failed, Trial};
use pillion_test_support::{fixtures, trials};
use properties::{documents_without_actions_are_not_split, upstream_operations_are_valid_and_keys_complete};
use random_templates::every_template_has_a_result;
use schemas::{
    the_example_is_valid_and_has_the_defaults, the_schema_and_the_program_agree,
    the_schema_of_actions_accepts_the_files_of_tests, the_schema_of_actions_and_the_program_agree,
};
use serde_json::Value;

/// What holds for every document.
type Property = (&'static str, fn() -> Result<(), String>);

/// What a case comes out as, as text.
type Family = (&'static str, fn(&Value) -> String);

fn main() -> std::process::ExitCode {
    let families = families::FAMILIES
        .iter()
        .map(|(name, run)| Trial::test(format!("fixtures::{name}"), || check(name, *run).map_err(Failed::from)));
    let properties: &[Property] = trials![
        documents_without_actions_are_not_split,
        upstream_operations_are_valid_and_keys_complete,
        every_template_has_a_result,
        an_edit_and_its_inverse_change_nothing,
        the_example_is_valid_and_has_the_defaults,
        the_schema_and_the_program_agree,
        the_schema_of_actions_and_the_program_agree,
        the_schema_of_actions_accepts_the_files_of_tests,
        types_equal_the_snapshots,
        projects_equal_the_snapshots,
        choices_of_actions_are_checked,
    ];
    let properties = properties
        .iter()
        .map(|(name, check)| Trial::test(format!("properties::{name}"), move || check().map_err(Failed::from)));
    libtest_mimic::run(&Arguments::from_args(), families.chain(properties).collect()).exit_code()
}

fn check(name: &str, run: fn(&Value) -> String) -> Result<(), String> {
    let file = fixtures::read(&format!("{name}.yaml"));
    let defaults = &file["defaults"];
    let mut failures = Vec::new();
    for case in file["cases"].as_array().expect("a list of cases") {
        let case = with_defaults(case, defaults);
        let wanted =
            case["expect"].as_str().map_or_else(|| case["expect"].to_string(), |text| text.trim_end().to_owned());
        let got = run(&case);
        if got.trim_end() != wanted {
            failures.push(format!("{}\n  wanted: {wanted}\n  got:    {got}", case.get("name").unwrap_or(&case)));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n\n")) }
}

fn with_defaults(case: &Value, defaults: &Value) -> Value {
    let mut whole = defaults.as_object().cloned().unwrap_or_default();
    whole.extend(case.as_object().cloned().unwrap_or_default());
    Value::Object(whole)
}
