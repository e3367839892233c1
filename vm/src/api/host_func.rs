//! Host functions: from a Rust closure to something compiled code can call.
//!
//! Compiled code calls a *shim*, `extern "C"`, with the address of the closure, the calling
//! instance and the arguments, in registers or in cells as their types say. The shim runs the
//! closure, with panics caught, and either returns to the guest or, once nothing is left to drop,
//! leaves it.

use crate::api::caller::Caller;
use crate::api::store::StoreBox;
use crate::api::val::Val;
use crate::api::wasm_ty::{MAX_CELLS, References, WasmList, WasmTy, for_each_tuple};
use crate::call::state::CallState;
use crate::runtime::host_func::{HostEntry, HostFunc, Shim};
use crate::runtime::instance::{InstanceInner, caller};
use crate::runtime::leave::return_or_leave;
use crate::runtime::pending::Pending;
use crate::runtime::trap::BoxError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use wfaas_abi::types::REGISTER_PARAMS;
use wfaas_abi::{FuncType, ValType};

/// Parameters of a host function.
pub trait HostParams: WasmList {}
impl<P: WasmList> HostParams for P {}

/// Results of a host function: nothing, a value, a tuple, or a `Result` of such.
pub trait HostResults: 'static {
    /// Cells that they take.
    #[doc(hidden)]
    const CELLS: usize;
    /// The types, in order.
    fn types() -> Vec<ValType>;
    /// Writes the values to cells, or returns the error for which the guest must end.
    #[doc(hidden)]
    fn into_cells(
        self,
        cells: &mut [u64; MAX_CELLS],
        references: &mut References<'_>,
    ) -> Result<(), BoxError>;
}

impl<R: WasmList> HostResults for R {
    const CELLS: usize = R::CELLS;
    fn types() -> Vec<ValType> {
        R::types()
    }
    #[inline(always)]
    fn into_cells(
        self,
        cells: &mut [u64; MAX_CELLS],
        references: &mut References<'_>,
    ) -> Result<(), BoxError> {
        Ok(self.to_cells(cells, references)?)
    }
}

impl<R: WasmList> HostResults for Result<R, BoxError> {
    const CELLS: usize = R::CELLS;
    fn types() -> Vec<ValType> {
        R::types()
    }
    #[inline(always)]
    fn into_cells(
        self,
        cells: &mut [u64; MAX_CELLS],
        references: &mut References<'_>,
    ) -> Result<(), BoxError> {
        Ok(self?.to_cells(cells, references)?)
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

/// A host function with Rust's types.
pub(super) fn typed<T: 'static, F, P, R>(function: F) -> Arc<HostFunc>
where
    F: IntoHostFunc<T, P, R>,
    P: HostParams,
    R: HostResults,
{
    let ty = FuncType::new(P::types(), R::types());
    Arc::new(HostFunc {
        shim: typed_shim::<T, F, P, R>(&ty),
        ty,
        entry: HostEntry::Sync(invoke_typed::<T, F, P, R>),
        closure: Box::new(function),
    })
}

/// The shim of a typed host function.
fn typed_shim<T: 'static, F, P, R>(ty: &FuncType) -> Shim
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
    shim(instance, |call, index| {
        let mut cells = [0; MAX_CELLS];
        cells[..REGISTER_PARAMS].copy_from_slice(&[a0, a1, a2, a3]);
        // SAFETY: as `shim` says.
        unsafe { run_typed::<T, F, P, R>(closure, call, Some(index), &mut cells)? };
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
    shim(instance, |call, index| {
        // SAFETY: as `shim` says.
        unsafe { invoke_typed::<T, F, P, R>(closure, call, Some(index), cells) }
    })
}

/// # Safety
/// As [`run_typed`]; `cells` must have room for parameters and results.
unsafe fn invoke_typed<T: 'static, F, P, R>(
    closure: *const (),
    call: *mut CallState,
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
    unsafe { std::ptr::copy_nonoverlapping(cells, buffer.as_mut_ptr(), P::CELLS) };
    // SAFETY: the caller's contract.
    unsafe { run_typed::<T, F, P, R>(closure, call, instance, &mut buffer)? };
    // SAFETY: the caller's contract: there are at least as many cells as results.
    unsafe { std::ptr::copy_nonoverlapping(buffer.as_ptr(), cells, R::CELLS) };
    Ok(())
}

/// Runs a host function with its arguments in `cells`, which hold the results afterwards.
///
/// # Safety
/// `closure` must point to an `F`; `call` must be exclusively ours, as the start of a `StoreBox<T>`.
#[inline(always)]
unsafe fn run_typed<T: 'static, F, P, R>(
    closure: *const (),
    call: *mut CallState,
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
    // SAFETY: the caller's contract; the call state is the first field of a `StoreBox`'s first.
    let store = unsafe { &mut *(call as *mut StoreBox<T>) };
    let run = move || -> Result<(), BoxError> {
        let params = P::from_cells(cells, &References::new(&mut store.inner.objects, instance))?;
        let results = function.call(Caller::new(&mut *store, instance), params);
        results.into_cells(cells, &mut References::new(&mut store.inner.objects, instance))
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(Pending::of_host),
        Err(panic) => Err(Pending::Panic(panic)),
    }
}

/// Runs a host function for compiled code of `instance`: linking put the closure with its shim,
/// into a store of its type; while the guest runs, the store is the call's; the thunk has room for
/// the type's cells.
#[inline(always)]
fn shim<R>(
    instance: *mut InstanceInner,
    invoke: impl FnOnce(*mut CallState, u32) -> Result<R, Pending>,
) -> R {
    // SAFETY: compiled code passes the instance pointer of its host context.
    let (call, index) = unsafe { caller(instance) };
    let result = invoke(call, index);
    // SAFETY: this is called by compiled code of the store, and nothing is left to drop.
    unsafe { return_or_leave(instance, result) }
}

type DynamicFn<T> = dyn Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<(), BoxError> + Send + Sync;

struct Dynamic<T> {
    ty: FuncType,
    function: Box<DynamicFn<T>>,
}

/// A host function with a type known at run time.
pub(super) fn dynamic<T: 'static>(
    ty: FuncType,
    function: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<(), BoxError> + Send + Sync + 'static,
) -> Arc<HostFunc> {
    let closure = Box::new(Dynamic::<T> { ty: ty.clone(), function: Box::new(function) });
    let shim = if ty.passes_in_registers() {
        Shim::Registers(dynamic_with_registers::<T>)
    } else {
        Shim::Array(dynamic_with_array::<T>)
    };
    Arc::new(HostFunc { ty, shim, entry: HostEntry::Sync(invoke_dynamic::<T>), closure })
}

extern "C" fn dynamic_with_registers<T: 'static>(
    closure: *const (),
    instance: *mut InstanceInner,
    a0: u64,
    a1: u64,
    a2: u64,
    a3: u64,
) -> u64 {
    shim(instance, |call, index| {
        let mut cells: [u64; REGISTER_PARAMS] = [a0, a1, a2, a3];
        // SAFETY: as `shim` says; the type needs no more cells than there are registers.
        unsafe { invoke_dynamic::<T>(closure, call, Some(index), cells.as_mut_ptr())? };
        Ok(cells[0])
    })
}

extern "C" fn dynamic_with_array<T: 'static>(
    closure: *const (),
    instance: *mut InstanceInner,
    cells: *mut u64,
) {
    shim(instance, |call, index| {
        // SAFETY: as `shim` says.
        unsafe { invoke_dynamic::<T>(closure, call, Some(index), cells) }
    })
}

/// # Safety
/// As [`invoke_typed`], with a `Dynamic<T>`.
unsafe fn invoke_dynamic<T: 'static>(
    closure: *const (),
    call: *mut CallState,
    instance: Option<u32>,
    cells: *mut u64,
) -> Result<(), Pending> {
    // SAFETY: the caller's contract.
    let Dynamic { ty, function } = unsafe { &*(closure as *const Dynamic<T>) };
    // SAFETY: the caller's contract; the call state is the first field of a `StoreBox`'s first.
    let store = unsafe { &mut *(call as *mut StoreBox<T>) };
    // SAFETY: the caller's contract: as many cells as the type needs.
    let cells = unsafe { std::slice::from_raw_parts_mut(cells, ty.array_cells()) };
    let run = || -> Result<(), BoxError> {
        let params = store.inner.objects.read_cells(cells, ty.params(), instance)?;
        let mut results: Vec<Val> = ty.results().iter().map(|ty| Val::default_of(*ty)).collect();
        function(Caller::new(store, instance), &params, &mut results)?;
        let objects = &mut store.inner.objects;
        objects.check_types(&results, ty.results())?;
        Ok(objects.write_cells(cells, results.iter(), instance)?)
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(Pending::of_host),
        Err(panic) => Err(Pending::Panic(panic)),
    }
}
