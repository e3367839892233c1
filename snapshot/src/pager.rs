//! Pages on demand, from this process's own handler: growing needs no system call.
//!
//! What lies after the image is mapped accessible, and registered with userfaultfd. The first
//! access to a page raises SIGBUS; the process's handler calls [`handle_missing_page`], which
//! provides a page of zeros if the page is one of those that were opened, and otherwise says that
//! the fault is somebody else's. To open pages is to raise a number.
//!
//! Handlers find the slot of an address as they do for slots that learn (see `table`).

use crate::table::Table;
use crate::{PAGE, uffd};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

static PAGERS: Table<Pager> = Table::new();

/// The pages after a slot's image. Boxed: handlers find it by its address.
#[derive(Debug)]
pub(crate) struct Pager {
    descriptor: &'static OwnedFd,
    addresses: Range<usize>,
    /// Where what was opened ends.
    end: AtomicUsize,
}

/// Deals with an access to a page at `address` that is not there yet; whether it was one that was
/// opened. To be called by the process's handler for SIGBUS, which then returns.
/// Async-signal-safe.
pub fn handle_missing_page(address: usize) -> bool {
    // SAFETY: a pager is taken out of the table before it is freed, by the owner of the slot; a
    // thread that accesses the slot has the owner's permission, so the owner is not freeing it.
    // Several threads may be here: all that changes is atomic.
    unsafe { PAGERS.find(address) }.is_some_and(|pager| pager.provide(address))
}

impl Pager {
    /// Watches the accessible pages at `start`, none of which is open. `None` if the kernel cannot.
    pub(crate) fn new(start: usize, len: usize) -> Option<Box<Pager>> {
        let descriptor = uffd::descriptor().ok()?;
        uffd::register_missing(descriptor, start, len).ok()?;
        let (addresses, end) = (start..start + len, AtomicUsize::new(start));
        let mut pager = Box::new(Pager { descriptor, addresses, end });
        let this = &raw mut *pager;
        PAGERS.enter(&pager.addresses, this);
        Some(pager)
    }

    /// Makes the pages before the address `end` those that are open.
    pub(crate) fn set_end(&self, end: usize) {
        self.end.store(end, SeqCst);
    }

    fn provide(&self, address: usize) -> bool {
        if !(self.addresses.start..self.end.load(SeqCst)).contains(&address) {
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
        PAGERS.leave(&self.addresses);
    }
}
