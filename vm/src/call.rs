//! Calling guest code from the host.

use crate::entry::{Activation, FAULTED, FINISHED, enter};
use crate::error::Error;
use crate::faults;
use crate::store::StoreInner;

/// What is needed to call a guest function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Callee {
    /// Address of the code.
    pub(crate) code: usize,
    /// BASE of its instance.
    pub(crate) base: usize,
    /// Address of the array trampoline of its type.
    pub(crate) trampoline: usize,
}

/// Calls a guest function with its arguments in `cells`, which hold the results afterwards.
///
/// # Errors
/// [`Error::Trap`], [`Error::Host`] or [`Error::Exception`] if the guest did not return.
///
/// # Safety
/// `callee` must be a function of an instance of `store`, with its trampoline, and `cells` an
/// array with room for its parameters and results.
pub(crate) unsafe fn call_guest(
    store: &mut StoreInner,
    callee: Callee,
    cells: *mut u64,
) -> Result<(), Error> {
    if store.poisoned {
        return Err(Error::Poisoned);
    }
    faults::prepare_thread().map_err(Error::os("allocating a signal stack"))?;
    if store.stack_top == 0 {
        store.make_stack()?;
    }
    let previous = faults::current();
    let mut activation = Activation {
        host_sp: 0,
        previous,
        store,
        outer_exit_fp: std::mem::take(&mut store.runtime.exit_fp),
    };
    let mut stack_top = store.stack_top;
    if activation.outer_exit_fp != 0 {
        check_nested(store, &activation)?;
        stack_top = 0;
    }
    let outermost = store.control.begin();
    faults::set_current(&activation);
    // SAFETY: the caller vouches for the callee; the stack is this store's, which `&mut` makes
    // ours, and unused below the current stack pointer if the call is nested.
    let status = unsafe {
        enter(callee.code, cells, callee.base, callee.trampoline, stack_top, &mut activation)
    };
    faults::set_current(previous);
    store.runtime.exit_fp = activation.outer_exit_fp;
    if outermost {
        store.control.end();
    }
    match status {
        FINISHED => Ok(()),
        FAULTED => Err(store.take_fault()),
        _ => Err(store.take_pending()), // goes on with a host function's panic
    }
}

/// A call from a host function goes on below it: it must run on the store's stack.
fn check_nested(store: &mut StoreInner, activation: &Activation) -> Result<(), Error> {
    let here = std::ptr::from_ref(activation) as usize;
    if store.stack.as_ref().is_some_and(|stack| stack.contains(here)) {
        return Ok(());
    }
    store.runtime.exit_fp = activation.outer_exit_fp;
    let message = "a call from a host function on a stack or thread of its own";
    Err(Error::Unsupported(message.into()))
}
