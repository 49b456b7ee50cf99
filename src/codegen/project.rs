//! A generated project: its files, and whom each of them belongs to.

/// A generated project.
#[derive(Clone, Debug, Default)]
pub struct Project {
    /// Its files, ordered by path.
    pub files: Vec<GeneratedFile>,
    /// Actions that no handler is generated for, with the reason.
    pub left_out: Vec<(String, String)>,
    /// What its author should know.
    pub warnings: Vec<String>,
}

/// A file of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedFile {
    /// Relative to the folder of the project, with slashes.
    pub path: String,
    /// Its contents.
    pub text: String,
    /// May it be overwritten?
    pub owner: Owner,
}

/// Whom a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The generator: it follows the configuration and is overwritten.
    Generator,
    /// The author of the handlers: it is written once, where it is missing.
    Author,
}
