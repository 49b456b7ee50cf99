//! End to end: the real program before real upstreams. `tests/fixtures/http` are the cases a reader learns the product
//! from; the modules here are what cannot be told in a table.

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

#[path = "../generator.rs"]
mod generator;
mod harness;
#[path = "../mutate.rs"]
mod mutate;
#[path = "../yaml.rs"]
mod yaml;

mod abuse;
mod admin;
mod canaries;
mod clients;
mod commands;
mod compression;
mod containers;
mod cross_origin;
mod drain;
mod events;
mod faults;
mod framing;
mod guards;
mod installs;
mod introspection;
mod job_stores;
mod jobs;
mod keys;
mod locks;
mod metadata;
mod overload;
mod prometheus;
mod properties;
mod protocols;
mod raw_http;
mod readme;
mod real_handlers;
mod relationships;
mod reload;
mod slow_clients;
mod sockets;
mod startup;
mod streaming;
mod traces;
mod upstream_path;

use std::process::ExitCode;
use std::sync::Arc;

use harness::engines::Engines;
use libtest_mimic::{Arguments, Failed, Trial};

/// Something to test.
type Test = (&'static str, fn(&Engines));

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(None)).exit_code();
    }
    let engines = Arc::new(Engines::start());
    let conclusion = libtest_mimic::run(&arguments, trials(Some(&engines)));
    // Only now is nobody else using them, and they end with their last user.
    drop(engines);
    conclusion.exit_code()
}

fn trials(engines: Option<&Arc<Engines>>) -> Vec<Trial> {
    let families = harness::fixture::families().into_iter().map(|family| {
        let engines = engines.cloned();
        Trial::test(format!("fixtures::{}", family.name), move || {
            engines.map_or(Ok(()), |engines| family.run(&engines)).map_err(Failed::from)
        })
    });
    let modules = [
        ("abuse", abuse::TESTS),
        ("admin", admin::TESTS),
        ("canaries", canaries::TESTS),
        ("clients", clients::TESTS),
        ("commands", commands::TESTS),
        ("compression", compression::TESTS),
        ("containers", containers::TESTS),
        ("cross_origin", cross_origin::TESTS),
        ("drain", drain::TESTS),
        ("events", events::TESTS),
        ("faults", faults::TESTS),
        ("framing", framing::TESTS),
        ("guards", guards::TESTS),
        ("installs", installs::TESTS),
        ("introspection", introspection::TESTS),
        ("job_stores", job_stores::TESTS),
        ("jobs", jobs::TESTS),
        ("keys", keys::TESTS),
        ("locks", locks::TESTS),
        ("metadata", metadata::TESTS),
        ("overload", overload::TESTS),
        ("prometheus", prometheus::TESTS),
        ("properties", properties::TESTS),
        ("protocols", protocols::TESTS),
        ("raw_http", raw_http::TESTS),
        ("readme", readme::TESTS),
        ("real_handlers", real_handlers::TESTS),
        ("relationships", relationships::TESTS),
        ("reload", reload::TESTS),
        ("slow_clients", slow_clients::TESTS),
        ("sockets", sockets::TESTS),
        ("startup", startup::TESTS),
        ("streaming", streaming::TESTS),
        ("traces", traces::TESTS),
        ("upstream_path", upstream_path::TESTS),
    ];
    let written = modules.into_iter().flat_map(|(module, tests)| {
        tests.iter().map(move |(name, test)| {
            let engines = engines.cloned();
            let name = format!("{module}::{name}");
            let missing = harness::privileges::missing(&name);
            let trial = Trial::test(name, move || {
                if let Some(engines) = engines {
                    test(&engines);
                }
                Ok(())
            });
            match missing {
                Some(privilege) => trial.with_kind(format!("skipped: needs {privilege}")).with_ignored_flag(true),
                None => trial,
            }
        })
    });
    families.chain(written).collect()
}
