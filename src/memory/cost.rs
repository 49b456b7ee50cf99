//! The memory cost of JSON once it is read.

use crate::model::json::{Measure, measure};

/// Bytes of a list or an object itself. Measured with objects of one key, which are the dearest: what a request with half a
/// million of them takes is three trees, and 330 bytes of each for an object, its key and its place in a list.
const CONTAINER_BYTES: usize = 256;

/// Bytes of an element of a list, or of a key with its value. Measured likewise with three million numbers: 55.
const ELEMENT_BYTES: usize = 64;

/// Bytes of the positions of an element or a member in a [`JsonValue`](crate::model::json_value::JsonValue), whose list of positions
/// has up to twice the room that it needs.
const POSITION_BYTES: usize = 64;

/// An estimate of the bytes that a JSON text takes as a tree of values; the text comes on top.
#[must_use]
pub(crate) fn tree_bytes(json: &[u8]) -> usize {
    // However deep it is: its reader has limits of its own.
    let Measure { bytes, containers, elements } = measure(json, usize::MAX).unwrap_or_default();
    // Strings are copied, numbers keep their digits.
    containers
        .saturating_mul(CONTAINER_BYTES)
        .saturating_add(elements.saturating_mul(ELEMENT_BYTES))
        .saturating_add(bytes)
}

/// The most that a JSON text takes as a `JsonValue`, which has the text in it.
#[must_use]
pub(crate) fn json_value_bytes(json: &[u8]) -> usize {
    let Measure { bytes, elements, .. } = measure(json, usize::MAX).unwrap_or_default();
    elements.saturating_add(1).saturating_mul(POSITION_BYTES).saturating_add(bytes)
}
