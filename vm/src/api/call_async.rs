//! Calls that can be suspended, as the embedder makes them.

use crate::api::func::Func;
use crate::api::store::{AsContextMut, StoreBox, inner_mut};
use crate::api::typed::TypedFunc;
use crate::api::val::Val;
use crate::api::wasm_ty::{References, WasmList};
use crate::runtime::async_call::{AsyncCall, Target};
use crate::runtime::error::Error;
use crate::runtime::item::FuncId;
use crate::runtime::store::StoreInner;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use wfaas_abi::FuncType;

impl<P: WasmList, R: WasmList> TypedFunc<P, R> {
    /// Calls the function; host functions that it calls may wait. It runs whenever the future is
    /// polled, on the thread that polls it, until a host function waits: on its own stack, of which
    /// there are as many as [`Config::max_suspended`](crate::Config::max_suspended) says. It does not
    /// yield otherwise; deadline and cancellation end it, also while it is suspended.
    ///
    /// Dropping the future ends the call like a cancellation. If the future is leaked instead, the store
    /// cannot be used any more.
    ///
    /// # Errors
    /// As [`TypedFunc::call`]; and [`Error::NoStack`] if too many calls are suspended,
    /// [`Error::NeedsAsync`] inside of a synchronous call of the same store.
    #[inline]
    pub fn call_async<'a, S: AsContextMut<Data: Send>>(
        &self,
        store: &'a mut S,
        params: P,
    ) -> impl Future<Output = Result<R, Error>> + Send + use<'a, S, P, R> {
        let func = self.func();
        let id = func.id_in(&inner_mut(store).objects);
        let target = match (self.callee(), id) {
            (Some(callee), _) => Target::Guest(callee),
            (None, FuncId::Host(index)) => Target::Host(index),
            (None, FuncId::Guest { .. }) => unreachable!("`new` looked its addresses up"),
        };
        // SAFETY: `new` checked the type, and the store is the function's.
        unsafe { TypedCall::new(store.store_box_mut(), target, func.holder(), params) }
    }
}

impl Func {
    /// Calls the function; see [`TypedFunc::call_async`].
    ///
    /// # Errors
    /// [`Error::TypeMismatch`] if the arguments do not fit, and as [`TypedFunc::call_async`].
    pub fn call_async<'a, S: AsContextMut<Data: Send>>(
        &self,
        store: &'a mut S,
        args: &[Val],
    ) -> impl Future<Output = Result<Vec<Val>, Error>> + Send + use<'a, S> {
        DynamicCall::new(store.store_box_mut(), *self, args)
    }
}

/// The future of a call with Rust's types.
pub(super) struct TypedCall<'a, T, P, R> {
    call: AsyncCall<'a>,
    /// Until the call is begun.
    params: Option<P>,
    /// The instance that references are relative to.
    holder: Option<u32>,
    store: PhantomData<&'a mut StoreBox<T>>,
    results: PhantomData<fn() -> R>,
}

impl<'a, T, P: WasmList, R: WasmList> TypedCall<'a, T, P, R> {
    /// A call that was not begun.
    ///
    /// # Safety
    /// `target` must be a function of the store, or of an instance of it, with parameters `P` and
    /// results `R`.
    #[inline]
    pub(super) unsafe fn new(
        store: &'a mut StoreBox<T>,
        target: Target,
        holder: Option<u32>,
        params: P,
    ) -> Self {
        // SAFETY: the caller's contract.
        let call = unsafe { AsyncCall::new(&mut store.inner, target) };
        TypedCall { call, params: Some(params), holder, store: PhantomData, results: PhantomData }
    }
}

/// Nothing of it is pinned: a task does not lie in its future.
impl<T, P, R> Unpin for TypedCall<'_, T, P, R> {}

impl<T, P: WasmList, R: WasmList> Future for TypedCall<'_, T, P, R> {
    type Output = Result<R, Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Some(params) = this.params.take() {
            let StoreInner { call, objects, .. } = this.call.store();
            params.to_cells(call.cells(), &mut References::new(objects, this.holder))?;
        }
        // Nested calls may use the cells too, but not between a call's end and this.
        let cells = this.call.store().call.cells().as_mut_ptr();
        // SAFETY: no `WasmList` is longer than the cells, which are part of the store.
        ready!(unsafe { this.call.poll(context, cells) })?;
        let StoreInner { call, objects, .. } = this.call.store();
        Poll::Ready(R::from_cells(call.cells(), &References::new(objects, this.holder)))
    }
}

/// The future of a call with types known at run time.
struct DynamicCall<'a, T> {
    /// An error of the arguments.
    call: Result<AsyncCall<'a>, Option<Error>>,
    ty: FuncType,
    cells: Vec<u64>,
    holder: Option<u32>,
    store: PhantomData<&'a mut StoreBox<T>>,
}

impl<'a, T> DynamicCall<'a, T> {
    fn new(store: &'a mut StoreBox<T>, func: Func, args: &[Val]) -> Self {
        let store = &mut store.inner;
        let id = func.id_in(&store.objects);
        let (ty, holder) = (store.objects.func_type(id), func.holder());
        let mut cells = vec![0; ty.array_cells()];
        let prepared = (|| {
            store.objects.check_types(args, ty.params())?;
            store.objects.write_cells(&mut cells, args.iter(), holder)?;
            Ok(match id {
                FuncId::Guest { .. } => Target::Guest(store.objects.callee(id)?),
                FuncId::Host(index) => Target::Host(index),
            })
        })();
        // SAFETY: the function is the store's.
        let call = prepared.map(|target| unsafe { AsyncCall::new(store, target) }).map_err(Some);
        DynamicCall { call, ty, cells, holder, store: PhantomData }
    }
}

impl<T> Future for DynamicCall<'_, T> {
    type Output = Result<Vec<Val>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let call = match &mut this.call {
            Ok(call) => call,
            Err(error) => {
                let error = error.take().expect("it was not polled after it was ready");
                return Poll::Ready(Err(error));
            }
        };
        // SAFETY: there are as many cells as the type needs, and they live as long as the call; if
        // it is leaked, so are they.
        ready!(unsafe { call.poll(context, this.cells.as_mut_ptr()) })?;
        let objects = &call.store().objects;
        Poll::Ready(objects.read_cells(&this.cells, this.ty.results(), this.holder))
    }
}
