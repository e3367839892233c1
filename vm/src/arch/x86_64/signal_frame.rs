//! Registers of interrupted code, as the kernel hands them to a signal handler.

use super::enter::{FAULTED, WayBack, leave};
use super::interrupted::{Interrupted, locate};
use std::ops::Range;
use std::ptr;
use std::slice;

/// The registers of the code that a signal interrupted. Changes take effect when the handler
/// returns.
pub(crate) struct SignalFrame<'a>(&'a mut [i64; 23]);

impl SignalFrame<'_> {
    /// # Safety
    /// `context` must be the third argument of a signal handler that is still running.
    pub(crate) unsafe fn of<'a>(context: *mut libc::c_void) -> SignalFrame<'a> {
        let context = context as *mut libc::ucontext_t;
        // SAFETY: the kernel passes a ucontext_t; it lies on the handler's stack.
        SignalFrame(unsafe { &mut (*context).uc_mcontext.gregs })
    }

    /// The address of the interrupted instruction.
    pub(crate) fn pc(&self) -> usize {
        self.0[libc::REG_RIP as usize] as usize
    }

    /// The frame pointer.
    fn fp(&self) -> usize {
        self.0[libc::REG_RBP as usize] as usize
    }

    /// The place of the callers of the interrupted function, which is in the code in `text`.
    ///
    /// # Safety
    /// `text` must be readable, and contain [`SignalFrame::pc`].
    pub(crate) unsafe fn interrupted(&self, text: Range<usize>) -> Interrupted {
        let (start, pc) = (text.start as *const u8, self.pc());
        // SAFETY: the caller's contract.
        let before = unsafe { slice::from_raw_parts(start, pc - text.start) };
        // SAFETY: as above.
        let code = unsafe { slice::from_raw_parts(pc as *const u8, text.end - pc) };
        locate(before, code, self.sp(), self.fp())
    }

    /// The stack pointer.
    pub(crate) fn sp(&self) -> usize {
        self.0[libc::REG_RSP as usize] as usize
    }

    /// Makes the handler return into `leave(back, FAULTED)`.
    pub(crate) fn leave_by(&mut self, back: &WayBack) {
        self.0[libc::REG_RIP as usize] = leave as *const () as i64;
        self.0[libc::REG_RDI as usize] = ptr::from_ref(back) as i64;
        self.0[libc::REG_RSI as usize] = FAULTED as i64;
    }
}
