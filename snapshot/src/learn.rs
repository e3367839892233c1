//! Watching single pages, with userfaultfd.
//!
//! The image is mapped write-protected. The first write to a page raises SIGBUS; the handler lifts
//! the protection and notes the page. From then on the page stays writable and in the *learned
//! set*, and a reset copies it back from the image. A page that is not in the set cannot have been
//! written to, so correctness never depends on guests repeating themselves; only speed does.
//!
//! Memory that grew is watched in the same way, from the first time that it is open. When it is
//! closed, its learned pages are cleared and stay, inaccessible, until the memory grows again.

use crate::cost::{MAX_GROWN, MAX_PAGES};
use crate::sys;
use crate::{Image, PAGE, WorkingSet, uffd};
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::ptr;

/// A page that has been written to, and where its pristine bytes are (null for zeros).
#[derive(Debug, Clone, Copy)]
struct Learned {
    page: *mut u8,
    pristine: *const u8,
}

/// The learned set of a slot.
#[derive(Debug)]
pub(crate) struct Tracker {
    descriptor: &'static OwnedFd,
    /// First address of the image, and its length in bytes.
    start: usize,
    len: usize,
    /// Bytes from `start` on that are watched: the image, and what grew behind it.
    watched: usize,
    /// Never longer than the capacity it was made with, so that handlers do not allocate. Nor is
    /// `grown`.
    learned: Vec<Learned>,
    /// The pages behind the image, which are zero.
    grown: Vec<*mut u8>,
    /// More pages were written to than the set holds.
    overflowed: bool,
}

// SAFETY: the pointers are into the slot and the image, which are the owner's; handlers that run
// on the owner's thread are the only others to use them.
unsafe impl Send for Tracker {}

// SAFETY: nothing is changed through `&Tracker`.
unsafe impl Sync for Tracker {}

impl Tracker {
    /// Protects the image mapped at `start`. `None` if the kernel cannot.
    pub(crate) fn new(start: usize, len: usize) -> Option<Tracker> {
        let descriptor = uffd::descriptor().ok()?;
        uffd::register(descriptor, start, len).ok()?;
        if uffd::protect(descriptor, start, len, true).is_err() {
            // A part may be protected, and nobody will lift it.
            let _ = uffd::protect(descriptor, start, len, false);
            return None;
        }
        let learned = Vec::with_capacity(MAX_PAGES);
        let grown = Vec::with_capacity(MAX_PAGES);
        Some(Tracker { descriptor, start, len, watched: len, learned, grown, overflowed: false })
    }

    /// What to do about a fault at `address`; whether it was a write to a protected page.
    /// Async-signal-safe.
    pub(crate) fn learn(&mut self, address: usize) -> bool {
        if !(self.start..self.start + self.watched).contains(&address) {
            return false;
        }
        let page = address & !(PAGE - 1);
        if uffd::protect(self.descriptor, page, PAGE, false).is_err() {
            return false;
        }
        self.note(page);
        true
    }

    /// Puts a page that is not protected any more into the set. Does not allocate.
    fn note(&mut self, page: usize) {
        let in_image = page - self.start < self.len;
        if self.learned.len() + self.grown.len() >= MAX_PAGES {
            self.overflowed = true;
        } else if in_image {
            self.learned.push(Learned { page: page as *mut u8, pristine: ptr::null() });
        } else {
            self.grown.push(page as *mut u8);
        }
    }

    /// Pages in the set.
    pub(crate) fn learned_pages(&self) -> usize {
        self.learned.len() + self.grown.len()
    }

    /// The indices of the pages in the set, from the start of the image, in no order.
    pub(crate) fn pages(&self) -> impl Iterator<Item = usize> {
        let pages = self.learned.iter().map(|learned| learned.page);
        pages.chain(self.grown.iter().copied()).map(|page| (page as usize - self.start) / PAGE)
    }

    /// Whether more was written to than the set holds.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Bytes from the start of the image on that are watched.
    pub(crate) fn watched(&self) -> usize {
        self.watched
    }

    /// Watches memory behind the image up to `len` bytes from its start, or as much of it as is
    /// watched at most. It must be accessible and zero. The addresses watched from now on, if there
    /// are more of them.
    pub(crate) fn extend(&mut self, len: usize) -> Option<Range<usize>> {
        let len = len.min(self.len + MAX_GROWN);
        let more = len.checked_sub(self.watched).filter(|more| *more > 0)?;
        let from = self.start + self.watched;
        uffd::register(self.descriptor, from, more).ok()?;
        if uffd::protect(self.descriptor, from, more, true).is_err() {
            let _ = uffd::protect(self.descriptor, from, more, false);
            return None;
        }
        self.watched = len;
        Some(self.start..self.start + len)
    }

    /// Puts pages into the set before they are written to, and makes them the slot's own. They must
    /// be accessible, and the set be empty.
    pub(crate) fn expect(&mut self, set: &WorkingSet) {
        for range in &set.pages {
            let (start, len) = (self.start + range.start * PAGE, range.len() * PAGE);
            let inside = range.end * PAGE <= self.watched;
            if !inside || uffd::protect(self.descriptor, start, len, false).is_err() {
                continue; // they will be learned
            }
            // What this does not do, the first writes will.
            let _ = sys::populate(start, len);
            for page in (start..start + len).step_by(PAGE) {
                self.note(page);
            }
        }
    }

    /// Copies the learned pages of the image back.
    pub(crate) fn restore(&mut self, image: &Image) {
        for learned in &mut self.learned {
            if learned.pristine.is_null()
                && let Some(pristine) = image.stored_page(learned.page as usize - self.start)
            {
                learned.pristine = pristine;
            }
            if learned.pristine.is_null() {
                // SAFETY: the page is in the slot, writable, and nobody refers to it.
                unsafe { ptr::write_bytes(learned.page, 0, PAGE) };
            } else {
                // SAFETY: as above; the pristine page is in the image's own mapping.
                unsafe { ptr::copy_nonoverlapping(learned.pristine, learned.page, PAGE) };
            }
        }
    }

    /// Clears the learned pages behind the image that are before `open` bytes from its start; the
    /// others were not accessible since they were cleared.
    pub(crate) fn clear_grown(&mut self, open: usize) {
        for page in &self.grown {
            if (*page as usize) < self.start + open {
                // SAFETY: the page is in the slot, writable, and nobody refers to it.
                unsafe { ptr::write_bytes(*page, 0, PAGE) };
            }
        }
    }

    /// Lifts all protection.
    pub(crate) fn release(&mut self) -> io::Result<()> {
        uffd::protect(self.descriptor, self.start, self.watched, false)
    }

    /// Forgets what was learned and protects everything again.
    pub(crate) fn forget(&mut self) -> io::Result<()> {
        self.learned.clear();
        self.grown.clear();
        self.overflowed = false;
        uffd::protect(self.descriptor, self.start, self.watched, true)
    }
}
