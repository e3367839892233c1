//! Shared memories: linear memories that instances in any number of stores, on any threads, use at
//! the same time.
//!
//! Each has a slot of its own, which lives as long as anybody refers to it. Its size only grows;
//! pages are opened before the size says so, so a thread that has read a size may use as many.
//! References to its bytes are to atomic cells only: guests change them at any time.

use crate::call::parking::Parking;
use crate::runtime::error::{Error, OutOfBounds};
use crate::runtime::slot::{OwnSlot, SlotSource, zeroed};
use crate::runtime::types::{Limits, MemoryType};
use std::sync::atomic::{
    AtomicU8, AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Mutex, PoisonError};
use wfaas_abi::ArtifactError;
use wfaas_abi::layout::WASM_PAGE;
use wfaas_abi::memories::LEAD;
use wfaas_abi::state::MEMORY_PAGES_OFFSET;
use wfaas_snapshot::{Binding, Growth, Image, Tracking};

/// A shared memory; cheap to clone. Clones are the same memory, and so they are equal.
#[derive(Debug, Clone)]
pub struct SharedMemory(Arc<SharedInner>);

#[derive(Debug)]
struct SharedInner {
    /// Most bytes it may grow to, whatever its type says.
    most_bytes: u64,
    /// As declared.
    ty: MemoryType,
    base: *mut u8,
    /// Locked while the memory grows.
    slot: Mutex<OwnSlot>,
    parking: Parking,
}

// SAFETY: `base` is the slot's, which the same value owns; the bytes are accessed atomically, or by
// guests and on their behalf, who share them.
unsafe impl Send for SharedInner {}

// SAFETY: as above.
unsafe impl Sync for SharedInner {}

impl PartialEq for SharedMemory {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for SharedMemory {}

impl SharedMemory {
    /// A memory of the host's making, zeroed; see [`SharedMemory::new`].
    pub(crate) fn zeroed(
        source: &Arc<dyn SlotSource>,
        ty: MemoryType,
        most_bytes: u64,
    ) -> Result<SharedMemory, Error> {
        let maximum = ty.limits.maximum.filter(|_| ty.shared);
        if maximum.is_none_or(|maximum| maximum < ty.limits.minimum) {
            let message = "a shared memory needs a shared type with a maximum";
            return Err(Error::Unsupported(message.into()));
        }
        let image = Arc::new(zeroed(ty.limits.minimum, most_bytes)?);
        let memory = Self::from_image(source, image, ty, most_bytes, Growth::Protect)?;
        memory.size_cell().store(ty.limits.minimum, SeqCst);
        Ok(memory)
    }

    /// A memory that starts as `image` says.
    pub(super) fn from_image(
        source: &Arc<dyn SlotSource>,
        image: Arc<Image>,
        ty: MemoryType,
        most_bytes: u64,
        growth: Growth,
    ) -> Result<SharedMemory, Error> {
        // A slot learns from one thread only.
        let tracking = Tracking::Discard;
        let binding = Binding { image, lead: LEAD, head: 0, tracking, growth };
        let slot = OwnSlot::bound(source, binding)?;
        let (base, open) = (slot.get().base(), slot.get().open_bytes());
        let (slot, parking) = (Mutex::new(slot), Parking::default());
        let memory = SharedMemory(Arc::new(SharedInner { most_bytes, ty, base, slot, parking }));
        if memory.bytes() > open {
            return Err(ArtifactError::Corrupt("a shared memory is larger than its image").into());
        }
        Ok(memory)
    }

    /// The type, with the present size as the minimum.
    pub fn ty(&self) -> MemoryType {
        let limits = Limits { minimum: self.size(), ..self.0.ty.limits };
        MemoryType { limits, ..self.0.ty }
    }

    /// Size in WebAssembly pages.
    pub fn size(&self) -> u64 {
        self.size_cell().load(SeqCst)
    }

    /// Grows by `delta` WebAssembly pages; the old size, or `None` if that is not possible.
    pub fn grow(&self, delta: u64) -> Option<u64> {
        let mut slot = self.0.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.size();
        let new = old.checked_add(delta)?;
        let configured = self.0.most_bytes / WASM_PAGE as u64;
        if new > self.0.ty.most_pages() || (delta > 0 && new > configured) {
            return None;
        }
        slot.get_mut().open(new as usize * WASM_PAGE).ok()?;
        self.size_cell().store(new, SeqCst);
        Some(old)
    }

    /// Copies bytes out of the memory, each as it is at some moment meanwhile.
    ///
    /// # Errors
    /// [`OutOfBounds`]; nothing is copied then.
    pub fn read(&self, at: usize, buffer: &mut [u8]) -> Result<(), OutOfBounds> {
        let cells = self.cells(at, buffer.len())?;
        for (byte, cell) in buffer.iter_mut().zip(cells) {
            *byte = cell.load(Relaxed);
        }
        Ok(())
    }

    /// Copies bytes into the memory, one by one in no particular order.
    ///
    /// # Errors
    /// [`OutOfBounds`]; nothing is copied then.
    pub fn write(&self, at: usize, bytes: &[u8]) -> Result<(), OutOfBounds> {
        for (byte, cell) in bytes.iter().zip(self.cells(at, bytes.len())?) {
            cell.store(*byte, Relaxed);
        }
        Ok(())
    }

    /// The 32 bits at `at`, for atomic operations.
    ///
    /// # Errors
    /// [`OutOfBounds`], also if `at` is not a multiple of four.
    pub fn atomic_u32(&self, at: usize) -> Result<&AtomicU32, OutOfBounds> {
        let cell = self.aligned(at, 4)?;
        // SAFETY: `aligned` found it inside the memory, aligned; the memory never shrinks while
        // there is a reference to it, and only atomic cells in it are ever referred to.
        Ok(unsafe { AtomicU32::from_ptr(cell.cast()) })
    }

    /// The 64 bits at `at`, for atomic operations.
    ///
    /// # Errors
    /// [`OutOfBounds`], also if `at` is not a multiple of eight.
    pub fn atomic_u64(&self, at: usize) -> Result<&AtomicU64, OutOfBounds> {
        let cell = self.aligned(at, 8)?;
        // SAFETY: as in `atomic_u32`.
        Ok(unsafe { AtomicU64::from_ptr(cell.cast()) })
    }

    /// Wakes at most `count` guests that wait at `at`; how many.
    pub fn notify(&self, at: usize, count: u32) -> u32 {
        self.0.parking.notify(at as u64, count)
    }

    /// The queues of those that wait at it.
    pub(crate) fn parking(&self) -> &Parking {
        &self.0.parking
    }

    pub(crate) fn has_guard(&self) -> bool {
        self.0.slot.lock().unwrap_or_else(PoisonError::into_inner).has_guard()
    }

    pub(crate) fn base(&self) -> *mut u8 {
        self.0.base
    }

    pub(crate) fn bytes(&self) -> usize {
        (self.size() as usize).saturating_mul(WASM_PAGE)
    }

    /// The page of the image at `at` bytes from the base, as it is now.
    pub(crate) fn page(&self, at: isize) -> Vec<u8> {
        assert!(at >= -(LEAD as isize) && at < self.bytes() as isize, "inside the memory");
        let first = self.0.base.wrapping_offset(at).cast::<AtomicU8>();
        // SAFETY: the page is mapped as long as the memory; atomic cells may be shared.
        let cells = unsafe { std::slice::from_raw_parts(first, LEAD) };
        cells.iter().map(|cell| cell.load(Relaxed)).collect()
    }

    /// Makes the memory identical to its image again; `None` if somebody else refers to it.
    pub(crate) fn reset(&mut self) -> Option<Result<(), wfaas_snapshot::Error>> {
        // Nobody waits at a memory that nobody else refers to.
        let SharedInner { most_bytes: _, ty: _, base: _, slot, parking: _ } =
            Arc::get_mut(&mut self.0)?;
        let slot = slot.get_mut().unwrap_or_else(PoisonError::into_inner);
        Some(slot.get_mut().reset())
    }

    /// Nanoseconds that a reset takes at most.
    pub(super) fn reset_nanos(&self) -> u64 {
        let slot = self.0.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.get().reset_nanos(usize::MAX)
    }

    fn size_cell(&self) -> &AtomicU64 {
        let cell = self.0.base.wrapping_offset(MEMORY_PAGES_OFFSET as isize);
        // SAFETY: the page before the memory is mapped as long as the memory, and every use of
        // the cell is atomic: compiled code with aligned loads of eight bytes.
        unsafe { AtomicU64::from_ptr(cell.cast()) }
    }

    fn aligned(&self, at: usize, bytes: usize) -> Result<*mut u8, OutOfBounds> {
        let end = at.checked_add(bytes).ok_or(OutOfBounds)?;
        let inside = end <= self.bytes() && at.is_multiple_of(bytes);
        inside.then(|| self.0.base.wrapping_add(at)).ok_or(OutOfBounds)
    }

    fn cells(&self, at: usize, bytes: usize) -> Result<&[AtomicU8], OutOfBounds> {
        let end = at.checked_add(bytes).ok_or(OutOfBounds)?;
        if end > self.bytes() {
            return Err(OutOfBounds);
        }
        let first = self.0.base.wrapping_add(at).cast::<AtomicU8>();
        // SAFETY: inside the memory, which never shrinks while there is a reference to it.
        Ok(unsafe { std::slice::from_raw_parts(first, bytes) })
    }
}
