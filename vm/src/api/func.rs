//! Functions: guests' and the host's.

use crate::api::caller::Caller;
use crate::api::host_func::{self, HostParams, HostResults, IntoHostFunc};
use crate::api::store::{AsContext, AsContextMut, inner, inner_mut};
use crate::api::typed::TypedFunc;
use crate::api::val::Val;
use crate::api::wasm_ty::WasmList;
use crate::runtime::error::Error;
use crate::runtime::host_func::HostFunc;
use crate::runtime::item::FuncId;
use crate::runtime::objects::Objects;
use crate::runtime::trap::BoxError;
use std::sync::Arc;
use wfaas_abi::FuncType;

/// A function of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Func {
    pub(super) store: u32,
    pub(super) id: FuncId,
}

impl Func {
    /// A host function with a type known at run time. The closure gets the arguments, and results
    /// of the right types to overwrite.
    ///
    /// The closure lives as long as the store. In a faaslet's store it is dropped when the faaslet
    /// is released.
    pub fn new<S: AsContextMut>(
        store: &mut S,
        ty: FuncType,
        function: impl Fn(Caller<'_, S::Data>, &[Val], &mut [Val]) -> Result<(), BoxError>
        + Send
        + Sync
        + 'static,
    ) -> Func {
        Func::add(store, host_func::dynamic(ty, function))
    }

    /// A host function with Rust's types, by a closure `Fn(Caller<'_, T>, A, B, ...) -> R`, where
    /// `R` is a value, a tuple, nothing, or a `Result` of one of them. Lives as long as one of
    /// [`Func::new`].
    pub fn wrap<S: AsContextMut, P: HostParams, R: HostResults>(
        store: &mut S,
        function: impl IntoHostFunc<S::Data, P, R>,
    ) -> Func {
        Func::add(store, host_func::typed::<S::Data, _, P, R>(function))
    }

    fn add(store: &mut impl AsContextMut, func: Arc<HostFunc>) -> Func {
        let objects = &mut inner_mut(store).objects;
        let id = objects.add_host_func(func);
        Func { store: objects.id(), id }
    }

    /// The function's type.
    pub fn ty(&self, store: &impl AsContext) -> FuncType {
        let objects = &inner(store).objects;
        objects.func_type(self.id_in(objects))
    }

    /// Calls the function.
    ///
    /// # Errors
    /// [`Error::TypeMismatch`] if the arguments do not fit; [`Error::Trap`], [`Error::Host`] and
    /// [`Error::Exception`] as the function ends.
    pub fn call(&self, store: &mut impl AsContextMut, args: &[Val]) -> Result<Vec<Val>, Error> {
        let store = inner_mut(store);
        let id = self.id_in(&store.objects);
        let ty = store.objects.func_type(id);
        store.objects.check_types(args, ty.params())?;
        let mut cells = vec![0; ty.array_cells()];
        store.objects.write_cells(&mut cells, args.iter(), self.holder())?;
        store.call(id, &mut cells)?;
        store.objects.read_cells(&cells, ty.results(), self.holder())
    }

    /// The function with Rust's types for its parameters and results.
    ///
    /// # Errors
    /// [`Error::TypeMismatch`] if they are not the function's.
    pub fn typed<P: WasmList, R: WasmList>(
        &self,
        store: &mut impl AsContextMut,
    ) -> Result<TypedFunc<P, R>, Error> {
        TypedFunc::new(&inner_mut(store).objects, *self)
    }

    /// The function's name in its store, which must be this one.
    #[inline]
    pub(super) fn id_in(&self, objects: &Objects) -> FuncId {
        objects.check_id(self.store);
        self.id
    }

    /// The instance that references in its arguments and results are relative to; `None` for the
    /// host's.
    pub(super) fn holder(&self) -> Option<u32> {
        match self.id {
            FuncId::Guest { instance, .. } => Some(instance),
            FuncId::Host(_) => None,
        }
    }
}
