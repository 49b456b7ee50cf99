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

mod admin;
mod authentication_fails_closed;
mod circuit_breaker;
mod cli;
mod client_disconnect;
mod compression;
mod concurrency_limit;
mod connection_limit;
mod connection_pool;
mod connection_timeouts;
mod containers;
mod cors;
mod dashboards;
mod distributed_tracing;
mod graceful_shutdown;
mod handler_security;
mod http1;
mod http2_and_tls;
mod http2_rapid_reset;
mod introspection;
mod job_stores;
mod jobs;
mod jwks;
mod listener_handover;
mod load_shedding;
mod memory_budget;
mod metadata_api;
mod packaging;
mod passthrough;
mod pipelining;
mod properties;
mod rate_limit;
mod readme;
mod real_handlers;
mod relationships;
mod reload;
mod replay;
mod request_smuggling;
mod request_timeout;
mod response_cache;
mod retries;
mod rolling_update;
mod secrets_never_logged;
mod server_sent_events;
mod slow_clients;
mod startup;
mod upstream_faults;
mod upstream_path;
mod websocket;

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
        ("admin", admin::TESTS),
        ("authentication_fails_closed", authentication_fails_closed::TESTS),
        ("circuit_breaker", circuit_breaker::TESTS),
        ("cli", cli::TESTS),
        ("client_disconnect", client_disconnect::TESTS),
        ("compression", compression::TESTS),
        ("concurrency_limit", concurrency_limit::TESTS),
        ("connection_limit", connection_limit::TESTS),
        ("connection_pool", connection_pool::TESTS),
        ("connection_timeouts", connection_timeouts::TESTS),
        ("containers", containers::TESTS),
        ("cors", cors::TESTS),
        ("dashboards", dashboards::TESTS),
        ("distributed_tracing", distributed_tracing::TESTS),
        ("graceful_shutdown", graceful_shutdown::TESTS),
        ("handler_security", handler_security::TESTS),
        ("http1", http1::TESTS),
        ("http2_and_tls", http2_and_tls::TESTS),
        ("http2_rapid_reset", http2_rapid_reset::TESTS),
        ("introspection", introspection::TESTS),
        ("job_stores", job_stores::TESTS),
        ("jobs", jobs::TESTS),
        ("jwks", jwks::TESTS),
        ("listener_handover", listener_handover::TESTS),
        ("load_shedding", load_shedding::TESTS),
        ("memory_budget", memory_budget::TESTS),
        ("metadata_api", metadata_api::TESTS),
        ("packaging", packaging::TESTS),
        ("passthrough", passthrough::TESTS),
        ("pipelining", pipelining::TESTS),
        ("properties", properties::TESTS),
        ("rate_limit", rate_limit::TESTS),
        ("readme", readme::TESTS),
        ("real_handlers", real_handlers::TESTS),
        ("relationships", relationships::TESTS),
        ("reload", reload::TESTS),
        ("replay", replay::TESTS),
        ("request_smuggling", request_smuggling::TESTS),
        ("request_timeout", request_timeout::TESTS),
        ("response_cache", response_cache::TESTS),
        ("retries", retries::TESTS),
        ("rolling_update", rolling_update::TESTS),
        ("secrets_never_logged", secrets_never_logged::TESTS),
        ("server_sent_events", server_sent_events::TESTS),
        ("slow_clients", slow_clients::TESTS),
        ("startup", startup::TESTS),
        ("upstream_faults", upstream_faults::TESTS),
        ("upstream_path", upstream_path::TESTS),
        ("websocket", websocket::TESTS),
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
