//! The part of a store that it has on loan: slots, and memory that stays while it is idle.

use crate::pool::slots::Slots;
use crate::runtime::slot::{SlotSource, SlotTerms};
use crate::runtime::store::StoreInner;
use std::sync::Arc;
use wfaas_snapshot::Tracking;

/// Terms on which a store has slots, and its account.
#[derive(Debug)]
pub(crate) struct Lent {
    slots: Arc<Slots>,
    /// The same as a lender.
    source: Arc<dyn SlotSource>,
    /// How the slots of new memories know which pages a reset has to restore.
    tracking: Tracking,
    /// Most bytes of all memories of an instance.
    most_bytes: u64,
    /// Bytes it keeps in memory between requests, as [`Slots`] know.
    resident: u64,
    /// In a pool: the epoch in which it was last used.
    idle_since: u32,
}

impl Lent {
    /// Terms for a store that keeps nothing.
    pub(crate) fn new(slots: &Arc<Slots>, most_bytes: u64, tracking: Tracking) -> Lent {
        let slots = slots.clone();
        let source = slots.clone();
        Lent { slots, source, tracking, most_bytes, resident: 0, idle_since: 0 }
    }

    /// Terms for memories of the store.
    pub(crate) fn terms(&self) -> SlotTerms<'_> {
        let Lent { source, tracking, most_bytes, .. } = self;
        SlotTerms { source, tracking: *tracking, most_bytes: *most_bytes }
    }

    /// Whether the store was not used in `epoch` or later.
    pub(crate) fn is_unused_since(&self, epoch: u32) -> bool {
        self.idle_since < epoch
    }

    /// Makes a store ready for the next request and settles its account; whether it may be kept.
    /// Every field has its line here, so that a new one does not compile until somebody has decided
    /// about it.
    #[inline]
    pub(crate) fn reset(&mut self, store: &mut StoreInner) -> bool {
        let Lent { slots, source: _, tracking: _, most_bytes: _, resident, idle_since } = self;
        if !store.reset() {
            return false;
        }
        *idle_since = slots.epoch();
        let now = store.objects.resident_bytes();
        let before = std::mem::replace(resident, now);
        slots.account(before, now)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.slots.account(self.resident, 0);
    }
}
