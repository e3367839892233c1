//! The learned set of [`Tracking::Granules`](crate::Tracking::Granules): granules of pages, by
//! `mprotect`, for kernels without userfaultfd.
//!
//! The image is mapped read-only. The first write to a granule of it raises SIGSEGV; the handler
//! makes the granule writable and notes it. A reset compares the granule's pages with the image, and
//! copies back those that differ; a page that has differed once is copied without comparing. So
//! pages that were never written to stay the image's, shared and not resident twice.
//!
//! Each granule may split a mapping, so a set holds few of them. More than that makes the whole
//! image writable, and is discarded.

use crate::sys::{self, Access};
use crate::{Error, Image, PAGE, WorkingSet};

/// A granule that has been written to.
#[derive(Debug, Clone, Copy)]
struct Granule {
    index: usize,
    /// Bit by page: it has differed from the image before, and so is the slot's own.
    own: u64,
}

/// The granules of an image that were written to.
#[derive(Debug)]
pub(crate) struct Granules {
    /// First address of the image, and its length in bytes.
    start: usize,
    len: usize,
    /// Pages of a granule, at most 64.
    pages: usize,
    /// Never longer than the capacity it was made with, so that handlers do not allocate.
    set: Vec<Granule>,
    most: usize,
    /// Bit by granule of the image: it is in the set, or everything is writable.
    writable: Vec<u64>,
    overflowed: bool,
}

impl Granules {
    /// Protects the image mapped at `start`, and notes writes in granules of `pages` pages, `most`
    /// of them. `None` if the kernel cannot.
    pub(crate) fn new(start: usize, len: usize, pages: usize, most: usize) -> Option<Granules> {
        sys::protect(start, len, Access::Read).ok()?;
        let set = Vec::with_capacity(most);
        let writable = vec![0; len.div_ceil(pages * PAGE).div_ceil(64)];
        Some(Granules { start, len, pages, set, most, writable, overflowed: false })
    }

    /// Handles a fault at `address`; whether it was a write to a protected granule.
    /// Async-signal-safe.
    pub(crate) fn learn(&mut self, address: usize) -> bool {
        if !(self.start..self.start + self.len).contains(&address) {
            return false;
        }
        let index = (address - self.start) / (self.pages * PAGE);
        if self.writable[index / 64] & 1 << (index % 64) != 0 {
            return true; // by another thread, since this one has faulted
        }
        self.open(index) || self.open_all()
    }

    /// Makes a granule writable and notes it; `false` if there is no room or no mapping left.
    fn open(&mut self, index: usize) -> bool {
        let bytes = self.pages * PAGE;
        let len = bytes.min(self.len - index * bytes);
        let protect = || sys::protect(self.start + index * bytes, len, Access::Write);
        if self.set.len() >= self.most || protect().is_err() {
            return false;
        }
        self.set.push(Granule { index, own: 0 });
        self.writable[index / 64] |= 1 << (index % 64);
        true
    }

    /// Makes everything writable, which takes less mappings than there are; whether that worked.
    fn open_all(&mut self) -> bool {
        self.overflowed = true;
        self.writable.fill(!0);
        sys::protect(self.start, self.len, Access::Write).is_ok()
    }

    /// Granules in the set.
    pub(crate) fn elements(&self) -> usize {
        self.set.len()
    }

    /// The indices of all pages of the granules in the set, in no order.
    pub(crate) fn pages(&self) -> impl Iterator<Item = usize> {
        let all = self.len / PAGE;
        let pages = move |granule: &Granule| {
            let first = granule.index * self.pages;
            first..(first + self.pages).min(all)
        };
        self.set.iter().flat_map(pages)
    }

    /// Whether more was written to than the set holds.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Bytes from the start of the image on that are watched.
    pub(crate) fn watched(&self) -> usize {
        self.len
    }

    /// Opens the granules of a working set before they are written to, and makes its pages the
    /// slot's own. The set must be empty.
    pub(crate) fn expect(&mut self, set: &WorkingSet) {
        for range in &set.pages {
            let end = range.end.min(self.len / PAGE);
            for page in range.start..end {
                let index = page / self.pages;
                if self.set.last().is_none_or(|last| last.index != index) && !self.open(index) {
                    return; // the others will be learned, or opened together
                }
                if let Some(last) = self.set.last_mut() {
                    last.own |= 1 << (page % self.pages);
                }
            }
            if range.start < end {
                // If this fails, the first writes do it.
                let at = self.start + range.start * PAGE;
                let _ = sys::populate(at, (end - range.start) * PAGE);
            }
        }
    }

    /// Restores the pages of the granules in the set.
    pub(crate) fn restore(&mut self, image: &Image) {
        let (start, all, pages) = (self.start, self.len / PAGE, self.pages);
        for granule in &mut self.set {
            let first = granule.index * pages;
            for page in first..(first + pages).min(all) {
                let bit = 1 << (page - first);
                let at = (start + page * PAGE) as *mut [u8; PAGE];
                // SAFETY: the page is in the slot, readable and writable, and nobody else refers
                // to it.
                let bytes = unsafe { &mut *at };
                let pristine = image.pristine(page * PAGE);
                if granule.own & bit != 0 || bytes != pristine {
                    granule.own |= bit;
                    bytes.copy_from_slice(pristine);
                }
            }
        }
    }

    /// Lifts all protection.
    pub(crate) fn release(&mut self) -> Result<(), Error> {
        sys::protect(self.start, self.len, Access::Write)
            .map_err(Error::os("lifting the write protection of an image"))
    }

    /// Empties the set and protects everything again.
    pub(crate) fn forget(&mut self) -> Result<(), Error> {
        self.set.clear();
        self.writable.fill(0);
        self.overflowed = false;
        sys::protect(self.start, self.len, Access::Read)
            .map_err(Error::os("write-protecting an image"))
    }
}
