//! A future that serves one call after the other. That of a request is large, and one for each would be copied, all of it, to
//! where it is polled.

use std::convert::Infallible;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

/// A future that takes an `I` and gives an `O`, again and again.
pub(super) struct ReusedFuture<I, O> {
    calls: Calls<I, O>,
    future: Pin<Box<dyn Future<Output = Infallible> + Send>>,
}

/// What such a future is called with, one at a time.
pub(super) struct Calls<I, O>(Arc<Mutex<Call<I, O>>>);

/// How far a call is.
enum Call<I, O> {
    /// There is none, or it is being served.
    None,
    Input(I),
    Output(O),
}

impl<I, O> ReusedFuture<I, O> {
    /// The future of `serve`, which waits for calls and finishes each.
    pub(super) fn new<F: Future<Output = Infallible> + Send + 'static>(serve: impl FnOnce(Calls<I, O>) -> F) -> Self {
        let call = Arc::new(Mutex::new(Call::None));
        Self { calls: Calls(Arc::clone(&call)), future: Box::pin(serve(Calls(call))) }
    }

    /// Serves a call. One that is dropped before its end leaves it unfinished: nothing else can be served then.
    pub(super) async fn call(&mut self, input: I) -> O {
        self.calls.set(Call::Input(input));
        poll_fn(|cx| {
            let Poll::Pending = self.future.as_mut().poll(cx);
            match self.calls.take() {
                Call::Output(output) => Poll::Ready(output),
                Call::None | Call::Input(_) => Poll::Pending,
            }
        })
        .await
    }
}

impl<I, O> Calls<I, O> {
    /// Waits for the next call.
    pub(super) async fn next(&self) -> I {
        poll_fn(|_| match self.take() {
            Call::Input(input) => Poll::Ready(input),
            // The output is the caller's.
            done => {
                self.set(done);
                Poll::Pending
            }
        })
        .await
    }

    /// Ends a call.
    pub(super) fn finish(&self, output: O) {
        self.set(Call::Output(output));
    }

    fn take(&self) -> Call<I, O> {
        mem::replace(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), Call::None)
    }

    fn set(&self, call: Call<I, O>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = call;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn count(calls: Calls<usize, (usize, usize)>) -> Infallible {
        let mut served = 0;
        loop {
            let yields = calls.next().await;
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            served += 1;
            calls.finish((served, yields));
        }
    }

    #[tokio::test]
    async fn one_future_serves_one_call_after_the_other() {
        let mut counter = ReusedFuture::new(count);
        assert_eq!(counter.call(0).await, (1, 0));
        assert_eq!(counter.call(3).await, (2, 3));
        assert_eq!(counter.call(1).await, (3, 1));
    }

    #[tokio::test]
    async fn what_a_dropped_call_holds_is_dropped_with_the_future() {
        let held = Arc::new(());
        let mut waiter = ReusedFuture::new(|calls: Calls<Arc<()>, ()>| async move {
            let _held = calls.next().await;
            std::future::pending().await
        });
        let mut call = Box::pin(waiter.call(Arc::clone(&held)));
        assert!(futures_util::FutureExt::now_or_never(&mut call).is_none());
        drop(call);
        assert_eq!(Arc::strong_count(&held), 2);
        drop(waiter);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
