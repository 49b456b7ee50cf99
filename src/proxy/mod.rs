//! Where clients connect. Only this folder and `upstream/` know pingora.

pub mod answer;
pub mod body;
pub mod body_scan;
pub mod compression;
pub mod connections;
pub mod cors;
pub mod direct;
pub mod events;
pub mod exchange;
pub mod forward;
pub mod get_policy;
pub mod gone;
pub mod guard;
mod head_bound;
pub mod metadata;
pub mod operators;
pub mod pace;
pub mod phases;
pub mod report;
pub mod screen;
pub mod server;
pub mod socket;
pub mod strict;
pub mod strict_stream;
pub mod upgrade;
pub mod visit;
