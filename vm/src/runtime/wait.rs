//! Host functions that wait, as compiled code calls them.

use crate::arch::WayBack;
use crate::call::state::CallState;
use crate::call::task;
use crate::runtime::error::Error;
use crate::runtime::instance::{InstanceInner, caller};
use crate::runtime::leave::return_or_leave;
use crate::runtime::pending::{Pending, Waiting};
use crate::runtime::store::StoreInner;
use std::pin::Pin;
use std::ptr;
use std::task::Poll;

/// A host function that was begun.
pub(crate) enum Begun<F> {
    /// It has left its results where they belong.
    Ended,
    /// It will have left them there when this future is ready.
    Waits(F),
}

/// Begins a host function that may wait, and polls its future once, if there is one. If it is ready the
/// guest goes on, or is left; otherwise the store gets the future, and the guest is suspended by the
/// [`WayBack`] returned.
///
/// # Safety
/// Must be called last, by a function that a stub of `instance` called, and that has nothing left to
/// drop.
#[inline(always)]
pub(crate) unsafe fn return_or_wait<F>(
    instance: *mut InstanceInner,
    begin: impl FnOnce(*mut CallState, u32) -> Result<Begun<F>, Pending>,
) -> *const WayBack
where
    F: Future<Output = Result<(), Pending>> + Unpin + Send + 'static,
{
    // SAFETY: compiled code passes the instance pointer of its host context.
    let (call, index) = unsafe { caller(instance) };
    // SAFETY: the caller's contract.
    let result = match unsafe { poll_once(call, index, begin) } {
        Poll::Ready(result) => result.map(|()| ptr::null()),
        // The future of the call looks whether it is due.
        // SAFETY: the caller's contract.
        Poll::Pending => return unsafe { task::way_to_suspend() },
    };
    // SAFETY: the caller's contract.
    unsafe { return_or_leave(instance, result) }
}

/// # Safety
/// As [`return_or_wait`].
#[inline(always)]
unsafe fn poll_once<F>(
    call: *mut CallState,
    instance: u32,
    begin: impl FnOnce(*mut CallState, u32) -> Result<Begun<F>, Pending>,
) -> Poll<Result<(), Pending>>
where
    F: Future<Output = Result<(), Pending>> + Unpin + Send + 'static,
{
    let mut future = match begin(call, instance) {
        Ok(Begun::Waits(future)) => future,
        Ok(Begun::Ended) => return Poll::Ready(Ok(())),
        Err(pending) => return Poll::Ready(Err(pending)),
    };
    // SAFETY: the caller's contract.
    let context = unsafe { task::context() };
    let Some(context) = context else { return Poll::Ready(Err(Error::NeedsAsync.into())) };
    let polled = Pin::new(&mut future).poll(context);
    if polled.is_pending() {
        // SAFETY: while its guest runs, the store is alive and ours; the future does not run.
        let store = unsafe { StoreInner::of(call) };
        let base = store.objects.instance(instance).base();
        store.waiting = Some(Waiting { future: Box::pin(future), base });
    }
    polled
}
