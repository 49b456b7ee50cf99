//! Logs on standard error: JSON lines or text. Both escape terminal sequences in what clients send. A thread of its own
//! writes them, so that a stuck reader blocks no request: lines that do not fit the queue are dropped and counted.

use std::io::{BufWriter, Stderr, Write};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::telemetry::development_log::DevelopmentFormat;
use crate::telemetry::json_log::JsonFormat;

/// Lines that may wait to be written.
const WAITING_MAX: usize = 4096;

/// The writing thread, and the number of dropped lines.
static WRITING: OnceLock<(Mutex<Option<WorkerGuard>>, ErrorCounter)> = OnceLock::new();

/// Starts logging. A second call has no effect.
pub(crate) fn start(json: bool, level: &str) {
    let (writer, filter) = writer_and_filter(level);
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let _ = if json { subscriber.event_format(JsonFormat).try_init() } else { subscriber.with_ansi(false).try_init() };
}

/// The same in the form of [`DevelopmentFormat`].
pub(crate) fn start_for_development(level: &str, has_colours: bool) {
    let (writer, filter) = writer_and_filter(level);
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let _ = subscriber.event_format(DevelopmentFormat { has_colours }).try_init();
}

fn writer_and_filter(level: &str) -> (NonBlocking, EnvFilter) {
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING_MAX).thread_name("log");
    // The thread flushes whenever no line waits, so that one call of the system writes all that waited.
    let (writer, guard) = builder.finish(BufWriter::new(Discardable(std::io::stderr())));
    let _ = WRITING.set((Mutex::new(Some(guard)), writer.error_counter()));
    // pingora and the libraries below it log every broken connection; only what goes wrong in earnest is kept.
    let filter = format!("error,pillion={level},pingora_proxy=off,pingora_core=error,pingora_core::connectors=off");
    (writer, EnvFilter::new(filter))
}

/// Writes the lines of `work` to `writer` in the same form, at once, whatever the level of the log is: what a process says
/// of its start and of why it cannot start is for the readers of its log.
pub(crate) fn write_lines<W>(writer: W, json: bool, work: impl FnOnce())
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let subscriber = tracing_subscriber::fmt().with_writer(writer);
    if json {
        tracing::subscriber::with_default(subscriber.event_format(JsonFormat).finish(), work);
    } else {
        tracing::subscriber::with_default(subscriber.with_ansi(false).finish(), work);
    }
}

/// Flushes waiting lines, within a second. Lines that are logged afterwards are lost.
pub(crate) fn finish() {
    if let Some((guard, _)) = WRITING.get() {
        drop(guard.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// From now on lines that wait are not written.
pub(crate) fn discard() {
    DISCARDED.store(true, Ordering::Relaxed);
}

static DISCARDED: AtomicBool = AtomicBool::new(false);

/// Standard error, until [`discard`] is called.
struct Discardable(Stderr);

impl Write for Discardable {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if DISCARDED.load(Ordering::Relaxed) { Ok(bytes.len()) } else { self.0.write(bytes) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Lines that were dropped since the last call.
pub(crate) fn newly_dropped() -> u64 {
    static TOLD: AtomicU64 = AtomicU64::new(0);
    let dropped = WRITING.get().map_or(0, |(_, dropped)| dropped.dropped_lines() as u64);
    dropped.saturating_sub(TOLD.fetch_max(dropped, Ordering::Relaxed))
}

/// Lines of one kind, of which not all are written.
pub(crate) struct Turns(AtomicU64);

/// Those about requests that went well.
pub(crate) static REQUESTS: Turns = Turns(AtomicU64::new(0));

/// Those about calls of handlers that went well.
pub(crate) static CALLS: Turns = Turns(AtomicU64::new(0));

impl Turns {
    /// Is the next one of those that are written, one in `every`?
    #[must_use]
    pub(crate) fn next(&self, every: usize) -> bool {
        every <= 1 || self.0.fetch_add(1, Ordering::Relaxed).is_multiple_of(every as u64)
    }
}

/// The line about one request with an action.
pub(crate) struct RequestLine<'l> {
    /// The request's id, the client's or ours.
    pub request_id: &'l str,
    /// The trace it belongs to.
    pub trace_id: &'l str,
    /// Where it came in.
    pub path: &'l str,
    /// The caller.
    pub client: Option<IpAddr>,
    /// In which role, once that was known.
    pub role: Option<&'l str>,
    /// The actions that were called, separated by commas.
    pub actions: String,
    /// The actions that the role may not call, separated by commas, if it was rejected for that.
    pub denied: Option<String>,
    /// The HTTP status of the response.
    pub status: u16,
    /// `success`, `errors`, or the code of the error that it was rejected with.
    pub outcome: &'static str,
    /// From the request's head to its response.
    pub duration: Duration,
    /// Of that its steps in microseconds, zero for none: authenticate, introspect, plan, validate, upstream, handlers,
    /// respond.
    pub times: [u32; 7],
}

impl RequestLine<'_> {
    /// Writes it.
    pub(crate) fn write(&self) {
        let [authenticate, introspect, plan, validate, upstream, handlers, respond] =
            self.times.map(|micros| (micros > 0).then_some(f64::from(micros) / 1000.0));
        tracing::info!(
            request_id = self.request_id,
            trace_id = self.trace_id,
            url.path = self.path,
            client.address = self.client.map(tracing::field::display),
            role = self.role,
            actions = self.actions,
            denied = self.denied,
            http.response.status_code = self.status,
            outcome = self.outcome,
            duration_ms = milliseconds(self.duration),
            authenticate_ms = authenticate,
            introspect_ms = introspect,
            plan_ms = plan,
            validate_ms = validate,
            upstream_ms = upstream,
            handlers_ms = handlers,
            respond_ms = respond,
            "request"
        );
    }
}

/// A duration in milliseconds with three decimals, as all lines have it.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a duration of more than 285 years may lose microseconds")]
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_so_many_is_written() {
        let turns = Turns(AtomicU64::new(0));
        let written = |every| (0..12).filter(|_| turns.next(every)).count();
        assert_eq!((written(1), written(3), written(12)), (12, 4, 1));
    }
}
