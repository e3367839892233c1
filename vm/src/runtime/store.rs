//! A store without the embedder's data: its objects and its call.

use crate::call::state::CallState;
use crate::runtime::objects::Objects;
use crate::runtime::pending::Pending;
use wfaas_abi::layout::WASM_PAGE;

/// A store without the embedder's data. Compiled code knows its address, which is the address of
/// its call state too.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct StoreInner {
    /// The state of its call.
    pub(crate) call: CallState,
    /// Everything that was made in it.
    pub(crate) objects: Objects,
    /// Reason for which the guest was just left.
    pub(super) pending: Option<Pending>,
    limits: MemoryLimits,
}

/// Bytes that memories may have.
#[derive(Debug, Clone, Copy)]
struct MemoryLimits {
    /// All memories of the store together.
    store: Option<u64>,
    /// All memories of an instance together.
    instance: u64,
}

// SAFETY: the raw pointers in a store point into itself and are used only through `&mut` access,
// or by compiled code while a call holds it; host functions and host objects are Send and Sync.
unsafe impl Send for StoreInner {}

// SAFETY: through `&StoreInner` nothing is changed, and everything that is read (cells,
// sizes, memory) is changed only through `&mut`.
unsafe impl Sync for StoreInner {}

impl StoreInner {
    /// An empty store. Its guests get `stack_bytes` bytes of stack, its instances `memory_bytes`
    /// bytes of memory.
    pub(crate) fn new(stack_bytes: usize, memory_bytes: u64) -> StoreInner {
        StoreInner {
            call: CallState::new(stack_bytes),
            objects: Objects::new(),
            pending: None,
            limits: MemoryLimits { store: None, instance: memory_bytes },
        }
    }

    /// The store that a call state belongs to.
    ///
    /// # Safety
    /// `call` must be the call state of a store that is exclusively ours.
    #[inline(always)]
    pub(super) unsafe fn of<'a>(call: *mut CallState) -> &'a mut StoreInner {
        const { assert!(std::mem::offset_of!(StoreInner, call) == 0) };
        // SAFETY: the caller's contract; the call state is the first field.
        unsafe { &mut *call.cast() }
    }

    /// Lets the memories of the store together not grow beyond `bytes`.
    pub(crate) fn set_memory_limit(&mut self, bytes: Option<u64>) {
        self.limits.store = bytes;
    }

    /// Grows a memory by `delta` WebAssembly pages; the old size, or `None`.
    pub(crate) fn grow_memory(&mut self, index: usize, delta: u64) -> Option<u64> {
        if delta > self.memory_room(index) {
            return None;
        }
        self.objects.memories[index].grow(delta)
    }

    /// WebAssembly pages that a memory may grow by.
    fn memory_room(&self, index: usize) -> u64 {
        let memories = &self.objects.memories;
        let owner = memories[index].owner();
        let (mut all, mut of_owner) = (0u64, 0u64);
        for (other, memory) in memories.iter().enumerate() {
            all = all.saturating_add(memory.pages());
            if other == index || (owner.is_some() && memory.owner() == owner) {
                of_owner = of_owner.saturating_add(memory.pages());
            }
        }
        let pages = |bytes: u64| bytes / WASM_PAGE as u64;
        let configured = pages(self.limits.instance).saturating_sub(of_owner);
        let limited = self.limits.store.map(|bytes| pages(bytes).saturating_sub(all));
        limited.unwrap_or(u64::MAX).min(configured)
    }

    /// Brings the store back to the moment when its objects were [kept](Objects::keep_present);
    /// whether that was possible. If not, it must not be used again. Every field has its line here, so that
    /// a new one does not compile until somebody has decided about it.
    #[inline]
    pub(crate) fn reset(&mut self) -> bool {
        let StoreInner { call, objects, pending, limits: MemoryLimits { store, instance: _ } } =
            self;
        if pending.is_some() {
            *pending = None;
        }
        *store = None;
        call.reset() && objects.reset()
    }
}
