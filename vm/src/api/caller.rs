//! Callers: a host function's view of the store whose guest called it.

use crate::api::externs::Extern;
use crate::api::instance::Instance;
use crate::api::memory::Memory;
use crate::api::store::{AsContext, AsContextMut, StoreBox};
use crate::call::task;
use std::time::Instant;
use wfaas_abi::TrapCode;

/// The store, and the instance that called the host function.
#[derive(Debug)]
pub struct Caller<'a, T> {
    store: &'a mut StoreBox<T>,
    instance: Option<u32>,
}

impl<'a, T: 'static> Caller<'a, T> {
    pub(super) fn new(store: &'a mut StoreBox<T>, instance: Option<u32>) -> Self {
        Caller { store, instance }
    }

    /// The embedder's data.
    pub fn data(&self) -> &T {
        &self.store.data
    }

    /// The embedder's data, to change.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.store.data
    }

    /// An export of the calling instance; `None` too if the host itself called.
    pub fn get_export(&mut self, name: &str) -> Option<Extern> {
        let instance = Instance { store: self.store.inner.objects.id(), index: self.instance? };
        instance.get_export(self, name)
    }

    /// The memory that the calling instance exports as `memory`, if it is not shared.
    #[inline]
    pub fn memory(&mut self) -> Option<Memory> {
        let objects = &self.store.inner.objects;
        let index = objects.exported_memory(self.instance?)?;
        Some(Memory { store: objects.id(), index })
    }

    /// The memory with this index in the calling instance's module, if it is there and not shared.
    #[inline]
    pub fn memory_at(&mut self, index: u32) -> Option<Memory> {
        let objects = &self.store.inner.objects;
        let index = objects.unshared_memory(self.instance?, index)?;
        Some(Memory { store: objects.id(), index })
    }

    /// The bytes of `memory` and the embedder's data, both to change.
    #[inline]
    pub fn memory_and_data(&mut self, memory: Memory) -> (&mut [u8], &mut T) {
        let StoreBox { inner, data, .. } = &mut *self.store;
        (memory.bytes_mut(&mut inner.objects), data)
    }

    /// The bytes of the memory with this index in the calling instance's module, and the embedder's data, both to
    /// change. No bytes if it is not there, or shared.
    #[inline]
    pub fn memory_at_and_data(&mut self, index: u32) -> (&mut [u8], &mut T) {
        let StoreBox { inner, data, .. } = &mut *self.store;
        let objects = &mut inner.objects;
        let memory = self.instance.and_then(|instance| objects.unshared_memory(instance, index));
        let bytes = memory.map(|memory| objects.memory_mut(memory).data_mut());
        (bytes.unwrap_or_default(), data)
    }

    /// Whether a future that the host function returns now is awaited: its guest was called by
    /// `call_async`, and no synchronous call is in between. Without a meaning in the future itself.
    pub fn can_wait(&self) -> bool {
        task::can_suspend()
    }

    /// When the call under way has to end.
    pub fn deadline(&self) -> Option<Instant> {
        self.store.inner.call.control().deadline()
    }

    /// Has the call under way end at another time, or at none. An earlier one counts from when it goes
    /// on after a wait.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.store.inner.call.set_deadline(deadline);
    }

    /// Whether the call under way has to end: return soon, with any value, and it will. A host
    /// function that blocks in a system call finds it interrupted then.
    pub fn interrupted(&self) -> Option<TrapCode> {
        let call = &self.store.inner.call;
        call.interrupted().or_else(|| call.due_while_polled())
    }
}

impl<T: 'static> AsContext for Caller<'_, T> {
    type Data = T;
    #[inline]
    fn store_box(&self) -> &StoreBox<T> {
        self.store
    }
}

impl<T: 'static> AsContextMut for Caller<'_, T> {
    #[inline]
    fn store_box_mut(&mut self) -> &mut StoreBox<T> {
        self.store
    }
}
