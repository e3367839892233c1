//! Linking: names for what modules import.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::{BoxError, Error};
use crate::func::{Func, HostFunc};
use crate::host_func::{self, HostParams, HostResults, IntoHostFunc};
use crate::instance::{Extern, Instance};
use crate::module::Module;
use crate::store::{Store, StoreInner};
use crate::types::ExternType;
use crate::values::Val;
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
        let func = HostFunc::typed::<T, _, P, R>(function);
        self.insert(module, name, Definition::Host(func))
    }

    /// Defines a host function whose type is known at run time; see [`Func::new`].
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

    /// Defines something of a store, or a shared memory.
    pub fn define(&mut self, module: &str, name: &str, item: Extern) -> &mut Self {
        self.insert(module, name, Definition::Item(item))
    }

    /// Defines all exports of an instance under `module`.
    pub fn instance(
        &mut self,
        store: &mut Store<T>,
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

    /// Instantiates a module: maps its image, and runs what is left of its initialisation, if its
    /// image is not that of an initialised instance.
    ///
    /// # Errors
    /// [`Error::UnknownImport`] and [`Error::IncompatibleImport`] if an import is missing or does
    /// not fit; [`Error::Trap`] if a segment does not fit or the start function traps.
    pub fn instantiate(&self, store: &mut Store<T>, module: &Module) -> Result<Instance, Error> {
        let store = &mut store.0.inner;
        let mut imports = Vec::new();
        for (module_name, name, ty) in module.imports() {
            imports.push(self.resolve(store, module_name, name, &ty)?);
        }
        let index = store.add_instance(module, &imports)?;
        if !module.is_initialised() {
            store.initialise(index)?;
        }
        Ok(Instance { store: store.id, index })
    }

    fn resolve(
        &self,
        store: &mut StoreInner,
        module: &str,
        name: &str,
        wanted: &ExternType,
    ) -> Result<Extern, Error> {
        let Some(definition) = self.get(module, name) else {
            let (module, name) = (module.into(), name.into());
            return Err(Error::UnknownImport { module, name, ty: wanted.to_string() });
        };
        let item = match definition {
            Definition::Item(item) => item.clone(),
            Definition::Host(func) => Extern::Func(store.host_func(func)),
        };
        let found = item.ty(&StoreRef(store));
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

    fn get(&self, module: &str, name: &str) -> Option<&Definition> {
        self.definitions.get(module)?.get(name)
    }

    fn insert(&mut self, module: &str, name: &str, definition: Definition) -> &mut Self {
        let names = self.definitions.entry(module.to_owned()).or_default();
        names.insert(name.to_owned(), definition);
        self
    }
}

impl StoreInner {
    /// The store's handle for a linker's host function.
    fn host_func(&mut self, func: &Arc<HostFunc>) -> Func {
        match self.host_funcs.iter().position(|known| Arc::ptr_eq(known, func)) {
            Some(index) => Func { store: self.id, kind: crate::func::FuncKind::Host(index as u32) },
            None => self.add_host_func(func.clone()),
        }
    }
}

/// Lets the handles' methods look at a store that is already unwrapped.
struct StoreRef<'a>(&'a StoreInner);

impl crate::store::Sealed for StoreRef<'_> {}

impl crate::AsContext for StoreRef<'_> {
    fn inner(&self) -> &StoreInner {
        self.0
    }
}
