//! Making a call of guest code from the host.

use crate::arch::{FAULTED, FINISHED, WayBack, enter};
use crate::call::current::{current, set_current};
use crate::call::faults;
use crate::call::stacks;
use crate::call::state::{Activation, CallState, Fault};
use crate::call::watchdog;
use crate::sys;
use std::io;

/// Addresses by which a guest function is called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Callee {
    /// Address of the code.
    pub(crate) code: usize,
    /// BASE of its instance.
    pub(crate) base: usize,
    /// Address of the array trampoline of its type.
    pub(crate) trampoline: usize,
}

/// End of a call other than by returning.
#[derive(Debug)]
pub(crate) enum Ended {
    /// A hostcall or a host function left the guest; it has noted why.
    Left,
    /// The signal handler left the guest.
    Faulted(Fault),
    /// The call was not even begun.
    Refused(Refused),
}

/// Reasons for not beginning a call.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Earlier calls left the store in a state it must not be used in.
    Poisoned,
    /// A host function calls from another stack or thread than the guest's.
    OtherStack,
    /// The thread ends, and has no stacks any more.
    ThreadEnds,
    /// The kernel has no memory for this.
    Os(&'static str, io::Error),
}

/// Calls a guest function with its arguments in `cells`, which hold the results afterwards.
///
/// # Errors
/// [`Ended`] if the guest did not return.
///
/// # Safety
/// `callee` must be a function of an instance of the store that `state` belongs to, with its
/// trampoline, and `cells` an array with room for its parameters and results.
#[inline]
pub(crate) unsafe fn call(
    state: &mut CallState,
    callee: Callee,
    cells: *mut u64,
) -> Result<(), Ended> {
    if state.runtime.exit_fp != 0 {
        // SAFETY: the caller's contract.
        return unsafe { call_nested(state, callee, cells) };
    }
    let previous = current();
    // A thread has a first stack only if it is ready for signals too.
    let ready = previous.is_null() && stacks::is_first_here(state.stack) && !state.poisoned;
    if !ready {
        prepare(state).map_err(Ended::Refused)?;
    }
    let top = state.stack.top();
    // A call that was left in the middle leaves its own here.
    state.runtime.bridge_fp = 0;
    state.bottom =
        Activation { back: WayBack::NONE, previous, call: &raw mut *state, outer_exit_fp: 0 };
    if state.control.begin(sys::thread_id()) {
        watchdog::watch(&state.control);
    }
    set_current(&raw const state.bottom);
    let back = &raw mut state.bottom.back;
    // SAFETY: the caller vouches for the callee, and no call under way uses the stack.
    let status = unsafe { enter(callee.code, cells, callee.base, callee.trampoline, top, back) };
    set_current(previous);
    state.runtime.exit_fp = 0;
    state.control.end();
    ended(state, status)
}

/// Calls a guest function with its arguments in the state's own cells, where the results are
/// afterwards.
///
/// # Errors
/// As [`call`].
///
/// # Safety
/// As [`call`]; parameters and results must fit the cells.
#[inline]
pub(crate) unsafe fn call_with_own_cells(
    state: &mut CallState,
    callee: Callee,
) -> Result<(), Ended> {
    let cells = (&raw mut state.cells).cast();
    // SAFETY: the caller's contract.
    unsafe { call(state, callee, cells) }
}

/// A call from a host function that the same store's guest called. It goes on below the host
/// function, on the guest's stack.
///
/// # Safety
/// As [`call`].
#[inline(never)]
unsafe fn call_nested(state: &mut CallState, callee: Callee, cells: *mut u64) -> Result<(), Ended> {
    let previous = current();
    let outer_exit_fp = state.runtime.exit_fp;
    let mut activation =
        Activation { back: WayBack::NONE, previous, call: &raw mut *state, outer_exit_fp };
    if state.poisoned {
        return Err(Ended::Refused(Refused::Poisoned));
    }
    if !state.stack.contains(&raw const activation as usize) {
        return Err(Ended::Refused(Refused::OtherStack));
    }
    state.runtime.exit_fp = 0;
    let outer_bridge_fp = std::mem::take(&mut state.runtime.bridge_fp);
    set_current(&raw const activation);
    let back = &raw mut activation.back;
    // SAFETY: the caller vouches for the callee; this call is nested in the one that uses the
    // stack, and goes on below the stack pointer.
    let status = unsafe { enter(callee.code, cells, callee.base, callee.trampoline, 0, back) };
    set_current(previous);
    state.runtime.exit_fp = outer_exit_fp;
    state.runtime.bridge_fp = outer_bridge_fp;
    ended(state, status)
}

/// The outcome that a status of `enter` means.
#[inline]
fn ended(state: &mut CallState, status: u64) -> Result<(), Ended> {
    match status {
        FINISHED => Ok(()),
        FAULTED => Err(Ended::Faulted(std::mem::take(&mut state.fault))),
        _ => Err(Ended::Left),
    }
}

/// Gives an outermost call, other than a thread's usual one, everything it needs: a stack, and a
/// thread that can handle signals.
#[cold]
fn prepare(state: &mut CallState) -> Result<(), Refused> {
    if state.poisoned {
        return Err(Refused::Poisoned);
    }
    let os = |what| move |error| Refused::Os(what, error);
    faults::prepare_thread().map_err(os("allocating a signal stack"))?;
    let stack = stacks::choose(state.stack_bytes).map_err(os("allocating a guest stack"))?;
    state.stack = stack.ok_or(Refused::ThreadEnds)?;
    state.runtime.stack_limit = state.stack.host_limit() as u64;
    Ok(())
}
