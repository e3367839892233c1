//! Names of a store's objects, by their places in its lists.

use crate::runtime::shared::SharedMemory;

/// Place of a function in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FuncId {
    /// Function `index` of instance `instance`.
    Guest { instance: u32, index: u32 },
    /// Host function of the store.
    Host(u32),
}

/// Place of anything that can be imported or exported.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Func(FuncId),
    Table(u32),
    Memory(u32),
    SharedMemory(SharedMemory),
    Global(u32),
    Tag(u32),
}
