//! Parking: which guests give their slots back while they wait, and how much of them the server keeps.
//!
//! An address space holds some 20 000 slots, and guests that wait by their callback may be more. A guest that has waited for
//! [`Config::park_after`](crate::Config::park_after) is parked; and the sooner, the fewer [slots](BySlots) are left, so that a burst of
//! guests that wait does not leave requests without any.
//!
//! The bytes of a delta are counted for the tenant, and stay within the memory that the tenant's request has reserved anyway.

use crate::kept::Share;
use crate::scheduler::Payer;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use wfaas_function::{BySlots, Parking};
use wfaas_vm::Engine;

/// Guests of one function that are parked.
#[derive(Debug, Default)]
pub(crate) struct ParkedGuests {
    guests: AtomicU64,
    bytes: AtomicU64,
    times: AtomicU64,
}

/// Counts of parked guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parked {
    /// Guests that are parked now.
    pub(crate) guests: u64,
    /// Bytes of their deltas.
    pub(crate) bytes: u64,
    /// How often one was parked.
    pub(crate) times: u64,
}

impl ParkedGuests {
    /// The present counts.
    pub(crate) fn count(&self) -> Parked {
        let ParkedGuests { guests, bytes, times } = self;
        let [guests, bytes, times] = [guests, bytes, times].map(|count| count.load(Relaxed));
        Parked { guests, bytes, times }
    }
}

/// Parks guests of one function.
#[derive(Debug)]
pub(crate) struct SlotParking {
    slots: BySlots,
    share: Share,
    payer: Arc<Payer>,
}

impl SlotParking {
    /// For guests of the function of `payer`, with its tenant's share of the bytes.
    pub(crate) fn new(
        engine: &Engine,
        after: Duration,
        share: Share,
        payer: Arc<Payer>,
    ) -> SlotParking {
        SlotParking { slots: BySlots::new(engine, after), share, payer }
    }
}

impl Parking for SlotParking {
    fn patience(&self) -> Duration {
        self.slots.patience()
    }

    fn most_bytes(&self) -> u64 {
        self.share.free().min(self.slots.most_bytes())
    }

    fn take(&self, bytes: u64) -> bool {
        let is_taken = self.share.take(bytes);
        if is_taken {
            let ParkedGuests { guests, bytes: all, times } = &self.payer.parked;
            guests.fetch_add(1, Relaxed);
            all.fetch_add(bytes, Relaxed);
            times.fetch_add(1, Relaxed);
        }
        is_taken
    }

    fn give_back(&self, bytes: u64) {
        self.share.give_back(bytes);
        self.payer.parked.guests.fetch_sub(1, Relaxed);
        self.payer.parked.bytes.fetch_sub(bytes, Relaxed);
    }
}
