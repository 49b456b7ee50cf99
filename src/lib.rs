//! Pillion: a sidecar reverse proxy that adds actions to a GraphQL API. ARCHITECTURE.md tells the journey of a request.

// The shell, from the wire inwards: everything that does input and output.
#[cfg(feature = "server")]
pub mod admin;
#[cfg(feature = "server")]
pub mod auth;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod downstream;
#[cfg(feature = "server")]
pub mod execution;
#[cfg(feature = "server")]
pub mod fetch;
#[cfg(feature = "server")]
pub mod handler;
#[cfg(feature = "server")]
pub mod handler_client;
#[cfg(feature = "server")]
pub mod http_client;
#[cfg(feature = "server")]
pub mod job_runner;
#[cfg(feature = "server")]
pub mod jobs;
#[cfg(feature = "server")]
pub mod memory;
#[cfg(feature = "server")]
pub mod metadata_api;
#[cfg(feature = "server")]
pub mod pipeline;
#[cfg(feature = "server")]
pub mod postgres;
#[cfg(feature = "server")]
pub mod reload;
#[cfg(feature = "server")]
pub mod request;
#[cfg(feature = "server")]
pub mod routes;
#[cfg(feature = "server")]
pub mod runtime;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod telemetry;
#[cfg(feature = "server")]
pub mod traffic_shaping;
#[cfg(feature = "server")]
pub mod upstream;
#[cfg(feature = "server")]
pub mod websocket;

// The core: pure, always there.
pub mod action;
pub mod config;
pub mod graphql;
pub mod kriti;
pub mod model;
pub mod protocol;
pub mod session;

/// Chooses the cryptography behind every TLS connection of the process. Further calls have no effect.
#[cfg(feature = "server")]
pub fn install_tls_provider() {
    // It fails only when one has been installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
