//! What only the end-to-end tests need beside `tests/support`: cases of fixtures, the shop, and who may do what.

pub mod fixture;
pub mod manifests;
pub mod privileges;
pub mod shop;

use std::sync::atomic::{AtomicBool, Ordering};

/// Sets its flag when it is dropped, so that threads that run until then end with a test that fails as well.
pub struct EndOfTest<'f>(pub &'f AtomicBool);

impl Drop for EndOfTest<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
