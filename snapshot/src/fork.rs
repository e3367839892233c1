//! Forks: a slot made identical to another one with the same image, by copying the pages in which they
//! differ.
//!
//! ```text
//!  the other slot    | written to: differs from the image | untouched |
//!                        │ copied                             │ nothing
//!  a pristine slot   | in its learned set | not yet           | the image |
//!                      a copy               UFFDIO_COPY, or learned like a write
//! ```
//!
//! The pages that may differ are those of the other slot's learned set. Where its tracking does not know,
//! the kernel does (see `contents`). Pages that the pristine slot has learned are written to like any
//! memory; where they are zero, zeros are not copied. The kernel gives it others with their contents where
//! it watches by userfaultfd, neighbours at once: neither a signal for each nor a copy of the image's page
//! is needed.

use crate::bound::Bound;
use crate::page_set::{PageSet, runs};
use crate::{Error, PAGE, contents};
use std::iter;
use std::sync::Arc;

/// Most bytes about which the kernel is asked in some 60 µs.
const MOST_ASKED: usize = 64 << 20;

/// Bytes of a page that are copied, or not, together: a few cache lines, so that a branch for each is cheap.
const GROUP: usize = 256;

impl Bound {
    /// The pages that differ from the image, or from zeros behind it: index from the image's start,
    /// ascending, and contents.
    pub fn changed(&self) -> impl Iterator<Item = (usize, &[u8; PAGE])> {
        let known = self.image().prepare_view();
        let pages = self.written().into_pages().map(|page| (page, self.page(page)));
        pages.filter(move |(page, bytes)| !known || self.pristine(*page) != *bytes)
    }

    /// Whether [`Bound::changed`] compares at most so many pages, and is soon done with asking the kernel where the slot
    /// does not know.
    pub fn changed_is_cheap(&self, most: usize) -> bool {
        let known = if self.tracked().overflowed() { 0 } else { self.tracked().watched() };
        let unknown = (self.lead() + self.open_bytes()).saturating_sub(known);
        unknown <= MOST_ASKED && self.written().into_pages().take(most + 1).count() <= most
    }

    /// Has the slot know the pages that were written to, if they were more than it had room for, and a set
    /// can hold them. Otherwise each fork asks the kernel about every page.
    pub fn note_written(&mut self) {
        if self.tracked().overflowed() {
            let watched = self.tracked().watched() / PAGE;
            let pages = self.written().into_pages().take_while(|page| *page < watched);
            let pages = runs(pages);
            self.tracked_mut().adopt(&pages);
        }
    }

    /// Makes this slot, which is as its image is, identical to another one of the same image. Heads keep
    /// their contents.
    ///
    /// # Errors
    /// [`Error::Image`] if the other is of another image; as [`Bound::fill`]. The slot has then to be
    /// reset.
    pub fn fork_from(&mut self, other: &Bound) -> Result<(), Error> {
        if !Arc::ptr_eq(self.image(), other.image()) || self.lead() != other.lead() {
            return Err(Error::Image("a slot can be a fork of slots of its own image only"));
        }
        self.open(other.open_bytes())?;
        let own = self.own();
        let known = self.image().prepare_view();
        // A page that this slot has anyway is copied in the time in which it would be compared.
        let differs = |page: &usize| {
            own.contains(*page) || !known || other.pristine(*page) != other.page(*page)
        };
        let changed = runs(other.written().into_pages().filter(differs));
        self.write(
            &own,
            changed.into_iter().map(|run| (run.start, other.pages(run.start, run.len()))),
        );
        Ok(())
    }

    /// Opens the first `open` bytes of this slot, which is as its image is, and sets pages: runs of
    /// neighbours, each by the index of its first page from the image's start, and contents.
    ///
    /// # Errors
    /// As [`Bound::open`], and [`Error::OutOfBounds`] for a page that is not accessible then. The slot has
    /// then to be reset.
    pub fn fill<'p>(
        &mut self,
        open: usize,
        changed: impl Iterator<Item = (usize, &'p [[u8; PAGE]])> + Clone,
    ) -> Result<(), Error> {
        self.open(open)?;
        let end = (self.lead() + self.open_bytes()) / PAGE;
        let inside = |(first, pages): (usize, &[_])| first <= end && pages.len() <= end - first;
        if !changed.clone().all(inside) {
            return Err(Error::OutOfBounds);
        }
        let own = self.own();
        self.write(&own, changed);
        Ok(())
    }

    /// Writes runs of accessible pages to this slot, which has its `own` pages and is as its image is.
    fn write<'p>(
        &mut self,
        own: &PageSet,
        changed: impl Iterator<Item = (usize, &'p [[u8; PAGE]])>,
    ) {
        let (known, mut count) = (self.learned(), 0);
        for (first, pages) in changed {
            count += pages.len();
            let (mut at, mut rest) = (first, pages);
            while let Some(owned) = (!rest.is_empty()).then(|| own.contains(at)) {
                let alike = (at..at + rest.len()).take_while(|page| own.contains(*page) == owned);
                let (run, others) = rest.split_at(alike.count());
                match owned {
                    true => self.overwrite(at, run),
                    false => self.provide(at, run),
                }
                (at, rest) = (at + run.len(), others);
            }
        }
        let learned = self.learned() - known;
        self.tracked_mut().forked(count, learned);
    }

    /// Writes pages of the slot's own.
    fn overwrite(&mut self, first: usize, pages: &[[u8; PAGE]]) {
        for (page, bytes) in (first..).zip(pages) {
            let zero = self.image().is_zero(page * PAGE);
            let to = self.page_mut(page);
            match zero {
                true => copy_over_zeros(to, bytes),
                false => to.copy_from_slice(bytes),
            }
        }
    }

    /// Writes pages that are not in the learned set.
    fn provide(&mut self, first: usize, pages: &[[u8; PAGE]]) {
        let (mut at, mut rest) = (first, pages);
        while let Some(next) = rest.first() {
            let address = self.page_mut(at).as_ptr() as usize;
            let mut provided = self.tracked_mut().provide(address, rest);
            if provided == 0 {
                self.page_mut(at).copy_from_slice(next);
                provided = 1;
            }
            (at, rest) = (at + provided, &rest[provided..]);
        }
    }

    /// The pages that may differ from the image, or from zeros behind it.
    fn written(&self) -> PageSet {
        let bytes = self.lead() + self.open_bytes();
        let mut set = PageSet::new(bytes / PAGE);
        let known = self.tracked().written(&mut set);
        if known < bytes {
            let start = self.base() as usize - self.lead();
            let unknown = start + known..start + bytes;
            // Without a list from the kernel that is true, any page may have been written to.
            let listed =
                (!self.tracked().hidden()).then(|| contents::private(unknown.clone()).ok());
            for range in listed.flatten().unwrap_or_else(|| iter::once(unknown).collect()) {
                for address in range.step_by(PAGE) {
                    set.insert((address - start) / PAGE);
                }
            }
        }
        set
    }

    /// The pages that can be written to without a fault, as far as the tracking knows.
    fn own(&self) -> PageSet {
        let mut set = PageSet::new((self.lead() + self.open_bytes()) / PAGE);
        self.tracked().written(&mut set);
        set
    }

    /// An accessible page.
    fn page(&self, page: usize) -> &[u8; PAGE] {
        &self.pages(page, 1)[0]
    }

    /// Accessible pages.
    fn pages(&self, first: usize, count: usize) -> &[[u8; PAGE]] {
        let bytes = self.bytes(self.offset(first), count * PAGE);
        bytes.expect("pages of a set are before the end of the open memory").as_chunks().0
    }

    /// An accessible page, to change.
    fn page_mut(&mut self, page: usize) -> &mut [u8; PAGE] {
        let bytes = self.bytes_mut(self.offset(page), PAGE).ok();
        let bytes = bytes.and_then(|bytes| bytes.first_chunk_mut());
        bytes.expect("pages of a set are before the end of the open memory")
    }

    /// The offset of a page from BASE.
    fn offset(&self, page: usize) -> isize {
        (page * PAGE) as isize - self.lead() as isize
    }

    /// The contents that a page has after a reset. The image's view must be there.
    fn pristine(&self, page: usize) -> &[u8; PAGE] {
        self.image().pristine(page * PAGE)
    }
}

/// Makes a page of zeros equal to `bytes`. Most pages of most programs are mostly zeros, and the time of a
/// copy is that of the memory: a group of zeros is read, and neither written nor read where it goes to.
fn copy_over_zeros(page: &mut [u8; PAGE], bytes: &[u8; PAGE]) {
    let words = |group: &[u8; GROUP]| {
        let words = group.as_chunks().0.iter();
        words.fold(0, |all, word| all | u64::from_le_bytes(*word))
    };
    for (to, from) in page.as_chunks_mut::<GROUP>().0.iter_mut().zip(bytes.as_chunks().0) {
        if words(from) != 0 {
            *to = *from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_reaches_a_page_of_zeros() {
        for at in 0..PAGE {
            let (mut page, mut bytes) = ([0; PAGE], [0; PAGE]);
            bytes[at] = 0x80;
            copy_over_zeros(&mut page, &bytes);
            assert!(page == bytes, "byte {at}");
        }
    }
}
