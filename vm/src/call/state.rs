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
//! the host function's stack. Entries that can be suspended are recorded in a `Task` that outlives the
//! poll in which they began.

use crate::arch::{PreemptLanding, SaveArea, WayBack};
use crate::call::control::Control;
use crate::call::stack::{GuestStack, Owned};
use crate::call::stack_pool::StackPool;
use crate::call::watched::{Stint, Watched};
use std::marker::PhantomPinned;
use std::ops::Range;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Waker};
use wfaas_abi::TrapCode;
use wfaas_abi::context::RuntimeContext;

/// Cells that a typed call has room for: ten values, each of which may be a vector.
pub(crate) const MAX_CELLS: usize = 20;

/// An entry into guest code that has not returned.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Activation {
    /// Written by `enter`, and when it is resumed.
    pub(super) back: WayBack,
    /// The entry on this thread that this one is nested in, or null.
    pub(super) previous: *const Activation,
    /// The call it is a part of.
    pub(super) call: *mut CallState,
    /// The entry in the same store that this one is nested in, or null.
    pub(super) outer: *const Activation,
    /// The exit frame of that entry.
    pub(super) outer_exit_fp: u64,
    /// The stack it runs on. Between calls, the outermost entry of a store has that of the last
    /// call here, which may be another's now, or gone.
    pub(super) stack: GuestStack,
    /// How it is suspended; null if it cannot be.
    pub(super) suspension: *mut Suspension,
}

/// The part of an entry that can be suspended which the others of its store may have to know.
#[derive(Debug)]
pub(crate) struct Suspension {
    pub(super) phase: Phase,
    /// The stack, once the entry was suspended: its own then, until it ends.
    pub(super) stack: Option<Owned>,
    /// The exit frame, while it is suspended.
    pub(super) exit_fp: usize,
    /// The registers, while it is suspended because it was preempted.
    pub(super) saved: Option<Box<SaveArea>>,
    /// The return address that the host has replaced, to have the guest preempted there.
    pub(super) diverted: Diverted,
    /// How many entries that can be suspended it is nested in.
    pub(super) depth: u32,
    /// The context of the poll under way, while guest code runs.
    pub(super) context: *mut Context<'static>,
}

/// Phase of an entry that can be suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not begun, over, or given up.
    Ended,
    /// Its guest runs, or a host function that the guest called.
    Running,
    /// Suspended.
    Suspended,
    /// Suspended, and the host function it waits for is being polled.
    Polled,
}

/// A return address that the host has replaced by a landing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Diverted {
    pub(super) landing: PreemptLanding,
    /// The address in guest code.
    pub(super) target: usize,
}

impl Diverted {
    /// None was.
    pub(super) const NONE: Diverted = Diverted { landing: PreemptLanding::NONE, target: 0 };

    /// The address to which a frame returns that has `address`.
    pub(super) fn target_of(&self, address: usize) -> usize {
        if self.target != 0 && address == self.landing.address() { self.target } else { address }
    }
}

impl Suspension {
    /// Of an entry that was not begun.
    fn new() -> Suspension {
        Suspension {
            phase: Phase::Ended,
            stack: None,
            exit_fp: 0,
            saved: None,
            diverted: Diverted::NONE,
            depth: 0,
            context: ptr::null_mut(),
        }
    }
}

impl Activation {
    /// No entry.
    pub(super) const NONE: Activation = Activation {
        back: WayBack::NONE,
        previous: ptr::null(),
        call: ptr::null_mut(),
        outer: ptr::null(),
        outer_exit_fp: 0,
        stack: GuestStack::NONE,
        suspension: ptr::null_mut(),
    };

    /// The way back to the host.
    pub(crate) fn way_back(&self) -> &WayBack {
        &self.back
    }

    /// The entry on this thread that this one is nested in.
    pub(crate) fn previous(&self) -> Option<&Activation> {
        // SAFETY: entries under way are alive, in call states, tasks, and on stacks in use, and
        // outer ones live longer than those nested in them.
        unsafe { self.previous.as_ref() }
    }

    /// The entry in the same store that this one is nested in.
    pub(super) fn outer(&self) -> Option<&Activation> {
        // SAFETY: as above.
        unsafe { self.outer.as_ref() }
    }

    /// Whether it is nested in another entry of its store.
    pub(crate) fn is_nested(&self) -> bool {
        !self.outer.is_null()
    }

    /// Whether all of these bytes are on its stack.
    pub(crate) fn holds(&self, bytes: &Range<usize>) -> bool {
        self.stack.holds(bytes)
    }

    /// How it is suspended, if it can be.
    pub(super) fn suspension(&self) -> Option<&Suspension> {
        // SAFETY: a suspension does not move while its entry is under way; nobody changes it
        // through anything but raw pointers meanwhile.
        unsafe { self.suspension.as_ref() }
    }

    /// The phase.
    pub(super) fn phase(&self) -> Phase {
        self.suspension().map_or(Phase::Running, |suspension| suspension.phase)
    }

    /// The guest's stack pointer, if it is suspended.
    fn suspended_sp(&self) -> Option<usize> {
        let suspended = matches!(self.phase(), Phase::Suspended | Phase::Polled);
        let waits = || self.back.guest_sp();
        suspended.then(|| self.saved().map_or_else(waits, |saved| saved.place().sp))
    }

    /// The registers, if it was preempted.
    pub(super) fn saved(&self) -> Option<&SaveArea> {
        self.suspension().and_then(|suspension| suspension.saved.as_deref())
    }

    /// The address to which a frame returns that has `address`.
    pub(super) fn return_target(&self, address: usize) -> usize {
        let diverted = self.suspension().map(|suspension| suspension.diverted);
        diverted.map_or(address, |diverted| diverted.target_of(address))
    }

    /// The stack it runs on.
    pub(super) fn stack(&self) -> GuestStack {
        self.stack
    }
}

/// A call that can be suspended; see `task`. The chain of entries knows its address.
#[derive(Debug)]
pub(crate) struct Task {
    pub(super) entry: Activation,
    pub(super) suspension: Suspension,
    /// Of a nested task: the runtime context of the entry around it; while it is suspended, its own.
    pub(super) other: RuntimeContext,
    /// The waker that the control has already.
    pub(super) noted: Option<Waker>,
    /// Others use it while there is a `&mut` to it.
    _pinned: PhantomPinned,
}

// SAFETY: a task that is not running is used by nobody but its owner. Its stack holds only frames of
// compiled code and stubs, which know no thread; the entries around it are its store's.
unsafe impl Send for Task {}

impl Task {
    /// A task that was not begun.
    pub(crate) fn new() -> Task {
        let other = RuntimeContext { exit_fp: 0, stack_limit: 0, bridge_fp: 0 };
        let (entry, suspension) = (Activation::NONE, Suspension::new());
        Task { entry, suspension, other, noted: None, _pinned: PhantomPinned }
    }
}

/// Note of the signal handler that left guest code.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fault {
    /// The trap, if the handler knew; otherwise it is looked up by `pc`.
    pub(crate) code: Option<TrapCode>,
    /// The address of the instruction.
    pub(crate) pc: usize,
    /// The stack that was in use.
    pub(crate) stack: GuestStack,
}

/// The state of a store's call. It does not move while a call is under way: compiled code, the
/// signal handler and the watchdog know it.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct CallState {
    /// The part that compiled code reads and writes.
    pub(super) runtime: RuntimeContext,
    /// The outermost entry, if a call is under way that cannot be suspended.
    pub(super) bottom: Activation,
    /// The innermost entry; null if there is none but the one above.
    pub(super) innermost: *const Activation,
    pub(super) control: Arc<Control>,
    pub(super) watched: Watched,
    /// The stint under way of the outermost call, if it is watched.
    pub(super) stint: Option<Stint>,
    /// Whether a host function was left in the middle.
    pub(super) poisoned: bool,
    pub(super) fault: Fault,
    /// The stacks of suspended calls.
    pub(super) stacks: Arc<StackPool>,
    /// Arguments and results of typed calls. A nested call may use them too: the outer one has read
    /// its arguments before, and writes its results afterwards.
    pub(super) cells: [u64; MAX_CELLS],
}

impl CallState {
    /// The state of a store without a call. Its suspended calls keep their stacks among `stacks`.
    pub(crate) fn new(stacks: Arc<StackPool>) -> CallState {
        CallState {
            runtime: RuntimeContext { exit_fp: 0, stack_limit: 0, bridge_fp: 0 },
            bottom: Activation::NONE,
            innermost: ptr::null(),
            control: Arc::default(),
            watched: Watched::NONE,
            stint: None,
            poisoned: false,
            fault: Fault::default(),
            stacks,
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

    /// The innermost entry, if a call is under way. The caller keeps it no longer than the call is.
    pub(super) fn innermost<'a>(&self) -> &'a Activation {
        let innermost =
            if self.innermost.is_null() { &raw const self.bottom } else { self.innermost };
        // SAFETY: entries under way are alive; the outermost one is a field of this.
        unsafe { &*innermost }
    }

    /// Deadline, cancellation and mark.
    #[inline]
    pub(crate) fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Whether a mark was left: the call under way has to end, or its slice is over.
    #[inline]
    pub(crate) fn is_marked(&self) -> bool {
        self.control.is_marked()
    }

    /// The trap with which the call under way has to end, if a mark was left for that.
    #[inline]
    pub(crate) fn interrupted(&self) -> Option<TrapCode> {
        self.control.interrupted()
    }

    /// The trap with which the call has to end, while a host function is polled that it waits for: no
    /// mark is left then.
    pub(crate) fn due_while_polled(&self) -> Option<TrapCode> {
        let polled = !self.innermost.is_null() && self.innermost().phase() == Phase::Polled;
        polled.then(|| self.control.due()).flatten()
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

    /// Whether a call is suspended.
    pub(crate) fn is_suspended(&self) -> bool {
        !self.innermost.is_null()
    }

    /// Marks the store as one that must not be used again.
    pub(crate) fn poison(&mut self) {
        self.poisoned = true;
    }

    /// Shows every word that guests under way have on their stacks and may have in registers.
    pub(crate) fn scan_stacks(&self, mut show: impl FnMut(u64)) {
        if self.runtime.exit_fp == 0 {
            return;
        }
        let mut inner: Option<&Activation> = None;
        let mut entry = Some(self.innermost());
        while let Some(present) = entry {
            let stack = present.stack();
            // The words of an entry on the same stack as its inner one were shown with that.
            if inner.is_none_or(|inner| inner.stack().id() != stack.id()) {
                let from = present.suspended_sp().or(inner.map(|inner| inner.back.host_sp()));
                // SAFETY: a call is under way there.
                unsafe { stack.scan(from, &mut show) };
            }
            present.saved().iter().flat_map(|saved| saved.words()).for_each(&mut show);
            (inner, entry) = (entry, present.outer());
        }
    }

    /// Forgets everything that calls may have left; whether that was possible. Every field has its
    /// line here, so that a new one does not compile until somebody has decided about it.
    #[inline]
    pub(crate) fn reset(&mut self) -> bool {
        let CallState {
            // All are written anew by each call, and the first is zero between calls.
            runtime: RuntimeContext { exit_fp, stack_limit: _, bridge_fp: _ },
            // Read only while a call is under way, which writes it first; but for its stack, which
            // is a thread's and compared with the present one by each call.
            bottom: _,
            innermost,
            control,
            watched,
            stint,
            poisoned,
            fault,
            // The engine's.
            stacks: _,
            // Read only where the same call has written.
            cells: _,
        } = self;
        if !innermost.is_null() {
            return false; // a suspended call was leaked
        }
        debug_assert_eq!(*exit_fp, 0, "no call is under way");
        debug_assert!(stint.is_none(), "no call is under way");
        // A cancel handle that somebody kept must not reach the next faaslet.
        if Arc::strong_count(control) > 1 {
            *control = Arc::default();
        }
        control.reset();
        *watched = Watched::NONE;
        *fault = Fault::default();
        !*poisoned
    }
}

impl CallState {
    /// Gives up the suspended entries that are nested in `outer`, or all if that is null: they were
    /// leaked, and nobody resumes them any more.
    pub(super) fn give_up_inside(&mut self, outer: *const Activation) {
        while !self.innermost.is_null() && self.innermost != outer {
            // SAFETY: a leaked entry is never freed.
            let entry = unsafe { &*self.innermost };
            // SAFETY: as above; entries that cannot be suspended end before those around them.
            let Some(suspension) = (unsafe { entry.suspension.as_mut() }) else { return };
            self.end_suspension(suspension);
            self.innermost = entry.outer;
        }
    }

    /// Ends an entry that can be suspended: its stack goes back to where it belongs.
    pub(super) fn end_suspension(&self, suspension: &mut Suspension) {
        suspension.phase = Phase::Ended;
        suspension.saved = None;
        match suspension.stack.take() {
            // Others may still refer to the frames of a host function that was left in the middle.
            Some(stack) if self.poisoned => {
                self.stacks.discount();
                std::mem::forget(stack);
            }
            Some(stack) => self.stacks.put_back(stack),
            None => {}
        }
    }
}

impl Drop for CallState {
    fn drop(&mut self) {
        self.give_up_inside(ptr::null());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_returns_to_a_landing_returns_to_the_address_it_had() {
        let landing = PreemptLanding::behind();
        assert_eq!(Diverted::NONE.target_of(landing.address()), landing.address());
        assert_eq!(Diverted::NONE.target_of(0), 0);
        let diverted = Diverted { landing, target: 77 };
        assert_eq!([landing.address(), 78].map(|address| diverted.target_of(address)), [77, 78]);
    }
}
