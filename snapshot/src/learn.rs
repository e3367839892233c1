//! Learning which pages a slot's guests write to.
//!
//! The image is mapped write-protected. The first write to a page raises SIGBUS; the process's
//! handler calls [`handle_write_fault`], which lifts the protection and notes the page. From then
//! on the page stays writable and in the *learned set*, and a reset copies it back from the image.
//! A page that is not in the set cannot have been written to, so correctness never depends on
//! guests repeating themselves; only speed does.
//!
//! Handlers find the slot of an address in a table with an entry for each 512 MiB of address
//! space, without a lock.

use crate::restore::{Pristine, Restorable, restore};
use crate::{Image, PAGE, uffd};
use std::os::fd::OwnedFd;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::SeqCst};

/// Slots that learn start at multiples of this many bytes.
pub const LEARN_ALIGN: usize = 512 << 20;

/// Most pages that are copied back; a larger set costs more than mapping the image anew.
/// Measured: a page costs about 80 ns to copy back, but 1500 ns to fault in again.
pub(crate) const MAX_LEARNED: usize = 4096;

/// User addresses have 47 bits.
const TABLE_LEN: usize = 1 << (47 - 29);

static TRACKERS: [AtomicPtr<Tracker>; TABLE_LEN] =
    [const { AtomicPtr::new(ptr::null_mut()) }; TABLE_LEN];

/// The learned set of a slot. Boxed: handlers find it by its address.
#[derive(Debug)]
pub(crate) struct Tracker {
    descriptor: &'static OwnedFd,
    /// First address of the image, and its length in bytes.
    start: usize,
    len: usize,
    /// Addresses of pages written to. Never longer than the capacity it was made with, so that
    /// handlers do not allocate.
    learned: Vec<usize>,
    /// The same pages, those that the image has been asked about, with what it has for them.
    known: Vec<Restorable>,
    /// More pages were written to than the set holds.
    overflowed: bool,
    /// Resets since the set was empty.
    resets: usize,
    /// Pages in the set when the last window of resets ended.
    counted: usize,
}

/// What [`Tracker::restore`] did, and what is left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restored {
    /// The slot is the image again.
    Done,
    /// Nothing: the set is too large. The image has to be discarded, and [`Tracker::forget`] called.
    TooLarge,
    /// Nothing: the guests do not repeat themselves. The image has to be discarded from now on.
    Erratic,
}

/// How many resets are looked at together.
const WINDOW: usize = 32;

/// Guests are erratic if a whole window, after the first, brings at least this many new pages: one
/// a reset, each of which costs more (a signal, a call of the kernel, a fault) than discarding
/// costs for several. Measured with eight random pages of 4096: 540 µs a request when learning.
const ERRATIC: usize = WINDOW;

// SAFETY: the pointers are into the slot and the image, which are the owner's; handlers that run
// on the owner's thread are the only others to use them.
unsafe impl Send for Tracker {}

// SAFETY: nothing is changed through `&Tracker`.
unsafe impl Sync for Tracker {}

/// Whether this kernel offers what learning needs.
pub fn learning_available() -> bool {
    uffd::descriptor().is_some()
}

/// Deals with a write to a protected page at `address`; whether it was one. To be called by the
/// process's handler for SIGBUS, which then returns. Async-signal-safe.
pub fn handle_write_fault(address: usize) -> bool {
    let Some(entry) = TRACKERS.get(address / LEARN_ALIGN) else { return false };
    let tracker = entry.load(SeqCst);
    // SAFETY: a tracker is taken out of the table before it is freed, by the owner of the slot; a
    // thread that writes to the slot has the owner's permission, so the owner is not freeing it,
    // nor is anybody else using it.
    let Some(tracker) = (unsafe { tracker.as_mut() }) else { return false };
    tracker.learn(address)
}

impl Tracker {
    /// Protects the image mapped at `start` and watches it. `None` if the kernel cannot.
    pub(crate) fn new(start: usize, len: usize) -> Option<Box<Tracker>> {
        let descriptor = uffd::descriptor()?;
        uffd::register(descriptor, start, len).ok()?;
        if uffd::protect(descriptor, start, len, true).is_err() {
            // A part may be protected, and nobody will lift it.
            let _ = uffd::protect(descriptor, start, len, false);
            return None;
        }
        let learned = Vec::with_capacity(MAX_LEARNED);
        let tracker = Box::new(Tracker {
            descriptor,
            start,
            len,
            learned,
            known: Vec::new(),
            overflowed: false,
            resets: 0,
            counted: 0,
        });
        for entry in tracker.entries() {
            entry.store(ptr::from_ref(&*tracker).cast_mut(), SeqCst);
        }
        Some(tracker)
    }

    fn entries(&self) -> &'static [AtomicPtr<Tracker>] {
        let last = (self.start + self.len - 1) / LEARN_ALIGN;
        &TRACKERS[self.start / LEARN_ALIGN..=last]
    }

    fn learn(&mut self, address: usize) -> bool {
        if !(self.start..self.start + self.len).contains(&address) {
            return false;
        }
        let page = address & !(PAGE - 1);
        if uffd::protect(self.descriptor, page, PAGE, false).is_err() {
            return false;
        }
        if self.learned.len() < self.learned.capacity() {
            self.learned.push(page);
        } else {
            self.overflowed = true;
        }
        true
    }

    /// Pages in the set.
    pub(crate) fn learned_pages(&self) -> usize {
        self.learned.len()
    }

    /// Copies the learned pages back, unless that does not pay.
    pub(crate) fn restore(&mut self, image: &Image) -> Restored {
        if self.overflowed {
            return Restored::TooLarge;
        }
        self.resets += 1;
        if self.resets.is_multiple_of(WINDOW) {
            let new = self.learned.len() - self.counted;
            self.counted = self.learned.len();
            if self.resets > WINDOW && new >= ERRATIC {
                return Restored::Erratic;
            }
        }
        for page in &self.learned[self.known.len()..] {
            let pristine = match image.stored_page(page - self.start) {
                // SAFETY: the page is in the image's own mapping, which nobody changes.
                Some(bytes) => unsafe { Pristine::of(bytes) },
                None => Pristine::ZERO,
            };
            self.known.push(Restorable::new(*page as *mut u8, pristine));
        }
        // SAFETY: the pages are in the slot, writable, and nobody refers to them; the image, which
        // outlives the tracker, has the pristine ones.
        unsafe { restore(&self.known) };
        Restored::Done
    }

    /// Lifts the protection of all of the image, for a slot that learns no more; whether that
    /// worked.
    pub(crate) fn release(&mut self) -> bool {
        uffd::protect(self.descriptor, self.start, self.len, false).is_ok()
    }

    /// Forgets what was learned and protects all of the image again; whether that worked.
    pub(crate) fn forget(&mut self) -> bool {
        self.learned.clear();
        self.known.clear();
        self.overflowed = false;
        (self.resets, self.counted) = (0, 0);
        uffd::protect(self.descriptor, self.start, self.len, true).is_ok()
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        for entry in self.entries() {
            entry.store(ptr::null_mut(), SeqCst);
        }
    }
}
