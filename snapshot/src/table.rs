//! Tables from the address of a fault to its handler's data: an entry for each [`LEARN_ALIGN`] bytes
//! of address space, which signal handlers read without a lock.

use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::SeqCst};

/// Slots in which faults are dealt with start at multiples of this many bytes.
pub const LEARN_ALIGN: usize = 512 << 20;

/// User addresses have 47 bits.
const ENTRIES: usize = 1 << (47 - LEARN_ALIGN.trailing_zeros());

pub(crate) struct Table<T>([AtomicPtr<T>; ENTRIES]);

impl<T> Table<T> {
    pub(crate) const fn new() -> Table<T> {
        Table([const { AtomicPtr::new(ptr::null_mut()) }; ENTRIES])
    }

    /// The owner of faults at `address`. Async-signal-safe.
    ///
    /// # Safety
    /// The owner that is entered for `address` must not be freed while the result is used.
    pub(crate) unsafe fn find(&self, address: usize) -> Option<&T> {
        let found = self.0.get(address / LEARN_ALIGN)?.load(SeqCst);
        // SAFETY: the caller's contract; an owner leaves before it is freed.
        unsafe { found.as_ref() }
    }

    /// Makes `owner` the owner of faults in a range, which is not empty.
    pub(crate) fn enter(&self, addresses: &Range<usize>, owner: *mut T) {
        let entries = addresses.start / LEARN_ALIGN..addresses.end.div_ceil(LEARN_ALIGN);
        for entry in &self.0[entries] {
            entry.store(owner, SeqCst);
        }
    }

    /// Leaves a range that was entered without an owner.
    pub(crate) fn leave(&self, addresses: &Range<usize>) {
        self.enter(addresses, ptr::null_mut());
    }
}
