//! Pillion: a sidecar reverse proxy that adds actions to a GraphQL API.
//!
//! The binary is the shell: listeners, connections, HTTP clients, stores. Below it stands a pure core, functions from
//! values to values without sockets, clocks or files, which `--no-default-features` builds alone. In the order of a request:
//!
//! 1. [`graphql::scan`]: does the body name an action at all?
//! 2. [`protocol::http`] and [`protocol::query_string`]: GraphQL requests of bodies, batches and query strings.
//! 3. [`graphql::document`] and [`graphql::check_document`]: the document, parsed within limits.
//! 4. [`session`]: role and session variables of headers, of a token's claims, of an auth hook's response.
//! 5. [`graphql::plan`] and [`graphql::mask`]: which root field is whose, and the upstream's operation.
//! 6. [`graphql::validate`] and [`graphql::coerce`]: the rules of validation, variables and arguments.
//! 7. [`action::payload`], [`action::header_precedence`], [`action::transform`], [`kriti`]: a handler's request.
//! 8. [`action::handler_response`] and [`action::complete_value`]: a handler's response, by the action's type.
//! 9. [`graphql::merge`]: one response in the order of the document.
//!
//! [`rest`] finds the stored document of a REST request. [`config`] reads Hasura's metadata and `pillion.yaml`, [`edits`] changes these files in place, [`model`] has the values
//! that all stages share, [`openapi`] makes actions of OpenAPI documents, and [`codegen`] makes handlers of actions.
//! ARCHITECTURE.md has the journey through the shell, `examples/` has whole programs.
//!
//! ```
//! use pillion::config::actions::read_actions;
//! use pillion::graphql::document::parse;
//! use pillion::graphql::plan::{PlanOptions, plan};
//! use pillion::graphql::root_types::RootTypes;
//! use pillion::model::{limits::Limits, response::Dialect};
//!
//! let graphql = "type Query { quote(productId: Int!): Float }";
//! let yaml = "actions: [{ name: quote, definition: { handler: http://handlers/quote } }]";
//! let schema = read_actions(graphql, yaml, &|_| None).unwrap();
//!
//! let (limits, roots) = (Limits::default(), RootTypes::usual(Dialect::Standard));
//! let document = parse("{ products { name } quote(productId: 1) }", &limits).unwrap();
//! let operation = document.operation(None).unwrap();
//! let options = PlanOptions { schema: &schema, roots: &roots, limits: &limits, serves_introspection: false, sites: None };
//! let plan = plan(&document, operation, &options, &|_| true).unwrap();
//!
//! // The upstream is sent the client's text with our fields blanked, so that lines and columns stay.
//! assert_eq!(plan.parts[0].query_json, r#""{ products { name }                     }""#);
//! assert_eq!(plan.calls[0].action.name, "quote");
//! ```

// What only this crate uses says so. Tests and benchmarks are programs of several files, for which this means nothing.
#![warn(unreachable_pub)]
// The shell keeps what only the console shows.
#![cfg_attr(all(feature = "server", not(feature = "console")), allow(dead_code, reason = "only the console reads it"))]

// The shell, from the wire inwards: everything that does input and output.
#[cfg(feature = "server")]
mod admin;
#[cfg(feature = "server")]
mod auth;
#[cfg(feature = "server")]
mod changes;
#[cfg(feature = "server")]
mod check;
#[cfg(feature = "server")]
mod cli;
#[cfg(feature = "console")]
mod console;
#[cfg(feature = "server")]
mod doctor;
#[cfg(feature = "server")]
mod downstream;
#[cfg(feature = "server")]
mod execution;
#[cfg(feature = "server")]
mod fetch;
#[cfg(feature = "server")]
mod handler;
#[cfg(feature = "server")]
mod handler_client;
#[cfg(feature = "server")]
mod http_client;
#[cfg(feature = "server")]
mod job_runner;
#[cfg(feature = "server")]
mod jobs;
#[cfg(feature = "server")]
mod memory;
#[cfg(feature = "server")]
mod metadata_api;
#[cfg(feature = "server")]
mod mock;
#[cfg(feature = "server")]
mod pipeline;
#[cfg(feature = "server")]
mod postgres;
#[cfg(feature = "server")]
mod reload;
#[cfg(feature = "server")]
mod request;
#[cfg(feature = "server")]
mod routes;
#[cfg(feature = "server")]
mod runtime;
#[cfg(feature = "server")]
mod scaffold;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
mod telemetry;
#[cfg(feature = "server")]
mod testing;
#[cfg(feature = "server")]
mod traffic_shaping;
#[cfg(feature = "server")]
mod upstream;
#[cfg(feature = "server")]
mod websocket;

/// What the binary, the end-to-end tests, the benchmarks and the fuzzing use of the shell. No stable interface.
#[cfg(feature = "server")]
#[doc(hidden)]
pub mod internals {
    pub use crate::auth::Authenticator;
    pub use crate::cli::main;
    #[cfg(feature = "console")]
    pub use crate::console::endpoints::documented as console_endpoints;
    pub use crate::handler::cache_key::Dependencies;
    pub use crate::http_client::TransportFault;
    pub use crate::http_client::connection::Connection;
    pub use crate::jobs::job::{Claim, Filter, NewJob, Outcome, Requeued, Status};
    pub use crate::jobs::postgres::PostgresStore;
    pub use crate::jobs::sqlite::SqliteStore;
    pub use crate::jobs::store::{JobStore, PURGE_MAX};
    pub use crate::postgres::Database;
    pub use crate::telemetry::metrics::{CATALOGUE as METRICS, Metrics};
    pub use crate::upstream::reads::{body_only_reads, query_string_only_reads};
    pub use crate::websocket::headers::introduced;
}

// The core: pure, always there.
pub mod action;
pub mod codegen;
pub mod config;
pub mod documents;
pub mod edits;
pub mod graphql;
pub mod kriti;
pub mod model;
pub mod openapi;
pub mod protocol;
pub mod rest;
pub mod session;

/// Chooses the cryptography behind every TLS connection of the process. Further calls have no effect.
#[cfg(feature = "server")]
pub fn install_tls_provider() {
    // It fails only when one has been installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
