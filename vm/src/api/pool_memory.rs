//! Memories of a pool's module, looked up once for all faaslets.

use crate::api::memory::Memory;
use crate::api::pool::{Faaslet, Pool};
use crate::runtime::error::Error;

/// A memory of a pool's module. Each faaslet has one of its own at the same place.
#[derive(Debug, Clone, Copy)]
pub struct PoolMemory {
    index: u32,
    code_id: u64,
}

impl<T: Default + Send + 'static> Pool<T> {
    /// The memory exported as `name`, looked up once for all faaslets.
    ///
    /// # Errors
    /// [`Error::Export`] if the module has no such memory, or it is shared.
    pub fn memory(&self, name: &str) -> Result<PoolMemory, Error> {
        let mut faaslet = self.acquire(T::default())?;
        let instance = faaslet.instance();
        let reason = || "not a memory, or a shared one".into();
        let missing = || Error::Export { name: name.into(), reason: reason() };
        let memory = instance.get_memory(faaslet.store(), name).ok_or_else(missing)?;
        Ok(PoolMemory { index: memory.index, code_id: self.module().code_id() })
    }
}

impl<T: Default + Send + 'static> Faaslet<'_, T> {
    /// The faaslet's own memory; see [`Pool::memory`].
    ///
    /// # Panics
    /// If `memory` is of another module's pool.
    pub fn memory(&mut self, memory: &PoolMemory) -> Memory {
        let objects = &self.store().0.inner.objects;
        let code_id = objects.instance(0).module().code_id();
        assert_eq!(memory.code_id, code_id, "a memory of another module");
        Memory { store: objects.id(), index: memory.index }
    }
}
