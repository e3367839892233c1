//! Instances: a module's code with state and memory of its own.

use crate::api::externs::Extern;
use crate::api::func::Func;
use crate::api::global::Global;
use crate::api::memory::Memory;
use crate::api::store::{AsContext, AsContextMut, inner, inner_mut};
use crate::api::table::Table;
use crate::api::typed::TypedFunc;
use crate::api::wasm_ty::WasmList;
use crate::runtime::capture::{Capture, capture};
use crate::runtime::error::Error;
use crate::runtime::module::Module;
use crate::runtime::objects::Objects;
use wfaas_abi::artifact::Profile;

/// An instance of a module in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instance {
    pub(super) store: u32,
    pub(super) index: u32,
}

impl Instance {
    /// The export `name`.
    pub fn get_export(&self, store: &mut impl AsContextMut, name: &str) -> Option<Extern> {
        let objects = &inner_mut(store).objects;
        let item = objects.export(self.index_in(objects), name)?;
        Some(Extern::of(objects.id(), item))
    }

    /// The function exported as `name`.
    pub fn get_func(&self, store: &mut impl AsContextMut, name: &str) -> Option<Func> {
        self.get_export(store, name)?.into_func()
    }

    /// The memory exported as `name`, if it is not shared.
    pub fn get_memory(&self, store: &mut impl AsContextMut, name: &str) -> Option<Memory> {
        self.get_export(store, name)?.into_memory()
    }

    /// The table exported as `name`.
    pub fn get_table(&self, store: &mut impl AsContextMut, name: &str) -> Option<Table> {
        self.get_export(store, name)?.into_table()
    }

    /// The global exported as `name`.
    pub fn get_global(&self, store: &mut impl AsContextMut, name: &str) -> Option<Global> {
        self.get_export(store, name)?.into_global()
    }

    /// The function exported as `name`, with Rust's types.
    ///
    /// # Errors
    /// [`Error::Export`] if there is no such function, [`Error::TypeMismatch`] if its type is
    /// another.
    pub fn get_typed_func<P: WasmList, R: WasmList>(
        &self,
        store: &mut impl AsContextMut,
        name: &str,
    ) -> Result<TypedFunc<P, R>, Error> {
        let missing = || Error::Export { name: name.into(), reason: "not a function".into() };
        self.get_func(store, name).ok_or_else(missing)?.typed(store)
    }

    /// The module.
    pub fn module<'a>(&self, store: &'a impl AsContext) -> &'a Module {
        let objects = &inner(store).objects;
        objects.instance(self.index_in(objects)).module()
    }

    /// Captures state and memories as they are now: an image that new instances can start from.
    ///
    /// # Errors
    /// [`Error::Capture`] if they refer to something outside of the instance: host objects,
    /// exceptions, functions of others, anything imported but functions.
    pub fn capture(&self, store: &mut impl AsContextMut) -> Result<Capture, Error> {
        let objects = &inner_mut(store).objects;
        capture(objects, self.index_in(objects))
    }

    /// The pages that were written to since the instance was made, whatever resets there were;
    /// `None` if that was not recorded (see [`Tracking::Record`](crate::Tracking::Record)), or is too
    /// much for a profile.
    ///
    /// # Errors
    /// [`Error::Artifact`] if the artifact is damaged.
    pub fn recorded(&self, store: &impl AsContext) -> Result<Option<Profile>, Error> {
        let objects = &inner(store).objects;
        objects.recorded(self.index_in(objects))
    }

    /// The instance's place in its store, which must be this one.
    pub(super) fn index_in(&self, objects: &Objects) -> u32 {
        objects.check_id(self.store);
        self.index
    }
}
