//! The resets of a slot so far, and the decisions made from them: whether to restore, to learn anew,
//! or to rest from learning. Each is one of renting or buying (see [`cost`](crate::cost)).

use crate::cost::{DISCARD, FAULT, PROTECT, Rates};
use std::mem;

/// How many resets are looked at together.
const WINDOW: u64 = 32;

/// Resets for which a slot with erratic guests rests at first. A try is two windows, each reset of
/// which may cost a hundred times a discard, so the first one may cost as much as a third of the
/// rest before it; each next one half of that.
const FIRST_REST: u64 = 1 << 14;

/// The longest rest, in resets.
const LONGEST_REST: u64 = 1 << 20;

/// A set that was as large after learning anew doubles the waste before the next time,
/// up to this factor.
const MOST_PATIENCE: u32 = 256;

/// The decision about a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Restore the set.
    Restore,
    /// Discard everything: nothing is tracked, or not now.
    Discard,
    /// Discard everything and learn anew: much of the set is not written to any more.
    Relearn,
    /// Discard everything, now and for a while: guests do not repeat themselves.
    Rest,
    /// Discard everything and learn again: the slot has rested.
    Retry,
}

/// The findings of a slot's resets. Sizes of sets are in elements: pages or granules.
#[derive(Debug, Clone)]
pub(crate) struct History {
    rates: &'static Rates,
    /// Resets since the set was empty.
    resets: u64,
    /// In the set when the last window ended.
    known: u32,
    /// In the set after the first request: the elements that one request writes to. Zero if the set
    /// did not start empty.
    request: u32,
    /// Whether the set did not start empty.
    expected: bool,
    /// In the set after the first window: learning these was the price of the set.
    fresh: u32,
    /// Elements that forks have written to, in this window.
    forked: u64,
    /// Elements that forks have put into the set, in this window: not learned, and no sign of guests that
    /// do not repeat themselves.
    provided: u32,
    /// Elements that forks have put into the set after the first window.
    given: u32,
    /// Nanoseconds for restoring elements that a single request would not have written to.
    wasted: u64,
    /// By how much more than learning anew costs may be wasted.
    patience: u32,
    /// In the set when it was last learned anew; zero if never.
    drifted: u32,
    /// Resets left without learning.
    resting: u64,
    /// Resets of the next rest.
    next_rest: u64,
    /// Times that the set was too small since a window ended.
    overflows: u32,
}

impl History {
    /// The history of a slot that has not been reset yet.
    pub(crate) fn new(rates: &'static Rates) -> History {
        History {
            rates,
            resets: 0,
            known: 0,
            request: 0,
            expected: false,
            fresh: 0,
            forked: 0,
            provided: 0,
            given: 0,
            wasted: 0,
            patience: 1,
            drifted: 0,
            resting: 0,
            next_rest: FIRST_REST,
            overflows: 0,
        }
    }

    /// The set does not start empty, so its size after the first request says nothing.
    pub(crate) fn expect(&mut self) {
        self.expected = true;
    }

    /// The slot became a fork before its request: `elements` were written to, of which `provided` are new in
    /// the set.
    pub(crate) fn forked(&mut self, elements: usize, provided: usize) {
        self.forked += elements as u64;
        self.provided = self.provided.saturating_add(provided as u32);
    }

    /// The verdict at the reset after a request, with `learned` elements in the set.
    #[inline]
    pub(crate) fn judge(&mut self, learned: usize) -> Verdict {
        let learned = learned as u32; // at most MAX_PAGES
        self.resets += 1;
        if self.resets == 1 && !self.expected {
            self.request = learned.saturating_sub(self.provided);
        }
        if !self.resets.is_multiple_of(WINDOW) {
            return Verdict::Restore;
        }
        self.judge_window(learned)
    }

    fn judge_window(&mut self, learned: u32) -> Verdict {
        let new = learned.saturating_sub(self.known).saturating_sub(self.provided);
        let (forked, provided) = (mem::take(&mut self.forked), mem::take(&mut self.provided));
        self.known = learned;
        self.overflows = 0;
        if self.resets == WINDOW {
            self.fresh = learned;
            self.judge_relearning();
            return Verdict::Restore;
        }
        if self.is_erratic(learned.into(), new.into(), forked) {
            return self.rest();
        }
        let idle = WINDOW * u64::from(learned.saturating_sub(self.request));
        self.wasted += idle.saturating_sub(forked) * self.rates.restore;
        self.given = self.given.saturating_add(provided);
        let learning = u64::from(self.fresh) * self.rates.learn + u64::from(self.given) * FAULT;
        let price = DISCARD + PROTECT + learning;
        if self.wasted > u64::from(self.patience) * price {
            self.drifted = learned;
            self.start_anew();
            return Verdict::Relearn;
        }
        Verdict::Restore
    }

    /// Whether learning cost more in the last window than discarding would have. A request writes to
    /// at least as many elements as the first one did, or as were new; `forked` were written to besides.
    fn is_erratic(&self, learned: u64, new: u64, forked: u64) -> bool {
        let written = u64::from(self.request).max(new.div_ceil(WINDOW));
        let learning = new * self.rates.learn + WINDOW * learned * self.rates.restore;
        new >= WINDOW && learning > WINDOW * (DISCARD + written * FAULT) + forked * FAULT
    }

    /// Learning anew was in vain if nearly as much is in the set again.
    fn judge_relearning(&mut self) {
        let in_vain = self.fresh > self.drifted / 4 * 3;
        if self.drifted > 0 {
            self.patience = if in_vain { (self.patience * 2).min(MOST_PATIENCE) } else { 1 };
        }
    }

    /// The set was emptied.
    pub(crate) fn start_anew(&mut self) {
        (self.resets, self.known, self.request, self.fresh, self.wasted) = (0, 0, 0, 0, 0);
        (self.forked, self.provided, self.given) = (0, 0, 0);
        self.expected = false;
    }

    /// The verdict at a reset while the slot rests.
    pub(crate) fn rested(&mut self) -> Verdict {
        self.resting = self.resting.saturating_sub(1);
        if self.resting == 0 { Verdict::Retry } else { Verdict::Discard }
    }

    /// The verdict after a request that wrote to more than the set holds: to learn anew once, in case
    /// it was an exception.
    pub(crate) fn overflowed(&mut self) -> Verdict {
        self.overflows += 1;
        if self.overflows > 1 {
            return self.rest();
        }
        self.start_anew();
        Verdict::Relearn
    }

    fn rest(&mut self) -> Verdict {
        self.start_anew();
        self.overflows = 0;
        self.resting = self.next_rest;
        self.next_rest = (self.next_rest * 2).min(LONGEST_REST);
        Verdict::Rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::PAGES;

    /// Resets with `learned(n)` in the set at the `n`th, until something else is to be done.
    fn until_verdict(
        history: &mut History,
        most: usize,
        learned: impl Fn(usize) -> usize,
    ) -> Option<(usize, Verdict)> {
        let verdict = |n| Some((n, history.judge(learned(n)))).filter(|v| v.1 != Verdict::Restore);
        (1..=most).find_map(verdict)
    }

    #[test]
    fn guests_that_repeat_themselves_are_left_alone() {
        let mut history = History::new(&PAGES);
        assert_eq!(until_verdict(&mut history, 100_000, |_| 20), None);
    }

    #[test]
    fn guests_that_never_repeat_themselves_make_the_slot_rest_ever_longer() {
        let mut history = History::new(&PAGES);
        let mut rests = Vec::new();
        for _ in 0..9 {
            let verdict = until_verdict(&mut history, 1000, |n| n * 8);
            assert_eq!(verdict, Some((64, Verdict::Rest)));
            rests.push((1..).find(|_| history.rested() == Verdict::Retry).unwrap());
        }
        assert_eq!(rests[..3], [16_384, 32_768, 65_536]);
        assert_eq!(rests[6..], [1_048_576; 3]);
    }

    #[test]
    fn one_new_page_a_request_beside_many_old_ones_is_no_reason_to_rest() {
        let mut history = History::new(&PAGES);
        assert_eq!(until_verdict(&mut history, 64, |n| 40 + n), None);
    }

    #[test]
    fn a_set_that_has_drifted_is_learned_anew_and_less_often_if_in_vain() {
        let mut history = History::new(&PAGES);
        // Ten pages at first; then, one by one, ninety others.
        let (first, verdict) =
            until_verdict(&mut history, 100_000, |n| (10 + n / 4).min(100)).unwrap();
        assert_eq!(verdict, Verdict::Relearn);
        assert!(first < 200, "{first}");
        // It was drift: ten pages are enough.
        assert_eq!(until_verdict(&mut history, 100_000, |_| 10), None);
        // All hundred are written to, but not by each request: ever less often.
        let mut history = History::new(&PAGES);
        let mut again = || until_verdict(&mut history, 1 << 20, |n| (n * 10).min(100)).unwrap().0;
        let times: Vec<usize> = (0..12).map(|_| again()).collect();
        assert!(times.windows(2).all(|pair| pair[1] >= pair[0]), "{times:?}");
        assert!(times[11] > 100 * times[0], "{times:?}");
    }

    /// As [`until_verdict`], of forks that write to `pages` each, `new(n)` of which are not in the set.
    fn until_verdict_of_forks(
        history: &mut History,
        most: usize,
        pages: usize,
        new: impl Fn(usize) -> usize,
    ) -> Option<(usize, Verdict)> {
        let mut learned = history.known as usize;
        let mut verdict = |n| {
            learned += new(n);
            history.forked(pages, new(n));
            Some((n, history.judge(learned))).filter(|v| v.1 != Verdict::Restore)
        };
        (1..=most).find_map(&mut verdict)
    }

    #[test]
    fn slots_of_small_requests_that_become_forks_keep_the_pages_of_forks() {
        let mut history = History::new(&PAGES);
        assert_eq!(until_verdict(&mut history, 64, |_| 3), None);
        let first = |n| if n == 1 { 1000 } else { 0 };
        assert_eq!(until_verdict_of_forks(&mut history, 100_000, 1000, first), None);
        // Nobody forks any more.
        let (after, verdict) = until_verdict(&mut history, 1000, |_| 1003).unwrap();
        assert_eq!(verdict, Verdict::Relearn);
        assert!(after <= 96, "{after}");
    }

    #[test]
    fn forks_of_few_pages_in_a_large_set_are_as_wasteful_as_other_requests() {
        let mut history = History::new(&PAGES);
        let first = |n| if n == 1 { 4000 } else { 0 };
        let (after, verdict) = until_verdict_of_forks(&mut history, 10_000, 40, first).unwrap();
        assert_eq!(verdict, Verdict::Relearn);
        assert!(after <= 200, "{after}");
    }

    #[test]
    fn a_set_that_was_too_small_once_is_learned_anew_and_twice_makes_the_slot_rest() {
        let mut history = History::new(&PAGES);
        assert_eq!(history.overflowed(), Verdict::Relearn);
        assert_eq!(until_verdict(&mut history, 40, |_| 5), None);
        assert_eq!(history.overflowed(), Verdict::Relearn);
        assert_eq!(history.overflowed(), Verdict::Rest);
    }
}
