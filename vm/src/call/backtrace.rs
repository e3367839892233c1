//! Walking the guest's frames. Also used in signal handlers: no allocation, no locks.

use crate::arch::{Interrupted, Place};
use crate::call::state::Activation;
use crate::call::text;
use std::cell::Cell;

/// Most frames a backtrace keeps: those nearest to the trap.
pub const MAX_FRAMES: usize = 64;

/// Code addresses of frames, innermost first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawBacktrace {
    pcs: [usize; MAX_FRAMES],
    len: usize,
    /// Whether the first is an instruction's address rather than a return address.
    pub(crate) exact_first: bool,
}

thread_local! {
    /// The backtrace of the call that was left last on this thread, until its error takes it: at
    /// once, on the same thread. Not in the call's state: there may be thousands, and most never
    /// need it. Const and without drop, so that handlers may write it.
    static LEFT: Cell<RawBacktrace> = const { Cell::new(RawBacktrace::EMPTY) };
}

impl RawBacktrace {
    pub(crate) const EMPTY: RawBacktrace =
        RawBacktrace { pcs: [0; MAX_FRAMES], len: 0, exact_first: false };

    pub(crate) fn pcs(&self) -> &[usize] {
        &self.pcs[..self.len]
    }

    /// Keeps it for the error of the call that is being left.
    pub(crate) fn note(self) {
        LEFT.set(self);
    }

    /// The backtrace noted last.
    pub(crate) fn take() -> RawBacktrace {
        LEFT.replace(RawBacktrace::EMPTY)
    }

    /// The frames of guest code that was interrupted at `place`, in the entry `activation`.
    ///
    /// # Safety
    /// `activation` must be under way on this thread or suspended, and `place` be in its guest code.
    pub(crate) unsafe fn interrupted(place: Place, activation: &Activation) -> RawBacktrace {
        let exact_first = place.interrupted;
        let mut backtrace = RawBacktrace { exact_first, ..RawBacktrace::EMPTY };
        backtrace.push(place.pc);
        // SAFETY: the caller's contract.
        let fp = unsafe { backtrace.callers(place, activation) };
        if let Some(fp) = fp {
            // SAFETY: the frame is of the guest code that was interrupted.
            unsafe { backtrace.walk(fp, activation) };
        }
        backtrace
    }

    /// The frame with the callers of the code at `place`, after one that is in no frame was added.
    ///
    /// # Safety
    /// As [`RawBacktrace::interrupted`].
    unsafe fn callers(&mut self, place: Place, activation: &Activation) -> Option<usize> {
        if !place.interrupted {
            return Some(place.fp);
        }
        let text = text::around(place.pc)?;
        // SAFETY: the code is mapped, since it runs.
        match unsafe { place.callers(text) } {
            Interrupted::Frame(fp) => Some(fp),
            Interrupted::Frameless { return_address, caller } => {
                if activation.stack().holds_frame(return_address) {
                    // SAFETY: the address is on the stack, which is mapped.
                    let address = unsafe { (return_address as *const usize).read() };
                    self.push(activation.return_target(address));
                }
                Some(caller)
            }
        }
    }

    fn push(&mut self, pc: usize) -> bool {
        let room = self.len < MAX_FRAMES;
        if room {
            self.pcs[self.len] = pc;
            self.len += 1;
        }
        room
    }

    /// Adds the callers of the frame with frame pointer `fp` in the entry `activation`, then the
    /// frames of the entries it is nested in, in the same store, suspended ones included.
    ///
    /// # Safety
    /// `activation` must be under way on this thread or suspended, and `fp` the frame pointer of one
    /// of its frames.
    pub(crate) unsafe fn walk(&mut self, fp: usize, activation: &Activation) {
        let (mut fp, mut present) = (fp, Some(activation));
        while let Some(activation) = present {
            // SAFETY: the caller vouches for the first round; later ones start at the frame
            // pointer the stub of the outer entry left.
            unsafe { self.walk_one(fp, activation) };
            fp = activation.outer_exit_fp as usize;
            present = activation.outer();
        }
    }

    /// # Safety
    /// As [`RawBacktrace::walk`].
    unsafe fn walk_one(&mut self, fp: usize, activation: &Activation) {
        // SAFETY: the caller's contract.
        unsafe { Self::visit(fp, activation, |return_address, _| self.push(return_address)) };
    }

    /// Calls `visit` with the return address and the frame pointer of each caller of the frame
    /// with frame pointer `fp`, as long as it returns true. Ends early at a frame that is not on
    /// the guest's stack, above the last: whatever a register or the stack holds, nothing else is
    /// read.
    ///
    /// # Safety
    /// As [`RawBacktrace::walk`].
    pub(crate) unsafe fn visit(
        mut fp: usize,
        activation: &Activation,
        mut visit: impl FnMut(usize, usize) -> bool,
    ) {
        let stack = activation.stack();
        let mut lowest = 0;
        while fp >= lowest && stack.holds_frame(fp) {
            let frame = fp as *const usize;
            // SAFETY: the stack is mapped. Compiled code keeps frame pointers, so `fp` is a frame of
            // it, up to the zero that `enter` left: the saved frame pointer, then the return address.
            let caller_fp = unsafe { frame.read() };
            // SAFETY: as above.
            let return_address = unsafe { frame.wrapping_add(1).read() };
            if !visit(activation.return_target(return_address), caller_fp) {
                return;
            }
            lowest = fp + 2 * size_of::<usize>();
            fp = caller_fp;
        }
    }
}
