//! The memory budget: what requests, operations on sockets and connections hold of the process's memory, against one
//! bound for all of them, one for each client address and one for each connection.
//!
//! What is held is estimated where it cannot be known: `cost.rs` tells what JSON takes as a tree of values.
//!
//! Whoever holds bytes that a client decides about has a [`Share`], grows it *before* the bytes are made, and drops it
//! with them. What finds no room is rejected with [`NoRoom`], which is 503 with `Retry-After`, or 413 if it could never
//! fit.

mod budget;
mod cost;

pub use crate::memory::budget::{Bounds, Budget, MemoryOwner, NoRoom, Share};
pub use crate::memory::cost::tree_bytes;
