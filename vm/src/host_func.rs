//! Host functions: from a Rust closure to something compiled code can call.
//!
//! Compiled code calls a *shim*, `extern "C"`, with the address of the closure, the calling
//! instance and the arguments, in registers or in cells as their types say. The shim runs the
//! closure, with panics caught, and either returns to the guest or, once nothing is left to drop,
//! leaves it.

use crate::caller::Caller;
use crate::error::BoxError;
use crate::func::{HostFunc, Shim};
use crate::hostcalls::return_or_leave;
use crate::instance::InstanceInner;
use crate::store::{Pending, StoreBox, StoreInner};
use crate::values::{MAX_CELLS, Val, WasmList, WasmTy, for_each_tuple};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use wfaas_abi::types::REGISTER_PARAMS;
use wfaas_abi::{FuncType, ValType};

/// Parameters of a host function.
pub trait HostParams: WasmList {}
impl<P: WasmList> HostParams for P {}

/// Results of a host function: nothing, a value, a tuple, or a `Result` of such.
pub trait HostResults: 'static {
    /// How many there are.
    const LEN: usize;
    /// The types, in order.
    fn types() -> Vec<ValType>;
    /// Writes the values to cells, or says why the guest must end.
    ///
    /// # Errors
    /// What the host function returned.
    fn into_cells(self, cells: &mut [u64; MAX_CELLS]) -> Result<(), BoxError>;
}

impl<R: WasmList> HostResults for R {
    const LEN: usize = R::LEN;
    fn types() -> Vec<ValType> {
        R::types()
    }
    fn into_cells(self, cells: &mut [u64; MAX_CELLS]) -> Result<(), BoxError> {
        self.to_cells(cells);
        Ok(())
    }
}

impl<R: WasmList> HostResults for Result<R, BoxError> {
    const LEN: usize = R::LEN;
    fn types() -> Vec<ValType> {
        R::types()
    }
    fn into_cells(self, cells: &mut [u64; MAX_CELLS]) -> Result<(), BoxError> {
        self?.to_cells(cells);
        Ok(())
    }
}

/// A closure `Fn(Caller<'_, T>, A, B, ...) -> R` with up to ten [`WasmTy`] parameters.
pub trait IntoHostFunc<T, P: HostParams, R: HostResults>: Send + Sync + 'static {
    /// Calls the closure.
    fn call(&self, caller: Caller<'_, T>, params: P) -> R;
}

macro_rules! into_host_func {
    ($($index:tt $name:ident)*) => {
        impl<T, Function, Ret, $($name),*> IntoHostFunc<T, ($($name,)*), Ret> for Function
        where
            Function: Fn(Caller<'_, T>, $($name),*) -> Ret + Send + Sync + 'static,
            Ret: HostResults,
            $($name: WasmTy,)*
        {
            fn call(&self, caller: Caller<'_, T>, _params: ($($name,)*)) -> Ret {
                self(caller, $(_params.$index),*)
            }
        }
    };
}
for_each_tuple!(into_host_func);

/// The shim of a typed host function.
pub(crate) fn typed_shim<T: 'static, F, P, R>(ty: &FuncType) -> Shim
where
    F: IntoHostFunc<T, P, R>,
    P: HostParams,
    R: HostResults,
{
    if ty.passes_in_registers() {
        Shim::Registers(typed_with_registers::<T, F, P, R>)
    } else {
        Shim::Array(typed_with_array::<T, F, P, R>)
    }
}

extern "C" fn typed_with_registers<T: 'static, F, P, R>(
    closure: *const (),
    instance: *mut InstanceInner,
    a0: u64,
    a1: u64,
    a2: u64,
    a3: u64,
) -> u64
where
    F: IntoHostFunc<T, P, R>,
    P: HostParams,
    R: HostResults,
{
    shim(instance, |store, index| {
        let mut cells = [0; MAX_CELLS];
        cells[..REGISTER_PARAMS].copy_from_slice(&[a0, a1, a2, a3]);
        // SAFETY: as `shim` says.
        unsafe { run_typed::<T, F, P, R>(closure, store, Some(index), &mut cells)? };
        Ok(cells[0])
    })
}

extern "C" fn typed_with_array<T: 'static, F, P, R>(
    closure: *const (),
    instance: *mut InstanceInner,
    cells: *mut u64,
) where
    F: IntoHostFunc<T, P, R>,
    P: HostParams,
    R: HostResults,
{
    shim(instance, |store, index| {
        // SAFETY: as `shim` says.
        unsafe { invoke_typed::<T, F, P, R>(closure, store, Some(index), cells) }
    })
}

/// # Safety
/// As [`run_typed`]; `cells` must have room for parameters and results.
pub(crate) unsafe fn invoke_typed<T: 'static, F, P, R>(
    closure: *const (),
    store: *mut StoreInner,
    instance: Option<u32>,
    cells: *mut u64,
) -> Result<(), Pending>
where
    F: IntoHostFunc<T, P, R>,
    P: HostParams,
    R: HostResults,
{
    let mut buffer = [0; MAX_CELLS];
    // SAFETY: the caller's contract: there are at least as many cells as parameters.
    unsafe { std::ptr::copy_nonoverlapping(cells, buffer.as_mut_ptr(), P::LEN) };
    // SAFETY: the caller's contract.
    unsafe { run_typed::<T, F, P, R>(closure, store, instance, &mut buffer)? };
    // SAFETY: the caller's contract: there are at least as many cells as results.
    unsafe { std::ptr::copy_nonoverlapping(buffer.as_ptr(), cells, R::LEN) };
    Ok(())
}

/// Runs a host function with its arguments in `cells`, which hold the results afterwards.
///
/// # Safety
/// `closure` must point to an `F`; `store` must be exclusively ours and part of a `StoreBox<T>`.
#[inline(always)]
unsafe fn run_typed<T: 'static, F, P, R>(
    closure: *const (),
    store: *mut StoreInner,
    instance: Option<u32>,
    cells: &mut [u64; MAX_CELLS],
) -> Result<(), Pending>
where
    F: IntoHostFunc<T, P, R>,
    P: HostParams,
    R: HostResults,
{
    // SAFETY: the caller's contract.
    let function = unsafe { &*(closure as *const F) };
    // SAFETY: the caller's contract; `inner` is the first field of a `StoreBox`.
    let store = unsafe { &mut *(store as *mut StoreBox<T>) };
    let params = P::from_cells(cells);
    let call = move || function.call(Caller::new(store, instance), params);
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(results) => results.into_cells(cells).map_err(Pending::of_host),
        Err(panic) => Err(Pending::Panic(panic)),
    }
}

/// Runs a host function for compiled code of `instance`: linking put the closure with its shim,
/// into a store of its type; while the guest runs, the store is the call's; the thunk has room for
/// the type's cells.
#[inline(always)]
fn shim<R>(
    instance: *mut InstanceInner,
    invoke: impl FnOnce(*mut StoreInner, u32) -> Result<R, Pending>,
) -> R {
    // SAFETY: compiled code passes the instance pointer of its host context.
    let &InstanceInner { store, index, .. } = unsafe { &*instance };
    let result = invoke(store, index);
    // SAFETY: this is called by compiled code of the store, and nothing is left to drop.
    unsafe { return_or_leave(instance, result) }
}

type DynamicFn<T> = dyn Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<(), BoxError> + Send + Sync;

struct Dynamic<T> {
    ty: FuncType,
    function: Box<DynamicFn<T>>,
}

/// A host function with a type known at run time.
pub(crate) fn dynamic<T: 'static>(
    ty: FuncType,
    function: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<(), BoxError> + Send + Sync + 'static,
) -> Arc<HostFunc> {
    let closure = Box::new(Dynamic::<T> { ty: ty.clone(), function: Box::new(function) });
    let shim = if ty.passes_in_registers() {
        Shim::Registers(dynamic_with_registers::<T>)
    } else {
        Shim::Array(dynamic_with_array::<T>)
    };
    Arc::new(HostFunc { ty, shim, invoke: invoke_dynamic::<T>, closure })
}

extern "C" fn dynamic_with_registers<T: 'static>(
    closure: *const (),
    instance: *mut InstanceInner,
    a0: u64,
    a1: u64,
    a2: u64,
    a3: u64,
) -> u64 {
    shim(instance, |store, index| {
        let mut cells: [u64; REGISTER_PARAMS] = [a0, a1, a2, a3];
        // SAFETY: as `shim` says; the type needs no more cells than there are registers.
        unsafe { invoke_dynamic::<T>(closure, store, Some(index), cells.as_mut_ptr())? };
        Ok(cells[0])
    })
}

extern "C" fn dynamic_with_array<T: 'static>(
    closure: *const (),
    instance: *mut InstanceInner,
    cells: *mut u64,
) {
    shim(instance, |store, index| {
        // SAFETY: as `shim` says.
        unsafe { invoke_dynamic::<T>(closure, store, Some(index), cells) }
    })
}

/// # Safety
/// As [`invoke_typed`], with a `Dynamic<T>`.
unsafe fn invoke_dynamic<T: 'static>(
    closure: *const (),
    store: *mut StoreInner,
    instance: Option<u32>,
    cells: *mut u64,
) -> Result<(), Pending> {
    // SAFETY: the caller's contract.
    let Dynamic { ty, function } = unsafe { &*(closure as *const Dynamic<T>) };
    // SAFETY: the caller's contract; `inner` is the first field of a `StoreBox`.
    let store = unsafe { &mut *(store as *mut StoreBox<T>) };
    // SAFETY: the caller's contract: as many cells as the type needs.
    let cells = unsafe { std::slice::from_raw_parts_mut(cells, ty.array_cells()) };
    let call = || -> Result<(), BoxError> {
        let params = store.inner.read_cells(cells, ty.params(), instance)?;
        let mut results: Vec<Val> = ty.results().iter().map(|ty| Val::default_of(*ty)).collect();
        function(Caller::new(store, instance), &params, &mut results)?;
        store.inner.check_types(&results, ty.results())?;
        Ok(store.inner.write_cells(cells, results.iter(), instance)?)
    };
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(Pending::of_host),
        Err(panic) => Err(Pending::Panic(panic)),
    }
}
