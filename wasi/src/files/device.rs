//! Numbers of trees that this process keeps: no two files are the same for a guest that compares.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The number of the tree with place 0. Beyond all numbers of the host's devices, which have 32 bits for a guest
/// that asks for those.
const PLACES: u64 = 1 << 32;

/// The first number of trees without a place.
const FIRST: u64 = 1 << 33;

/// The number of a tree with a place in its guest's world: the same in each run of the guest.
pub(super) fn of_place(place: u32) -> u64 {
    PLACES | u64::from(place)
}

/// A number that no tree has had.
pub(super) fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(FIRST);
    NEXT.fetch_add(1, Relaxed)
}
