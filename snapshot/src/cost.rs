//! The cost model: prices of resets, and every decision that is made from them.
//!
//! The numbers were measured with `cargo run --release -p wfaas-snapshot --example costs` on a
//! virtual machine that was not idle; an idle one of another make showed half of each (80 ns for a
//! copy, 1.5 µs for a fault). That does not matter: each decision compares sums of them, or is one
//! of *renting or buying*: something (learning anew, a try) is bought once as much as its price has
//! been wasted without it. So not knowing the future costs at most about twice as much as knowing
//! it would.
//!
//! | decision | where |
//! |---|---|
//! | how a slot tracks writes | [`choose`] |
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

/// A page that was written to and is given back to the kernel, in nanoseconds: 130 to 150 of 64 MiB to
/// 1 GiB (9 and 32 to 42 ms), more of a few.
pub const GIVE_BACK_PAGE: u64 = 200;

/// One `mprotect` of memory that grew, in nanoseconds.
pub const PROTECT: u64 = 1000;

/// Most pages that a set holds. Copying back is cheaper than faulting in at any number; this is
/// for pages that are not written to any more: a reset is bounded to less than a millisecond, and
/// the memory of an idle slot to 16 MiB.
pub const MAX_PAGES: usize = 4096;

/// Pages of a granule. Larger ones need fewer signals and mappings, but each page of one has to be
/// compared if it is not known to be written to. Measured for a reset of eight pages far from each
/// other: 4.4 µs with granules of 4 pages, 6.3 µs with 8, 12.5 µs with 16; discarding takes 25 µs.
pub const GRANULE_PAGES: usize = 4;

/// Most granules that a set holds. Each may split a mapping twice, and `vm.max_map_count`, usually
/// 65 530, is for all slots together.
pub const MAX_GRANULES: usize = 64;

/// Most bytes of grown memory that are watched; the rest is discarded. Watching
/// makes the two `mprotect`s slower, by about 5 ns a page (measured: 3.1 instead of 1.9 µs for
/// 1 MiB), and saves the discard and a [`FAULT`] for each page that is written to: at 8 MiB it pays
/// from about four pages on.
pub const MAX_GROWN: usize = 8 << 20;

/// Pages of the typical set.
const TYPICAL_PAGES: usize = 8;

/// Expected nanoseconds of a reset if each request writes to all of `set`, with the faults that the
/// next request has by reason of the reset.
pub fn reset_nanos(tracking: Tracking, set: &WorkingSet) -> u64 {
    let pages = set.len() as u64;
    let growth = |restore: u64| if set.grown > 0 { 2 * PROTECT + restore } else { 0 };
    let grown = set.grown_pages() as u64;
    match tracking {
        Tracking::Auto | Tracking::Pages | Tracking::Record => pages * COPY_PAGE + growth(0),
        Tracking::Granules => {
            let image = pages - grown;
            let compared = (set.granules(GRANULE_PAGES) * GRANULE_PAGES) as u64 - image;
            let discarded = growth(DISCARD + grown * FAULT);
            image * COPY_PAGE + compared * COMPARE_PAGE + discarded
        }
        Tracking::Discard => DISCARD + pages * FAULT + growth(DISCARD),
    }
}

/// The working set that is assumed if none is known: a few pages that are far apart.
pub fn typical() -> WorkingSet {
    const APART: usize = 1024;
    let indices = (0..TYPICAL_PAGES).map(|index| index * APART);
    WorkingSet::of_pages(indices, TYPICAL_PAGES * APART, 0)
}

/// How a slot tracks the writes of guests that, as far as is known, write to `expected`.
/// [`Tracking::Auto`] is decided by the cost; others are asked for, and taken where possible.
pub fn choose(wanted: Tracking, userfaultfd: bool, expected: Option<&WorkingSet>) -> Tracking {
    match wanted {
        Tracking::Pages if !userfaultfd => Tracking::Discard,
        Tracking::Auto => {
            let typical = typical();
            let set = expected.unwrap_or(&typical);
            let possible = |way: &Tracking| match way {
                Tracking::Pages => userfaultfd,
                Tracking::Granules => set.granules(GRANULE_PAGES) <= MAX_GRANULES,
                _ => true,
            };
            let ways = [Tracking::Pages, Tracking::Granules, Tracking::Discard];
            let cheapest = ways.into_iter().filter(possible);
            cheapest.min_by_key(|way| reset_nanos(*way, set)).unwrap_or(Tracking::Discard)
        }
        wanted => wanted,
    }
}

/// [`choose`] for a slot to which `image` is bound, on this machine.
pub(crate) fn choose_here(wanted: Tracking, image: &Image) -> Tracking {
    choose(wanted, uffd::descriptor().is_ok(), image.working_set())
}

/// Nanoseconds for one element of a set: a page, or a granule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    /// Restoring it.
    pub(crate) restore: u64,
    /// Finding out about it.
    pub(crate) learn: u64,
}

/// The rates of pages.
pub(crate) static PAGES: Rates = Rates { restore: COPY_PAGE, learn: LEARN_PAGE };

/// The rates of granules of which one page is written to.
pub(crate) static GRANULES: Rates =
    Rates { restore: COPY_PAGE + (GRANULE_PAGES as u64 - 1) * COMPARE_PAGE, learn: LEARN_GRANULE };

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pages: usize, apart: usize) -> WorkingSet {
        let indices = (0..pages).map(|index| index * apart);
        WorkingSet::of_pages(indices, pages * apart, 0)
    }

    #[test]
    fn each_way_is_chosen_where_it_costs_least() {
        for (userfaultfd, pages, apart, expected) in [
            (true, 8, 1, Tracking::Pages),
            (true, 4000, 50, Tracking::Pages),
            (false, 8, 1, Tracking::Granules),
            (false, 60, 50, Tracking::Granules),
            (false, 65, 50, Tracking::Discard),
            (false, 2000, 1, Tracking::Discard),
        ] {
            let way = choose(Tracking::Auto, userfaultfd, Some(&set(pages, apart)));
            assert_eq!(way, expected, "{userfaultfd} {pages} {apart}");
        }
        assert_eq!(choose(Tracking::Auto, true, None), Tracking::Pages);
        assert_eq!(choose(Tracking::Auto, false, None), Tracking::Granules);
    }

    #[test]
    fn what_is_asked_for_is_taken() {
        for way in [Tracking::Discard, Tracking::Granules, Tracking::Pages, Tracking::Record] {
            assert_eq!(choose(way, true, None), way);
        }
        assert_eq!(choose(Tracking::Pages, false, None), Tracking::Discard);
    }

    #[test]
    fn a_reset_costs_what_its_parts_do() {
        let grown = WorkingSet { pages: vec![0..3, 9..12], image: 10, grown: 2 << 12 };
        assert_eq!(reset_nanos(Tracking::Pages, &grown), 6 * 160 + 2 * 1000);
        let discarded = 2000 + 6 * 2400 + 2 * 1000 + 2000;
        assert_eq!(reset_nanos(Tracking::Discard, &grown), discarded);
        // Granules 0 and 2, the latter of two pages that are in the image.
        let granules = 4 * 160 + 4 * 145 + 2 * 1000 + 2000 + 2 * 2400;
        assert_eq!(reset_nanos(Tracking::Granules, &grown), granules);
    }
}
