//! The gate: how many guests run, and whether others are in line, in one word.
//!
//! A guest that comes while nobody is in line, and ends before anybody is, passes by two exchanges of
//! this word. It takes no lock, and nobody is charged: shares are among those who wait for each other.

use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire};

/// The lowest bit: whether guests are in line. Above it: how many run, or are granted.
#[derive(Debug, Default)]
pub(super) struct Gate(AtomicU64);

const CROWDED: u64 = 1;
const ONE: u64 = 2;

impl Gate {
    /// Begins a slice, unless guests are in line.
    pub(super) fn pass(&self) -> bool {
        self.change_free(|word| word + ONE)
    }

    /// Ends a slice, unless guests are in line: they have to be given the thread.
    pub(super) fn leave(&self) -> bool {
        self.change_free(|word| word - ONE)
    }

    fn change_free(&self, change: impl Fn(u64) -> u64) -> bool {
        let next = |word: u64| (word & CROWDED == 0).then(|| change(word));
        self.0.try_update(AcqRel, Acquire, next).is_ok()
    }

    /// Begins a slice.
    pub(super) fn begin(&self) {
        self.0.fetch_add(ONE, AcqRel);
    }

    /// Ends a slice.
    pub(super) fn end(&self) {
        self.0.fetch_sub(ONE, AcqRel);
    }

    /// How many run, or are granted.
    pub(super) fn running(&self) -> usize {
        (self.0.load(Acquire) / ONE) as usize
    }

    /// Notes whether guests are in line, under the lock of the queue.
    pub(super) fn set_crowded(&self, crowded: bool) {
        if crowded {
            self.0.fetch_or(CROWDED, AcqRel);
        } else {
            self.0.fetch_and(!CROWDED, AcqRel);
        }
    }
}
