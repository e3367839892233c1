//! Calling guest code from the host.

use crate::entry::{Activation, FAULTED, FINISHED, enter};
use crate::error::Error;
use crate::faults;
use crate::stack;
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
#[inline]
pub(crate) unsafe fn call_guest(
    store: &mut StoreInner,
    callee: Callee,
    cells: *mut u64,
) -> Result<(), Error> {
    let previous = faults::current();
    let mut activation = Activation {
        host_sp: 0,
        previous,
        store,
        outer_exit_fp: std::mem::take(&mut store.runtime.exit_fp),
    };
    // A thread has a first stack only if it is ready for signals too.
    let ready = previous.is_null() && store.stack.is_first_here() && !store.poisoned;
    let stack_top = if ready { store.stack.top() } else { prepare(store, &activation)? };
    let outermost = store.control.begin();
    faults::set_current(&activation);
    // SAFETY: the caller vouches for the callee; no call under way uses the stack, or this one is
    // nested in it and goes on below the stack pointer.
    let status = unsafe {
        enter(callee.code, cells, callee.base, callee.trampoline, stack_top, &mut activation)
    };
    faults::set_current(previous);
    store.runtime.exit_fp = activation.outer_exit_fp;
    if outermost {
        store.control.end();
    }
    if status == FINISHED { Ok(()) } else { Err(error_of(store, status)) }
}

/// What a call other than a thread's usual one needs: a stack, and a thread that can handle
/// signals. The top of the stack, or zero for a call that goes on below the present one.
#[cold]
fn prepare(store: &mut StoreInner, activation: &Activation) -> Result<usize, Error> {
    let top = stack_for(store, activation);
    if top.is_err() {
        store.runtime.exit_fp = activation.outer_exit_fp;
    }
    top
}

fn stack_for(store: &mut StoreInner, activation: &Activation) -> Result<usize, Error> {
    if store.poisoned {
        return Err(Error::Poisoned);
    }
    if activation.outer_exit_fp != 0 {
        // A call from a host function goes on below it: it must run on the store's stack.
        let here = std::ptr::from_ref(activation) as usize;
        let message = "a call from a host function on a stack or thread of its own";
        let nested = store.stack.contains(here);
        return nested.then_some(0).ok_or_else(|| Error::Unsupported(message.into()));
    }
    faults::prepare_thread().map_err(Error::os("allocating a signal stack"))?;
    let bytes = store.engine.config().stack_bytes;
    store.stack = stack::choose(bytes, activation.previous())?;
    store.runtime.stack_limit = store.stack.host_limit() as u64;
    Ok(store.stack.top())
}

#[cold]
fn error_of(store: &mut StoreInner, status: u64) -> Error {
    if status != FAULTED {
        return store.take_pending(); // goes on with a host function's panic
    }
    let error = store.take_fault();
    if store.poisoned {
        stack::retire(store.stack);
    }
    error
}
