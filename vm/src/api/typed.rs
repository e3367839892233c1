//! Functions called with Rust's types.

use crate::api::func::Func;
use crate::api::store::{AsContextMut, inner_mut};
use crate::api::wasm_ty::{MAX_CELLS, References, WasmList};
use crate::call::enter::Callee;
use crate::runtime::error::Error;
use crate::runtime::item::FuncId;
use crate::runtime::objects::Objects;
use crate::runtime::store::StoreInner;
use std::marker::PhantomData;
use wfaas_abi::FuncType;

/// A function whose type was checked once, so that a call only moves the values.
#[derive(Debug)]
pub struct TypedFunc<P, R> {
    func: Func,
    /// The addresses by which it is called, if it is a guest's.
    callee: Option<Callee>,
    types: PhantomData<fn(P) -> R>,
}

impl<P, R> Clone for TypedFunc<P, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P, R> Copy for TypedFunc<P, R> {}

impl<P: WasmList, R: WasmList> TypedFunc<P, R> {
    pub(super) fn new(objects: &Objects, func: Func) -> Result<Self, Error> {
        let id = func.id_in(objects);
        let (found, expected) = (objects.func_type(id), FuncType::new(P::types(), R::types()));
        if found.params() != expected.params() || found.results() != expected.results() {
            let (expected, found) = (expected.to_string(), found.to_string());
            return Err(Error::TypeMismatch { expected, found });
        }
        let callee = match id {
            FuncId::Guest { .. } => Some(objects.callee(id)?),
            FuncId::Host(_) => None,
        };
        Ok(TypedFunc { func, callee, types: PhantomData })
    }

    /// The addresses by which it is called, if it is a guest's.
    pub(super) fn callee(&self) -> Option<Callee> {
        self.callee
    }

    /// The function.
    #[inline]
    pub(super) fn func(&self) -> Func {
        self.func
    }

    /// Calls the function.
    ///
    /// # Errors
    /// [`Error::Trap`], [`Error::Host`] or [`Error::Exception`] if the function did not return.
    #[inline]
    pub fn call(&self, store: &mut impl AsContextMut, params: P) -> Result<R, Error> {
        let store = inner_mut(store);
        let id = self.func.id_in(&store.objects);
        match self.callee {
            // SAFETY: `new` checked the type, and the store is the function's; its instances
            // live as long as it.
            Some(callee) => unsafe { call_guest(store, callee, self.func.holder(), params) },
            None => self.call_host(store, id, params),
        }
    }

    #[cold]
    fn call_host(&self, store: &mut StoreInner, id: FuncId, params: P) -> Result<R, Error> {
        let mut cells = [0; MAX_CELLS];
        params.to_cells(&mut cells, &mut References::new(&mut store.objects, None))?;
        store.call(id, &mut cells)?;
        R::from_cells(&cells, &References::new(&mut store.objects, None))
    }
}

/// Calls a guest function, with references in the terms of instance `holder`.
///
/// # Safety
/// `callee` must be a function of an instance of `store` with parameters `P` and results `R`.
#[inline]
pub(super) unsafe fn call_guest<P: WasmList, R: WasmList>(
    store: &mut StoreInner,
    callee: Callee,
    holder: Option<u32>,
    params: P,
) -> Result<R, Error> {
    let StoreInner { call, objects, .. } = store;
    params.to_cells(call.cells(), &mut References::new(objects, holder))?;
    // SAFETY: the caller's contract; no `WasmList` is longer than the cells.
    unsafe { store.call_with_own_cells(callee)? };
    let StoreInner { call, objects, .. } = store;
    R::from_cells(call.cells(), &References::new(objects, holder))
}
