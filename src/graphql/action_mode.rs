//! How an action is executed: synchronously, as a job, or as the lookup of a job.

use crate::model::action::{Action, OperationKind};

/// How an action is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionMode {
    /// Its handler is called, and its response is the field's.
    Now,
    /// The call is stored, and its id is the response.
    Later,
    /// The result of a job is looked up.
    Result,
}

impl ActionMode {
    pub(crate) fn of(action: &Action, kind: OperationKind) -> Self {
        match (action.is_async, kind) {
            (false, _) => Self::Now,
            (true, OperationKind::Mutation) => Self::Later,
            (true, _) => Self::Result,
        }
    }
}
