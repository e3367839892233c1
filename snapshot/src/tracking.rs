//! Tracking of writes: how a slot knows which pages a reset has to restore.
//!
//! ```text
//!            erratic, or too large twice
//!  Learning ───────────────────────────→ Resting      Recording      Discarding
//!      ↑  └─ drifted: learn anew            │         never leaves it, nor does
//!      └────────────────────────────────────┘         a slot that cannot learn
//!            rested, and possible
//! ```

use crate::granules::Granules;
use crate::history::{History, Verdict};
use crate::page_set::PageSet;
use crate::pages::Pages;
use crate::watch::{Learned, Watcher};
use crate::{Error, Image, PAGE, WorkingSet, cost};
use std::ops::Range;

/// How a slot knows which pages a reset has to restore.
///
/// For all but [`Tracking::Discard`], the process's handlers for SIGBUS and SIGSEGV must call
/// [`handle_write_fault`](crate::handle_write_fault). Where one of them is not possible, the slot
/// discards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tracking {
    /// The way that should cost least: see [`cost::choose`].
    Auto,
    /// Nothing is tracked: a reset discards all private pages, and the next writes fault again.
    Discard,
    /// The slot learns which pages are written to, by userfaultfd, and copies them back.
    Pages,
    /// The slot learns which granules of [`cost::GRANULE_PAGES`] are written to, by `mprotect`, and
    /// copies back the pages in them that differ. Memory that grew is discarded.
    Granules,
    /// As [`Tracking::Pages`], or else by `mprotect` for each single page: the same pages by either
    /// way, to record a working set. The slot never forgets any.
    Record,
}

impl Tracking {
    /// One word for listings.
    pub const fn name(self) -> &'static str {
        match self {
            Tracking::Auto => "auto",
            Tracking::Discard => "discard",
            Tracking::Pages => "pages",
            Tracking::Granules => "granules",
            Tracking::Record => "record",
        }
    }
}

/// An image that was mapped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mapped<'a> {
    pub(crate) image: &'a Image,
    /// Address of its first byte.
    pub(crate) start: usize,
    /// Bytes of the head before it.
    pub(crate) head: usize,
}

/// The tracking of a bound slot.
#[derive(Debug)]
pub(crate) struct Tracked {
    wanted: Tracking,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Each reset discards.
    Discarding,
    /// Each reset discards, until it is time to learn again.
    Resting(History),
    /// Resets restore the learned set.
    Learning { watcher: Box<Watcher>, history: History },
    /// As learning, but nothing is ever forgotten.
    Recording(Box<Watcher>),
}

impl Tracked {
    /// Tracks writes to an image in the way that is wanted, or not at all if that is not possible.
    pub(crate) fn new(wanted: Tracking, mapped: Mapped<'_>) -> Tracked {
        let state = match watch(wanted, mapped) {
            None => State::Discarding,
            Some(watcher) if wanted == Tracking::Record => State::Recording(watcher),
            Some(watcher) => {
                let history = History::new(watcher.rates());
                State::Learning { watcher, history }
            }
        };
        Tracked { wanted, state }
    }

    fn watcher(&self) -> Option<&Watcher> {
        match &self.state {
            State::Discarding | State::Resting(_) => None,
            State::Learning { watcher, history: _ } | State::Recording(watcher) => Some(watcher),
        }
    }

    /// The way that is active: never [`Tracking::Auto`].
    pub(crate) fn active(&self) -> Tracking {
        match &self.state {
            State::Discarding | State::Resting(_) => Tracking::Discard,
            State::Recording(_) => Tracking::Record,
            State::Learning { watcher, history: _ } => match watcher.learned() {
                Learned::Pages(_) => Tracking::Pages,
                Learned::Granules(_) => Tracking::Granules,
            },
        }
    }

    /// Pages in the learned set, or granules.
    pub(crate) fn elements(&self) -> usize {
        self.watcher().map_or(0, Watcher::elements)
    }

    /// Most bytes that stay in memory after a reset for the next guest.
    pub(crate) fn resident_bytes(&self) -> usize {
        self.watcher().map_or(0, |watcher| match watcher.learned() {
            Learned::Pages(pages) => pages.elements() * PAGE,
            Learned::Granules(granules) => granules.pages().count() * PAGE,
        })
    }

    /// The indices of the pages that were recorded, ascending. `None` if the slot does not record,
    /// or more was written to than can be recorded.
    pub(crate) fn recorded(&self) -> Option<Vec<usize>> {
        let State::Recording(watcher) = &self.state else { return None };
        let mut pages: Vec<usize> = match watcher.learned() {
            _ if watcher.overflowed() => return None,
            Learned::Pages(pages) => pages.pages().collect(),
            Learned::Granules(granules) => granules.pages().collect(),
        };
        pages.sort_unstable();
        Some(pages)
    }

    /// Puts the pages that were written to into `set`; the bytes from the image's start on for which
    /// these are all.
    pub(crate) fn written(&self, set: &mut PageSet) -> usize {
        let Some(watcher) = self.watcher().filter(|watcher| !watcher.overflowed()) else {
            return 0;
        };
        match watcher.learned() {
            Learned::Pages(pages) => pages.pages().for_each(|page| set.insert(page)),
            Learned::Granules(granules) => granules.pages().for_each(|page| set.insert(page)),
        }
        watcher.watched()
    }

    /// Whether more was written to than there was room for in the set.
    pub(crate) fn overflowed(&self) -> bool {
        self.watcher().is_some_and(Watcher::overflowed)
    }

    /// Whether any page may have been written to, whatever the kernel says.
    pub(crate) fn hidden(&self) -> bool {
        self.watcher().is_some_and(Watcher::hidden)
    }

    /// Makes these pages the learned set, if they can be: all that were written to.
    pub(crate) fn adopt(&mut self, pages: &[Range<usize>]) {
        if let State::Learning { watcher, history: _ } = &mut self.state {
            watcher.adopt(pages);
        }
    }

    /// Gives the slot pages that are not in the learned set, with these contents, and puts them in; their
    /// number. If it is 0, the first one is to be written like any other memory.
    pub(crate) fn provide(&mut self, address: usize, pages: &[[u8; PAGE]]) -> usize {
        match &mut self.state {
            State::Discarding | State::Resting(_) => 0,
            State::Learning { watcher, history: _ } | State::Recording(watcher) => {
                watcher.provide(address, pages)
            }
        }
    }

    /// The slot has become a fork: `pages` were written, and `learned` elements put into the set by that.
    pub(crate) fn forked(&mut self, pages: usize, learned: usize) {
        if let State::Learning { watcher, history } = &mut self.state {
            let elements = match watcher.learned() {
                Learned::Pages(_) => pages,
                Learned::Granules(_) => learned,
            };
            history.forked(elements, learned);
        }
    }

    /// Bytes from the start of the image on that are watched.
    #[inline]
    pub(crate) fn watched(&self) -> usize {
        self.watcher().map_or(0, Watcher::watched)
    }

    /// Watches memory that was `opened` too, if possible: in bytes from the image's start.
    pub(crate) fn extend(&mut self, opened: Range<usize>) {
        match &mut self.state {
            State::Discarding | State::Resting(_) => {}
            State::Learning { watcher, history: _ } | State::Recording(watcher) => {
                watcher.extend(opened);
            }
        }
    }

    /// Puts a working set into the learned set, before anything is written to.
    pub(crate) fn expect(&mut self, set: &WorkingSet) {
        if let State::Learning { watcher, history } = &mut self.state {
            watcher.expect(set);
            history.expect();
        }
    }

    /// Decides about the reset after a request, and restores the learned set if that is to be done.
    /// `open` bytes from the image's start are accessible.
    #[inline]
    pub(crate) fn restore(&mut self, image: &Image, open: usize) -> Verdict {
        let (watcher, verdict) = match &mut self.state {
            State::Discarding => return Verdict::Discard,
            State::Resting(history) => return history.rested(),
            State::Recording(watcher) if watcher.overflowed() => return Verdict::Discard,
            State::Recording(watcher) => (watcher, Verdict::Restore),
            State::Learning { watcher, history } => {
                let verdict = match watcher.overflowed() {
                    true => history.overflowed(),
                    false => history.judge(watcher.elements()),
                };
                (watcher, verdict)
            }
        };
        if verdict == Verdict::Restore {
            watcher.restore(image, open);
        }
        verdict
    }

    /// Goes on as was decided, after everything has been discarded.
    #[cold]
    pub(crate) fn after_discard(
        &mut self,
        verdict: Verdict,
        mapped: Mapped<'_>,
    ) -> Result<(), Error> {
        let state = std::mem::replace(&mut self.state, State::Discarding);
        self.state = match (verdict, state) {
            (Verdict::Relearn, State::Learning { mut watcher, history }) => {
                watcher.forget()?;
                State::Learning { watcher, history }
            }
            (Verdict::Rest, State::Learning { mut watcher, history }) => {
                watcher.release()?;
                State::Resting(history)
            }
            (Verdict::Retry, State::Resting(history)) => match watch(self.wanted, mapped) {
                Some(watcher) => State::Learning { watcher, history },
                None => State::Discarding, // or it would try at each reset
            },
            (_, state) => state,
        };
        Ok(())
    }
}

/// Watches an image in the way that is wanted, if it is possible.
fn watch(wanted: Tracking, mapped: Mapped<'_>) -> Option<Box<Watcher>> {
    let Mapped { image, start, head } = mapped;
    let (way, len) = (cost::choose_here(wanted, image), image.len());
    if way == Tracking::Discard || !image.prepare_view() {
        return None;
    }
    let pages = || Pages::new(start, len, head);
    let granules = |pages, most| Granules::new(start, len, pages, most).map(Learned::Granules);
    let learned = match way {
        Tracking::Auto | Tracking::Discard => None,
        Tracking::Pages => pages().map(Learned::Pages),
        Tracking::Granules => granules(cost::GRANULE_PAGES, cost::MAX_GRANULES),
        Tracking::Record => match pages() {
            Some(mut pages) => {
                pages.make_room();
                Some(Learned::Pages(pages))
            }
            None => granules(1, cost::MAX_PAGES),
        },
    };
    learned.map(|learned| Watcher::new(learned, start, len))
}
