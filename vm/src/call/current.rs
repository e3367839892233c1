//! The calls under way on a thread, as a chain: each entry into guest code knows the one it is
//! nested in. Also read by signal handlers.

use crate::call::state::Activation;
use std::cell::Cell;
use std::ptr;
use wfaas_abi::TrapCode;

thread_local! {
    /// The innermost entry into guest code on this thread. Const and without drop, so that reading
    /// it in a handler does nothing but read.
    static CURRENT: Cell<*const Activation> = const { Cell::new(ptr::null()) };
}

/// The innermost entry on this thread, or null.
#[inline]
pub(crate) fn current() -> *const Activation {
    CURRENT.get()
}

/// Sets the innermost entry on this thread.
#[inline]
pub(crate) fn set_current(activation: *const Activation) {
    CURRENT.set(activation);
}

/// The innermost entry on this thread, and those it is nested in.
pub(super) fn under_way<'a>() -> impl Iterator<Item = &'a Activation> {
    // SAFETY: entries under way are alive, in call states and on stacks in use; callers keep none
    // of them.
    let innermost = unsafe { CURRENT.get().as_ref() };
    std::iter::successors(innermost, |activation| activation.previous())
}

/// Leaves the mark for each call under way on this thread that has to end, or to be suspended at the
/// end of its slice; the trap for the innermost that has to end. Async-signal-safe.
pub(crate) fn mark_due_calls() -> Option<TrapCode> {
    let mut due = None;
    for activation in under_way() {
        // SAFETY: a call under way keeps its state alive.
        let control = unsafe { &(*activation.call).control };
        if let Some(code) = control.due() {
            control.interrupt(code);
            due = due.or(Some(code));
        } else if control.slice_is_over() {
            control.mark_slice();
        }
    }
    due
}
