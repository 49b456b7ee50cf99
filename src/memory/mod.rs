//! The memory budget: what requests, operations on sockets and connections hold of the process's memory, against one
//! bound for all of them, one for each client address and one for each connection.
//!
//! Memory is estimated where it cannot be known: `cost.rs` says what JSON takes once it is read. `in_place.rs` keeps large futures
//! from being copied.
//!
//! Code that holds bytes that a client controls has a [`Share`], grows it *before* the bytes are allocated, and drops
//! it with them. When there is no room, the request is rejected with [`NoRoom`], which is 503 with `Retry-After`, or
//! 413 if it could never fit.

mod budget;
mod cost;
mod in_place;

pub(crate) use crate::memory::budget::{Bounds, Budget, Charge, MemoryOwner, NoRoom, Share};
pub(crate) use crate::memory::cost::{json_value_bytes, tree_bytes};
pub(crate) use crate::memory::in_place::boxed;
