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
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::ptr;

/// Pages that a set has room for at first. Handlers cannot allocate, so more is made at resets; a
/// request that writes to more than there is room for makes the set overflow, once. Most guests
/// write to few pages, and there may be thousands of slots.
const FIRST_ROOM: usize = 16;

/// Most pages that one system call provides: some 100 µs, in which other threads may wait for the kernel's lock
/// of the address space.
const PROVIDED_AT_ONCE: usize = 64;

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
    /// Besides, pages that were written to may be protected again: the kernel does not tell them from others.
    hidden: bool,
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
            hidden: false,
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

    /// Whether any page may have been written to, whatever the kernel says.
    pub(crate) fn hidden(&self) -> bool {
        self.hidden
    }

    /// Bytes from the start of the image on that are watched.
    pub(crate) fn watched(&self) -> usize {
        self.watched
    }

    /// Watches memory behind the image up to the end of what was `opened`, in bytes from its start, or as
    /// much of it as is watched at most. It must be accessible and zero. The addresses watched from now on,
    /// if there are more of them.
    pub(crate) fn extend(&mut self, opened: Range<usize>) -> Option<Range<usize>> {
        if opened.start > self.watched {
            // Memory before it could not be watched when it was opened, and may have been written to. A reset
            // discards what is open behind `watched`.
            return None;
        }
        let len = opened.end.min(self.len + MAX_GROWN);
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

    /// Makes these pages, which are all that were written to, the set of a slot whose set has overflowed. It
    /// stays overflowed if they are too many, or if the kernel does not help.
    pub(crate) fn adopt(&mut self, pages: &[Range<usize>]) {
        if pages.iter().map(|run| run.len()).sum::<usize>() > MAX_PAGES {
            return;
        }
        self.make_room();
        self.learned.clear();
        self.known.clear();
        self.grown.clear();
        self.overflowed = self.protect_others(pages).is_err();
        // The kernel tells pages that were written to by their protection, which they may have by now.
        self.hidden = self.overflowed && self.release().is_err();
    }

    /// Protects all pages but these, and puts these into the set.
    fn protect_others(&mut self, pages: &[Range<usize>]) -> io::Result<()> {
        // All of it: a page may have lost its protection for a write that never came.
        uffd::protect(self.descriptor, self.start, self.watched, true)?;
        for run in pages {
            let (start, len) = (self.start + run.start * PAGE, run.len() * PAGE);
            uffd::protect(self.descriptor, start, len, false)?;
            (start..start + len).step_by(PAGE).for_each(|page| self.note(page));
        }
        Ok(())
    }

    /// Gives the slot the pages at `address`, which are not in the set, with these contents, and puts them
    /// into the set. The number of pages provided, from the first one on: no more than one system call should, and
    /// none behind a page that is there already, since somebody has read it. If that is the first one, it can be
    /// written to now.
    pub(crate) fn provide(&mut self, address: usize, pages: &[[u8; PAGE]]) -> usize {
        let (image_end, end) = (self.start + self.len, self.start + self.watched);
        if !(self.start..end).contains(&address) {
            return 0;
        }
        let most = pages.len().min((end - address) / PAGE).min(PROVIDED_AT_ONCE);
        let in_image = (image_end.saturating_sub(address) / PAGE).min(most);
        self.learned.reserve(in_image);
        self.grown.reserve(most - in_image);
        let bytes = pages[..most].as_flattened();
        let provided = uffd::copy_while_missing(self.descriptor, address, bytes) / PAGE;
        match provided {
            0 => _ = self.learn(address),
            _ => (0..provided).for_each(|page| self.note(address + page * PAGE)),
        }
        provided
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
        (self.overflowed, self.hidden) = (false, false);
        uffd::protect(self.descriptor, self.start, self.watched, true)
            .map_err(Error::os("write-protecting an image"))
    }
}

#[cfg(test)]
mod tests {
    use crate::{Binding, Geometry, Growth, Image, LEARN_ALIGN, PAGE, Slot, Tracking, uffd};
    use std::sync::Arc;

    /// Another descriptor keeps the slot from watching the first page that grows, but not the next one.
    #[test]
    fn memory_that_could_not_be_watched_is_zero_after_a_reset() {
        let geometry = Geometry { below: 0, above: 8 * PAGE, align: LEARN_ALIGN };
        let (image, tracking) = (Arc::new(Image::zeroed(PAGE)), Tracking::Pages);
        let binding = Binding { image, lead: 0, head: 0, tracking, growth: Growth::Protect };
        let mut slot = Slot::reserve(geometry).unwrap().bind(binding).unwrap();
        assert_eq!(slot.tracking(), tracking, "this kernel has no userfaultfd write-protection");
        let other = uffd::open().unwrap();
        uffd::register(&other, slot.base() as usize + PAGE, PAGE).unwrap();
        slot.open(2 * PAGE).unwrap();
        assert_eq!(slot.tracked().watched(), PAGE);
        slot.bytes_mut(PAGE as isize, 1).unwrap()[0] = 7;
        drop(other);
        slot.open(3 * PAGE).unwrap();
        slot.reset().unwrap();
        slot.open(3 * PAGE).unwrap();
        assert_eq!(slot.tracked().watched(), 3 * PAGE);
        assert!(slot.bytes(0, 3 * PAGE).unwrap().iter().all(|byte| *byte == 0));
    }
}
