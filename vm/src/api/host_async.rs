//! Async host functions: closures that return a future, or at once the results.
//!
//! Compiled code calls a stub, which calls `begin` below. It makes the future and polls it once, on the
//! guest's stack. If it is not ready, the guest is suspended, and the future of its call polls it.

use crate::api::async_func::{
    AsyncHostFunc, Called, Dynamic, ResultFuture, Scalars, Seldom, Typed,
};
use crate::api::caller::Caller;
use crate::api::host_func::{HostParams, HostResults};
use crate::api::maybe_future::MaybeFuture;
use crate::api::store::StoreBox;
use crate::api::val::Val;
use crate::arch::{WaitEnv, WayBack};
use crate::call::state::CallState;
use crate::call::task;
use crate::runtime::error::Error;
use crate::runtime::host_func::{HostEntry, HostFunc, Shim};
use crate::runtime::instance::InstanceInner;
use crate::runtime::pending::{HostFuture, Pending};
use crate::runtime::trap::BoxError;
use crate::runtime::wait::{Begun, return_or_wait};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use wfaas_abi::{FuncType, ValType};

/// An async host function with Rust's types.
pub(super) fn typed<T: 'static, F, P, R>(function: F) -> Arc<HostFunc>
where
    F: for<'a> Fn(Caller<'a, T>, P) -> ResultFuture<'a, R> + Send + Sync + 'static,
    P: HostParams,
    R: HostResults,
{
    let ty = FuncType::new(P::types(), R::types());
    host_func::<T, _>(ty, Typed::<F, P, R> { function, types: PhantomData })
}

/// The same of one that seldom waits.
pub(super) fn seldom<T: 'static, F, P, R>(function: F) -> Arc<HostFunc>
where
    F: for<'a> Fn(Caller<'a, T>, P) -> MaybeFuture<'a, R> + Send + Sync + 'static,
    P: HostParams,
    R: HostResults,
{
    let ty = FuncType::new(P::types(), R::types());
    host_func::<T, _>(ty, Seldom::<F, P, R> { function, types: PhantomData })
}

/// An async host function with a type known at run time.
pub(super) fn dynamic<T: 'static, F>(ty: FuncType, function: F) -> Arc<HostFunc>
where
    F: for<'a> Fn(Caller<'a, T>, Vec<Val>) -> ResultFuture<'a, Result<Vec<Val>, BoxError>>
        + Send
        + Sync
        + 'static,
{
    host_func::<T, _>(ty.clone(), Dynamic { function, ty })
}

/// An async host function of numbers, with a type known at run time, that seldom waits, and another one that is called
/// first.
pub(super) fn scalars<T: 'static, D, F>(ty: FuncType, direct: D, function: F) -> Arc<HostFunc>
where
    D: Fn(Caller<'_, T>, &[u64]) -> Result<Option<u64>, BoxError> + Send + Sync + 'static,
    F: for<'a> Fn(Caller<'a, T>, &[u64]) -> MaybeFuture<'a, Result<u64, BoxError>>
        + Send
        + Sync
        + 'static,
{
    let is_number = |ty: &ValType| !matches!(ty, ValType::V128 | ValType::Ref(_));
    assert!(ty.params().iter().chain(ty.results()).all(is_number), "{ty} is not of numbers alone");
    assert!(ty.results().len() <= 1, "{ty} has several results");
    host_func::<T, _>(ty.clone(), Scalars { direct, function, ty })
}

fn host_func<T: 'static, F: AsyncHostFunc<T>>(ty: FuncType, function: F) -> Arc<HostFunc> {
    let closure = Box::new(Closure { env: WaitEnv { begin: begin::<T, F> }, function });
    Arc::new(HostFunc {
        ty,
        shim: Shim::Wait,
        entry: HostEntry::Async(begin_boxed::<T, F>),
        closure,
    })
}

/// A closure, behind the record by which the stub finds `begin`.
#[repr(C)]
struct Closure<F> {
    env: WaitEnv,
    function: F,
}

/// Begins a host function for the stub that compiled code called.
extern "C" fn begin<T: 'static, F: AsyncHostFunc<T>>(
    closure: *const (),
    instance: *mut (),
    cells: *mut u64,
) -> *const WayBack {
    let instance: *mut InstanceInner = instance.cast();
    // Linking put the closure with the stub, into a store of its type.
    let begin = |call, index| {
        if F::ALWAYS_ASYNC && !task::can_suspend() {
            return Err(Error::NeedsAsync.into());
        }
        // SAFETY: as above; while the guest runs, the store is the call's; the stub has room for the
        // type's cells, as long as the guest waits.
        unsafe { Waiter::<T, F>::begin(closure, call, Some(index), cells) }
    };
    // SAFETY: this is called by a stub, and nothing is left to drop.
    unsafe { return_or_wait(instance, begin) }
}

/// # Safety
/// As [`Waiter::begin`].
unsafe fn begin_boxed<T: 'static, F: AsyncHostFunc<T>>(
    closure: *const (),
    call: *mut CallState,
    instance: Option<u32>,
    cells: *mut u64,
) -> Result<HostFuture, Pending> {
    // SAFETY: the caller's contract.
    Ok(match unsafe { Waiter::<T, F>::begin(closure, call, instance, cells)? } {
        Begun::Ended => Box::pin(async { Ok(()) }),
        Begun::Waits(waiter) => Box::pin(waiter),
    })
}

/// The future of an async host function, which leaves its results in cells.
struct Waiter<T: 'static, F: AsyncHostFunc<T>> {
    /// `None` once it is ready: it refers to the store.
    future: Option<Pin<ResultFuture<'static, F::Results>>>,
    function: *const F,
    store: *mut StoreBox<T>,
    instance: Option<u32>,
    cells: *mut u64,
}

// SAFETY: the function can be shared; store and cells are used by this alone as long as it is polled;
// whoever polls or drops it has the right to the store, and so to the data.
unsafe impl<T: 'static, F: AsyncHostFunc<T>> Send for Waiter<T, F> {}

impl<T: 'static, F: AsyncHostFunc<T>> Waiter<T, F> {
    /// Calls the function with the arguments that are in `cells`, where the results will be.
    ///
    /// # Safety
    /// `closure` must point to a `Closure<F>`, `call` to the start of a `StoreBox<T>`; both must outlive
    /// this, and the store be exclusively ours as long as this is polled or dropped, and have the
    /// closure. `cells` must have room for parameters and results, as long as this is polled.
    #[inline(always)]
    unsafe fn begin(
        closure: *const (),
        call: *mut CallState,
        instance: Option<u32>,
        cells: *mut u64,
    ) -> Result<Begun<Self>, Pending> {
        let (closure, store) = (closure.cast::<Closure<F>>(), call.cast::<StoreBox<T>>());
        // SAFETY: the caller's contract.
        let function = unsafe { &(*closure).function };
        let direct = move || {
            // SAFETY: the caller's contract.
            let of_function = unsafe { &mut *store };
            // SAFETY: the caller's contract.
            unsafe { function.call_directly(of_function, instance, cells) }
        };
        match catch_unwind(AssertUnwindSafe(direct)) {
            Ok(Ok(true)) => return Ok(Begun::Ended),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => return Err(Pending::of_host(error)),
            Err(panic) => return Err(Pending::Panic(panic)),
        }
        let call = move || {
            // SAFETY: the caller's contract.
            let of_function = unsafe { &mut *store };
            // SAFETY: the caller's contract.
            let called = unsafe { function.call(of_function, instance, cells)? };
            let results = match called.future() {
                Ok(future) => return Ok(Some(future)),
                Err(results) => results,
            };
            // SAFETY: the caller's contract; the function, which had it, has returned.
            let objects = unsafe { &mut (*store).inner.objects };
            // SAFETY: the caller's contract.
            unsafe { function.write(results, objects, instance, cells) }.map(|()| None)
        };
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(None)) => Ok(Begun::Ended),
            Ok(Ok(Some(future))) => {
                let future = Some(Pin::from(future));
                Ok(Begun::Waits(Waiter { future, function, store, instance, cells }))
            }
            Ok(Err(error)) => Err(Pending::of_host(error)),
            Err(panic) => Err(Pending::Panic(panic)),
        }
    }

    /// Leaves the results in the cells, if they are ready.
    #[inline(always)]
    fn poll_results(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let future = self.future.as_mut().expect("it was not polled after it was ready");
        let Poll::Ready(results) = future.as_mut().poll(context) else { return Poll::Pending };
        self.future = None;
        let Waiter { function, store, instance, cells, .. } = *self;
        // SAFETY: as `begin` says; the future, which had it, is gone.
        let objects = unsafe { &mut (*store).inner.objects };
        // SAFETY: as `begin` says.
        let function = unsafe { &*function };
        // SAFETY: as `begin` says.
        Poll::Ready(unsafe { function.write(results, objects, instance, cells) })
    }
}

impl<T: 'static, F: AsyncHostFunc<T>> Future for Waiter<T, F> {
    type Output = Result<(), Pending>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.poll_results(context))) {
            Ok(Poll::Ready(result)) => Poll::Ready(result.map_err(Pending::of_host)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(panic) => Poll::Ready(Err(Pending::Panic(panic))),
        }
    }
}
