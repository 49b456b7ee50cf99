//! Span watches: the phases and calls of single requests, collected for the console's playground while a person waits for them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A phase of a request, or a call that it made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WatchedSpan {
    /// `plan`, `handler quote`, `upstream`.
    pub name: String,
    /// When it began.
    pub began: Instant,
    /// When it ended.
    pub ended: Instant,
}

/// The traces that are watched. While there is none, which is nearly always, asking costs one atomic load.
#[derive(Default)]
pub(crate) struct SpanWatches {
    count: AtomicUsize,
    spans: Mutex<HashMap<String, Vec<WatchedSpan>>>,
}

/// Traces that are watched at one time.
const WATCHES_MAX: usize = 32;

/// Spans that are collected of one trace.
const SPANS_MAX: usize = 500;

/// A watch. It ends when this is dropped.
pub(crate) struct SpanWatch<'w> {
    all: &'w SpanWatches,
    trace_id: String,
}

impl SpanWatches {
    /// Watches a trace; nothing if too many are watched.
    #[must_use]
    pub(crate) fn watch(&self, trace_id: &str) -> Option<SpanWatch<'_>> {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.len() >= WATCHES_MAX || spans.insert(trace_id.to_owned(), Vec::new()).is_some() {
            return None;
        }
        self.count.store(spans.len(), Ordering::Relaxed);
        Some(SpanWatch { all: self, trace_id: trace_id.to_owned() })
    }

    /// Is this trace watched?
    #[must_use]
    pub(crate) fn has(&self, trace_id: &str) -> bool {
        self.count.load(Ordering::Relaxed) > 0
            && self.spans.lock().unwrap_or_else(PoisonError::into_inner).contains_key(trace_id)
    }

    /// Notes a span, if its trace is watched.
    pub(crate) fn note(&self, trace_id: &str, span: impl FnOnce() -> WatchedSpan) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = spans.get_mut(trace_id).filter(|known| known.len() < SPANS_MAX) {
            known.push(span());
        }
    }
}

impl SpanWatch<'_> {
    /// What has been noted so far.
    #[must_use]
    pub(crate) fn spans(&self) -> Vec<WatchedSpan> {
        let spans = self.all.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.get(&self.trace_id).cloned().unwrap_or_default()
    }
}

impl Drop for SpanWatch<'_> {
    fn drop(&mut self) {
        let mut spans = self.all.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.remove(&self.trace_id);
        self.all.count.store(spans.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_watched_traces_are_noted_and_not_without_end() {
        let (watches, now) = (SpanWatches::default(), Instant::now());
        let span = || WatchedSpan { name: "plan".into(), began: now, ended: now };
        watches.note("a", span);
        let watch = watches.watch("a").expect("room");
        assert!(watches.watch("a").is_none(), "it is watched already");
        assert!(watches.has("a") && !watches.has("b"));
        (0..SPANS_MAX + 10).for_each(|_| watches.note("a", span));
        watches.note("b", span);
        assert_eq!(watch.spans().len(), SPANS_MAX);
        drop(watch);
        assert!(!watches.has("a"));
        let names: Vec<String> = (0..WATCHES_MAX).map(|index| index.to_string()).collect();
        let held: Vec<_> = names.iter().map(|name| watches.watch(name)).collect();
        assert!(held.iter().all(Option::is_some) && watches.watch("more").is_none());
    }
}
