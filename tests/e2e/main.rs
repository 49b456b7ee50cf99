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

/// The tests of modules with the modules' names.
macro_rules! modules {
    ($($module:ident),* $(,)?) => { [$((stringify!($module), $module::TESTS)),*] };
}

mod harness;

mod action_edits;
mod admin;
mod authentication_fails_closed;
mod before_call;
mod circuit_breaker;
mod cli;
mod cli_reference;
mod client_disconnect;
mod codegen;
mod compression;
mod concurrency_limit;
mod connection_limit;
mod connection_pool;
mod connection_timeouts;
mod console;
mod console_api;
mod containers;
mod cors;
mod dashboards;
mod dev;
mod distributed_tracing;
mod doctor;
mod extended_subscriptions;
mod extension_field_faults;
mod extension_fields;
mod failure_log;
mod field_calls;
mod graceful_shutdown;
mod handler_security;
mod helm_chart;
mod http1;
mod http2_and_tls;
mod http2_rapid_reset;
mod init;
mod introspection;
mod job_stores;
mod jobs;
mod jwks;
mod listener_handover;
mod load_shedding;
mod memory_budget;
mod memory_budget_of_rows;
mod metadata_api;
mod normal_form;
mod openapi_import;
mod packages;
mod packaging;
mod passthrough;
mod persisted_queries;
mod pgbouncer;
mod pillion_test;
mod pipelining;
mod properties;
mod rate_limit;
mod readme;
mod real_handlers;
mod redis_cluster;
mod redis_sentinel;
mod redis_tls;
mod relationships;
mod reload;
mod replay;
mod replicas;
mod request_metrics;
mod request_smuggling;
mod request_timeout;
mod response_cache;
mod rest_openapi;
mod retries;
mod rolling_update;
mod secrets_never_logged;
mod server_sent_events;
mod shared_calls;
mod slow_clients;
mod startup;
mod trusted_documents;
mod typical_errors;
mod upstream_faults;
mod upstream_path;
mod websocket;

use std::process::ExitCode;
use std::sync::Arc;

use harness::fixture;
use libtest_mimic::{Arguments, Failed, Trial};
use pillion_test_support::engines::Engines;
use pillion_test_support::temp::remove_temp_folder;
use pillion_test_support::{fixtures, pillion as program};

/// Something to test.
type Test = (&'static str, fn(&Engines));

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(None)).exit_code();
    }
    program::use_program(env!("CARGO_BIN_EXE_pillion"));
    let engines = Arc::new(Engines::start());
    let conclusion = libtest_mimic::run(&arguments, trials(Some(&engines)));
    // Only now is nobody else using them, and they end with their last user.
    drop(engines);
    remove_temp_folder();
    conclusion.exit_code()
}

fn trials(engines: Option<&Arc<Engines>>) -> Vec<Trial> {
    let families = fixtures::families("http").into_iter().map(|family| {
        let engines = engines.cloned();
        Trial::test(format!("fixtures::{}", family.name), move || {
            engines.map_or(Ok(()), |engines| fixture::run(&family, &engines)).map_err(Failed::from)
        })
    });
    let modules = modules![
        action_edits,
        admin,
        authentication_fails_closed,
        before_call,
        circuit_breaker,
        cli,
        cli_reference,
        client_disconnect,
        codegen,
        compression,
        concurrency_limit,
        connection_limit,
        connection_pool,
        connection_timeouts,
        console,
        console_api,
        containers,
        cors,
        dashboards,
        dev,
        distributed_tracing,
        doctor,
        extended_subscriptions,
        extension_field_faults,
        extension_fields,
        failure_log,
        field_calls,
        graceful_shutdown,
        handler_security,
        helm_chart,
        http1,
        http2_and_tls,
        http2_rapid_reset,
        init,
        introspection,
        job_stores,
        jobs,
        jwks,
        listener_handover,
        load_shedding,
        memory_budget,
        memory_budget_of_rows,
        metadata_api,
        normal_form,
        openapi_import,
        packages,
        packaging,
        passthrough,
        persisted_queries,
        pgbouncer,
        pillion_test,
        pipelining,
        properties,
        rate_limit,
        readme,
        real_handlers,
        redis_cluster,
        redis_sentinel,
        redis_tls,
        relationships,
        reload,
        replay,
        replicas,
        request_metrics,
        request_smuggling,
        request_timeout,
        response_cache,
        rest_openapi,
        retries,
        rolling_update,
        secrets_never_logged,
        server_sent_events,
        shared_calls,
        slow_clients,
        startup,
        trusted_documents,
        typical_errors,
        upstream_faults,
        upstream_path,
        websocket,
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
