//! What resets cost, and every decision that is made from it.
//!
//! The numbers were measured with `cargo run --release -p wfaas-snapshot --example costs` on a
//! virtual machine that was not idle; an idle one of another make showed half of each (80 ns for a
//! copy, 1.5 µs for a fault). That does not matter: each decision compares sums of them, or is one
//! of *renting or buying*: what is bought (learning anew, a try) is paid for once as much as it
//! costs has been wasted without it. So not knowing the future costs at most about twice what
//! knowing it would.
//!
//! | decision | where |
//! |---|---|
//! | how a slot knows what to restore | [`choose`] |
//! | how much a set may hold | [`MAX_PAGES`], [`MAX_GRANULES`], [`MAX_GROWN`] |
//! | when guests are erratic, and a slot rests from learning | `History::judge` |
//! | when a set has drifted, and is learned anew | `History::judge` |
//! | when a slot that rests tries again | `History::rested` |

use crate::{Image, Tracking, WorkingSet, uffd};

/// Copying a page back, in nanoseconds.
pub const COPY_PAGE: u64 = 160;

/// Comparing a page with its image, in nanoseconds.
pub const COMPARE_PAGE: u64 = 145;

/// A page that is discarded, and faulted in and copied by the kernel at the next write. In
/// nanoseconds; 1700 for neighbours, 3100 for pages that are far from each other.
pub const FAULT: u64 = 2400;

/// The first write to a page that userfaultfd watches: SIGBUS, a system call, the kernel's copy. In
/// nanoseconds.
pub const LEARN_PAGE: u64 = 9900;

/// The first write to a granule: SIGSEGV, `mprotect`, the kernel's copy. In nanoseconds.
pub const LEARN_GRANULE: u64 = 6000;

/// The system call that discards an image's private pages, in nanoseconds.
pub const DISCARD: u64 = 2000;

/// One `mprotect` of memory that grew, in nanoseconds.
pub const PROTECT: u64 = 1000;

/// Most pages that a set holds. Copying back is cheaper than faulting in at any number; this is
/// for what is not written to any more: it bounds a reset to less than a millisecond, and what an
/// idle slot keeps resident to 16 MiB.
pub const MAX_PAGES: usize = 4096;

/// Pages of a granule. Larger ones need fewer signals and mappings, but each page of one has to be
/// compared if it is not known to be written to. Measured for a reset of eight pages far from each
/// other: 4.4 µs with granules of 4 pages, 6.3 µs with 8, 12.5 µs with 16; discarding takes 25 µs.
pub const GRANULE_PAGES: usize = 4;

/// Most granules that a set holds. Each may split a mapping twice, and `vm.max_map_count`, usually
/// 65 530, is for all slots together.
pub const MAX_GRANULES: usize = 64;

/// Most bytes after the image whose pages are watched; what grows beyond is discarded. Watching
/// makes the two `mprotect`s slower, by about 5 ns a page (measured: 3.1 instead of 1.9 µs for
/// 1 MiB), and saves the discard and a [`FAULT`] for each page that is written to: at 8 MiB it pays
/// from about four pages on.
pub const MAX_GROWN: usize = 8 << 20;

/// How many resets are looked at together.
const WINDOW: u64 = 32;

/// Resets for which a slot with erratic guests rests at first. A try is two windows, each reset of
/// which may cost a hundred times a discard, so the first one may cost as much as a third of the
/// rest before it; each next one half of that.
const FIRST_REST: u64 = 1 << 14;

/// The longest rest, in resets.
const LONGEST_REST: u64 = 1 << 20;

/// A set that was as large after learning anew doubles what has to be wasted before the next time,
/// up to this factor.
const MOST_PATIENCE: u64 = 256;

/// Pages of the typical set.
const TYPICAL_PAGES: usize = 8;

/// What a reset is expected to cost if each request writes to all of `set`, in nanoseconds, with
/// the faults that the next request has by reason of the reset.
pub fn reset_nanos(tracking: Tracking, set: &WorkingSet) -> u64 {
    let pages = set.len() as u64;
    let growth = |restore: u64| if set.grown > 0 { 2 * PROTECT + restore } else { 0 };
    let grown = set.grown_pages() as u64;
    match tracking {
        Tracking::Auto | Tracking::Learn | Tracking::Record => pages * COPY_PAGE + growth(0),
        Tracking::Granules => {
            let image = pages - grown;
            let compared = (set.granules(GRANULE_PAGES) * GRANULE_PAGES) as u64 - image;
            let discarded = growth(DISCARD + grown * FAULT);
            image * COPY_PAGE + compared * COMPARE_PAGE + discarded
        }
        Tracking::Discard => DISCARD + pages * FAULT + growth(DISCARD),
    }
}

/// What a request is taken to write to where nothing says so: a few pages that are far apart.
pub fn typical() -> WorkingSet {
    const APART: usize = 1024;
    let indices = (0..TYPICAL_PAGES).map(|index| index * APART);
    WorkingSet::of_pages(indices, TYPICAL_PAGES * APART, 0)
}

/// How a slot whose guests write to `expected`, as far as is known, knows what to restore.
/// [`Tracking::Auto`] is decided by the cost; others are asked for, and taken where possible.
pub fn choose(wanted: Tracking, userfaultfd: bool, expected: Option<&WorkingSet>) -> Tracking {
    match wanted {
        Tracking::Learn if !userfaultfd => Tracking::Discard,
        Tracking::Auto => {
            let typical = typical();
            let set = expected.unwrap_or(&typical);
            let possible = |way: &Tracking| match way {
                Tracking::Learn => userfaultfd,
                Tracking::Granules => set.granules(GRANULE_PAGES) <= MAX_GRANULES,
                _ => true,
            };
            let ways = [Tracking::Learn, Tracking::Granules, Tracking::Discard];
            let cheapest = ways.into_iter().filter(possible);
            cheapest.min_by_key(|way| reset_nanos(*way, set)).unwrap_or(Tracking::Discard)
        }
        wanted => wanted,
    }
}

/// How a slot to which `image` is bound knows what to restore, on this machine.
pub(crate) fn way(wanted: Tracking, image: &Image) -> Tracking {
    choose(wanted, uffd::descriptor().is_ok(), image.working_set())
}

/// What one element of a set costs, in nanoseconds: a page, or a granule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    /// Restoring it.
    pub(crate) restore: u64,
    /// Finding out about it.
    pub(crate) learn: u64,
}

/// Those of pages.
pub(crate) const PAGES: Rates = Rates { restore: COPY_PAGE, learn: LEARN_PAGE };

/// Those of granules, one page of each being written to.
pub(crate) const GRANULES: Rates =
    Rates { restore: COPY_PAGE + (GRANULE_PAGES as u64 - 1) * COMPARE_PAGE, learn: LEARN_GRANULE };

/// What to do at a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Restore the set.
    Restore,
    /// Discard everything and learn anew: much of the set is not written to any more.
    Relearn,
    /// Discard everything, now and for a while: guests do not repeat themselves.
    Rest,
}

/// What the resets of a slot have shown. All numbers of set elements.
#[derive(Debug, Clone)]
pub(crate) struct History {
    rates: Rates,
    /// Resets since the set was empty.
    resets: u64,
    /// In the set when the last window ended.
    known: usize,
    /// In the set after the first request: what one request writes to. Zero if the set did not
    /// start empty.
    request: usize,
    /// Whether the set did not start empty.
    expected: bool,
    /// In the set after the first window: what learning it cost.
    fresh: usize,
    /// Nanoseconds for restoring what a single request would not have written to.
    wasted: u64,
    /// By how much more than learning anew costs may be wasted.
    patience: u64,
    /// In the set when it was last learned anew; zero if never.
    drifted: usize,
    /// Resets left without learning.
    resting: u64,
    /// Resets of the next rest.
    next_rest: u64,
    /// Times that the set was too small since a window ended.
    overflows: u32,
}

impl History {
    /// That of a slot which has not been reset yet.
    pub(crate) fn new(rates: Rates) -> History {
        History {
            rates,
            resets: 0,
            known: 0,
            request: 0,
            expected: false,
            fresh: 0,
            wasted: 0,
            patience: 1,
            drifted: 0,
            resting: 0,
            next_rest: FIRST_REST,
            overflows: 0,
        }
    }

    /// The set did not start empty, so nothing shows yet what a request writes to.
    pub(crate) fn expect(&mut self) {
        self.expected = true;
    }

    /// What to do at the reset after a request, with `learned` in the set.
    #[inline]
    pub(crate) fn judge(&mut self, learned: usize) -> Verdict {
        self.resets += 1;
        if self.resets == 1 && !self.expected {
            self.request = learned;
        }
        if !self.resets.is_multiple_of(WINDOW) {
            return Verdict::Restore;
        }
        self.judge_window(learned)
    }

    fn judge_window(&mut self, learned: usize) -> Verdict {
        let new = learned.saturating_sub(self.known);
        self.known = learned;
        self.overflows = 0;
        if self.resets == WINDOW {
            self.fresh = learned;
            self.judge_relearning();
            return Verdict::Restore;
        }
        if self.is_erratic(learned, new as u64) {
            return self.rest();
        }
        let idle = learned.saturating_sub(self.request) as u64;
        self.wasted += WINDOW * idle * self.rates.restore;
        let price = DISCARD + PROTECT + self.fresh as u64 * self.rates.learn;
        if self.wasted > self.patience * price {
            self.drifted = learned;
            self.start_anew();
            return Verdict::Relearn;
        }
        Verdict::Restore
    }

    /// Whether learning cost more in the last window than discarding would have. What a request
    /// writes to is at least what was seen once, or what was new.
    fn is_erratic(&self, learned: usize, new: u64) -> bool {
        let written = (self.request as u64).max(new.div_ceil(WINDOW));
        let learning = new * self.rates.learn + WINDOW * learned as u64 * self.rates.restore;
        new >= WINDOW && learning > WINDOW * (DISCARD + written * FAULT)
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
        self.expected = false;
    }

    /// Counts a reset without learning; whether it is time to try again.
    pub(crate) fn rested(&mut self) -> bool {
        self.resting = self.resting.saturating_sub(1);
        self.resting == 0
    }

    /// What to do after a request that wrote to more than the set holds: learn anew once, in case it
    /// was an exception.
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

    fn set(pages: usize, apart: usize) -> WorkingSet {
        let indices = (0..pages).map(|index| index * apart);
        WorkingSet::of_pages(indices, pages * apart, 0)
    }

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
    fn each_way_is_chosen_where_it_costs_least() {
        for (userfaultfd, pages, apart, expected) in [
            (true, 8, 1, Tracking::Learn),
            (true, 4000, 50, Tracking::Learn),
            (false, 8, 1, Tracking::Granules),
            (false, 60, 50, Tracking::Granules),
            (false, 65, 50, Tracking::Discard),
            (false, 2000, 1, Tracking::Discard),
        ] {
            let way = choose(Tracking::Auto, userfaultfd, Some(&set(pages, apart)));
            assert_eq!(way, expected, "{userfaultfd} {pages} {apart}");
        }
        assert_eq!(choose(Tracking::Auto, true, None), Tracking::Learn);
        assert_eq!(choose(Tracking::Auto, false, None), Tracking::Granules);
    }

    #[test]
    fn what_is_asked_for_is_taken() {
        for way in [Tracking::Discard, Tracking::Granules, Tracking::Learn, Tracking::Record] {
            assert_eq!(choose(way, true, None), way);
        }
        assert_eq!(choose(Tracking::Learn, false, None), Tracking::Discard);
    }

    #[test]
    fn guests_that_repeat_themselves_are_left_alone() {
        let mut history = History::new(PAGES);
        assert_eq!(until_verdict(&mut history, 100_000, |_| 20), None);
    }

    #[test]
    fn guests_that_never_repeat_themselves_make_the_slot_rest_ever_longer() {
        let mut history = History::new(PAGES);
        let mut rests = Vec::new();
        for _ in 0..9 {
            let verdict = until_verdict(&mut history, 1000, |n| n * 8);
            assert_eq!(verdict, Some((64, Verdict::Rest)));
            rests.push((1..).find(|_| history.rested()).unwrap());
        }
        assert_eq!(rests[..3], [16_384, 32_768, 65_536]);
        assert_eq!(rests[6..], [1_048_576; 3]);
    }

    #[test]
    fn one_new_page_a_request_beside_many_old_ones_is_no_reason_to_rest() {
        let mut history = History::new(PAGES);
        assert_eq!(until_verdict(&mut history, 64, |n| 40 + n), None);
    }

    #[test]
    fn a_set_that_has_drifted_is_learned_anew_and_less_often_if_in_vain() {
        let mut history = History::new(PAGES);
        // Ten pages at first; then, one by one, ninety others.
        let (first, verdict) =
            until_verdict(&mut history, 100_000, |n| (10 + n / 4).min(100)).unwrap();
        assert_eq!(verdict, Verdict::Relearn);
        assert!(first < 200, "{first}");
        // It was drift: ten pages are enough.
        assert_eq!(until_verdict(&mut history, 100_000, |_| 10), None);
        // All hundred are written to, but not by each request: ever less often.
        let mut history = History::new(PAGES);
        let mut again = || until_verdict(&mut history, 1 << 20, |n| (n * 10).min(100)).unwrap().0;
        let times: Vec<usize> = (0..12).map(|_| again()).collect();
        assert!(times.windows(2).all(|pair| pair[1] >= pair[0]), "{times:?}");
        assert!(times[11] > 100 * times[0], "{times:?}");
    }

    #[test]
    fn a_set_that_was_too_small_once_is_learned_anew_and_twice_makes_the_slot_rest() {
        let mut history = History::new(PAGES);
        assert_eq!(history.overflowed(), Verdict::Relearn);
        assert_eq!(until_verdict(&mut history, 40, |_| 5), None);
        assert_eq!(history.overflowed(), Verdict::Relearn);
        assert_eq!(history.overflowed(), Verdict::Rest);
    }

    #[test]
    fn a_reset_costs_what_its_parts_do() {
        let grown = WorkingSet { pages: vec![0..3, 9..12], image: 10, grown: 2 << 12 };
        assert_eq!(reset_nanos(Tracking::Learn, &grown), 6 * 160 + 2 * 1000);
        let discarded = 2000 + 6 * 2400 + 2 * 1000 + 2000;
        assert_eq!(reset_nanos(Tracking::Discard, &grown), discarded);
        // Granules 0 and 2, the latter of two pages that are in the image.
        let granules = 4 * 160 + 4 * 145 + 2 * 1000 + 2000 + 2 * 2400;
        assert_eq!(reset_nanos(Tracking::Granules, &grown), granules);
    }
}
