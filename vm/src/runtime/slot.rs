//! Slots that memories own, and the one who lends them.

use crate::runtime::error::Error;
use std::sync::Arc;
use wfaas_abi::BoundsStrategy;
use wfaas_abi::layout::{MAX_MEMORY_PAGES, WASM_PAGE};
use wfaas_abi::memories::LEAD;
use wfaas_snapshot::{BindError, Binding, Bound, Growth, Image, Slot, Tracking};

/// Lends slots, and takes them back.
pub(crate) trait SlotSource: Send + Sync + std::fmt::Debug {
    /// An unbound slot.
    ///
    /// # Errors
    /// [`Error::NoSlot`] if all are in use, [`Error::Slot`] if the kernel has no room for one more.
    fn take(&self) -> Result<Slot, Error>;

    /// Takes a slot back, or writes off one that could not be unbound.
    fn put_back(&self, slot: Option<Slot>);

    /// Makes something that is kept for later give its slots back; whether there was anything.
    fn reclaim_one(&self) -> bool;
}

/// Terms on which a store gets memories.
#[derive(Clone, Copy)]
pub(crate) struct SlotTerms<'a> {
    /// The lender.
    pub(crate) source: &'a Arc<dyn SlotSource>,
    /// Way of tracking the pages that a reset has to restore.
    pub(crate) tracking: Tracking,
    /// Most bytes of all memories of an instance.
    pub(crate) most_bytes: u64,
}

/// A slot that goes back to its source.
#[derive(Debug)]
pub(super) struct OwnSlot {
    /// `None` once it was given back.
    slot: Option<Bound>,
    source: Arc<dyn SlotSource>,
}

impl Drop for OwnSlot {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.source.put_back(slot.unbind().ok());
        }
    }
}

impl OwnSlot {
    /// A slot of the source, bound.
    pub(super) fn bound(source: &Arc<dyn SlotSource>, binding: Binding) -> Result<OwnSlot, Error> {
        loop {
            let BindError { error, slot } = match source.take()?.bind(binding.clone()) {
                Ok(slot) => return Ok(OwnSlot { slot: Some(slot), source: source.clone() }),
                Err(failed) => failed,
            };
            source.put_back(slot);
            // Memory of an idle faaslet may be just enough.
            if !error.is_out_of_memory() || !source.reclaim_one() {
                return Err(error.into());
            }
        }
    }

    pub(super) fn has_guard(&self) -> bool {
        self.get().growth() != Growth::Whole
    }

    #[inline]
    pub(super) fn get(&self) -> &Bound {
        self.slot.as_ref().expect("only `drop` takes it")
    }

    #[inline]
    pub(super) fn get_mut(&mut self) -> &mut Bound {
        self.slot.as_mut().expect("only `drop` takes it")
    }
}

/// The way of growing that goes with a bounds strategy of compiled code.
pub(super) fn growth(strategy: BoundsStrategy) -> Growth {
    match strategy {
        BoundsStrategy::GuardUffd => Growth::Fault,
        BoundsStrategy::None => Growth::Whole,
        BoundsStrategy::Guard | BoundsStrategy::Trap | BoundsStrategy::Clamp => Growth::Protect,
    }
}

/// The image of a memory of `pages` WebAssembly pages of zeros, of which no more than `most_bytes`
/// bytes are allowed.
pub(super) fn zeroed(pages: u64, most_bytes: u64) -> Result<Image, Error> {
    if pages > MAX_MEMORY_PAGES {
        return Err(Error::Unsupported("a memory of more than 4 GiB".into()));
    }
    let bytes = pages as usize * WASM_PAGE;
    if bytes as u64 > most_bytes {
        return Err(Error::MemoryLimit { what: "a memory", bytes: bytes as u64 });
    }
    Ok(Image::zeroed(LEAD + bytes))
}
