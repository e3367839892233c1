//! Slots of an engine: made, lent, and taken back from idle faaslets.

use crate::runtime::error::Error;
use crate::runtime::slot::SlotSource;
use crate::sys;
use std::any::Any;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use wfaas_abi::layout::{BELOW_BASE, GUARD, MEMORY_RESERVATION, SLOT_ALIGN};
use wfaas_snapshot::{Geometry, Slot};

/// Geometry of all slots in the address space.
const GEOMETRY: Geometry =
    Geometry { below: BELOW_BASE, above: MEMORY_RESERVATION + GUARD, align: SLOT_ALIGN };

/// Most unbound slots kept: reserving one is a system call, and thousands would only hoard
/// address space.
const MAX_FREE: usize = 16;

/// Keeper of idle faaslets, which gives them up when asked to.
pub(crate) trait Keeper: Send + Sync {
    /// Takes out idle faaslets that were put in before `epoch`, `most` of them. Dropping them
    /// gives their slots back.
    fn give_up(&self, epoch: u32, most: usize) -> Vec<Box<dyn Any + Send>>;
}

/// The slots of an engine.
pub(crate) struct Slots {
    max: usize,
    max_resident: u64,
    /// How many there are, lent or free.
    made: AtomicUsize,
    /// Unbound, for the next to ask.
    free: Mutex<Vec<Slot>>,
    /// How many of them there are, for those who only want to know.
    free_count: AtomicUsize,
    /// Bytes that faaslets of pools keep in memory.
    resident: AtomicU64,
    /// How often idle faaslets were given back.
    epoch: AtomicU32,
    keepers: Mutex<Vec<Weak<dyn Keeper>>>,
}

impl std::fmt::Debug for Slots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slots").field("made", &self.made).field("max", &self.max).finish()
    }
}

impl Slots {
    /// At most `max` slots, of which idle ones keep at most `max_resident` bytes in memory, or else
    /// half of the machine's.
    pub(crate) fn new(max: usize, max_resident: Option<u64>) -> Slots {
        Slots {
            max,
            max_resident: max_resident.unwrap_or_else(|| sys::memory_bytes() / 2),
            made: AtomicUsize::new(0),
            free: Mutex::default(),
            free_count: AtomicUsize::new(0),
            resident: AtomicU64::new(0),
            epoch: AtomicU32::new(1),
            keepers: Mutex::default(),
        }
    }

    /// Makes a keeper of idle faaslets known, until it is dropped.
    pub(crate) fn add_keeper(&self, keeper: Weak<dyn Keeper>) {
        let mut keepers = lock(&self.keepers);
        keepers.retain(|keeper| keeper.strong_count() > 0);
        keepers.push(keeper);
    }

    /// The present epoch: a store that is idle since an earlier one was not needed for a while.
    #[inline]
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch.load(Relaxed)
    }

    /// Ends an epoch; drops the faaslets that were idle throughout, and says how many.
    pub(crate) fn give_back_idle(&self) -> usize {
        let ended = self.epoch.fetch_add(1, Relaxed);
        self.collect(ended, usize::MAX).len()
    }

    /// Corrects the bytes that a faaslet keeps in memory from `before` to `now`; whether there is room
    /// for all of them.
    #[inline]
    pub(crate) fn account(&self, before: u64, now: u64) -> bool {
        if before != now {
            self.resident.fetch_add(now.wrapping_sub(before), Relaxed);
        }
        self.resident.load(Relaxed) <= self.max_resident
    }

    fn reserve(&self) -> Result<Slot, Error> {
        if self.made.fetch_add(1, Relaxed) >= self.max {
            self.made.fetch_sub(1, Relaxed);
            return Err(Error::NoSlot { max: self.max });
        }
        let reserved = Slot::reserve(GEOMETRY);
        if reserved.is_err() {
            self.made.fetch_sub(1, Relaxed);
        }
        Ok(reserved?)
    }

    /// How many are lent, or kept by idle faaslets.
    pub(crate) fn taken(&self) -> usize {
        self.made.load(Relaxed).saturating_sub(self.free_count.load(Relaxed))
    }

    fn is_short(&self) -> bool {
        self.made.load(Relaxed) >= self.max
    }

    /// Takes idle faaslets out of all pools. They are dropped without any lock: the embedder's
    /// data in them may do as it likes.
    fn collect(&self, epoch: u32, most: usize) -> Vec<Box<dyn Any + Send>> {
        let keepers: Vec<Arc<dyn Keeper>> =
            lock(&self.keepers).iter().filter_map(Weak::upgrade).collect();
        let mut given_up = Vec::new();
        for keeper in keepers {
            if given_up.len() < most {
                given_up.extend(keeper.give_up(epoch, most - given_up.len()));
            }
        }
        given_up
    }
}

impl SlotSource for Slots {
    /// An unbound slot: a free one, a new one, or one that an idle faaslet had.
    fn take(&self) -> Result<Slot, Error> {
        loop {
            if let Some(slot) = lock(&self.free).pop() {
                self.free_count.fetch_sub(1, Relaxed);
                return Ok(slot);
            }
            match self.reserve() {
                Err(_) if self.reclaim_one() => {}
                reserved => return reserved,
            }
        }
    }

    /// Takes a slot back, or writes off one that could not be unbound.
    fn put_back(&self, slot: Option<Slot>) {
        if let Some(slot) = slot {
            let mut free = lock(&self.free);
            if free.len() < MAX_FREE || self.is_short() {
                free.push(slot);
                self.free_count.fetch_add(1, Relaxed);
                return;
            }
        }
        self.made.fetch_sub(1, Relaxed);
    }

    /// Drops an idle faaslet, one unused for long if there is such; whether there was any.
    fn reclaim_one(&self) -> bool {
        [self.epoch(), u32::MAX].into_iter().any(|epoch| !self.collect(epoch, 1).is_empty())
    }
}

fn lock<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
