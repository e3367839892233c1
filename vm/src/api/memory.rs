//! Linear memories.

use crate::api::engine::Engine;
use crate::api::store::{AsContext, AsContextMut, StoreBox, inner, inner_mut};
use crate::runtime::error::{Error, OutOfBounds};
use crate::runtime::memory::MemoryInner;
use crate::runtime::objects::Objects;
use crate::runtime::shared::SharedMemory;
use crate::runtime::slot::SlotSource;
use crate::runtime::types::MemoryType;
use std::sync::Arc;

/// A linear memory of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    pub(crate) store: u32,
    pub(crate) index: u32,
}

impl Memory {
    /// A memory of the host's making, zeroed.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the minimum is too large, [`Error::Slot`] if there is no room.
    pub fn new(store: &mut impl AsContextMut, ty: MemoryType) -> Result<Memory, Error> {
        let StoreBox { inner, lent, .. } = store.store_box_mut();
        let index = inner.objects.add_memory(ty, lent.terms())?;
        Ok(Memory { store: inner.objects.id(), index })
    }

    /// The memory's bytes.
    pub fn data<'a>(&self, store: &'a impl AsContext) -> &'a [u8] {
        self.get(&inner(store).objects).data()
    }

    /// The memory's bytes, to change.
    pub fn data_mut<'a>(&self, store: &'a mut impl AsContextMut) -> &'a mut [u8] {
        self.bytes_mut(&mut inner_mut(store).objects)
    }

    /// The memory's bytes and the embedder's data, both to change.
    pub fn data_and_store_mut<'a, S: AsContextMut>(
        &self,
        store: &'a mut S,
    ) -> (&'a mut [u8], &'a mut S::Data) {
        let StoreBox { inner, data, .. } = store.store_box_mut();
        (self.bytes_mut(&mut inner.objects), data)
    }

    pub(super) fn bytes_mut<'a>(&self, objects: &'a mut Objects) -> &'a mut [u8] {
        let index = self.index_in(objects);
        objects.memory_mut(index).data_mut()
    }

    /// Copies bytes out of the memory.
    ///
    /// # Errors
    /// [`OutOfBounds`]; nothing is copied then.
    pub fn read(
        &self,
        store: &impl AsContext,
        at: usize,
        buffer: &mut [u8],
    ) -> Result<(), OutOfBounds> {
        let end = at.checked_add(buffer.len()).ok_or(OutOfBounds)?;
        buffer.copy_from_slice(self.data(store).get(at..end).ok_or(OutOfBounds)?);
        Ok(())
    }

    /// Copies bytes into the memory.
    ///
    /// # Errors
    /// [`OutOfBounds`]; nothing is copied then.
    pub fn write(
        &self,
        store: &mut impl AsContextMut,
        at: usize,
        bytes: &[u8],
    ) -> Result<(), OutOfBounds> {
        let end = at.checked_add(bytes.len()).ok_or(OutOfBounds)?;
        self.data_mut(store).get_mut(at..end).ok_or(OutOfBounds)?.copy_from_slice(bytes);
        Ok(())
    }

    /// Size in WebAssembly pages.
    pub fn size(&self, store: &impl AsContext) -> u64 {
        self.get(&inner(store).objects).pages()
    }

    /// Grows by `delta` WebAssembly pages; the old size, or `None` if that is not possible.
    pub fn grow(&self, store: &mut impl AsContextMut, delta: u64) -> Option<u64> {
        let store = inner_mut(store);
        let index = self.index_in(&store.objects);
        store.objects.grow_memory(index as usize, delta)
    }

    /// The memory's type, with its present size as the minimum.
    pub fn ty(&self, store: &impl AsContext) -> MemoryType {
        self.get(&inner(store).objects).ty()
    }

    fn get<'a>(&self, objects: &'a Objects) -> &'a MemoryInner {
        objects.memory(self.index_in(objects))
    }

    /// The memory's place in its store, which must be this one.
    pub(super) fn index_in(&self, objects: &Objects) -> u32 {
        objects.check_id(self.store);
        self.index
    }
}

impl SharedMemory {
    /// A memory of the host's making, zeroed.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the type is not shared, has no maximum or is too large;
    /// [`Error::Slot`] if there is no room.
    pub fn new(engine: &Engine, ty: MemoryType) -> Result<SharedMemory, Error> {
        let source: Arc<dyn SlotSource> = engine.slots().clone();
        SharedMemory::zeroed(&source, ty, engine.config().max_memory_bytes)
    }
}
