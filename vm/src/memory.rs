//! Linear memories.

use crate::engine::Engine;
use crate::error::Error;
use crate::shared::SharedMemory;
use crate::store::{AsContext, AsContextMut, Store, StoreInner};
use crate::types::{Limits, MemoryType};
use std::borrow::Cow;
use std::sync::Arc;
use wfaas_abi::BoundsStrategy;
use wfaas_abi::layout::{MAX_MEMORY_PAGES, PAGE, WASM_PAGE};
use wfaas_abi::memories::LEAD;
use wfaas_abi::state::MEMORY_PAGES_OFFSET;
use wfaas_snapshot::{BindError, Binding, Bound, Growth, Image, WorkingSet};

/// A linear memory of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    pub(crate) store: u32,
    pub(crate) index: u32,
}

/// The range lies outside of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("out of bounds memory access")]
pub struct OutOfBounds;

/// A memory as a store knows it.
#[derive(Debug)]
pub(crate) struct MemoryInner {
    backing: Backing,
    /// As declared.
    ty: MemoryType,
    /// The instance whose memory it is; `None` for the host's.
    owner: Option<u32>,
}

/// Where the bytes are.
#[derive(Debug)]
enum Backing {
    Own(OwnSlot),
    Shared(SharedMemory),
}

/// A slot that goes back to the engine.
#[derive(Debug)]
pub(crate) struct OwnSlot {
    /// `None` once it was given back.
    slot: Option<Bound>,
    engine: Engine,
}

impl Drop for OwnSlot {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.engine.slots().put_back(slot.unbind().ok());
        }
    }
}

impl OwnSlot {
    /// A slot of the engine, bound.
    pub(crate) fn bound(engine: &Engine, binding: Binding) -> Result<OwnSlot, Error> {
        loop {
            let BindError { error, slot } = match engine.slots().take()?.bind(binding.clone()) {
                Ok(slot) => return Ok(OwnSlot { slot: Some(slot), engine: engine.clone() }),
                Err(failed) => failed,
            };
            engine.slots().put_back(slot);
            // What an idle faaslet has may be what there is no more of.
            if !error.is_out_of_memory() || !engine.slots().reclaim_one() {
                return Err(not_bound(error));
            }
        }
    }

    pub(crate) fn has_guard(&self) -> bool {
        self.get().growth() != Growth::Whole
    }

    pub(crate) fn get(&self) -> &Bound {
        self.slot.as_ref().expect("only `drop` takes it")
    }

    pub(crate) fn get_mut(&mut self) -> &mut Bound {
        self.slot.as_mut().expect("only `drop` takes it")
    }
}

/// Why a slot could not be bound.
fn not_bound(error: wfaas_snapshot::Error) -> Error {
    if !matches!(error, wfaas_snapshot::Error::Userfaultfd(_)) {
        return error.into();
    }
    let message = "userfaultfd is not supported by this kernel, or not permitted: build with \
                   --bounds guard";
    Error::Unsupported(message.into())
}

/// How memories grow of modules whose accesses are kept in bounds like this.
pub(crate) fn growth(strategy: BoundsStrategy) -> Growth {
    match strategy {
        BoundsStrategy::GuardUffd => Growth::Fault,
        BoundsStrategy::None => Growth::Whole,
        BoundsStrategy::Guard | BoundsStrategy::Trap | BoundsStrategy::Clamp => Growth::Protect,
    }
}

impl MemoryInner {
    pub(crate) fn new(
        engine: &Engine,
        binding: Binding,
        ty: MemoryType,
        owner: Option<u32>,
    ) -> Result<MemoryInner, Error> {
        let own = OwnSlot::bound(engine, binding)?;
        Ok(MemoryInner { backing: Backing::Own(own), ty, owner })
    }

    /// A shared memory that a store knows.
    pub(crate) fn of_shared(memory: SharedMemory, owner: Option<u32>) -> MemoryInner {
        let ty = memory.ty();
        MemoryInner { backing: Backing::Shared(memory), ty, owner }
    }

    /// The shared memory, if it is one.
    pub(crate) fn shared(&self) -> Option<&SharedMemory> {
        match &self.backing {
            Backing::Own(_) => None,
            Backing::Shared(memory) => Some(memory),
        }
    }

    /// Whether an access beyond the end faults.
    pub(crate) fn has_guard(&self) -> bool {
        match &self.backing {
            Backing::Own(own) => own.has_guard(),
            Backing::Shared(memory) => memory.has_guard(),
        }
    }

    pub(crate) fn base(&self) -> *mut u8 {
        match &self.backing {
            Backing::Own(own) => own.get().base(),
            Backing::Shared(memory) => memory.base(),
        }
    }

    /// The cell with the size.
    pub(crate) fn pages_cell(&self) -> *mut u64 {
        self.base().wrapping_offset(MEMORY_PAGES_OFFSET as isize).cast()
    }

    /// Size in WebAssembly pages.
    pub(crate) fn pages(&self) -> u64 {
        if let Backing::Shared(memory) = &self.backing {
            return memory.size();
        }
        // SAFETY: the state header is mapped as long as the slot is bound.
        unsafe { self.pages_cell().read() }
    }

    pub(crate) fn bytes(&self) -> usize {
        match &self.backing {
            // Never more than what is open, even if a damaged image claims so.
            Backing::Own(own) => {
                (self.pages() as usize).saturating_mul(WASM_PAGE).min(own.get().open_bytes())
            }
            Backing::Shared(memory) => memory.bytes(),
        }
    }

    /// The bytes of a memory that is not shared.
    fn data(&self) -> &[u8] {
        match &self.backing {
            Backing::Own(own) => own.get().bytes(0, self.bytes()).unwrap_or(&[]),
            Backing::Shared(_) => &[],
        }
    }

    /// The page at `at` bytes from the base: of the memory, or of what its image has before it.
    pub(crate) fn page(&self, at: isize) -> Result<Cow<'_, [u8]>, wfaas_snapshot::Error> {
        match &self.backing {
            Backing::Own(own) => own.get().bytes(at, PAGE).map(Cow::Borrowed),
            Backing::Shared(memory) => Ok(memory.page(at).into()),
        }
    }

    /// Grows by `delta` WebAssembly pages; the old size, or `None`.
    fn grow(&mut self, delta: u64) -> Option<u64> {
        if let Backing::Shared(memory) = &self.backing {
            return memory.grow(delta);
        }
        let old = self.pages();
        let new = old.checked_add(delta)?;
        if new > self.ty.most_pages() {
            return None;
        }
        if let Backing::Own(own) = &mut self.backing {
            own.get_mut().open(new as usize * WASM_PAGE).ok()?;
        }
        // SAFETY: as in `pages`.
        unsafe { self.pages_cell().write(new) };
        Some(old)
    }

    /// Bytes that it keeps in memory after a reset: what its slot has learned.
    pub(crate) fn resident_bytes(&self) -> u64 {
        match &self.backing {
            Backing::Own(own) => own.get().resident_bytes() as u64,
            Backing::Shared(_) => 0,
        }
    }

    /// Makes it identical to its image again; whether that was possible. A shared memory that
    /// somebody still refers to is left as it is.
    #[inline]
    pub(crate) fn reset(&mut self) -> bool {
        match &mut self.backing {
            Backing::Own(own) => own.get_mut().reset().is_ok(),
            Backing::Shared(memory) => memory.reset().is_some_and(|reset| reset.is_ok()),
        }
    }

    /// What its slot recorded; `None` if it does not, or cannot.
    pub(crate) fn recorded(&self) -> Option<WorkingSet> {
        match &self.backing {
            Backing::Own(own) => own.get().recorded(),
            Backing::Shared(_) => None,
        }
    }

    /// The type, with the present size as the minimum.
    pub(crate) fn ty(&self) -> MemoryType {
        let limits = Limits { minimum: self.pages(), ..self.ty.limits };
        MemoryType { limits, ..self.ty }
    }

    /// An address, or the offset of a segment, as the memory's index type has it.
    pub(crate) fn index(&self, bits: u64) -> u64 {
        index(bits, self.ty.index64)
    }
}

impl StoreInner {
    /// Grows a memory by `delta` WebAssembly pages; the old size, or `None`.
    pub(crate) fn grow_memory(&mut self, index: usize, delta: u64) -> Option<u64> {
        if delta > self.memory_room(index) {
            return None;
        }
        self.memories[index].grow(delta)
    }

    /// WebAssembly pages that a memory may grow by: the store's limit is for all its memories
    /// together, the configured one for those of an instance.
    fn memory_room(&self, index: usize) -> u64 {
        let owner = self.memories[index].owner;
        let (mut all, mut of_owner) = (0u64, 0u64);
        for (other, memory) in self.memories.iter().enumerate() {
            all = all.saturating_add(memory.pages());
            if other == index || (owner.is_some() && memory.owner == owner) {
                of_owner = of_owner.saturating_add(memory.pages());
            }
        }
        let pages = |bytes: u64| bytes / WASM_PAGE as u64;
        let configured = pages(self.engine.config().max_memory_bytes).saturating_sub(of_owner);
        let limited = self.memory_limit.map(|bytes| pages(bytes).saturating_sub(all));
        limited.unwrap_or(u64::MAX).min(configured)
    }
}

/// The image of a memory of `pages` WebAssembly pages of zeros.
pub(crate) fn zeroed(engine: &Engine, pages: u64) -> Result<Image, Error> {
    if pages > MAX_MEMORY_PAGES {
        return Err(Error::Unsupported("a memory of more than 4 GiB".into()));
    }
    let bytes = pages as usize * WASM_PAGE;
    if bytes as u64 > engine.config().max_memory_bytes {
        return Err(Error::Unsupported(format!("a memory of {bytes} bytes: too much here")));
    }
    Ok(Image::from_pages(LEAD + bytes, &[], &[])?)
}

/// The bits of an index of 32 or 64 bits.
pub(crate) fn index(bits: u64, index64: bool) -> u64 {
    if index64 { bits } else { u64::from(bits as u32) }
}

impl Memory {
    /// A memory of the host's making, zeroed.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the minimum is too large, [`Error::Slot`] if there is no room.
    pub fn new<T: 'static>(store: &mut Store<T>, ty: MemoryType) -> Result<Memory, Error> {
        let store = &mut store.0.inner;
        if ty.shared {
            return Err(Error::Unsupported("a shared memory belongs to no store".into()));
        }
        let image = zeroed(&store.engine, ty.limits.minimum)?;
        let (image, tracking, growth) = (Arc::new(image), store.tracking, Growth::Protect);
        let binding = Binding { image, lead: LEAD, head: 0, tracking, growth };
        let memory = MemoryInner::new(&store.engine, binding, ty, None)?;
        // SAFETY: the state header is mapped.
        unsafe { memory.pages_cell().write(ty.limits.minimum) };
        store.memories.push(Box::new(memory));
        Ok(Memory { store: store.id, index: (store.memories.len() - 1) as u32 })
    }

    /// The memory's bytes.
    pub fn data<'a>(&self, store: &'a impl AsContext) -> &'a [u8] {
        self.get(store.inner()).data()
    }

    /// The memory's bytes, to change.
    pub fn data_mut<'a>(&self, store: &'a mut impl AsContextMut) -> &'a mut [u8] {
        self.bytes_mut(store.inner_mut())
    }

    pub(crate) fn bytes_mut<'a>(&self, store: &'a mut StoreInner) -> &'a mut [u8] {
        store.check_id(self.store);
        let memory = &mut store.memories[self.index as usize];
        let bytes = memory.bytes();
        match &mut memory.backing {
            Backing::Own(own) => own.get_mut().bytes_mut(0, bytes).unwrap_or(&mut []),
            Backing::Shared(_) => &mut [],
        }
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
        self.get(store.inner()).pages()
    }

    /// Grows by `delta` WebAssembly pages; the old size, or `None` if that is not possible.
    pub fn grow(&self, store: &mut impl AsContextMut, delta: u64) -> Option<u64> {
        let store = store.inner_mut();
        store.check_id(self.store);
        store.grow_memory(self.index as usize, delta)
    }

    /// The memory's type, with its present size as the minimum.
    pub fn ty(&self, store: &impl AsContext) -> MemoryType {
        self.get(store.inner()).ty()
    }

    fn get<'a>(&self, store: &'a StoreInner) -> &'a MemoryInner {
        store.check_id(self.store);
        &store.memories[self.index as usize]
    }
}
