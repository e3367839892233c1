//! Tables.

use crate::api::store::{AsContext, AsContextMut, inner, inner_mut};
use crate::api::val::Val;
use crate::runtime::error::Error;
use crate::runtime::objects::Objects;
use crate::runtime::types::TableType;

/// A table of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    pub(super) store: u32,
    pub(super) index: u32,
}

impl Table {
    /// A table of the host's making, filled with `init`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] or [`Error::MemoryLimit`] if it is too large, [`Error::TypeMismatch`] if `init` does not fit.
    pub fn new(store: &mut impl AsContextMut, ty: TableType, init: Val) -> Result<Table, Error> {
        let objects = &mut inner_mut(store).objects;
        objects.check_types(std::slice::from_ref(&init), &[ty.element])?;
        let (bits, _) = objects.val_to_bits(&init, None)?;
        let index = objects.add_table(ty, bits)?;
        Ok(Table { store: objects.id(), index })
    }

    /// Element `index`; `None` if it is outside.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the element is damaged.
    pub fn get(&self, store: &impl AsContext, index: u64) -> Result<Option<Val>, Error> {
        let objects = &inner(store).objects;
        let table = objects.table(self.index_in(objects));
        let Ok(bits) = table.get(index) else { return Ok(None) };
        objects.val_from_bits(table.element(), bits, 0, table.owner()).map(Some)
    }

    /// Sets element `index`.
    ///
    /// # Errors
    /// [`Error::TypeMismatch`] if the value does not fit; [`Error::Unsupported`] if the index is
    /// outside.
    pub fn set(&self, store: &mut impl AsContextMut, index: u64, value: Val) -> Result<(), Error> {
        let objects = &mut inner_mut(store).objects;
        let table = objects.table(self.index_in(objects));
        let (element, owner) = (table.element(), table.owner());
        objects.check_types(std::slice::from_ref(&value), &[element])?;
        let (bits, _) = objects.val_to_bits(&value, owner)?;
        let set = objects.table_mut(self.index).set(index, bits);
        set.map_err(|code| Error::Unsupported(code.message().into()))
    }

    /// Number of elements.
    pub fn size(&self, store: &impl AsContext) -> u64 {
        let objects = &inner(store).objects;
        objects.table(self.index_in(objects)).size()
    }

    /// The table's type, with its present size as the minimum.
    pub fn ty(&self, store: &impl AsContext) -> TableType {
        let objects = &inner(store).objects;
        objects.table(self.index_in(objects)).ty()
    }

    /// The table's place in its store, which must be this one.
    pub(super) fn index_in(&self, objects: &Objects) -> u32 {
        objects.check_id(self.store);
        self.index
    }
}
