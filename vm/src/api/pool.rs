//! Pools: a pristine faaslet for every request.

use crate::api::call_async::TypedCall;
use crate::api::engine::Engine;
use crate::api::instance::Instance;
use crate::api::linker::Linker;
use crate::api::store::{Store, StoreBox};
use crate::api::typed::call_guest;
use crate::api::wasm_ty::WasmList;
use crate::call::enter::Callee;
use crate::pool::idle::Idle;
use crate::pool::slots::Keeper;
use crate::runtime::async_call::Target;
use crate::runtime::error::Error;
use crate::runtime::module::Module;
use crate::runtime::records::Records;
use std::any::Any;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};
use std::time::Duration;
use wfaas_abi::artifact::records::ExternKind;
use wfaas_abi::untrusted;

/// Hands out instances of one module that are all alike, whatever their predecessors did. Cheap
/// to clone; usable from any number of threads.
pub struct Pool<T>(Arc<PoolInner<T>>);

struct PoolInner<T> {
    linker: Linker<T>,
    module: Module,
    idle: Idle<StoreBox<T>>,
    /// The frames that instances go on with, if they are not those of the artifact.
    records: Option<Records>,
}

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Pool(self.0.clone())
    }
}

impl<T> std::fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("module", &self.0.module).finish_non_exhaustive()
    }
}

/// A live instance, reset to the image when it is released or dropped. Everything else that was made
/// in its store since it was acquired is dropped then, host functions too.
pub struct Faaslet<'pool, T: Default + Send + 'static> {
    pool: &'pool Pool<T>,
    /// `None` only while it is being released.
    store: Option<Store<T>>,
    instance: Instance,
}

/// The reset of a faaslet that nobody uses any more. Dropping it does it, on whatever thread.
pub struct PendingReset<T: Default + Send + 'static> {
    pool: Pool<T>,
    /// `None` only while it is dropped.
    store: Option<Store<T>>,
    /// The index of the memory whose pages are given back next, and the offset in it.
    next: (usize, usize),
}

impl<T: Default + Send + 'static> PendingReset<T> {
    /// Does a part of it that takes some 200 µs: gives 4 MiB of a memory back whose pages nothing tracks.
    /// `false` if nothing is left but what dropping it does.
    pub fn step(&mut self) -> bool {
        let Some(store) = &mut self.store else { return false };
        let next = store.0.inner.objects.shed(self.next);
        self.next = next.unwrap_or(self.next);
        next.is_some()
    }
}

impl<T: Default + Send + 'static> std::fmt::Debug for PendingReset<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingReset").field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl<T: Default + Send + 'static> Drop for PendingReset<T> {
    fn drop(&mut self) {
        if let Some(store) = self.store.take() {
            self.pool.put_back(store);
        }
    }
}

/// A function of a pool's module, with Rust's types.
#[derive(Debug)]
pub struct PoolFunc<P, R> {
    /// Addresses of the function, with the BASE of some instance.
    callee: Callee,
    /// Number of the module's code, whose text may be in the place of a dropped module's.
    code_id: u64,
    types: PhantomData<fn(P) -> R>,
}

impl<P, R> Clone for PoolFunc<P, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P, R> Copy for PoolFunc<P, R> {}

impl<P, R> PoolFunc<P, R> {
    /// The function as one of other types, which have to mean the same cells.
    pub(super) fn with_types<Q, S>(self) -> PoolFunc<Q, S> {
        PoolFunc { callee: self.callee, code_id: self.code_id, types: PhantomData }
    }
}

impl<T: Default + Send + 'static> Pool<T> {
    /// A pool of instances of `module`. The stores of idle ones hold `T::default()`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the module imports anything but functions, or if a start function
    /// or segments would have to run in each instance: such a module needs the image of an
    /// initialised instance ([`Instance::capture`], [`Module::with_proto`], or the crate
    /// `wfaas-build`). Otherwise as [`Linker::instantiate`].
    pub fn new(linker: &Linker<T>, module: &Module) -> Result<Pool<T>, Error> {
        Pool::with_records(linker, module, None)
    }

    /// The same; instances go on with these frames.
    ///
    /// # Errors
    /// As [`Pool::new`].
    pub(super) fn with_records(
        linker: &Linker<T>,
        module: &Module,
        records: Option<Records>,
    ) -> Result<Pool<T>, Error> {
        check_module(module)?;
        let engine = linker.engine().clone();
        let images = module.keep_images_in_memory()?;
        let idle = Idle::new(engine.config().idle_slots.div_ceil(images.len()));
        let (linker, module) = (linker.clone(), module.clone());
        let inner = PoolInner { linker, module, idle, records };
        let pool = Pool(Arc::new(inner));
        let keeper: Weak<PoolInner<T>> = Arc::downgrade(&pool.0);
        engine.slots().add_keeper(keeper);
        let first = pool.spawn()?;
        pool.put_back(first);
        Ok(pool)
    }

    /// A pristine instance, with `data` in its store.
    ///
    /// # Errors
    /// [`Error::NoSlot`] if as many faaslets are in use as there may be, [`Error::Slot`] if there is
    /// no memory or address space for one more.
    pub fn acquire(&self, data: T) -> Result<Faaslet<'_, T>, Error> {
        let mut store = match self.0.idle.take() {
            Some(store) => Store(store),
            None => self.spawn()?,
        };
        *store.data_mut() = data;
        if self.0.records.is_some() {
            store.0.inner.objects.go_on_with(self.0.records.clone());
        }
        let instance = Instance { store: store.0.inner.objects.id(), index: 0 };
        Ok(Faaslet { pool: self, store: Some(store), instance })
    }

    /// Whether [`Pool::acquire`] finds an idle instance, as far as other threads do not take it first.
    /// Otherwise it makes one, which maps memory: some 100 µs, and more for large modules.
    pub fn has_idle(&self) -> bool {
        self.0.idle.has_any()
    }

    /// The exported function `name`, looked up and checked once for all faaslets.
    ///
    /// # Errors
    /// [`Error::Export`] if the module has no such function of its own, [`Error::TypeMismatch`]
    /// if its type is another.
    pub fn typed_func<P: WasmList, R: WasmList>(
        &self,
        name: &str,
    ) -> Result<PoolFunc<P, R>, Error> {
        let mut faaslet = self.acquire(T::default())?;
        let instance = faaslet.instance();
        let func = instance.get_typed_func::<P, R>(faaslet.store(), name)?;
        let imported = || Error::Export { name: name.into(), reason: "it is an import".into() };
        let callee = func.callee().ok_or_else(imported)?;
        Ok(PoolFunc { callee, code_id: self.0.module.code_id(), types: PhantomData })
    }

    /// The module.
    pub fn module(&self) -> &Module {
        &self.0.module
    }

    fn engine(&self) -> &Engine {
        self.0.linker.engine()
    }

    fn spawn(&self) -> Result<Store<T>, Error> {
        let tracking = self.engine().config().tracking;
        let mut store = Store::with_tracking(self.engine(), T::default(), tracking);
        self.0.linker.instantiate(&mut store, &self.0.module)?;
        store.0.inner.objects.keep_present();
        Ok(store)
    }

    /// Resets a store and keeps it for the next request, or drops it. Every field has its line
    /// here, so that a new one does not compile until somebody has decided about it.
    #[inline]
    fn put_back(&self, mut store: Store<T>) {
        // The data are the faaslet's to replace.
        let StoreBox { inner, lent, data: _ } = &mut *store.0;
        if lent.reset(inner) {
            // A store for which there is no place is dropped.
            drop(self.0.idle.put(store.0));
        }
    }
}

/// Whether a module's instances can be pooled.
fn check_module(module: &Module) -> Result<(), Error> {
    let artifact = module.artifact();
    for import in artifact.imports() {
        let kind = import.ty.extern_kind()?;
        if kind != ExternKind::Func {
            let name = untrusted::name(artifact.string(import.name)?);
            let message = format!("a pool of a module that imports the {} \"{name}\"", kind.name());
            return Err(Error::Unsupported(message + " is not supported"));
        }
    }
    if !module.has_complete_image() {
        let message = "a pool needs a module whose image is of an initialised instance";
        return Err(Error::Unsupported(message.into()));
    }
    Ok(())
}

impl<T: Send + 'static> Keeper for PoolInner<T> {
    fn give_up(&self, epoch: u32, most: usize) -> Vec<Box<dyn Any + Send>> {
        let unused = |store: &StoreBox<T>| store.lent.is_unused_since(epoch);
        let given_up = self.idle.take_out(most, unused).into_iter();
        given_up.map(|store| store as Box<dyn Any + Send>).collect()
    }
}

impl<'pool, T: Default + Send + 'static> Faaslet<'pool, T> {
    /// Calls a function of the pool's module; see [`Pool::typed_func`].
    ///
    /// # Errors
    /// [`Error::Trap`], [`Error::Host`] or [`Error::Exception`] if the function did not return.
    ///
    /// # Panics
    /// If `func` is of another module's pool.
    #[inline]
    pub fn call<P: WasmList, R: WasmList>(
        &mut self,
        func: &PoolFunc<P, R>,
        params: P,
    ) -> Result<R, Error> {
        let callee = self.callee(func);
        // SAFETY: `typed_func` found the function in the module and checked its type; the instance
        // is one of that module.
        unsafe { call_guest(&mut self.store().0.inner, callee, Some(0), params) }
    }

    /// Calls a function of the pool's module; host functions that it calls may wait. See
    /// [`TypedFunc::call_async`](crate::TypedFunc::call_async).
    ///
    /// # Errors
    /// As [`Faaslet::call`] and [`TypedFunc::call_async`](crate::TypedFunc::call_async).
    ///
    /// # Panics
    /// If `func` is of another module's pool.
    #[inline]
    pub fn call_async<'a, P: WasmList, R: WasmList>(
        &'a mut self,
        func: &PoolFunc<P, R>,
        params: P,
    ) -> impl Future<Output = Result<R, Error>> + Send + use<'a, 'pool, T, P, R> {
        let target = Target::Guest(self.callee(func));
        // SAFETY: as in `call`.
        unsafe { TypedCall::new(&mut *self.store().0, target, Some(0), params) }
    }

    /// The addresses of a function in this instance.
    #[inline]
    fn callee<P, R>(&mut self, func: &PoolFunc<P, R>) -> Callee {
        let instance = self.store().0.inner.objects.instance(0);
        assert_eq!(func.code_id, instance.module().code_id(), "a function of another module");
        Callee { base: instance.base(), ..func.callee }
    }

    /// The pool that it is from.
    pub fn pool(&self) -> &'pool Pool<T> {
        self.pool
    }

    /// The store.
    #[inline]
    pub fn store(&mut self) -> &mut Store<T> {
        self.store.as_mut().expect("only `release` and `drop` take it")
    }

    /// The instance.
    pub fn instance(&self) -> Instance {
        self.instance
    }

    /// Whether the reset may take more than 200 µs, so that a thread with other work had better leave
    /// [it](Faaslet::end) to another. A reset gives back the pages that the guest wrote to: 1 GiB
    /// takes 40 ms. It is not known how many they are, so this goes by the size of the memories and, if
    /// [`Store::count_cpu_time`] was set before the first call, by the processor time of the calls. Pages
    /// that the host wrote to between calls are not counted then.
    pub fn reset_is_long(&self) -> bool {
        const LONG: Duration = Duration::from_micros(200);
        let store = self.store.as_ref();
        store.is_some_and(|store| store.0.inner.reset_time() > LONG)
    }

    /// Time that the reset takes at least, whatever the guest did: for the pages that its slots have learned and
    /// copy back.
    pub fn least_reset_time(&self) -> Duration {
        self.store.as_ref().map_or(Duration::ZERO, |store| store.0.inner.least_reset_time())
    }

    /// Ends the faaslet and drops its data; its reset is left to do.
    pub fn end(mut self) -> PendingReset<T> {
        *self.store().data_mut() = T::default();
        PendingReset { pool: self.pool.clone(), store: self.store.take(), next: (0, 0) }
    }

    /// Ends the faaslet and returns the data.
    pub fn release(mut self) -> T {
        std::mem::take(self.store().data_mut())
    }
}

impl<T: Default + Send + 'static> Drop for Faaslet<'_, T> {
    fn drop(&mut self) {
        if let Some(mut store) = self.store.take() {
            *store.data_mut() = T::default();
            self.pool.put_back(store);
        }
    }
}
