//! Watchers: from the address of a fault to the slot it is in, and its learned set.
//!
//! A slot that is watched has its image protected from writes. The first write to a part of it
//! raises a signal; the process's handler calls [`handle_write_fault`], which lifts the protection of
//! that part and notes it in the slot's set. The two ways of tracking differ in
//! how they protect, and in how large a part is: see `pages` and `granules`.
//!
//! Handlers find the slot of an address without a lock (see `table`).

use crate::cost::{self, Rates};
use crate::granules::Granules;
use crate::pages::Pages;
use crate::table::Table;
use crate::{Error, Image, PAGE, WorkingSet};
use std::cell::UnsafeCell;
use std::ops::Range;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};

static WATCHERS: Table<Watcher> = Table::new();

/// A learned set, by the way of tracking that fills it.
#[derive(Debug)]
pub(crate) enum Learned {
    Pages(Pages),
    Granules(Granules),
}

/// Watches the image of a slot. Boxed: handlers find it by its address.
#[derive(Debug)]
pub(crate) struct Watcher {
    learned: UnsafeCell<Learned>,
    /// Whether a handler is changing `learned`. Whoever has the slot may write to it on several threads.
    learning: AtomicBool,
    /// Where the table leads here.
    addresses: Range<usize>,
}

// SAFETY: through `&Watcher` only handlers change it, one at a time; the owner looks at it only
// while nobody may write to the slot.
unsafe impl Sync for Watcher {}

/// The signal that a fault raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultSignal {
    /// SIGBUS: so does userfaultfd, and never `mprotect`.
    Bus,
    /// SIGSEGV: so does `mprotect`, and never userfaultfd.
    Segv,
}

/// Deals with a write to a protected page at `address`; whether it was one. To be called by the
/// process's handlers for SIGBUS and SIGSEGV, which then return. Async-signal-safe.
///
/// A fault that is not the first write to a part is never taken for one: not an access to memory
/// that is closed, although it may be watched, nor one outside of watched memory.
pub fn handle_write_fault(signal: FaultSignal, address: usize) -> bool {
    // SAFETY: a watcher is taken out of the table before it is freed, by the owner of the slot; a
    // thread that writes to the slot has the owner's permission, so the owner is not freeing it.
    unsafe { WATCHERS.find(address) }.is_some_and(|watcher| watcher.learn(signal, address))
}

impl Watcher {
    /// Makes handlers find `learned`, which watches `len` bytes from `start` on.
    pub(crate) fn new(learned: Learned, start: usize, len: usize) -> Box<Watcher> {
        let (learned, learning) = (UnsafeCell::new(learned), AtomicBool::new(false));
        let mut watcher = Box::new(Watcher { learned, learning, addresses: start..start + len });
        watcher.enter(start..start + len);
        watcher
    }

    /// Makes handlers find the watcher by all addresses of a range, which includes the former one.
    fn enter(&mut self, addresses: Range<usize>) {
        self.addresses = addresses;
        let this = &raw mut *self;
        WATCHERS.enter(&self.addresses, this);
    }

    /// Handles a fault; whether it was a write to a protected part. Async-signal-safe: the thread that
    /// is waited for is in a handler too, where nothing of this process keeps it.
    fn learn(&self, signal: FaultSignal, address: usize) -> bool {
        while self.learning.swap(true, Acquire) {
            std::hint::spin_loop();
        }
        // SAFETY: this thread alone is between here and the store below, and the owner is not
        // looking while others may write to the slot.
        let learned = match (unsafe { &mut *self.learned.get() }, signal) {
            (Learned::Pages(pages), FaultSignal::Bus) => pages.learn(address),
            (Learned::Granules(granules), FaultSignal::Segv) => granules.learn(address),
            _ => false,
        };
        self.learning.store(false, Release);
        learned
    }

    /// The learned set.
    pub(crate) fn learned(&self) -> &Learned {
        // SAFETY: the owner asks, while nobody may write to the slot.
        unsafe { &*self.learned.get() }
    }

    /// Prices of an element of the set.
    pub(crate) fn rates(&self) -> &'static Rates {
        match self.learned() {
            Learned::Pages(_) => &cost::PAGES,
            Learned::Granules(_) => &cost::GRANULES,
        }
    }

    /// Pages or granules in the set.
    pub(crate) fn elements(&self) -> usize {
        match self.learned() {
            Learned::Pages(pages) => pages.elements(),
            Learned::Granules(granules) => granules.elements(),
        }
    }

    /// Whether more was written to than the set holds.
    pub(crate) fn overflowed(&self) -> bool {
        match self.learned() {
            Learned::Pages(pages) => pages.overflowed(),
            Learned::Granules(granules) => granules.overflowed(),
        }
    }

    /// Whether any page may have been written to, whatever the kernel says.
    pub(crate) fn hidden(&self) -> bool {
        matches!(self.learned(), Learned::Pages(pages) if pages.hidden())
    }

    /// Bytes from the start of the image on that are watched: all of it, and grown memory.
    pub(crate) fn watched(&self) -> usize {
        match self.learned() {
            Learned::Pages(pages) => pages.watched(),
            Learned::Granules(granules) => granules.watched(),
        }
    }

    /// Watches memory behind the image too, that was `opened`, in bytes from its start. It must be
    /// accessible and zero. Nothing happens if that is not possible.
    pub(crate) fn extend(&mut self, opened: Range<usize>) {
        if let Learned::Pages(pages) = self.learned.get_mut()
            && let Some(addresses) = pages.extend(opened)
        {
            self.enter(addresses);
        }
    }

    /// Puts pages into the set before they are written to, and makes them the slot's own.
    pub(crate) fn expect(&mut self, set: &WorkingSet) {
        match self.learned.get_mut() {
            Learned::Pages(pages) => pages.expect(set),
            Learned::Granules(granules) => granules.expect(set),
        }
    }

    /// Makes these pages the set: all that were written to. Granules stay as they are.
    pub(crate) fn adopt(&mut self, pages: &[Range<usize>]) {
        if let Learned::Pages(learned) = self.learned.get_mut() {
            learned.adopt(pages);
        }
    }

    /// Puts pages into the set, with these contents; their number. If it is 0, the first one is to be
    /// written like any other memory.
    pub(crate) fn provide(&mut self, address: usize, pages: &[[u8; PAGE]]) -> usize {
        match self.learned.get_mut() {
            Learned::Pages(learned) => learned.provide(address, pages),
            Learned::Granules(granules) => {
                granules.learn(address);
                0
            }
        }
    }

    /// Restores every element of the set that is before `open` bytes from the start of the image.
    pub(crate) fn restore(&mut self, image: &Image, open: usize) {
        match self.learned.get_mut() {
            Learned::Pages(pages) => {
                pages.restore(image);
                pages.clear_grown(open);
            }
            Learned::Granules(granules) => granules.restore(image),
        }
    }

    /// Lifts all protection, for a slot that is watched no more.
    pub(crate) fn release(&mut self) -> Result<(), Error> {
        match self.learned.get_mut() {
            Learned::Pages(pages) => pages.release(),
            Learned::Granules(granules) => granules.release(),
        }
    }

    /// Empties the set and protects everything again. All of it must have been discarded.
    pub(crate) fn forget(&mut self) -> Result<(), Error> {
        match self.learned.get_mut() {
            Learned::Pages(pages) => pages.forget(),
            Learned::Granules(granules) => granules.forget(),
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        WATCHERS.leave(&self.addresses);
    }
}
