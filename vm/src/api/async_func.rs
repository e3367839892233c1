//! Async host functions as closures: from cells to a future, and from its results to cells.

use crate::api::caller::Caller;
use crate::api::host_func::{HostParams, HostResults};
use crate::api::maybe_future::MaybeFuture;
use crate::api::store::StoreBox;
use crate::api::val::Val;
use crate::api::wasm_ty::{MAX_CELLS, References};
use crate::runtime::objects::Objects;
use crate::runtime::trap::BoxError;
use std::marker::PhantomData;
use wfaas_abi::FuncType;

/// A future that an async host function returns.
pub(super) type ResultFuture<'a, R> = Box<dyn Future<Output = R> + Send + 'a>;

/// An async host function, from cells to a future and back.
pub(super) trait AsyncHostFunc<T>: Send + Sync + 'static {
    type Results;
    type Called: Called<Self::Results>;

    /// Whether it is called only where it can wait.
    const ALWAYS_ASYNC: bool;

    /// Calls the closure that is called first, if there is one, with the arguments that are in the cells; whether it was
    /// not declined, and its results are there.
    ///
    /// # Safety
    /// There must be as many cells as parameters and results take.
    #[inline(always)]
    unsafe fn call_directly(
        &self,
        _store: &mut StoreBox<T>,
        _instance: Option<u32>,
        _cells: *mut u64,
    ) -> Result<bool, BoxError> {
        Ok(false)
    }

    /// Calls the closure, with the arguments that are in the cells.
    ///
    /// # Safety
    /// There must be as many cells as the parameters take.
    unsafe fn call(
        &self,
        store: &'static mut StoreBox<T>,
        instance: Option<u32>,
        cells: *const u64,
    ) -> Result<Self::Called, BoxError>;

    /// Writes the results to the cells.
    ///
    /// # Safety
    /// There must be as many cells as the results take.
    unsafe fn write(
        &self,
        results: Self::Results,
        objects: &mut Objects,
        instance: Option<u32>,
        cells: *mut u64,
    ) -> Result<(), BoxError>;
}

/// A closure's answer. A type of its own where that is always a future: its allocation can be left out
/// then, if it is ready at once.
pub(super) trait Called<R> {
    /// The future, or the results.
    fn future(self) -> Result<ResultFuture<'static, R>, R>;
}

impl<R> Called<R> for ResultFuture<'static, R> {
    #[inline(always)]
    fn future(self) -> Result<ResultFuture<'static, R>, R> {
        Ok(self)
    }
}

impl<R> Called<R> for MaybeFuture<'static, R> {
    #[inline(always)]
    fn future(self) -> Result<ResultFuture<'static, R>, R> {
        match self {
            MaybeFuture::Ready(results) => Err(results),
            MaybeFuture::Future(future) => Ok(future),
        }
    }
}

/// A host function with Rust's types that returns a future.
pub(super) struct Typed<F, P, R> {
    pub(super) function: F,
    pub(super) types: PhantomData<fn(P) -> R>,
}

/// A host function with Rust's types that may return its results at once.
pub(super) struct Seldom<F, P, R> {
    pub(super) function: F,
    pub(super) types: PhantomData<fn(P) -> R>,
}

macro_rules! typed {
    ($name:ident, $called:ident, $always_async:literal) => {
        impl<T: 'static, F, P, R> AsyncHostFunc<T> for $name<F, P, R>
        where
            F: for<'a> Fn(Caller<'a, T>, P) -> $called<'a, R> + Send + Sync + 'static,
            P: HostParams,
            R: HostResults,
        {
            type Results = R;
            type Called = $called<'static, R>;
            const ALWAYS_ASYNC: bool = $always_async;

            #[inline(always)]
            unsafe fn call(
                &self,
                store: &'static mut StoreBox<T>,
                instance: Option<u32>,
                cells: *const u64,
            ) -> Result<$called<'static, R>, BoxError> {
                let mut buffer = [0; MAX_CELLS];
                // SAFETY: the caller's contract.
                unsafe { std::ptr::copy_nonoverlapping(cells, buffer.as_mut_ptr(), P::CELLS) };
                let references = References::new(&mut store.inner.objects, instance);
                let params = P::from_cells(&buffer, &references)?;
                Ok((self.function)(Caller::new(store, instance), params))
            }

            #[inline(always)]
            unsafe fn write(
                &self,
                results: R,
                objects: &mut Objects,
                instance: Option<u32>,
                cells: *mut u64,
            ) -> Result<(), BoxError> {
                let mut buffer = [0; MAX_CELLS];
                results.into_cells(&mut buffer, &mut References::new(objects, instance))?;
                // SAFETY: the caller's contract.
                unsafe { std::ptr::copy_nonoverlapping(buffer.as_ptr(), cells, R::CELLS) };
                Ok(())
            }
        }
    };
}
typed!(Typed, ResultFuture, true);
typed!(Seldom, MaybeFuture, false);

/// A host function with a type known at run time.
pub(super) struct Dynamic<F> {
    pub(super) function: F,
    pub(super) ty: FuncType,
}

impl<T: 'static, F> AsyncHostFunc<T> for Dynamic<F>
where
    F: for<'a> Fn(Caller<'a, T>, Vec<Val>) -> ResultFuture<'a, Result<Vec<Val>, BoxError>>
        + Send
        + Sync
        + 'static,
{
    type Results = Result<Vec<Val>, BoxError>;
    type Called = ResultFuture<'static, Self::Results>;
    const ALWAYS_ASYNC: bool = true;

    unsafe fn call(
        &self,
        store: &'static mut StoreBox<T>,
        instance: Option<u32>,
        cells: *const u64,
    ) -> Result<Self::Called, BoxError> {
        // SAFETY: the caller's contract: as many cells as the type needs.
        let cells = unsafe { std::slice::from_raw_parts(cells, self.ty.array_cells()) };
        let params = store.inner.objects.read_cells(cells, self.ty.params(), instance)?;
        Ok((self.function)(Caller::new(store, instance), params))
    }

    unsafe fn write(
        &self,
        results: Self::Results,
        objects: &mut Objects,
        instance: Option<u32>,
        cells: *mut u64,
    ) -> Result<(), BoxError> {
        let results = results?;
        // SAFETY: as in `call`.
        let cells = unsafe { std::slice::from_raw_parts_mut(cells, self.ty.array_cells()) };
        objects.check_types(&results, self.ty.results())?;
        Ok(objects.write_cells(cells, results.iter(), instance)?)
    }
}

/// A host function of numbers, with a type known at run time, that may return its result at once, behind another one that
/// may do it in less time.
pub(super) struct Scalars<D, F> {
    pub(super) direct: D,
    pub(super) function: F,
    pub(super) ty: FuncType,
}

impl<T: 'static, D, F> AsyncHostFunc<T> for Scalars<D, F>
where
    D: Fn(Caller<'_, T>, &[u64]) -> Result<Option<u64>, BoxError> + Send + Sync + 'static,
    F: for<'a> Fn(Caller<'a, T>, &[u64]) -> MaybeFuture<'a, Result<u64, BoxError>>
        + Send
        + Sync
        + 'static,
{
    type Results = Result<u64, BoxError>;
    type Called = MaybeFuture<'static, Self::Results>;
    const ALWAYS_ASYNC: bool = false;

    #[inline(always)]
    unsafe fn call_directly(
        &self,
        store: &mut StoreBox<T>,
        instance: Option<u32>,
        cells: *mut u64,
    ) -> Result<bool, BoxError> {
        // SAFETY: the caller's contract; a number takes one cell.
        let params = unsafe { std::slice::from_raw_parts(cells, self.ty.params().len()) };
        let Some(result) = (self.direct)(Caller::new(store, instance), params)? else {
            return Ok(false);
        };
        if !self.ty.results().is_empty() {
            // SAFETY: the caller's contract; nobody has the parameters any more.
            unsafe { cells.write(result) };
        }
        Ok(true)
    }

    #[inline(always)]
    unsafe fn call(
        &self,
        store: &'static mut StoreBox<T>,
        instance: Option<u32>,
        cells: *const u64,
    ) -> Result<Self::Called, BoxError> {
        // SAFETY: the caller's contract; a number takes one cell.
        let cells = unsafe { std::slice::from_raw_parts(cells, self.ty.params().len()) };
        Ok((self.function)(Caller::new(store, instance), cells))
    }

    #[inline(always)]
    unsafe fn write(
        &self,
        result: Self::Results,
        _objects: &mut Objects,
        _instance: Option<u32>,
        cells: *mut u64,
    ) -> Result<(), BoxError> {
        let result = result?;
        if !self.ty.results().is_empty() {
            // SAFETY: the caller's contract; a number takes one cell.
            unsafe { cells.write(result) };
        }
        Ok(())
    }
}
