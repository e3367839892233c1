//! The state of a store's call: everything that has to be kept if the call is parked, and to be
//! taken along if it goes on on another thread.
//!
//! ```text
//!   CallState                               guest's stack
//!   | RuntimeContext: exit frame, limit |   | enter → trampoline → guest → stub → host function |
//!   | bottom: Activation ---------------+→  |   nested Activation, on the stack itself          |
//!   |   way back to the host's stack    |   |     enter → trampoline → guest ...                |
//!   | stack, control, fault, cells      |
//! ```
//!
//! The outermost entry of a store into guest code is recorded in its call state, and its arguments
//! and results lie there too. Entries that are nested in it, from host functions, are recorded on
//! the guest's own stack.

use crate::arch::WayBack;
use crate::call::control::Control;
use crate::call::stack::GuestStack;
use std::ptr;
use std::sync::Arc;
use wfaas_abi::TrapCode;
use wfaas_abi::context::RuntimeContext;

/// Cells that a typed call has room for: ten values, each of which may be a vector.
pub(crate) const MAX_CELLS: usize = 20;

/// An entry into guest code that has not returned.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Activation {
    /// Written by `enter`.
    pub(super) back: WayBack,
    /// The entry on this thread that this one is nested in, or null.
    pub(super) previous: *const Activation,
    /// The call it is a part of.
    pub(super) call: *mut CallState,
    /// The exit frame of the entry in the same store that this one is nested in.
    pub(super) outer_exit_fp: u64,
}

impl Activation {
    /// No entry.
    const NONE: Activation = Activation {
        back: WayBack::NONE,
        previous: ptr::null(),
        call: ptr::null_mut(),
        outer_exit_fp: 0,
    };

    /// The way back to the host.
    pub(crate) fn way_back(&self) -> &WayBack {
        &self.back
    }

    /// The entry that this one is nested in.
    pub(crate) fn previous(&self) -> Option<&Activation> {
        // SAFETY: entries under way are alive, in call states and on stacks in use, and outer ones
        // live longer than those nested in them.
        unsafe { self.previous.as_ref() }
    }

    /// Frame pointer at the end of the guest's chain of frames.
    pub(crate) fn entry_fp(&self) -> usize {
        self.back.entry_fp()
    }

    /// The stack it runs on.
    pub(super) fn stack(&self) -> GuestStack {
        // SAFETY: a call under way keeps its state alive, and this thread is the one that uses it.
        unsafe { (*self.call).stack }
    }
}

/// Note of the signal handler that left guest code.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fault {
    /// The trap, if the handler knew; otherwise it is looked up by `pc`.
    pub(crate) code: Option<TrapCode>,
    /// The address of the instruction.
    pub(crate) pc: usize,
}

/// The state of a store's call. It does not move while a call is under way: compiled code, the
/// signal handler and the watchdog know it.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct CallState {
    /// The part that compiled code reads and writes.
    pub(super) runtime: RuntimeContext,
    /// The outermost entry, if a call is under way.
    pub(super) bottom: Activation,
    /// The stack of the last call, which may be another's now, or gone, unless one is under way.
    pub(super) stack: GuestStack,
    pub(super) control: Arc<Control>,
    /// Whether a host function was left in the middle.
    pub(super) poisoned: bool,
    pub(super) fault: Fault,
    /// Bytes of stack a guest may use.
    pub(super) stack_bytes: usize,
    /// Arguments and results of typed calls. A nested call may use them too: the outer one has read
    /// its arguments before, and writes its results afterwards.
    pub(super) cells: [u64; MAX_CELLS],
}

impl CallState {
    /// The state of a store without a call. Its guests get `stack_bytes` bytes of stack.
    pub(crate) fn new(stack_bytes: usize) -> CallState {
        CallState {
            runtime: RuntimeContext { exit_fp: 0, stack_limit: 0, bridge_fp: 0 },
            bottom: Activation::NONE,
            stack: GuestStack::default(),
            control: Arc::default(),
            poisoned: false,
            fault: Fault::default(),
            stack_bytes,
            cells: [0; MAX_CELLS],
        }
    }

    /// The address that compiled code of a store with this call state gets.
    pub(crate) fn runtime_address(state: *mut CallState) -> u64 {
        state as u64 + std::mem::offset_of!(CallState, runtime) as u64
    }

    /// Frame pointer of the stub through which the guest left to the host; zero if it did not.
    pub(crate) fn exit_fp(&self) -> usize {
        self.runtime.exit_fp as usize
    }

    /// The stack of the last call.
    pub(crate) fn stack(&self) -> GuestStack {
        self.stack
    }

    /// Deadline, cancellation and mark.
    #[inline]
    pub(crate) fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// The trap with which the call under way has to end, if a mark was left.
    #[inline]
    pub(crate) fn interrupted(&self) -> Option<TrapCode> {
        self.control.interrupted()
    }

    /// The cells of typed calls.
    #[inline]
    pub(crate) fn cells(&mut self) -> &mut [u64; MAX_CELLS] {
        &mut self.cells
    }

    /// Whether a host function was left in the middle: the store must not be used again.
    #[inline]
    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// Marks the store as one that must not be used again.
    pub(crate) fn poison(&mut self) {
        self.poisoned = true;
    }

    /// Shows every word on the guest's stack, and in registers, if a call is under way and its
    /// guest left through a stub.
    pub(crate) fn scan_stack(&self, show: impl FnMut(u64)) {
        if self.runtime.exit_fp != 0 {
            // SAFETY: the guest left through a stub, to this: its call is under way.
            unsafe { self.stack.scan(show) };
        }
    }

    /// Forgets everything that calls may have left; whether that was possible. Every field has its
    /// line here, so that a new one does not compile until somebody has decided about it.
    #[inline]
    pub(crate) fn reset(&mut self) -> bool {
        let CallState {
            // All are written anew by each call, and the first is zero between calls.
            runtime: RuntimeContext { exit_fp, stack_limit: _, bridge_fp: _ },
            // Read only while a call is under way, which writes it first.
            bottom: _,
            // A thread's, compared with the present one by each call.
            stack: _,
            control,
            poisoned,
            fault,
            stack_bytes: _,
            // Read only where the same call has written.
            cells: _,
        } = self;
        debug_assert_eq!(*exit_fp, 0, "no call is under way");
        // A cancel handle that somebody kept must not reach the next faaslet.
        if Arc::strong_count(control) > 1 {
            *control = Arc::default();
        }
        control.reset();
        *fault = Fault::default();
        !*poisoned
    }
}
