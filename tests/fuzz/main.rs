//! The properties of `fuzz/` on their seeds and on mutations of them from a fixed seed: what `make fuzz` looks for with
//! libFuzzer for as long as it is let, in small. `PILLION_FUZZ_CASES` says how many mutations of each there are.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_errors_doc,
    clippy::must_use_candidate,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    reason = "a test that fails says so by a panic"
)]

#[path = "../../fuzz/src/lib.rs"]
mod properties;

use std::panic::catch_unwind;
use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use pillion_test_support::mutate::Mutator;
use properties::{PROPERTIES, Property};

/// Mutations of each property's seeds: about ten seconds for all of them in a debug build on two cores.
const CASES: usize = 5_000;

fn main() -> ExitCode {
    let trials = PROPERTIES.iter().map(|(name, property)| {
        Trial::test(format!("fuzz::{name}"), move || check(name, *property).map_err(Failed::from))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn check(name: &str, property: Property) -> Result<(), String> {
    let seeds = seeds(name);
    if seeds.len() < 3 {
        return Err(format!("fuzz/seeds/{name} has {} seeds", seeds.len()));
    }
    for (file, seed) in &seeds {
        hold(property, seed).map_err(|error| format!("fuzz/seeds/{name}/{file}: {error}"))?;
    }
    let seeds: Vec<Vec<u8>> = seeds.into_iter().map(|(_, seed)| seed).collect();
    let cases = std::env::var("PILLION_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let mut mutator = Mutator::new(name);
    for case in 0..cases {
        hold(property, &mutator.mutate(&seeds)).map_err(|error| format!("mutation {case}: {error}"))?;
    }
    Ok(())
}

fn hold(property: Property, bytes: &[u8]) -> Result<(), String> {
    catch_unwind(|| property(bytes)).map_err(|cause| {
        let message = cause.downcast_ref::<String>().map(String::as_str).or(cause.downcast_ref::<&str>().copied());
        format!("{}\nof b\"{}\"", message.unwrap_or_default(), bytes.escape_ascii())
    })
}

/// The files of a folder, by name.
fn seeds(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds: Vec<(String, Vec<u8>)> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let file = path.file_name().expect("a name").to_string_lossy().into_owned();
            (file, std::fs::read(&path).expect("a file"))
        })
        .collect();
    seeds.sort();
    seeds
}
