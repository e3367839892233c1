//! Guest stacks.
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

use corosensei::stack::{DefaultStack, Stack};
use std::io;
use wfaas_abi::layout::{PAGE, page_align};

/// Bytes for host functions called by the guest.
const HOST_HEAD_ROOM: usize = 256 << 10;

/// Bytes of the guard. The stack's own is one page.
const GUARD: usize = 64 << 10;

pub(crate) struct GuestStack(DefaultStack);

impl std::fmt::Debug for GuestStack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GuestStack({:#x})", self.top())
    }
}

impl GuestStack {
    pub(crate) fn new(bytes: usize) -> io::Result<GuestStack> {
        let bytes = page_align(bytes.clamp(PAGE, 1 << 30));
        let stack = GuestStack(DefaultStack::new(bytes + HOST_HEAD_ROOM + GUARD)?);
        let guard = stack.0.limit().get() as *const u8;
        // SAFETY: the range is the low end of the new stack, which nobody uses yet.
        unsafe { region::protect(guard, GUARD, region::Protection::NONE) }
            .map_err(io::Error::other)?;
        Ok(stack)
    }

    /// The address to start at; a multiple of 16.
    pub(crate) fn top(&self) -> usize {
        self.0.base().get() & !15
    }

    /// Host code is called only with the stack pointer above this.
    pub(crate) fn host_limit(&self) -> usize {
        self.0.limit().get() + GUARD + HOST_HEAD_ROOM
    }

    /// Shows every aligned word from here up to the top, and the registers that callers may have
    /// left values in, if the thread is on this stack. If it is not, a host function may still be
    /// waiting there for this thread: then all of the stack is shown.
    pub(crate) fn scan(&self, mut show: impl FnMut(u64)) {
        let mut registers = [0u64; 5];
        // SAFETY: stores the registers that a function must preserve, and nothing else.
        unsafe {
            std::arch::asm!(
                "mov [{0}], rbx",
                "mov [{0} + 8], r12",
                "mov [{0} + 16], r13",
                "mov [{0} + 24], r14",
                "mov [{0} + 32], rbp",
                in(reg) registers.as_mut_ptr(),
                options(nostack, preserves_flags),
            );
        }
        registers.into_iter().for_each(&mut show);
        let here = registers.as_ptr() as usize;
        let lowest = if self.contains(here) { here } else { self.0.limit().get() + GUARD };
        for at in (lowest..self.top()).step_by(size_of::<u64>()) {
            // SAFETY: between the guard and the top the stack is mapped; the frames on it belong to
            // callers of this function, on this thread or on one that waits for it.
            show(unsafe { (at as *const u64).read_volatile() });
        }
    }

    /// Whether `address` is in the guard.
    pub(crate) fn guards(&self, address: usize) -> bool {
        let low = self.0.limit().get();
        (low..low + GUARD).contains(&address)
    }

    /// Whether `address` is on this stack.
    pub(crate) fn contains(&self, address: usize) -> bool {
        (self.0.limit().get()..self.0.base().get()).contains(&address)
    }
}
