//! Edits of metadata files and `pillion.yaml` in place: what is not concerned stays as it is, comments and formatting
//! included.
//!
//! Everything but [`read`] and [`mod@write`] is pure: [`create`], [`permissions`], [`remove`] and [`rename`] take the texts of the
//! files ([`files`]) and return those that change as a list of [`FileEdit`]. [`yaml`] and [`sdl`] do the editing.

use std::path::PathBuf;

pub mod append;
pub mod create;
pub mod define;
pub mod derive;
#[cfg(feature = "server")]
pub mod diff;
pub mod entry;
pub mod files;
mod lines;
pub mod metadata;
pub mod permissions;
#[cfg(feature = "server")]
pub mod read;
pub mod remove;
pub mod rename;
pub mod sdl;
mod sdl_tree;
pub mod signature;
#[cfg(feature = "server")]
pub mod write;
pub mod yaml;
mod yaml_print;
mod yaml_tree;

/// A file that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEdit {
    /// Its path.
    pub path: PathBuf,
    /// Its text before; nothing if it is created.
    pub before: Option<String>,
    /// Its text after.
    pub after: String,
}
