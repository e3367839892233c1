//! The resolver: looks up, once for a function, the entry points and memories of its guests.

use crate::cells::Numbers;
use crate::spec::Spec;
use crate::state::State;
use crate::target::{PoolExports, StoreTarget};
use std::marker::PhantomData;
use wfaas_vm::{Error, ExternType, FuncType, Module, Pool};

/// An entry point of a guest, looked up once.
#[derive(Debug)]
pub struct Entry<P, R> {
    pub(crate) index: usize,
    types: PhantomData<fn(P) -> R>,
}

/// An entry point with any number of numbers, looked up once. A call costs more than that of an
/// [`Entry`].
#[derive(Debug)]
pub struct ListEntry {
    pub(crate) index: usize,
    ty: FuncType,
}

impl ListEntry {
    /// Its parameters and results.
    pub fn ty(&self) -> &FuncType {
        &self.ty
    }
}

/// A memory of a guest, looked up once.
#[derive(Debug)]
pub struct GuestMemory {
    pub(crate) index: usize,
}

/// Looks up what a protocol needs of a function.
pub struct Resolver<'a> {
    source: Source<'a>,
    spec: &'a Spec,
}

enum Source<'a> {
    Pool(&'a Pool<State>, &'a mut PoolExports),
    Store(&'a mut StoreTarget),
}

impl std::fmt::Debug for Resolver<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl<'a> Resolver<'a> {
    /// Of a pool's module, for all its faaslets.
    pub(crate) fn of_pool(
        pool: &'a Pool<State>,
        exports: &'a mut PoolExports,
        spec: &'a Spec,
    ) -> Resolver<'a> {
        Resolver { source: Source::Pool(pool, exports), spec }
    }

    /// Of one instance.
    pub(crate) fn of_store(target: &'a mut StoreTarget, spec: &'a Spec) -> Resolver<'a> {
        Resolver { source: Source::Store(target), spec }
    }

    /// The function's specification.
    pub fn spec(&self) -> &'a Spec {
        self.spec
    }

    /// The function exported as `name`.
    ///
    /// # Errors
    /// If there is none of this type.
    pub fn func<P: Numbers, R: Numbers>(&mut self, name: &str) -> Result<Entry<P, R>, Error> {
        let index = match &mut self.source {
            Source::Pool(pool, exports) => {
                let func = pool.typed_func::<P, R>(name)?.with_cells();
                exports.funcs.push(func.expect("`Numbers` are at most four numbers"));
                exports.funcs.len() - 1
            }
            Source::Store(StoreTarget { store, instance, funcs, .. }) => {
                funcs.push(Box::new(instance.get_typed_func::<P, R>(store, name)?));
                funcs.len() - 1
            }
        };
        Ok(Entry { index, types: PhantomData })
    }

    /// The function exported as `name`, whatever numbers it takes and returns.
    ///
    /// # Errors
    /// If there is none.
    pub fn list_func(&mut self, name: &str) -> Result<ListEntry, Error> {
        let Some(ty) = self.func_type(name) else {
            let reason = "not a function that is exported".to_owned();
            return Err(Error::Export { name: name.to_owned(), reason });
        };
        let lists = match &mut self.source {
            Source::Pool(_, exports) => &mut exports.lists,
            Source::Store(target) => &mut target.lists,
        };
        lists.push(name.to_owned());
        Ok(ListEntry { index: lists.len() - 1, ty })
    }

    /// Whether there is an export of this name.
    pub fn has(&self, name: &str) -> bool {
        self.module().get_export(name).is_some()
    }

    /// The type of the function exported as `name`, if there is one.
    pub fn func_type(&self, name: &str) -> Option<FuncType> {
        match self.module().get_export(name)? {
            ExternType::Func(ty) => Some(ty),
            _ => None,
        }
    }

    pub(crate) fn module(&self) -> &Module {
        match &self.source {
            Source::Pool(pool, _) => pool.module(),
            Source::Store(target) => target.instance.module(&target.store),
        }
    }

    /// The names and types of the exported functions.
    pub fn funcs(&self) -> Vec<(String, FuncType)> {
        let func = |(name, ty): (&str, ExternType)| match ty {
            ExternType::Func(ty) => Some((name.to_owned(), ty)),
            _ => None,
        };
        self.module().exports().filter_map(func).collect()
    }

    /// The memory exported as `name`.
    ///
    /// # Errors
    /// If there is none, or it is shared.
    pub fn memory(&mut self, name: &str) -> Result<GuestMemory, Error> {
        let index = match &mut self.source {
            Source::Pool(pool, exports) => {
                exports.memories.push(pool.memory(name)?);
                exports.memories.len() - 1
            }
            Source::Store(StoreTarget { store, instance, memories, .. }) => {
                let reason = "not a memory that is not shared".to_owned();
                let missing = Error::Export { name: name.to_owned(), reason };
                memories.push(instance.get_memory(store, name).ok_or(missing)?);
                memories.len() - 1
            }
        };
        Ok(GuestMemory { index })
    }
}
