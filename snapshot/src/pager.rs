//! Pages on demand, from this process's own handler: growing needs no system call.
//!
//! Memory after the image is mapped accessible, and registered with userfaultfd. The first
//! access to a page raises SIGBUS; the process's handler calls [`handle_missing_page`], which
//! provides zeros if the page was opened, and otherwise says that the fault is somebody else's. To
//! open pages is to raise a number. The range of provided pages is known, so that a reset need not
//! discard anything for a guest that did not touch the memory it opened.
//!
//! A signal takes longer than to clear some pages, so a fault provides a block of them.
//!
//! Handlers find the slot of an address as they do for slots that learn (see `table`).

use crate::table::Table;
use crate::{Error, PAGE, uffd};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Bytes that a fault provides, where so many are open and none of them is there.
const BLOCK: usize = 64 << 10;

/// The least address and the end of no range.
const NOTHING: [usize; 2] = [usize::MAX, 0];

static PAGERS: Table<Pager> = Table::new();

/// The pages after a slot's image. Boxed: handlers find it by its address.
#[derive(Debug)]
pub(crate) struct Pager {
    descriptor: &'static OwnedFd,
    addresses: Range<usize>,
    /// End of the opened pages.
    end: AtomicUsize,
    /// Addresses that include all pages provided since the last reset: the least, and the end.
    provided: [AtomicUsize; 2],
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
    /// Watches the accessible pages at `start`, none of which is open. They are in a slot that starts
    /// at a multiple of [`LEARN_ALIGN`](crate::LEARN_ALIGN).
    pub(crate) fn new(start: usize, len: usize) -> Result<Box<Pager>, Error> {
        let descriptor = uffd::descriptor()?;
        uffd::register_missing(descriptor, start, len)
            .map_err(Error::os("providing pages on demand"))?;
        let (addresses, end) = (start..start + len, AtomicUsize::new(start));
        let provided = NOTHING.map(AtomicUsize::new);
        let mut pager = Box::new(Pager { descriptor, addresses, end, provided });
        let this = &raw mut *pager;
        PAGERS.enter(&pager.addresses, this);
        Ok(pager)
    }

    /// Opens the pages before the address `end`, and no others.
    pub(crate) fn set_end(&self, end: usize) {
        self.end.store(end, SeqCst);
    }

    /// Addresses that include all provided pages, which the caller is about to discard.
    pub(crate) fn take_provided(&mut self) -> Option<Range<usize>> {
        let [start, end] = self.provided.each_mut().map(AtomicUsize::get_mut);
        let range = *start..*end;
        [*start, *end] = NOTHING;
        (!range.is_empty()).then_some(range)
    }

    fn provide(&self, address: usize) -> bool {
        let end = self.end.load(SeqCst);
        if !(self.addresses.start..end).contains(&address) {
            return false;
        }
        let start = address - (address - self.addresses.start) % BLOCK;
        self.copy_zeros(start, BLOCK.min(end - start)).is_ok() || {
            // Some of the block is there: provided before more was opened, or by another thread,
            // which may have been quicker with this page too.
            let page = self.copy_zeros(address & !(PAGE - 1), PAGE);
            page.map_or_else(|error| error.kind() == std::io::ErrorKind::AlreadyExists, |()| true)
        }
    }

    fn copy_zeros(&self, start: usize, len: usize) -> std::io::Result<()> {
        static ZEROS: [u8; BLOCK] = [0; BLOCK];
        // Noted first: a page that is there is always in the range.
        self.provided[0].fetch_min(start, SeqCst);
        self.provided[1].fetch_max(start + len, SeqCst);
        uffd::copy(self.descriptor, start, &ZEROS[..len])
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        PAGERS.leave(&self.addresses);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LEARN_ALIGN;
    use crate::sys::Reservation;

    #[test]
    fn what_was_provided_is_taken_once() {
        let mut reservation = Reservation::new(LEARN_ALIGN, LEARN_ALIGN).unwrap();
        reservation.map_zeroed(0, LEARN_ALIGN).unwrap();
        let start = reservation.start();
        let mut pager = Pager::new(start, LEARN_ALIGN).expect("userfaultfd");
        pager.set_end(start + 3 * BLOCK + PAGE);
        assert_eq!(pager.take_provided(), None);
        assert!(handle_missing_page(start + 3 * BLOCK));
        assert!(handle_missing_page(start + BLOCK + PAGE));
        assert_eq!(pager.take_provided(), Some(start + BLOCK..start + 3 * BLOCK + PAGE));
        assert_eq!(pager.take_provided(), None);
    }
}
