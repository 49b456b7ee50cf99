//! May a request be sent again after the connection it was sent on has ended without a response? The peer may have
//! carried it out all the same, so the rule is one for all transports: only what is known to read is sent again.

use std::fmt;

/// Whether a request may be sent again on another connection. Not a byte of it having gone out, any request may.
#[derive(Clone, Copy)]
pub enum Replay<'r> {
    /// It may write, or nobody knows what it does.
    Never,
    /// It only reads: we wrote it ourselves, or its document was read before.
    Reads,
    /// Its document is read when it comes to that, because it hardly ever does.
    IfItReads(&'r (dyn Fn() -> bool + Send + Sync)),
}

impl Replay<'_> {
    /// For what is known to read, or not to.
    #[must_use]
    pub fn of(only_reads: bool) -> Self {
        if only_reads { Self::Reads } else { Self::Never }
    }

    /// May it be sent again?
    #[must_use]
    pub fn is_allowed(self) -> bool {
        match self {
            Self::Never => false,
            Self::Reads => true,
            Self::IfItReads(reads) => reads(),
        }
    }
}

impl fmt::Debug for Replay<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Never => "Never",
            Self::Reads => "Reads",
            Self::IfItReads(_) => "IfItReads",
        })
    }
}
