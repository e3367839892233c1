//! Start-time fair queueing (Goyal, Vin and Cheng, 1996): who goes on next is who was served the least.
//!
//! Each payer has a virtual time: how long it was served, divided by its weight. Lines of those who
//! wait are in the order of their payers' virtual times. A payer that comes anew starts where the one
//! that is served now stands, so that it gets no more for having been away.

use std::collections::BTreeMap;
use std::collections::btree_map::{Entry, OccupiedEntry};
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
    lines: BTreeMap<Key, L>,
}

impl<L> Lines<L> {
    pub(crate) fn new(credit: u64) -> Lines<L> {
        Lines { credit, now: credit, arrivals: 0, lines: BTreeMap::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The line of a payer. If it has none, the payer comes anew, and `make` makes one.
    pub(crate) fn line(&mut self, payer: &Served, make: impl FnOnce() -> L) -> &mut L {
        let key = self.key(payer);
        self.lines.entry(key).or_insert_with(make)
    }

    /// The line of a payer, if it has one.
    pub(crate) fn get(&mut self, payer: &Served) -> Option<OccupiedEntry<'_, Key, L>> {
        match self.lines.entry(key(payer)) {
            Entry::Occupied(line) => Some(line),
            Entry::Vacant(_) => None,
        }
    }

    /// The line of the payer that was served the least, which is served now.
    pub(crate) fn first(&mut self) -> Option<OccupiedEntry<'_, Key, L>> {
        let first = self.lines.first_entry()?;
        self.now = self.now.max(first.key().0);
        Some(first)
    }

    /// Whether no other payer's line is ahead of this one's.
    pub(crate) fn is_ahead(&mut self, payer: &Served) -> bool {
        self.lines.is_empty() || {
            let key = self.key(payer);
            self.lines.first_key_value().is_none_or(|(first, _)| key <= *first)
        }
    }

    /// A payer is served from now on that did not wait.
    pub(crate) fn serve(&mut self, payer: &Served) {
        self.now = self.now.max(self.key(payer).0);
    }

    /// A payer was served for so many nanoseconds, divided by its weight.
    pub(crate) fn charge(&mut self, payer: &Served, nanos: u64) {
        let old = key(payer);
        payer.nanos.store(old.0.saturating_add(nanos), Ordering::Relaxed);
        if let Some(line) = self.lines.remove(&old) {
            self.arrive(payer);
            self.lines.insert(key(payer), line);
        }
    }

    /// The key of a payer, with its head start if it comes anew.
    fn key(&mut self, payer: &Served) -> Key {
        if !self.lines.contains_key(&key(payer)) {
            payer.nanos.fetch_max(self.now.saturating_sub(self.credit), Ordering::Relaxed);
            self.arrive(payer);
        }
        key(payer)
    }

    fn arrive(&mut self, payer: &Served) {
        self.arrivals += 1;
        payer.arrived.store(self.arrivals, Ordering::Relaxed);
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
            let number = *lines.first().unwrap().get();
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
        assert_eq!(*lines.first().unwrap().get(), "new");
        lines.serve(&new);
        lines.charge(&new, 11);
        assert_eq!(*lines.first().unwrap().get(), "old");
        assert!(!lines.is_ahead(&new));
    }

    #[test]
    fn nobody_is_ahead_of_a_line_that_is_first() {
        let [one, two]: [Served; 2] = Default::default();
        let mut lines = Lines::new(0);
        assert!(lines.is_ahead(&one) && lines.is_ahead(&two));
        lines.line(&one, || ());
        assert!(lines.is_ahead(&one) && !lines.is_ahead(&two));
        lines.get(&one).unwrap().remove();
        assert!(lines.get(&one).is_none() && lines.is_empty());
    }
}
