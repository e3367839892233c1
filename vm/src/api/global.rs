//! Globals.

use crate::api::store::{AsContext, AsContextMut, inner, inner_mut};
use crate::api::val::Val;
use crate::runtime::error::Error;
use crate::runtime::objects::Objects;
use crate::runtime::types::GlobalType;

/// A global of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Global {
    pub(super) store: u32,
    pub(super) index: u32,
}

impl Global {
    /// A global of the host's making.
    ///
    /// # Errors
    /// [`Error::TypeMismatch`] if the value does not fit the type.
    pub fn new(store: &mut impl AsContextMut, ty: GlobalType, value: Val) -> Result<Global, Error> {
        let objects = &mut inner_mut(store).objects;
        objects.check_types(std::slice::from_ref(&value), &[ty.content])?;
        let bits = objects.val_to_bits(&value, None)?;
        let index = objects.add_global(ty, bits);
        Ok(Global { store: objects.id(), index })
    }

    /// The value.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it is a damaged reference.
    pub fn get(&self, store: &impl AsContext) -> Result<Val, Error> {
        let objects = &inner(store).objects;
        let global = objects.global(self.index_in(objects));
        let (low, high) = global.read();
        objects.val_from_bits(global.ty().content, low, high, global.owner())
    }

    /// Sets the value.
    ///
    /// # Errors
    /// [`Error::TypeMismatch`] if the value does not fit or the global is immutable.
    pub fn set(&self, store: &mut impl AsContextMut, value: Val) -> Result<(), Error> {
        let objects = &mut inner_mut(store).objects;
        let global = objects.global(self.index_in(objects));
        let (ty, owner) = (global.ty(), global.owner());
        objects.check_types(std::slice::from_ref(&value), &[ty.content])?;
        if !ty.mutable {
            let (expected, found) = ("a mutable global".into(), "an immutable one".into());
            return Err(Error::TypeMismatch { expected, found });
        }
        let bits = objects.val_to_bits(&value, owner)?;
        objects.global_mut(self.index).write(bits);
        Ok(())
    }

    /// The global's type.
    pub fn ty(&self, store: &impl AsContext) -> GlobalType {
        let objects = &inner(store).objects;
        objects.global(self.index_in(objects)).ty()
    }

    /// The global's place in its store, which must be this one.
    pub(super) fn index_in(&self, objects: &Objects) -> u32 {
        objects.check_id(self.store);
        self.index
    }
}
