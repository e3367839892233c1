//! Linking: names for the imports of modules.

use crate::api::caller::Caller;
use crate::api::engine::Engine;
use crate::api::externs::Extern;
use crate::api::host_async;
use crate::api::host_func::{self, HostParams, HostResults, IntoHostFunc};
use crate::api::instance::Instance;
use crate::api::maybe_future::MaybeFuture;
use crate::api::store::{AsContextMut, StoreBox};
use crate::api::val::Val;
use crate::runtime::error::Error;
use crate::runtime::host_func::HostFunc;
use crate::runtime::item::Item;
use crate::runtime::module::Module;
use crate::runtime::objects::Objects;
use crate::runtime::trap::BoxError;
use crate::runtime::types::ExternType;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;
use wfaas_abi::FuncType;

/// Definitions of imports by module and field name, for stores with data `T`.
pub struct Linker<T> {
    engine: Engine,
    definitions: HashMap<String, HashMap<String, Definition>>,
    data: PhantomData<fn(T)>,
}

/// Host functions are added to each store that needs them, and shared memories are of none; other
/// things are of one store.
#[derive(Debug, Clone)]
pub(crate) enum Definition {
    Host(Arc<HostFunc>),
    Item(Extern),
}

impl<T> Clone for Linker<T> {
    fn clone(&self) -> Self {
        let Linker { engine, definitions, data } = self;
        Linker { engine: engine.clone(), definitions: definitions.clone(), data: *data }
    }
}

impl<T> std::fmt::Debug for Linker<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Linker").field("modules", &self.definitions.keys()).finish()
    }
}

impl<T: 'static> Linker<T> {
    /// Without definitions.
    pub fn new(engine: &Engine) -> Linker<T> {
        Linker { engine: engine.clone(), definitions: HashMap::new(), data: PhantomData }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Defines a host function by a closure `Fn(Caller<'_, T>, A, B, ...) -> R`, where `R` is a
    /// value, a tuple, nothing, or a `Result` of one of them. Replaces an earlier definition.
    pub fn func_wrap<P: HostParams, R: HostResults>(
        &mut self,
        module: &str,
        name: &str,
        function: impl IntoHostFunc<T, P, R>,
    ) -> &mut Self {
        let func = host_func::typed::<T, _, P, R>(function);
        self.insert(module, name, Definition::Host(func))
    }

    /// Defines a host function whose type is known at run time; see
    /// [`Func::new`](crate::Func::new).
    pub fn func_new(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        function: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<(), BoxError>
        + Send
        + Sync
        + 'static,
    ) -> &mut Self {
        self.insert(module, name, Definition::Host(host_func::dynamic(ty, function)))
    }

    /// Defines a host function that may wait, by a closure that returns a future. The guest that calls
    /// it is suspended until the future is ready; it must have been called with
    /// [`TypedFunc::call_async`](crate::TypedFunc::call_async) or its likes. Parameters are one value
    /// or a tuple. The future may call back into the store.
    ///
    /// ```
    /// # use wfaas_vm::{Caller, Config, Engine, Linker};
    /// # let engine = Engine::new(Config::default())?;
    /// let mut linker = Linker::<u64>::new(&engine);
    /// linker.func_wrap_async("host", "sum", |mut caller: Caller<'_, u64>, (a, b): (u64, u64)| {
    ///     Box::new(async move {
    ///         std::future::ready(()).await;
    ///         *caller.data_mut() += 1;
    ///         a + b
    ///     })
    /// });
    /// # Ok::<(), wfaas_vm::Error>(())
    /// ```
    pub fn func_wrap_async<P: HostParams, R: HostResults>(
        &mut self,
        module: &str,
        name: &str,
        function: impl for<'a> Fn(Caller<'a, T>, P) -> Box<dyn Future<Output = R> + Send + 'a>
        + Send
        + Sync
        + 'static,
    ) -> &mut Self {
        let func = host_async::typed::<T, _, P, R>(function);
        self.insert(module, name, Definition::Host(func))
    }

    /// Defines a host function that seldom waits, by a closure that returns the results, or a future
    /// of them. Without a future it costs hardly more than a synchronous one, and synchronous calls can
    /// reach it too. A future returned there is [`Error::NeedsAsync`]:
    /// [`Caller::can_wait`] tells. See [`Linker::func_wrap_async`] for the rest.
    ///
    /// ```
    /// # use wfaas_vm::{Caller, Config, Engine, Linker, MaybeFuture};
    /// # let engine = Engine::new(Config::default())?;
    /// let mut linker = Linker::<Option<u64>>::new(&engine);
    /// linker.func_wrap_maybe_async("host", "get", |mut caller: Caller<'_, Option<u64>>, (): ()| {
    ///     match *caller.data() {
    ///         Some(cached) => MaybeFuture::Ready(cached),
    ///         None => MaybeFuture::Future(Box::new(async move {
    ///             *caller.data_mut().insert(std::future::ready(7).await)
    ///         })),
    ///     }
    /// });
    /// # Ok::<(), wfaas_vm::Error>(())
    /// ```
    pub fn func_wrap_maybe_async<P: HostParams, R: HostResults>(
        &mut self,
        module: &str,
        name: &str,
        function: impl for<'a> Fn(Caller<'a, T>, P) -> MaybeFuture<'a, R> + Send + Sync + 'static,
    ) -> &mut Self {
        let func = host_async::seldom::<T, _, P, R>(function);
        self.insert(module, name, Definition::Host(func))
    }

    /// Defines a host function that may wait, with a type known at run time; see
    /// [`Linker::func_wrap_async`]. The closure gets the arguments, and its future returns the results.
    pub fn func_new_async(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        function: impl for<'a> Fn(
            Caller<'a, T>,
            Vec<Val>,
        )
            -> Box<dyn Future<Output = Result<Vec<Val>, BoxError>> + Send + 'a>
        + Send
        + Sync
        + 'static,
    ) -> &mut Self {
        let func = host_async::dynamic::<T, _>(ty, function);
        self.insert(module, name, Definition::Host(func))
    }

    /// Defines a host function that seldom waits, with a type known at run time, of numbers alone and with one
    /// result at most; see [`Linker::func_wrap_maybe_async`]. The closure gets the arguments as cells: an `i32`
    /// or `f32` has its bits in the lower half of one. The upper half has any bits. The result is a cell too.
    ///
    /// # Panics
    /// If the type has anything but numbers, or several results.
    pub fn func_new_maybe_async(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        function: impl for<'a> Fn(Caller<'a, T>, &[u64]) -> MaybeFuture<'a, Result<u64, BoxError>>
        + Send
        + Sync
        + 'static,
    ) -> &mut Self {
        self.func_new_direct(module, name, ty, |_, _| Ok(None), function)
    }

    /// The same of one that is most often done by `direct`, which does not wait, in less time. If that declines by `None`,
    /// the `function` is called, as if nothing had been.
    ///
    /// # Panics
    /// As [`Linker::func_new_maybe_async`].
    pub fn func_new_direct(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        direct: impl Fn(Caller<'_, T>, &[u64]) -> Result<Option<u64>, BoxError> + Send + Sync + 'static,
        function: impl for<'a> Fn(Caller<'a, T>, &[u64]) -> MaybeFuture<'a, Result<u64, BoxError>>
        + Send
        + Sync
        + 'static,
    ) -> &mut Self {
        let func = host_async::scalars::<T, _, _>(ty, direct, function);
        self.insert(module, name, Definition::Host(func))
    }

    /// Defines something of a store, or a shared memory.
    pub fn define(&mut self, module: &str, name: &str, item: Extern) -> &mut Self {
        self.insert(module, name, Definition::Item(item))
    }

    /// Defines all exports of an instance under `module`.
    pub fn instance(
        &mut self,
        store: &mut impl AsContextMut<Data = T>,
        module: &str,
        instance: Instance,
    ) -> &mut Self {
        let exported = instance.module(store).clone();
        for (name, _) in exported.exports() {
            if let Some(item) = instance.get_export(store, name) {
                self.define(module, name, item);
            }
        }
        self
    }

    /// Whether something is defined.
    pub fn has(&self, module: &str, name: &str) -> bool {
        self.get(module, name).is_some()
    }

    /// Instantiates a module: maps its image, and runs the rest of its initialisation, unless its
    /// image is of an initialised instance. A host function can do so in the store of its caller.
    ///
    /// # Errors
    /// [`Error::UnknownImport`] and [`Error::IncompatibleImport`] if an import is missing or does
    /// not fit; [`Error::Trap`] if a segment does not fit or the start function traps.
    pub fn instantiate(
        &self,
        store: &mut impl AsContextMut<Data = T>,
        module: &Module,
    ) -> Result<Instance, Error> {
        let StoreBox { inner, lent, .. } = store.store_box_mut();
        let mut imports = Vec::new();
        for (module_name, name, ty) in module.imports() {
            let definition = self.get(module_name, name);
            let unknown = || self.unknown_import(module, module_name, name, &ty);
            let definition = definition.ok_or_else(unknown)?;
            imports.push(resolve(&mut inner.objects, definition, module_name, name, &ty)?);
        }
        let index = inner.instantiate(module, &imports, lent.terms())?;
        Ok(Instance { store: inner.objects.id(), index })
    }

    /// The first import of a module that is not defined, with the names of all others.
    fn unknown_import(&self, of: &Module, module: &str, name: &str, ty: &ExternType) -> Error {
        let unknown = of.imports().filter(|(module, name, _)| !self.has(module, name)).skip(1);
        let others = unknown.map(|(module, name, _)| (module.into(), name.into())).collect();
        let (module, name) = (module.into(), name.into());
        Error::UnknownImport { module, name, ty: ty.to_string(), others }
    }

    fn get(&self, module: &str, name: &str) -> Option<&Definition> {
        self.definitions.get(module)?.get(name)
    }

    fn insert(&mut self, module: &str, name: &str, definition: Definition) -> &mut Self {
        let names = self.definitions.entry(module.to_owned()).or_default();
        names.insert(name.to_owned(), definition);
        self
    }
}

/// The item of a definition, if it is of the type that the import wants.
fn resolve(
    objects: &mut Objects,
    definition: &Definition,
    module: &str,
    name: &str,
    wanted: &ExternType,
) -> Result<Item, Error> {
    let item = match definition {
        Definition::Item(item) => item.item_in(objects),
        Definition::Host(func) => Item::Func(objects.known_host_func(func)),
    };
    let found = objects.type_of(&item);
    if wanted.accepts(&found) {
        return Ok(item);
    }
    Err(Error::IncompatibleImport {
        module: module.into(),
        name: name.into(),
        expected: wanted.to_string(),
        found: found.to_string(),
    })
}
