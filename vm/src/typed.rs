//! Functions called with Rust's types.

use crate::call::{Callee, call_guest};
use crate::error::Error;
use crate::func::{Func, FuncKind};
use crate::store::{AsContextMut, StoreInner};
use crate::values::{MAX_CELLS, WasmList};
use std::marker::PhantomData;
use wfaas_abi::FuncType;

/// A function whose type was checked once, so that a call only moves the values.
#[derive(Debug)]
pub struct TypedFunc<P, R> {
    func: Func,
    /// How to call it, if it is a guest's.
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
    pub(crate) fn new(store: &StoreInner, func: Func) -> Result<Self, Error> {
        let (found, expected) = (store.func_type(func), FuncType::new(P::types(), R::types()));
        if found.params() != expected.params() || found.results() != expected.results() {
            let (expected, found) = (expected.to_string(), found.to_string());
            return Err(Error::TypeMismatch { expected, found });
        }
        let callee = match func.kind {
            FuncKind::Guest { .. } => Some(store.callee(func)?),
            FuncKind::Host(_) => None,
        };
        Ok(TypedFunc { func, callee, types: PhantomData })
    }

    /// How to call it, if it is a guest's.
    pub(crate) fn callee(&self) -> Option<Callee> {
        self.callee
    }

    /// Calls the function.
    ///
    /// # Errors
    /// [`Error::Trap`], [`Error::Host`] or [`Error::Exception`] if the function did not return.
    pub fn call(&self, store: &mut impl AsContextMut, params: P) -> Result<R, Error> {
        let store = store.inner_mut();
        store.check_id(self.func.store);
        let mut cells = [0; MAX_CELLS];
        params.to_cells(&mut cells);
        match self.callee {
            // SAFETY: `new` checked the type, no `WasmList` is longer than the cells, and the
            // store, whose instances live as long as it, is the one the function is of.
            Some(callee) => unsafe { call_guest(store, callee, cells.as_mut_ptr())? },
            None => store.call(self.func, &mut cells)?,
        }
        Ok(R::from_cells(&cells))
    }
}
