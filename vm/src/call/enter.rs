//! Making a call of guest code from the host.

use crate::arch::{FAULTED, FINISHED, enter};
use crate::call::current::{current, set_current};
use crate::call::faults;
use crate::call::stack::GuestStack;
use crate::call::stacks;
use crate::call::state::{Activation, CallState, Fault, Phase};
use crate::sys;
use std::io;
use wfaas_abi::context::RuntimeContext;

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
    /// A suspended call of the store was leaked.
    Leaked,
    /// A call that can be suspended was asked for inside of one that cannot.
    InsideSync,
    /// Calls that can be suspended are nested too deeply.
    TooDeep,
    /// The store's calls have used the processor time that they may.
    Exhausted,
    /// As many calls are suspended as there may be.
    NoStack {
        /// How many there may be.
        max: usize,
    },
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
    prepare_outermost(state, previous).map_err(Ended::Refused)?;
    let top = state.bottom.stack.start();
    (state.bottom.previous, state.bottom.call) = (previous, &raw mut *state);
    state.control.begin(sys::thread_id());
    let watched = state.begin_stint(false);
    set_current(&raw const state.bottom);
    let back = &raw mut state.bottom.back;
    // SAFETY: the caller vouches for the callee, and no call under way uses the stack.
    let status = unsafe { enter(callee.code, cells, callee.base, callee.trampoline, top, back) };
    set_current(previous);
    state.runtime.exit_fp = 0;
    if watched {
        state.end_stint();
    }
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
/// function, on the guest's stack; or on another of the thread's, if the guest is suspended.
///
/// # Safety
/// As [`call`].
#[inline(never)]
unsafe fn call_nested(state: &mut CallState, callee: Callee, cells: *mut u64) -> Result<(), Ended> {
    let (previous, outer) = (current(), state.innermost());
    let mut activation = Activation { previous, call: &raw mut *state, ..Activation::NONE };
    if state.poisoned {
        return Err(Ended::Refused(Refused::Poisoned));
    }
    let top = match outer.phase() {
        Phase::Suspended | Phase::Ended => return Err(Ended::Refused(Refused::Leaked)),
        Phase::Running if outer.stack().contains(&raw const activation as usize) => {
            activation.stack = outer.stack();
            0
        }
        Phase::Running => return Err(Ended::Refused(Refused::OtherStack)),
        Phase::Polled => {
            activation.stack = choose_stack(state).map_err(Ended::Refused)?;
            activation.stack.start()
        }
    };
    let before = state.innermost;
    let outer_runtime = nest(state, outer, &mut activation);
    let outer_thread = state.control.set_thread(sys::thread_id());
    let deadline = state.begin_nested_stint();
    set_current(&raw const activation);
    let back = &raw mut activation.back;
    // SAFETY: the caller vouches for the callee; this call goes on below the stack pointer, on the
    // stack of the call it is nested in, or no call under way uses its stack.
    let status = unsafe { enter(callee.code, cells, callee.base, callee.trampoline, top, back) };
    set_current(previous);
    drop(deadline);
    state.control.set_thread(outer_thread);
    state.innermost = before;
    state.runtime = outer_runtime;
    ended(state, status)
}

/// Makes `entry`, with its stack, the innermost one, nested in `outer`; the runtime context of
/// `outer`, for later.
pub(super) fn nest(
    state: &mut CallState,
    outer: &Activation,
    entry: &mut Activation,
) -> RuntimeContext {
    (entry.outer, entry.outer_exit_fp) = (outer, state.runtime.exit_fp);
    state.innermost = entry;
    let stack_limit = entry.stack.host_limit() as u64;
    std::mem::replace(&mut state.runtime, RuntimeContext { exit_fp: 0, stack_limit, bridge_fp: 0 })
}

/// The outcome that a status of `enter` means.
#[inline]
pub(super) fn ended(state: &mut CallState, status: u64) -> Result<(), Ended> {
    match status {
        FINISHED => Ok(()),
        FAULTED => Err(Ended::Faulted(std::mem::take(&mut state.fault))),
        _ => Err(Ended::Left),
    }
}

/// Gives an outermost call everything it needs; `previous` is the innermost entry on this thread.
#[inline]
pub(super) fn prepare_outermost(
    state: &mut CallState,
    previous: *const Activation,
) -> Result<(), Refused> {
    // A thread has a first stack only if it is ready for signals too.
    let ready = previous.is_null() && stacks::is_first_here(state.bottom.stack) && !state.poisoned;
    if !ready {
        prepare(state)?;
    }
    // A call that was left in the middle leaves its own here.
    state.runtime.bridge_fp = 0;
    Ok(())
}

/// Gives an outermost call, other than a thread's usual one, a stack, and a thread that can handle
/// signals.
#[cold]
fn prepare(state: &mut CallState) -> Result<(), Refused> {
    if state.poisoned {
        return Err(Refused::Poisoned);
    }
    if state.control.is_exhausted() {
        return Err(Refused::Exhausted);
    }
    state.bottom.stack = choose_stack(state)?;
    state.runtime.stack_limit = state.bottom.stack.host_limit() as u64;
    Ok(())
}

/// A stack of this thread that no call under way uses, once the thread can handle signals.
pub(super) fn choose_stack(state: &CallState) -> Result<GuestStack, Refused> {
    prepare_thread()?;
    let stack = stacks::choose(&state.stacks).map_err(os("allocating a guest stack"))?;
    stack.ok_or(Refused::ThreadEnds)
}

/// Makes sure that this thread can handle signals of guests.
pub(super) fn prepare_thread() -> Result<(), Refused> {
    faults::prepare_thread().map_err(os("allocating a signal stack"))
}

fn os(what: &'static str) -> impl FnOnce(io::Error) -> Refused {
    move |error| Refused::Os(what, error)
}
