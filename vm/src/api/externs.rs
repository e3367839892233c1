//! Imports and exports of any kind.

use crate::api::exception::Tag;
use crate::api::func::Func;
use crate::api::global::Global;
use crate::api::memory::Memory;
use crate::api::store::{AsContext, inner};
use crate::api::table::Table;
use crate::runtime::item::Item;
use crate::runtime::objects::Objects;
use crate::runtime::shared::SharedMemory;
use crate::runtime::types::ExternType;

/// Something a module imports or exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extern {
    /// A function.
    Func(Func),
    /// A table.
    Table(Table),
    /// A memory that is not shared.
    Memory(Memory),
    /// A shared memory.
    SharedMemory(SharedMemory),
    /// A global.
    Global(Global),
    /// A tag of exceptions.
    Tag(Tag),
}

impl Extern {
    /// The function, if it is one.
    pub fn into_func(self) -> Option<Func> {
        if let Extern::Func(func) = self { Some(func) } else { None }
    }

    /// The shared memory, if it is one.
    pub fn into_shared_memory(self) -> Option<SharedMemory> {
        if let Extern::SharedMemory(memory) = self { Some(memory) } else { None }
    }

    /// The memory, if it is one and not shared.
    pub fn into_memory(self) -> Option<Memory> {
        if let Extern::Memory(memory) = self { Some(memory) } else { None }
    }

    /// The table, if it is one.
    pub fn into_table(self) -> Option<Table> {
        if let Extern::Table(table) = self { Some(table) } else { None }
    }

    /// The global, if it is one.
    pub fn into_global(self) -> Option<Global> {
        if let Extern::Global(global) = self { Some(global) } else { None }
    }

    /// The tag, if it is one.
    pub fn into_tag(self) -> Option<Tag> {
        if let Extern::Tag(tag) = self { Some(tag) } else { None }
    }

    /// The type, with the present size as the minimum.
    pub fn ty(&self, store: &impl AsContext) -> ExternType {
        let objects = &inner(store).objects;
        objects.type_of(&self.item_in(objects))
    }

    /// The handle to something of store `store`.
    pub(super) fn of(store: u32, item: Item) -> Extern {
        match item {
            Item::Func(id) => Extern::Func(Func { store, id }),
            Item::Table(index) => Extern::Table(Table { store, index }),
            Item::Memory(index) => Extern::Memory(Memory { store, index }),
            Item::SharedMemory(memory) => Extern::SharedMemory(memory),
            Item::Global(index) => Extern::Global(Global { store, index }),
            Item::Tag(index) => Extern::Tag(Tag { store, index }),
        }
    }

    /// Its name in its store, which must be this one.
    pub(super) fn item_in(&self, objects: &Objects) -> Item {
        match self {
            Extern::Func(func) => Item::Func(func.id_in(objects)),
            Extern::Table(table) => Item::Table(table.index_in(objects)),
            Extern::Memory(memory) => Item::Memory(memory.index_in(objects)),
            Extern::SharedMemory(memory) => Item::SharedMemory(memory.clone()),
            Extern::Global(global) => Item::Global(global.index_in(objects)),
            Extern::Tag(tag) => Item::Tag(tag.index_in(objects)),
        }
    }
}
