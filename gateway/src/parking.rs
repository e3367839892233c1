//! Parking: which guests give their slots back while they wait, and how much of them the server keeps.
//!
//! An address space holds some 20 000 slots, and guests that wait by their callback may be more. A guest that has waited for
//! [`Config::park_after`](crate::Config::park_after) is parked; and the sooner, the fewer slots are left, so that a burst of guests
//! that wait does not leave requests without any:
//!
//! ```text
//!   slots taken   1/2    5/8    3/4    7/8    15/16
//!   after        10 s  5.1 s  1.8 s  0.2 s   at once
//! ```
//!
//! While there are slots enough, only the small ones are: a slot and what goes with it takes as much memory whatever its guest
//! differs in, and copying many pages twice would be all there is to it.
//!
//! The bytes of a delta are counted for the tenant, and stay within the memory that the tenant's request has reserved anyway.

use crate::kept::Share;
use crate::scheduler::Payer;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use wfaas_function::Parking;
use wfaas_vm::Engine;

/// Most bytes of one delta. Giving them to a slot that has had such pages before takes no longer than anything else that is
/// done in one piece, 200 µs; a new slot takes 450 µs.
const MOST_OF_ONE: u64 = 512 << 10;

/// The same while slots are not scarce.
const MOST_OF_SMALL: u64 = 64 << 10;

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
    engine: Engine,
    after: Duration,
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
        SlotParking { engine: engine.clone(), after, share, payer }
    }

    fn slots(&self) -> Slots {
        Slots { taken: self.engine.taken_slots(), most: self.engine.config().max_slots }
    }
}

impl Parking for SlotParking {
    fn patience(&self) -> Duration {
        self.slots().patience(self.after)
    }

    fn most_bytes(&self) -> u64 {
        let most = if self.slots().are_scarce() { MOST_OF_ONE } else { MOST_OF_SMALL };
        self.share.free().min(most)
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

/// Slots of an engine.
#[derive(Debug, Clone, Copy)]
struct Slots {
    taken: usize,
    most: usize,
}

impl Slots {
    fn are_scarce(self) -> bool {
        self.taken > self.most / 2
    }

    /// How long a guest that waits keeps its slot, if that is `after` while half of them are left. The last ones are for
    /// guests that run, or wait with a stack.
    fn patience(self, after: Duration) -> Duration {
        let (half, last) = (self.most / 2, self.most / 16);
        let left = self.most.saturating_sub(self.taken).min(half).saturating_sub(last);
        // Longer than any guest waits, and less than overflows.
        let after = after.min(Duration::from_secs(u32::MAX.into()));
        after.mul_f64((left as f64 / (half - last).max(1) as f64).powi(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewer_slots_are_left_the_sooner_a_guest_is_parked() {
        let patience =
            |taken| Slots { taken, most: 1024 }.patience(Duration::from_secs(10)).as_millis();
        assert_eq!([0, 512, 640, 768, 896].map(patience), [10_000, 10_000, 5102, 1836, 204]);
        assert_eq!([960, 1024, 1025].map(patience), [0; 3]);
        let never = Slots { taken: 0, most: 1024 }.patience(Duration::MAX);
        assert!(never > Duration::from_secs(1 << 30));
        for most in 0..3 {
            let patience = Slots { taken: most, most }.patience(Duration::from_secs(1));
            assert!(patience.is_zero(), "{most}");
        }
        let are_scarce = |taken, most| Slots { taken, most }.are_scarce();
        assert!(!are_scarce(512, 1024) && are_scarce(513, 1024) && are_scarce(1, 1));
    }
}
