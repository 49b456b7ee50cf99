//! What a run of the generator does to the files that are there: pure, for a command that writes and one that only checks.

use crate::codegen::project::{GeneratedFile, Owner, Project};

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is not there.
    Created,
    /// It is the generator's, and has another text.
    Updated,
    /// It is the generator's, and has this text already.
    Unchanged,
    /// It is its author's, and is there already.
    Kept,
}

impl Change {
    /// For people and for JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Kept => "kept",
        }
    }

    /// Is the file written?
    #[must_use]
    pub fn is_written(self) -> bool {
        matches!(self, Self::Created | Self::Updated)
    }
}

/// What becomes of each file of a project; `existing` gives the texts of those that are there.
///
/// # Errors
/// That of `existing`.
pub fn changes_of<'p, E>(
    project: &'p Project,
    existing: impl Fn(&str) -> Result<Option<String>, E>,
) -> Result<Vec<(&'p GeneratedFile, Change)>, E> {
    let change = |file: &'p GeneratedFile| {
        let change = match (existing(&file.path)?, file.owner) {
            (None, _) => Change::Created,
            (Some(_), Owner::Author) => Change::Kept,
            (Some(text), Owner::Generator) if text == file.text => Change::Unchanged,
            (Some(_), Owner::Generator) => Change::Updated,
        };
        Ok((file, change))
    };
    project.files.iter().map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_author_stay() {
        let file = |path: &str, owner| GeneratedFile { path: path.to_owned(), text: "new".to_owned(), owner };
        let files = ["same", "old", "missing", "mine"]
            .map(|path| file(path, if path == "mine" { Owner::Author } else { Owner::Generator }));
        let project = Project { files: files.to_vec(), ..Project::default() };
        let existing = |path: &str| {
            Ok::<_, ()>(match path {
                "same" => Some("new".to_owned()),
                "missing" => None,
                _ => Some("old".to_owned()),
            })
        };
        let changes: Vec<Change> =
            changes_of(&project, existing).unwrap().into_iter().map(|(_, change)| change).collect();
        assert_eq!(changes, [Change::Unchanged, Change::Updated, Change::Created, Change::Kept]);
    }
}
