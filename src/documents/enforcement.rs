//! Which documents must be in the list of trusted documents (allow-list): the setting `documents.only`.

/// What happens to a document that is not listed. The role admin may send anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// Nothing: listed documents have ids, and that is all.
    #[default]
    Off,
    /// It is served, counted and logged.
    Log,
    /// It is rejected if it has an action.
    Actions,
    /// It is rejected.
    All,
}

impl Enforcement {
    /// Does it concern documents without an action?
    #[must_use]
    pub fn concerns_every_document(self) -> bool {
        matches!(self, Self::Log | Self::All)
    }
}
