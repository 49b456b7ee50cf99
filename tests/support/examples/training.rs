//! Has a build serve what releases are optimized for (`packaging/profile.sh`).
//!   training PROGRAM

#![allow(clippy::expect_used, reason = "training that goes wrong may end")]

use pillion_test_support::pillion::use_program;
use pillion_test_support::temp::remove_temp_folder;
use pillion_test_support::training::train;

/// Requests of each usual kind.
const MANY: usize = 8_000;

fn main() {
    let program = std::env::args().nth(1).expect("the program");
    use_program(Box::leak(program.into_boxed_str()));
    train(MANY);
    remove_temp_folder();
}
