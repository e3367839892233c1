//! Pages on demand, from this process's own handler: growing needs no system call.
//!
//! What lies after the image is mapped accessible, and registered with userfaultfd. The first
//! access to a page raises SIGBUS; the process's handler calls [`handle_missing_page`], which
//! provides a page of zeros if the page is one of those that were opened, and otherwise says that
//! the fault is somebody else's. To open pages is to raise a number.
//!
//! Handlers find the slot of an address as they do for slots that learn (see `learn`).

use crate::{LEARN_ALIGN, PAGE, uffd};
use std::os::fd::OwnedFd;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst};

/// User addresses have 47 bits, and slots start at multiples of [`LEARN_ALIGN`].
const TABLE_LEN: usize = 1 << (47 - LEARN_ALIGN.trailing_zeros());

static PAGERS: [AtomicPtr<Pager>; TABLE_LEN] =
    [const { AtomicPtr::new(ptr::null_mut()) }; TABLE_LEN];

/// The pages after a slot's image. Boxed: handlers find it by its address.
#[derive(Debug)]
pub(crate) struct Pager {
    descriptor: &'static OwnedFd,
    start: usize,
    len: usize,
    /// Where what was opened ends.
    end: AtomicUsize,
}

/// Deals with an access to a page at `address` that is not there yet; whether it was one that was
/// opened. To be called by the process's handler for SIGBUS, which then returns.
/// Async-signal-safe.
pub fn handle_missing_page(address: usize) -> bool {
    let Some(entry) = PAGERS.get(address / LEARN_ALIGN) else { return false };
    // SAFETY: a pager is taken out of the table before it is freed, by the owner of the slot; a
    // thread that accesses the slot has the owner's permission, so the owner is not freeing it.
    // Several threads may be here: all that changes is atomic.
    let Some(pager) = (unsafe { entry.load(SeqCst).as_ref() }) else { return false };
    pager.provide(address)
}

impl Pager {
    /// Watches the accessible pages at `start`, none of which is open. `None` if the kernel cannot.
    pub(crate) fn new(start: usize, len: usize) -> Option<Box<Pager>> {
        let descriptor = uffd::descriptor().ok()?;
        uffd::register_missing(descriptor, start, len).ok()?;
        let pager = Box::new(Pager { descriptor, start, len, end: AtomicUsize::new(start) });
        for entry in pager.entries() {
            entry.store(ptr::from_ref(&*pager).cast_mut(), SeqCst);
        }
        Some(pager)
    }

    fn entries(&self) -> &'static [AtomicPtr<Pager>] {
        let last = (self.start + self.len - 1) / LEARN_ALIGN;
        &PAGERS[self.start / LEARN_ALIGN..=last]
    }

    /// Makes the pages before the address `end` those that are open.
    pub(crate) fn set_end(&self, end: usize) {
        self.end.store(end, SeqCst);
    }

    fn provide(&self, address: usize) -> bool {
        if !(self.start..self.end.load(SeqCst)).contains(&address) {
            return false;
        }
        match uffd::zero_page(self.descriptor, address & !(PAGE - 1)) {
            Ok(()) => true,
            // Another thread was quicker.
            Err(error) => error.kind() == std::io::ErrorKind::AlreadyExists,
        }
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        for entry in self.entries() {
            entry.store(ptr::null_mut(), SeqCst);
        }
    }
}
