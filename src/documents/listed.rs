//! A document as a list has it: its text, its id, who may send it and where it stands.

use std::sync::Arc;

use crate::documents::audience::Audience;
use crate::model::source::SourceLocation;

/// A document of a list, not parsed yet.
#[derive(Clone, Debug)]
pub struct ListedDocument {
    /// The id that the list gives it, beside the hash of its text.
    pub id: Option<String>,
    /// What the list calls it.
    pub name: Option<String>,
    /// Its text.
    pub text: Arc<str>,
    /// Where the list has it.
    pub place: SourceLocation,
    /// Does its text begin at that place? Then its errors stand there as well.
    pub is_verbatim: bool,
    /// Who may send it.
    pub audience: Audience,
}
