//! Guest stacks: their layout.
//!
//! ```text
//!   low                                                             high
//!   | guard, 64 KiB | head room for host code | the guest's part ... |
//!                   |                         RuntimeContext::stack_limit
//!                   the guest itself may run down to here
//! ```
//!
//! Compiled code does not check the stack: it runs into the guard. Frames above 4 KiB are probed
//! page by page and smaller ones touch the stack at least once in 4 KiB and a few words, so the
//! guard of several pages cannot be jumped over. Stubs check for the head room before they call
//! host code, which then has at least that much.

use crate::arch::preserved_registers;
use crate::sys::StackMemory;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wfaas_abi::layout::{PAGE, page_align};

/// Bytes for host functions called by the guest.
const HOST_HEAD_ROOM: usize = 256 << 10;

/// Bytes of the guard. The stack's own is one page.
const GUARD: usize = 64 << 10;

/// Bytes at the top that a stack keeps in memory for its next call.
const KEPT: usize = 32 << 10;

/// Place of a guest's stack. Its thread owns it, and keeps it while a call is under way there; or a
/// suspended call does.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct GuestStack {
    low: usize,
    top: usize,
    /// Number of the stack among all there ever were; zero if this is none.
    id: u64,
}

impl GuestStack {
    /// No stack.
    pub(super) const NONE: GuestStack = GuestStack { low: 0, top: 0, id: 0 };

    /// The address to start at; a multiple of 16. It is a cache line below the end, where another stack may begin:
    /// tools that look at each change of the stack pointer would take the one for the other.
    #[inline]
    pub(crate) fn start(&self) -> usize {
        self.top.saturating_sub(64)
    }

    /// Number of the stack: no other ever has the same, and zero is none.
    #[inline]
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Host code is called only with the stack pointer above this.
    pub(crate) fn host_limit(&self) -> usize {
        self.low + GUARD + HOST_HEAD_ROOM
    }

    /// Whether `address` is in the guard.
    pub(crate) fn guards(&self, address: usize) -> bool {
        (self.low..self.low + GUARD).contains(&address)
    }

    /// Whether two words at `address` are on this stack, above the guard: a frame's, perhaps.
    pub(super) fn holds_frame(&self, address: usize) -> bool {
        address.is_multiple_of(size_of::<usize>())
            && address >= self.low + GUARD
            && address < self.top.saturating_sub(size_of::<usize>())
    }

    /// Whether all of these bytes are on this stack, above the guard.
    pub(super) fn holds(&self, bytes: &Range<usize>) -> bool {
        bytes.start >= self.low + GUARD && bytes.start <= bytes.end && bytes.end <= self.top
    }

    /// Whether `address` is on this stack.
    pub(crate) fn contains(&self, address: usize) -> bool {
        (self.low..self.top).contains(&address)
    }

    /// Shows every aligned word of the part that is in use, and the registers that callers may have
    /// left values in. In use is the part from here up to the top, if the thread is on this stack;
    /// otherwise from `from`, if that is on it. If neither is, a host function may be waiting there
    /// for this thread: then all of the stack is shown.
    ///
    /// # Safety
    /// A call must be under way on this stack, and none of its frames be below `from`.
    pub(super) unsafe fn scan(&self, from: Option<usize>, mut show: impl FnMut(u64)) {
        let registers = preserved_registers();
        registers.into_iter().for_each(&mut show);
        let here = registers.as_ptr() as usize;
        let known = [Some(here), from].into_iter().flatten().find(|at| self.contains(*at));
        let lowest = known.unwrap_or(self.low + GUARD);
        for at in (lowest..self.top).step_by(size_of::<u64>()) {
            // SAFETY: between the guard and the top the stack is mapped, while there is a call; the
            // frames on it belong to callers of this function, on this thread or on one that waits
            // for it, or to a suspended call.
            show(unsafe { (at as *const u64).read_volatile() });
        }
    }
}

/// A stack and its owner's right to it.
#[derive(Debug)]
pub(super) struct Owned {
    /// Unmapped when it is dropped.
    memory: StackMemory,
    /// How many bytes of it are for a guest, as they were asked for.
    bytes: usize,
    place: GuestStack,
}

impl Owned {
    /// A stack of `bytes` bytes for the guest, and the head room.
    pub(super) fn new(bytes: usize) -> io::Result<Owned> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let usable = page_align(bytes.clamp(PAGE, 1 << 30));
        let memory = StackMemory::new(usable + HOST_HEAD_ROOM + GUARD, GUARD)?;
        let id = NEXT_ID.fetch_add(1, Relaxed);
        let place = GuestStack { low: memory.low(), top: memory.top() & !15, id };
        Ok(Owned { memory, bytes, place })
    }

    /// How many bytes for a guest it was made with.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn place(&self) -> GuestStack {
        self.place
    }

    /// Gives the pages back that were touched far from the top, if there are such. No call may be
    /// under way on it.
    pub(super) fn trim(&mut self) {
        let keep = self.place.top.saturating_sub(KEPT);
        let below = keep.saturating_sub(2 * PAGE);
        let lowest = self.place.low + GUARD;
        if below <= lowest {
            return;
        }
        // Frames touch the stack at least once in 4 KiB and a few words, mostly with an address.
        let touched = (below..keep).step_by(size_of::<u64>()).any(|at| {
            // SAFETY: this part of the stack is mapped, and nobody uses it.
            unsafe { (at as *const u64).read() != 0 }
        });
        if touched {
            self.memory.discard(lowest..keep);
        }
    }
}

// An interpreter has no mappings to give back.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn pages_far_from_the_top_are_given_back() {
        let mut stack = Owned::new(1 << 20).unwrap();
        // As frames of a deep recursion leave it, and as one call does.
        for (depth, kept) in [(512 << 10, false), (KEPT, true)] {
            let addresses = || (stack.place.top - depth..stack.place.top).step_by(PAGE);
            for at in addresses() {
                // SAFETY: the address is on the stack, which nobody uses.
                unsafe { (at as *mut usize).write(at) };
            }
            let words = addresses();
            stack.trim();
            for at in words {
                // SAFETY: as above.
                let word = unsafe { (at as *const usize).read() };
                let near = at >= stack.place.top - KEPT;
                assert_eq!(word, if near || kept { at } else { 0 });
            }
        }
    }
}
