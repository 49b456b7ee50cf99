//! Why the response to a batch of calls cannot be read: a list of the wrong length, or elements without keys.

/// Why a response does not fit the inputs or keys. `Display` names no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Something else than a list.
    #[error("it is {found}, and must be a list")]
    NotAList {
        /// What it is.
        found: &'static str,
    },
    /// A list of another length than the inputs.
    #[error("the list has length {found}, and must have an element for each of the {expected} inputs")]
    WrongLength {
        /// How many inputs there are.
        expected: usize,
        /// How many elements came.
        found: usize,
    },
    /// An element without a key.
    #[error("element {index} is {found}, and must be an object with the field \"{field}\"")]
    NotAnObject {
        /// Which.
        index: usize,
        /// What it is.
        found: &'static str,
        /// The field of the key.
        field: String,
    },
    /// An object without a key.
    #[error("element {index} lacks the field \"{field}\", by which elements are matched")]
    NoKey {
        /// Which.
        index: usize,
        /// The field of the key.
        field: String,
    },
}
