//! Label values of metrics that are no [`ErrorKind`](crate::model::error_kind::ErrorKind): what else calls, jobs, fetches
//! and reloads come to. A failure's label is its error kind.

use crate::model::label::labels;

labels! {
    /// What a call comes to that did not fail.
    pub(crate) enum CallOutcome {
        /// A usable response.
        Success = "success",
        /// The handler of a job reports its result later.
        Deferred = "deferred",
    }
}

labels! {
    /// What the query before a handler call comes to.
    pub(crate) enum BeforeOutcome {
        /// The call may be made.
        Passed = "passed",
        /// The caller's data does not allow it.
        Denied = "denied",
        /// The upstream gave no usable response.
        Failed = "failed",
    }
}

labels! {
    /// What a reload of the configuration comes to.
    pub(crate) enum ReloadOutcome {
        /// It is in use.
        Success = "success",
        /// It cannot be used, and the one before stays.
        Rejected = "rejected",
    }
}

labels! {
    /// What a fetch of a JWK set comes to.
    pub(crate) enum FetchOutcome {
        /// There are new keys.
        Success = "success",
        /// The keys of before stay.
        Failure = "failure",
    }
}

labels! {
    /// What becomes of a span.
    pub(crate) enum SpanOutcome {
        /// The collector has it.
        Sent = "sent",
        /// The collector did not take it.
        Failed = "failed",
        /// It found no room in the queue.
        Dropped = "dropped",
    }
}

labels! {
    /// What a request for a session of the auth hook comes to.
    pub(crate) enum HookOutcome {
        /// A session.
        Success = "success",
        /// A session that was cached.
        Cached = "cached",
        /// The hook denied the credential.
        Denied = "denied",
        /// The response is no session.
        Invalid = "invalid",
        /// There was no response.
        Failure = "failure",
    }
}

labels! {
    /// What an attempt to run a job comes to.
    pub(crate) enum AttemptOutcome {
        /// A result.
        Completed = "completed",
        /// An error that ends the job.
        Error = "error",
        /// An error after which it is tried again.
        Retry = "retry",
        /// Its handler reports later.
        Deferred = "deferred",
        /// Another replica has the job by now, so that the result does not count.
        Stale = "stale",
    }
}

labels! {
    /// What becomes of a call of an asynchronous action.
    pub(crate) enum EnqueueOutcome {
        /// It is stored.
        Accepted = "accepted",
        /// It is not.
        Rejected = "rejected",
    }
}

labels! {
    /// What a lookup in a cache comes to.
    pub(crate) enum CacheOutcome {
        /// It is there.
        Hit = "hit",
        /// It is there, and is revalidated in the background.
        Stale = "stale",
        /// It is not there.
        Miss = "miss",
    }
}

labels! {
    /// What a validation of the upstream's part comes to.
    pub(crate) enum ValidationOutcome {
        /// It is valid.
        Valid = "valid",
        /// It is not.
        Invalid = "invalid",
        /// The upstream validates it itself.
        SchemaUnknown = "schema_unknown",
    }
}
