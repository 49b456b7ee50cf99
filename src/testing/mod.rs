//! `pillion test`: cases of a test file, run against the real request path without a network. Requests go over an in-memory
//! connection to the client listener; the exchanges with handlers and upstream have scripted stand-ins. See
//! docs/decisions for why.

pub(crate) mod case;
pub(crate) mod case_reply;
pub(crate) mod compare;
pub(crate) mod isolate;
pub(crate) mod junit;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod scripted_handlers;
pub(crate) mod scripted_upstream;
pub(crate) mod suite;
pub(crate) mod update;
pub(crate) mod upstream_schema;
