//! Numbers of trees that this process keeps: no two files are the same for a guest that compares.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Beyond all numbers of the host's devices, which have 32 bits for a guest that asks for those.
const FIRST: u64 = 1 << 32;

/// A number that no tree has had.
pub(super) fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(FIRST);
    NEXT.fetch_add(1, Relaxed)
}
