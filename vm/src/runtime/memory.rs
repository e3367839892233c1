//! Linear memories as a store has them.

use crate::runtime::error::Error;
use crate::runtime::shared::SharedMemory;
use crate::runtime::slot::{OwnSlot, SlotSource, SlotTerms, zeroed};
use crate::runtime::types::{Limits, MemoryType, index};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use wfaas_abi::layout::{PAGE, WASM_PAGE};
use wfaas_abi::memories::LEAD;
use wfaas_abi::state::MEMORY_PAGES_OFFSET;
use wfaas_snapshot::{Binding, Bound, Growth, WorkingSet};

/// A memory of a store: its slot and its type.
#[derive(Debug)]
pub(crate) struct MemoryInner {
    backing: Backing,
    /// As declared.
    ty: MemoryType,
    /// The instance that it is a memory of; `None` for the host's.
    owner: Option<u32>,
}

/// Place of the bytes.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // the whole memory is in a box already, one for each
enum Backing {
    Own(OwnSlot),
    Shared(SharedMemory),
}

impl MemoryInner {
    /// A memory of `owner`, which starts as the binding's image.
    pub(super) fn bound(
        source: &Arc<dyn SlotSource>,
        binding: Binding,
        ty: MemoryType,
        owner: Option<u32>,
    ) -> Result<MemoryInner, Error> {
        let own = OwnSlot::bound(source, binding)?;
        Ok(MemoryInner { backing: Backing::Own(own), ty, owner })
    }

    /// A memory of the host's making, zeroed.
    pub(super) fn new(ty: MemoryType, terms: SlotTerms<'_>) -> Result<MemoryInner, Error> {
        if ty.shared {
            return Err(Error::Unsupported("a shared memory belongs to no store".into()));
        }
        let image = Arc::new(zeroed(ty.limits.minimum, terms.most_bytes)?);
        let (tracking, growth) = (terms.tracking, Growth::Protect);
        let binding = Binding { image, lead: LEAD, head: 0, tracking, growth };
        let memory = MemoryInner::bound(terms.source, binding, ty, None)?;
        // SAFETY: the state header is mapped.
        unsafe { memory.pages_cell().write(ty.limits.minimum) };
        Ok(memory)
    }

    /// The instance that it is a memory of; `None` for the host's.
    pub(super) fn owner(&self) -> Option<u32> {
        self.owner
    }

    /// A shared memory that a store knows.
    pub(super) fn of_shared(memory: SharedMemory, owner: Option<u32>) -> MemoryInner {
        let ty = memory.ty();
        MemoryInner { backing: Backing::Shared(memory), ty, owner }
    }

    /// The shared memory, if it is one.
    #[inline]
    pub(crate) fn shared(&self) -> Option<&SharedMemory> {
        match &self.backing {
            Backing::Own(_) => None,
            Backing::Shared(memory) => Some(memory),
        }
    }

    /// The slot, unless it is a shared memory's.
    pub(super) fn own(&self) -> Option<&Bound> {
        match &self.backing {
            Backing::Own(own) => Some(own.get()),
            Backing::Shared(_) => None,
        }
    }

    /// The slot, to change.
    pub(super) fn own_mut(&mut self) -> Option<&mut Bound> {
        match &mut self.backing {
            Backing::Own(own) => Some(own.get_mut()),
            Backing::Shared(_) => None,
        }
    }

    /// Whether an access beyond the end faults.
    pub(crate) fn has_guard(&self) -> bool {
        match &self.backing {
            Backing::Own(own) => own.has_guard(),
            Backing::Shared(memory) => memory.has_guard(),
        }
    }

    #[inline]
    pub(crate) fn base(&self) -> *mut u8 {
        match &self.backing {
            Backing::Own(own) => own.get().base(),
            Backing::Shared(memory) => memory.base(),
        }
    }

    /// The cell with the size.
    #[inline]
    pub(crate) fn pages_cell(&self) -> *mut u64 {
        self.base().wrapping_offset(MEMORY_PAGES_OFFSET as isize).cast()
    }

    /// Size in WebAssembly pages.
    #[inline]
    pub(crate) fn pages(&self) -> u64 {
        if let Backing::Shared(memory) = &self.backing {
            return memory.size();
        }
        // SAFETY: the state header is mapped as long as the slot is bound.
        unsafe { self.pages_cell().read() }
    }

    /// The same in bytes.
    #[inline]
    fn claimed_bytes(&self) -> usize {
        (self.pages() as usize).saturating_mul(WASM_PAGE)
    }

    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        match &self.backing {
            // Never more than is open, even if a damaged image claims so.
            Backing::Own(own) => self.claimed_bytes().min(own.get().open_bytes()),
            Backing::Shared(memory) => memory.bytes(),
        }
    }

    /// The bytes of a memory that is not shared.
    pub(crate) fn data(&self) -> &[u8] {
        match &self.backing {
            Backing::Own(own) => own.get().bytes(0, self.bytes()).unwrap_or(&[]),
            Backing::Shared(_) => &[],
        }
    }

    /// The bytes of a memory that is not shared, to change.
    #[inline]
    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        let claimed = self.claimed_bytes();
        match &mut self.backing {
            Backing::Own(own) => own.get_mut().first_mut(claimed),
            Backing::Shared(_) => &mut [],
        }
    }

    /// The ranges of pages, in bytes from the base, that may be anything but zero: of the memory, and
    /// of its image's `lead` bytes before it.
    pub(crate) fn contents(&self, lead: usize) -> Vec<Range<isize>> {
        match &self.backing {
            Backing::Own(own) => own.get().contents(),
            Backing::Shared(memory) => {
                std::iter::once(-(lead as isize)..memory.bytes() as isize).collect()
            }
        }
    }

    /// The page at `at` bytes from the base: of the memory, or of its image's part before that.
    pub(crate) fn page(&self, at: isize) -> Result<Cow<'_, [u8]>, wfaas_snapshot::Error> {
        match &self.backing {
            Backing::Own(own) => own.get().bytes(at, PAGE).map(Cow::Borrowed),
            Backing::Shared(memory) => Ok(memory.page(at).into()),
        }
    }

    /// Grows by `delta` WebAssembly pages; the old size, or `None`.
    pub(super) fn grow(&mut self, delta: u64) -> Option<u64> {
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

    /// Bytes that it keeps in memory after a reset: the pages its slot has learned.
    pub(crate) fn resident_bytes(&self) -> u64 {
        match &self.backing {
            Backing::Own(own) => own.get().resident_bytes() as u64,
            Backing::Shared(_) => 0,
        }
    }

    /// Nanoseconds that a reset takes at most if `written` pages were written to.
    pub(crate) fn reset_nanos(&self, written: usize) -> u64 {
        match &self.backing {
            Backing::Own(own) => own.get().reset_nanos(written),
            // Other stores write to it too.
            Backing::Shared(memory) => memory.reset_nanos(),
        }
    }

    /// Gives a piece of its pages back ahead of a reset; see [`Bound::shed`](wfaas_snapshot::Bound::shed). A
    /// failure is the reset's to tell.
    pub(crate) fn shed(&mut self, from: usize) -> Option<usize> {
        match &mut self.backing {
            Backing::Own(own) => own.get_mut().shed(from).ok().flatten(),
            // Other stores may use it still.
            Backing::Shared(_) => None,
        }
    }

    /// Makes it identical to its image again; whether that was possible. A shared memory that
    /// somebody still refers to is left as it is.
    #[inline]
    pub(crate) fn reset(&mut self) -> bool {
        let MemoryInner { backing, ty: _, owner: _ } = self;
        match backing {
            Backing::Own(own) => own.get_mut().reset().is_ok(),
            Backing::Shared(memory) => memory.reset().is_some_and(|reset| reset.is_ok()),
        }
    }

    /// The pages that its slot recorded; `None` if it does not, or cannot.
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
