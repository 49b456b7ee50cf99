//! The body timeout of an HTTP/2 stream whose body pingora passes on: pingora itself waits without end. Requests whose
//! body is read here, or that have none, cost no timer.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

tokio::task_local! {
    /// That of the stream whose task this is.
    static WATCH: Arc<StreamTimeout>;
}

/// Until when more of the body must be there, if it is waited for.
type StreamTimeout = Mutex<Option<Instant>>;

/// More of the body must be there within `time`. Elsewhere than on a stream of HTTP/2 nothing happens.
pub(crate) fn body_within(time: Duration) {
    set(Some(Instant::now() + time));
}

/// All of the body is there.
pub(crate) fn body_has_arrived() {
    set(None);
}

fn set(until: Option<Instant>) {
    let _ = WATCH.try_with(|watch| *watch.lock().unwrap_or_else(PoisonError::into_inner) = until);
}

/// Serves a stream; `None` if its body did not come in time.
pub(crate) async fn watched<T>(serve: impl Future<Output = T>) -> Option<T> {
    let watch = Arc::<StreamTimeout>::default();
    let serve = WATCH.scope(Arc::clone(&watch), serve);
    tokio::select! {
        // The task that serves the stream declares first until when it waits. Dropping it resets the stream.
        biased;
        served = serve => Some(served),
        () = late(&watch) => None,
    }
}

/// Ends when the body is late. It is looked at whenever the stream's task runs, and that ran when the time was set.
async fn late(watch: &StreamTimeout) {
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        let until = *watch.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(until) = until else { return Poll::Pending };
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        timer.as_mut().poll(cx)
    })
    .await;
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_body_that_is_waited_for_can_be_late() {
        let second = Duration::from_secs(1);
        let slow_upstream = async {
            body_within(10 * second);
            sleep(9 * second).await;
            body_within(10 * second);
            sleep(9 * second).await;
            body_has_arrived();
            sleep(100 * second).await;
        };
        assert_eq!(watched(slow_upstream).await, Some(()));
        let late = async {
            sleep(100 * second).await;
            body_within(10 * second);
            sleep(11 * second).await;
        };
        assert_eq!(watched(late).await, None);
    }
}
