//! Going back to guest code from the host, or leaving it.

use crate::arch::{LEFT, PreemptLanding, leave, resume};
use crate::call::backtrace::RawBacktrace;
use crate::call::current::current;
use crate::call::preempt;
use crate::call::state::CallState;
use crate::runtime::error::Error;
use crate::runtime::handlers::{Handler, Search};
use crate::runtime::instance::InstanceInner;
use crate::runtime::pending::Pending;
use crate::runtime::recorder::record_again;
use crate::runtime::store::StoreInner;
use crate::runtime::thrown::{Exception, Throwing};
use wfaas_abi::TrapCode;

/// Goes back to the guest, or leaves it if `result` says so, or if the call is due.
///
/// # Safety
/// Must be called last, by a function that compiled code of `instance` called, and that has
/// nothing left to drop.
#[inline(always)] // it is on the way of every call to the host, and then but two comparisons
pub(crate) unsafe fn return_or_leave<R>(
    instance: *mut InstanceInner,
    result: Result<R, Pending>,
) -> R {
    // SAFETY: compiled code passes the instance pointer of its host context.
    let call = unsafe { (*instance).call };
    // SAFETY: while its guest runs, the store is alive and ours.
    let marked = unsafe { &*call }.is_marked();
    match (result, marked) {
        (Ok(value), false) => value,
        (Ok(value), true) => {
            // SAFETY: the caller's contract.
            unsafe { return_marked(instance) };
            value
        }
        // SAFETY: as above.
        (Err(pending), _) => unsafe { depart(instance, Some(pending)) },
    }
}

/// Leaves the guest if it has to end, or has it preempted as soon as the host returns to it.
///
/// # Safety
/// As [`return_or_leave`].
#[cold]
#[inline(never)]
unsafe fn return_marked(instance: *mut InstanceInner) {
    // SAFETY: compiled code passes the instance pointer of its host context.
    let call = unsafe { (*instance).call };
    // SAFETY: while its guest runs, the store is alive and ours.
    let call = unsafe { &*call };
    if call.interrupted().is_some() {
        // SAFETY: the caller's contract.
        unsafe { depart(instance, None) }
    }
    // SAFETY: a stub of the guest has called.
    unsafe { preempt::on_return(call, PreemptLanding::behind()) };
}

/// Leaves the guest, or goes on where it catches an exception.
///
/// # Safety
/// As [`return_or_leave`].
#[cold]
#[inline(never)]
unsafe fn depart(instance: *mut InstanceInner, pending: Option<Pending>) -> ! {
    // SAFETY: compiled code passes the instance pointer of its host context.
    let &InstanceInner { call, base, .. } = unsafe { &*instance };
    // SAFETY: while its guest runs, the store is alive and ours.
    let due = unsafe { &*call }.interrupted();
    let pending = match (pending, due) {
        (None | Some(Pending::Exception(_)), Some(code)) => Pending::Trap(code),
        (Some(Pending::Exception(exception)), None) => {
            // SAFETY: the caller's contract, and the base is the calling instance's.
            unsafe { throw_to_guest(call, base, exception) }
        }
        (Some(pending), _) => pending,
        (None, None) => Pending::Trap(TrapCode::InternalFault),
    };
    // SAFETY: the caller's contract.
    unsafe { leave_with(call, pending) }
}

/// Leaves the guest; if its call is due, for that reason and not for an exception.
///
/// # Safety
/// As [`return_or_leave`], with the call state of the instance.
unsafe fn leave_with(call: *mut CallState, pending: Pending) -> ! {
    // SAFETY: while its guest runs, the store is alive and ours.
    let due = unsafe { &*call }.interrupted();
    let pending = match (pending, due) {
        (Pending::Exception(_), Some(code)) => Pending::Trap(code),
        (pending, _) => pending,
    };
    // SAFETY: as above.
    unsafe { note(call, pending) };
    // SAFETY: a call is under way, so there is an activation.
    let activation = unsafe { &*current() };
    // SAFETY: the innermost activation is the calling guest's; `pending` was moved away.
    unsafe { leave(activation.way_back(), LEFT) }
}

/// Goes on in the guest where the exception is caught. Returns the reason for leaving the guest if
/// nobody catches the exception, or if it is of another store: then it is the host function's error
/// like any other.
///
/// # Safety
/// As [`return_or_leave`]; `base` must be the BASE of the instance that called.
unsafe fn throw_to_guest(call: *mut CallState, base: *mut u8, exception: Exception) -> Pending {
    // SAFETY: a call is under way, so there is an activation.
    let activation = unsafe { &*current() };
    // SAFETY: while its guest runs, the store is alive and ours.
    let store = unsafe { StoreInner::of(call) };
    let Ok(bits) = store.objects.exception_to_bits(&exception) else {
        return Pending::Host(Box::new(Error::from(exception)));
    };
    // SAFETY: the guest left through a stub.
    let handler = unsafe { store.objects.find_handler(store.call.exit_fp(), activation) };
    let Some(handler) = handler else {
        return Pending::Exception(exception);
    };
    let tag = exception.tag_place().1;
    drop(exception);
    // SAFETY: the handler is of a call under way, and nothing is left to drop.
    unsafe { land(&store.call, base, handler, (bits, tag)) }
}

/// Goes on at a handler, with the bits and the tag of an exception.
///
/// # Safety
/// The handler must be of a call under way in guest code of this thread, `base` the BASE of the instance that
/// has called, and nothing be left to drop.
unsafe fn land(call: &CallState, base: *mut u8, handler: Handler, (bits, tag): (u64, u32)) -> ! {
    let Handler { pc, sp, fp } = handler;
    let pc = preempt::on_jump(call, pc);
    // SAFETY: the caller's contract; up to the handler all frames are of the calling instance, since a bridge
    // has a handler.
    unsafe { resume(pc, sp, fp, bits, tag.into(), base as usize) }
}

/// Goes on in the guest where an exception is caught, or leaves it. Returns only if the guest is to be preempted
/// before the handler is found: when its hostcall returns, at a landing `again`, behind which the rest of
/// this is done.
///
/// # Safety
/// As [`return_or_leave`]; `from` must be the frame at which a piece of the same search ended, if there was one.
pub(super) unsafe fn throw_in_pieces(
    instance: *mut InstanceInner,
    exception: Exception,
    from: Option<usize>,
    again: PreemptLanding,
) {
    // SAFETY: compiled code passes the instance pointer of its host context.
    let &InstanceInner { call, base, index, .. } = unsafe { &*instance };
    // SAFETY: a call is under way, so there is an activation.
    let activation = unsafe { &*current() };
    // SAFETY: while its guest runs, the store is alive and ours.
    let store = unsafe { StoreInner::of(call) };
    let mut at = from.unwrap_or(store.call.exit_fp());
    let bits = store.objects.exception_to_bits(&exception).ok();
    while let Some(bits) = bits
        && store.call.interrupted().is_none()
    {
        // SAFETY: the caller's contract.
        match unsafe { store.objects.search_handler(at, activation) } {
            Search::Found(handler) => {
                let tag = exception.tag_place().1;
                drop(exception);
                // SAFETY: the handler is of a call under way, and nothing is left to drop.
                unsafe { land(&store.call, base, handler, (bits, tag)) }
            }
            Search::Nowhere => break,
            Search::Further(next) => at = next,
        }
        // SAFETY: a stub of the guest has called.
        if store.call.is_marked() && unsafe { preempt::on_return(&store.call, again) } {
            store.throwing = Some(Throwing { instance: index, exception, at });
            return;
        }
    }
    // SAFETY: the caller's contract. Nobody catches it, or the call is due.
    unsafe { leave_with(call, Pending::Exception(exception)) }
}

/// # Safety
/// As [`return_or_leave`].
unsafe fn note(call: *mut CallState, pending: Pending) {
    // SAFETY: while its guest runs, the store is alive and ours.
    let store = unsafe { StoreInner::of(call) };
    store.pending = Some(pending);
    // SAFETY: a call is under way, so there is an activation.
    let activation = unsafe { &*current() };
    let mut backtrace = RawBacktrace::EMPTY;
    // SAFETY: the stub wrote its frame pointer before it called the host.
    unsafe { backtrace.walk(store.call.exit_fp(), activation) };
    backtrace.note();
    if let Some(recorder) = &mut store.recorder {
        // SAFETY: as above.
        unsafe { recorder.record(&store.objects, store.call.exit_fp(), activation) };
    }
    if let Some(again) = &mut store.again {
        // SAFETY: as above.
        *again = unsafe { record_again(&store.objects, store.call.exit_fp(), activation) };
    }
}
