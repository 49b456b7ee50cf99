//! Replay: whether a request may be sent again after its connection has ended without a response. The peer may have
//! executed it all the same, so one rule holds for all transports:
//!
//! | request | replay |
//! |---|---|
//! | upstream operation of a query, rows of relationships, introspection, health check | [`Replay::Reads`] |
//! | upstream operation of a mutation, element of a batch that is passed through, metadata command | [`Replay::Never`] |
//! | POST on a GraphQL path that is passed through | [`Replay::IfItReads`]: only if its document is a query |
//! | GET on a GraphQL path | by the document in its URL; elsewhere by HTTP's own rule of idempotent methods |
//! | handler call | [`Replay::Never`] by the transport; `handlers.max_retries` with backoff and a budget, for queries and idempotent mutations |
//!
//! A request of which not a byte was written may always be sent again.

use std::fmt;

/// Whether a request may be sent again on another connection. Not a byte of it having gone out, any request may.
#[derive(Clone, Copy)]
pub enum Replay<'r> {
    /// It may write, or its effect is unknown.
    Never,
    /// It only reads: we wrote it ourselves, or its document was read before.
    Reads,
    /// Its document is read when it comes to that, because it hardly ever does.
    IfItReads(&'r (dyn Fn() -> bool + Send + Sync)),
}

impl Replay<'_> {
    /// By whether it is known to read.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_read_is_sent_again() {
        let (reads, writes) = (|| true, || false);
        let cases = [
            (Replay::Never, false),
            (Replay::Reads, true),
            (Replay::IfItReads(&reads), true),
            (Replay::IfItReads(&writes), false),
            (Replay::of(true), true),
            (Replay::of(false), false),
        ];
        for (replay, wanted) in cases {
            assert_eq!(replay.is_allowed(), wanted, "{replay:?}");
        }
    }
}
