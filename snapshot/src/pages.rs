//! The learned set of [`Tracking::Pages`](crate::Tracking::Pages): single pages, by userfaultfd.
//!
//! The image is mapped write-protected. The first write to a page raises SIGBUS; the handler lifts
//! the protection and notes the page. From then on the page stays writable and in the *learned
//! set*, and a reset copies it back from the image. A page that is not in the set cannot have been
//! written to, so correctness never depends on guests repeating themselves; only speed does.
//!
//! Memory that grew is watched in the same way, from the first time that it is open. When it is
//! closed, its learned pages are cleared and stay, inaccessible, until the memory grows again.

use crate::cost::{MAX_GROWN, MAX_PAGES};
use crate::restore::{Pristine, Restorable, restore};
use crate::sys;
use crate::{Error, Image, PAGE, WorkingSet, uffd};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::ptr;

/// Pages that a set has room for at first. Handlers cannot allocate, so more is made at resets; a
/// request that writes to more than there is room for makes the set overflow, once. Most guests
/// write to few pages, and there may be thousands of slots.
const FIRST_ROOM: usize = 16;

/// The pages of an image, and behind it, that were written to.
#[derive(Debug)]
pub(crate) struct Pages {
    descriptor: &'static OwnedFd,
    /// First address of the image, and its length in bytes.
    start: usize,
    len: usize,
    /// Bytes from `start` on that are watched: the image, and memory that grew behind it.
    watched: usize,
    /// Addresses of the pages of the image. Handlers fill it, and so never beyond its capacity; nor
    /// `grown`.
    learned: Vec<usize>,
    /// The first of these pages with their contents in the image, as far as it has been asked.
    known: Vec<Restorable>,
    /// Addresses of the pages behind the image, which are zero.
    grown: Vec<usize>,
    /// More pages were written to than the set holds.
    overflowed: bool,
}

// SAFETY: the pointers are into the slot and the image, which are the owner's; handlers that run
// on the owner's thread are the only others to use them.
unsafe impl Send for Pages {}

// SAFETY: nothing is changed through `&Pages`.
unsafe impl Sync for Pages {}

impl Pages {
    /// Protects the image mapped at `start`. `None` if the kernel cannot.
    ///
    /// The `head` bytes before it are registered with it, but never protected: a mapping that is
    /// registered in part would be split.
    pub(crate) fn new(start: usize, len: usize, head: usize) -> Option<Pages> {
        let descriptor = uffd::descriptor().ok()?;
        uffd::register(descriptor, start - head, len + head).ok()?;
        if uffd::protect(descriptor, start, len, true).is_err() {
            // A part may be protected, and nobody will lift it.
            let _ = uffd::protect(descriptor, start, len, false);
            return None;
        }
        Some(Pages {
            descriptor,
            start,
            len,
            watched: len,
            learned: Vec::with_capacity(FIRST_ROOM),
            known: Vec::new(),
            grown: Vec::new(),
            overflowed: false,
        })
    }

    /// Handles a fault at `address`; whether it was a write to a protected page.
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
        let full = self.elements() >= MAX_PAGES;
        let in_image = page - self.start < self.len;
        let list = if in_image { &mut self.learned } else { &mut self.grown };
        if full || list.len() == list.capacity() {
            self.overflowed = true;
        } else {
            list.push(page);
        }
    }

    /// Sees to it that as much as any set holds can be learned.
    pub(crate) fn make_room(&mut self) {
        self.learned.reserve(MAX_PAGES);
        self.grown.reserve(MAX_PAGES);
    }

    /// Pages in the set.
    pub(crate) fn elements(&self) -> usize {
        self.learned.len() + self.grown.len()
    }

    /// The indices of the pages in the set, from the start of the image, in no order.
    pub(crate) fn pages(&self) -> impl Iterator<Item = usize> {
        self.learned.iter().chain(&self.grown).map(|page| (page - self.start) / PAGE)
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
        self.grown.reserve(FIRST_ROOM);
        Some(self.start..self.start + len)
    }

    /// Puts pages into the set before they are written to, and makes them the slot's own. They must
    /// be accessible, and the set be empty.
    pub(crate) fn expect(&mut self, set: &WorkingSet) {
        self.learned.reserve(set.len() + FIRST_ROOM);
        self.grown.reserve(set.grown_pages());
        for range in &set.pages {
            let (start, len) = (self.start + range.start * PAGE, range.len() * PAGE);
            let inside = range.end * PAGE <= self.watched;
            if !inside || uffd::protect(self.descriptor, start, len, false).is_err() {
                continue; // they will be learned
            }
            // If this fails, the first writes do it.
            let _ = sys::populate(start, len);
            for page in (start..start + len).step_by(PAGE) {
                self.note(page);
            }
        }
    }

    /// Restores the learned pages of the image.
    pub(crate) fn restore(&mut self, image: &Image) {
        if self.known.len() < self.learned.len() {
            self.look_up(image);
        }
        // SAFETY: the pages are in the slot, writable, and nobody refers to them; the image, which
        // outlives the tracker, has the pristine ones.
        unsafe { restore(&self.known) };
    }

    /// Asks the image about pages that are new in the set, and makes room for as many again.
    #[cold]
    fn look_up(&mut self, image: &Image) {
        for page in &self.learned[self.known.len()..] {
            let pristine = match image.stored_page(page - self.start) {
                // SAFETY: the page is in the image's own mapping, which nobody changes.
                Some(bytes) => unsafe { Pristine::of(bytes) },
                None => Pristine::ZERO,
            };
            self.known.push(Restorable::new(*page as *mut u8, pristine));
        }
        self.learned.reserve(self.learned.len().max(FIRST_ROOM));
    }

    /// Clears the learned pages behind the image that are before `open` bytes from its start; the
    /// others were not accessible since they were cleared.
    pub(crate) fn clear_grown(&mut self, open: usize) {
        for page in &self.grown {
            if *page < self.start + open {
                // SAFETY: the page is in the slot, writable, and nobody refers to it.
                unsafe { ptr::write_bytes(*page as *mut u8, 0, PAGE) };
            }
        }
        if !self.grown.is_empty() {
            self.grown.reserve(self.grown.len().max(FIRST_ROOM));
        }
    }

    /// Lifts all protection.
    pub(crate) fn release(&mut self) -> Result<(), Error> {
        uffd::protect(self.descriptor, self.start, self.watched, false)
            .map_err(Error::os("lifting the write protection of an image"))
    }

    /// Empties the set and protects everything again.
    pub(crate) fn forget(&mut self) -> Result<(), Error> {
        if self.overflowed {
            self.make_room();
        }
        self.learned.clear();
        self.known.clear();
        self.grown.clear();
        self.overflowed = false;
        uffd::protect(self.descriptor, self.start, self.watched, true)
            .map_err(Error::os("write-protecting an image"))
    }
}
