//! Futures that are made where they stay.

use std::pin::Pin;

/// The future of `make` in a box. `Box::pin` makes it on the stack and copies it, all of it: if there were no memory, the copy
/// on the stack would have to be dropped. Here the memory is there before the future is.
pub(crate) fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), make()))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn it_gives_what_the_future_gives() {
        let word = String::from("made");
        assert_eq!(boxed(|| async { word.len() }).now_or_never(), Some(4));
    }
}
