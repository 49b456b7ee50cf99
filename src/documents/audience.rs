//! The roles that may send a listed document.

use std::collections::BTreeSet;

/// Who may send a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every role.
    Everyone,
    /// These roles.
    Roles(BTreeSet<String>),
}

impl Audience {
    /// May this role send it?
    #[must_use]
    pub fn includes(&self, role: &str) -> bool {
        match self {
            Self::Everyone => true,
            Self::Roles(roles) => roles.contains(role),
        }
    }

    /// Adds those of another list that has the same document.
    pub fn extend(&mut self, other: &Self) {
        match (self, other) {
            (Self::Roles(roles), Self::Roles(more)) => roles.extend(more.iter().cloned()),
            (audience, Self::Everyone) => *audience = Self::Everyone,
            (Self::Everyone, Self::Roles(_)) => {}
        }
    }
}
