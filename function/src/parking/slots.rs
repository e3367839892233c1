//! Slots as the measure of patience: the fewer are left, the sooner a guest that waits gives its own back.

use super::Parking;
use std::time::Duration;
use wfaas_vm::Engine;

/// Most bytes of one delta. Giving them to a slot that has had such pages before takes no longer than anything else that is
/// done in one piece, 200 µs; a new slot takes 450 µs.
const MOST_OF_ONE: u64 = 512 << 10;

/// The same while slots are not scarce.
const MOST_OF_SMALL: u64 = 64 << 10;

/// Parks guests of an engine by how many of its slots are taken. It counts nothing: their deltas take as much memory as there are guests.
///
/// ```text
///   slots taken   1/4    5/16   3/8    7/16   1/2
///   after        10 s   5.6 s  2.5 s  0.6 s   at once
/// ```
///
/// Parking and waking take some 10 µs. As many guests as a quarter of the slots, 4096, wait 80 ms on average where 50 000 of them
/// come in a second (Little 1961), so that it is little beside what they wait for; and each takes less memory.
///
/// While there are slots enough, only guests that differ in few pages are parked: a slot and what goes with it takes as much memory
/// whatever its guest differs in, and copying many pages twice would be all there is to it.
#[derive(Debug, Clone)]
pub struct BySlots {
    engine: Engine,
    after: Duration,
}

impl BySlots {
    /// Parks guests that have waited for `after` while three quarters of the engine's slots are left.
    pub fn new(engine: &Engine, after: Duration) -> BySlots {
        BySlots { engine: engine.clone(), after }
    }

    fn slots(&self) -> Slots {
        Slots { taken: self.engine.taken_slots(), most: self.engine.config().max_slots }
    }
}

impl Parking for BySlots {
    fn patience(&self) -> Duration {
        self.slots().patience(self.after)
    }

    fn most_bytes(&self) -> u64 {
        if self.slots().are_scarce() { MOST_OF_ONE } else { MOST_OF_SMALL }
    }

    fn take(&self, _bytes: u64) -> bool {
        true
    }

    fn give_back(&self, _bytes: u64) {}
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

    /// How long a guest that waits keeps its slot, if that is `after` while three quarters of them are left. One half is for
    /// guests that run, or wait with a stack.
    fn patience(self, after: Duration) -> Duration {
        let quarter = (self.most / 4).max(1);
        let left = (self.most / 2).saturating_sub(self.taken).min(quarter);
        // Longer than any guest waits, and less than overflows.
        let after = after.min(Duration::from_secs(u32::MAX.into()));
        after.mul_f64((left as f64 / quarter as f64).powi(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewer_slots_are_left_the_sooner_a_guest_is_parked() {
        let patience =
            |taken| Slots { taken, most: 1024 }.patience(Duration::from_secs(10)).as_millis();
        assert_eq!([0, 256, 320, 384, 448].map(patience), [10_000, 10_000, 5625, 2500, 625]);
        assert_eq!([512, 1024, 1025].map(patience), [0; 3]);
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
