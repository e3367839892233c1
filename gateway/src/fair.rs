//! Start-time fair queueing (Goyal, Vin and Cheng, 1996): who goes on next is who was served the least.
//!
//! Each payer has a virtual time: how long it was served, divided by its weight. Lines of those who
//! wait are in the order of their payers' virtual times. A payer that comes anew starts where the one
//! that is served now stands, so that it gets no more for having been away.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// The virtual time of one payer. Changed under the lock of its lines only.
#[derive(Debug, Default)]
pub(crate) struct Served {
    nanos: AtomicU64,
    /// When it came to wait.
    arrived: AtomicU64,
}

/// How long a payer was served, and when it came to wait: those that were served alike go on in
/// the order in which they came.
type Key = (u64, u64);

/// Lines of those who wait, one for each payer.
#[derive(Debug)]
pub(crate) struct Lines<L> {
    /// The head start of a payer that comes anew, in nanoseconds: enough for a request, so that one
    /// with few of them does not wait for each of the others with many, once for each step (as new
    /// flows in FQ-CoDel, RFC 8290).
    credit: u64,
    /// The virtual time: how long the payer that was served last had been served.
    now: u64,
    /// Lines that there ever were.
    arrivals: u64,
    /// The line of the payer that was served the least. Most often there is no other, and then no tree
    /// is grown and felled for each request.
    first: Option<(Key, L)>,
    /// The lines behind the first.
    others: BTreeMap<Key, L>,
}

impl<L> Lines<L> {
    pub(crate) fn new(credit: u64) -> Lines<L> {
        Lines { credit, now: credit, arrivals: 0, first: None, others: BTreeMap::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The line of a payer. If it has none, the payer comes anew, and `make` makes one.
    pub(crate) fn line(&mut self, payer: &Served, make: impl FnOnce() -> L) -> &mut L {
        let key = self.key(payer);
        if !self.has(key) {
            self.insert(key, make());
        }
        self.get_mut(key).expect("it was put there")
    }

    /// The line of a payer, if it has one.
    pub(crate) fn get(&mut self, payer: &Served) -> Option<&mut L> {
        self.get_mut(key(payer))
    }

    /// Takes the line of a payer away.
    pub(crate) fn remove(&mut self, payer: &Served) -> Option<L> {
        self.take(key(payer))
    }

    /// The line of the payer that was served the least, which is served now.
    pub(crate) fn first(&mut self) -> Option<&mut L> {
        let (key, line) = self.first.as_mut()?;
        self.now = self.now.max(key.0);
        Some(line)
    }

    /// Takes the line away of the payer that was served the least.
    pub(crate) fn remove_first(&mut self) -> Option<L> {
        let next = self.others.pop_first();
        std::mem::replace(&mut self.first, next).map(|(_, line)| line)
    }

    /// Whether no other payer's line is ahead of this one's.
    pub(crate) fn is_ahead(&mut self, payer: &Served) -> bool {
        let Some((first, _)) = self.first else { return true };
        self.key(payer) <= first
    }

    /// A payer is served from now on that did not wait.
    pub(crate) fn serve(&mut self, payer: &Served) {
        self.now = self.now.max(self.key(payer).0);
    }

    /// A payer was served for so many nanoseconds, divided by its weight.
    pub(crate) fn charge(&mut self, payer: &Served, nanos: u64) {
        let old = key(payer);
        payer.nanos.store(old.0.saturating_add(nanos), Ordering::Relaxed);
        if !self.has(old) {
            return;
        }
        self.arrive(payer);
        let new = key(payer);
        match &mut self.first {
            Some((key, _)) if *key == old && self.others.is_empty() => *key = new,
            _ => {
                let line = self.take(old).expect("it is there");
                self.insert(new, line);
            }
        }
    }

    /// The key of a payer, with its head start if it comes anew.
    fn key(&mut self, payer: &Served) -> Key {
        let old = key(payer);
        if self.has(old) {
            return old;
        }
        let nanos = old.0.max(self.now.saturating_sub(self.credit));
        payer.nanos.store(nanos, Ordering::Relaxed);
        self.arrive(payer);
        key(payer)
    }

    fn arrive(&mut self, payer: &Served) {
        self.arrivals += 1;
        payer.arrived.store(self.arrivals, Ordering::Relaxed);
    }

    fn has(&self, key: Key) -> bool {
        self.first.as_ref().is_some_and(|(first, _)| *first == key)
            || !self.others.is_empty() && self.others.contains_key(&key)
    }

    fn get_mut(&mut self, key: Key) -> Option<&mut L> {
        match &mut self.first {
            Some((first, line)) if *first == key => Some(line),
            _ => self.others.get_mut(&key),
        }
    }

    /// Puts a line to where it belongs; there is none with its key.
    fn insert(&mut self, key: Key, line: L) {
        let behind = match &self.first {
            Some((first, _)) if *first < key => Some((key, line)),
            _ => self.first.replace((key, line)),
        };
        self.others.extend(behind);
    }

    fn take(&mut self, key: Key) -> Option<L> {
        match &self.first {
            Some((first, _)) if *first == key => self.remove_first(),
            _ => self.others.remove(&key),
        }
    }
}

fn key(payer: &Served) -> Key {
    (payer.nanos.load(Ordering::Relaxed), payer.arrived.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serves the first of the lines `rounds` times for `nanos`; how often each of the payers.
    fn serve<const N: usize>(payers: &[(Served, u64); N], rounds: usize) -> [usize; N] {
        let mut lines = Lines::new(0);
        for (number, (served, _)) in payers.iter().enumerate() {
            lines.line(served, || number);
        }
        let mut counts = [0; N];
        for _ in 0..rounds {
            let number = *lines.first().unwrap();
            let (served, weight) = &payers[number];
            lines.charge(served, 1000 / weight);
            counts[number] += 1;
        }
        counts
    }

    #[test]
    fn payers_are_served_by_their_weights() {
        let payers = [1, 1, 2, 5].map(|weight| (Served::default(), weight));
        let counts = serve(&payers, 900);
        for (count, expected) in counts.into_iter().zip([100, 100, 200, 500]) {
            assert!(count.abs_diff(expected) <= 2, "{counts:?}");
        }
    }

    #[test]
    fn who_comes_anew_gets_no_more_for_having_been_away() {
        let [old, new]: [Served; 2] = Default::default();
        let mut lines = Lines::new(10);
        lines.line(&old, || "old");
        lines.serve(&old);
        lines.charge(&old, 1000);
        lines.serve(&old);
        assert!(lines.is_ahead(&new), "it has a head start");
        lines.line(&new, || "new");
        assert_eq!(*lines.first().unwrap(), "new");
        lines.serve(&new);
        lines.charge(&new, 11);
        assert_eq!(*lines.first().unwrap(), "old");
        assert!(!lines.is_ahead(&new));
    }

    #[test]
    fn nobody_is_ahead_of_a_line_that_is_first() {
        let [one, two]: [Served; 2] = Default::default();
        let mut lines = Lines::new(0);
        assert!(lines.is_ahead(&one) && lines.is_ahead(&two));
        lines.line(&one, || ());
        assert!(lines.is_ahead(&one) && !lines.is_ahead(&two));
        assert!(lines.remove(&one).is_some());
        assert!(lines.get(&one).is_none() && lines.is_empty());
    }

    #[test]
    fn lines_are_those_of_a_map_by_key() {
        let payers: [Served; 5] = Default::default();
        let (mut lines, mut map) = (Lines::new(0), BTreeMap::new());
        let mut random = 1_u64;
        for step in 0..20_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = (random >> 33) as usize % payers.len();
            let payer = &payers[number];
            let before = key(payer);
            match random >> 60 {
                0..5 => _ = *lines.line(payer, || number),
                5..11 => lines.charge(payer, (random >> 40) & 0xff),
                11..13 => assert_eq!(lines.remove(payer), map.remove(&before), "{step}"),
                _ => assert_eq!(lines.remove_first(), map.pop_first().map(|(_, it)| it), "{step}"),
            }
            // A key changes only with its payer's step.
            if map.remove(&before).is_some() || random >> 60 < 5 {
                map.insert(key(payer), number);
            }
            assert_eq!(lines.first().copied(), map.first_key_value().map(|(_, it)| *it), "{step}");
            assert_eq!(lines.is_empty(), map.is_empty(), "{step}");
            for payer in &payers {
                assert_eq!(lines.get(payer).copied(), map.get(&key(payer)).copied(), "{step}");
            }
        }
    }
}
