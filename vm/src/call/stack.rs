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
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wfaas_abi::layout::{PAGE, page_align};

/// Bytes for host functions called by the guest.
const HOST_HEAD_ROOM: usize = 256 << 10;

/// Bytes of the guard. The stack's own is one page.
const GUARD: usize = 64 << 10;

/// Place of a guest's stack. Its thread owns it, and keeps it while a call is under way there.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct GuestStack {
    low: usize,
    top: usize,
    /// Number of the stack among all there ever were; zero if this is none.
    id: u64,
}

impl GuestStack {
    /// The address to start at; a multiple of 16.
    #[inline]
    pub(crate) fn top(&self) -> usize {
        self.top
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

    /// Whether `address` is on this stack.
    pub(crate) fn contains(&self, address: usize) -> bool {
        (self.low..self.top).contains(&address)
    }

    /// Shows every aligned word from here up to the top, and the registers that callers may have
    /// left values in, if the thread is on this stack. If it is not, a host function may still be
    /// waiting there for this thread: then all of the stack is shown.
    ///
    /// # Safety
    /// A call must be under way on this stack.
    pub(crate) unsafe fn scan(&self, mut show: impl FnMut(u64)) {
        let registers = preserved_registers();
        registers.into_iter().for_each(&mut show);
        let here = registers.as_ptr() as usize;
        let lowest = if self.contains(here) { here } else { self.low + GUARD };
        for at in (lowest..self.top).step_by(size_of::<u64>()) {
            // SAFETY: between the guard and the top the stack is mapped, while there is a call; the
            // frames on it belong to callers of this function, on this thread or on one that waits
            // for it.
            show(unsafe { (at as *const u64).read_volatile() });
        }
    }
}

/// A stack that its thread owns.
pub(super) struct Owned {
    /// Unmapped when it is dropped.
    _memory: StackMemory,
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
        Ok(Owned { _memory: memory, bytes, place })
    }

    /// How many bytes for a guest it was made with.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn place(&self) -> GuestStack {
        self.place
    }
}
