//! Bound slots: an image in a slot, and the memory after it.
//!
//! ```text
//!  start          head      image             opened            guard
//!  |──────────────|─────────|────────┬────────|─────────────────|────────────|
//!    inaccessible                    BASE     grown by `open`     inaccessible
//! ```

use crate::contents;
use crate::cost;
use crate::growth::Grown;
use crate::history::Verdict;
use crate::slot::Slot;
use crate::sys::PIECE;
use crate::tracking::{Mapped, Tracked};
use crate::{Error, Growth, Image, PAGE, Tracking, WorkingSet};
use std::iter;
use std::ops::Range;
use std::sync::Arc;

/// An image, and how it is to be in a slot.
#[derive(Debug, Clone)]
pub struct Binding {
    /// The image.
    pub image: Arc<Image>,
    /// Bytes of the image that lie before BASE.
    pub lead: usize,
    /// Bytes of ordinary memory before the image.
    pub head: usize,
    /// How to know which pages a reset has to restore.
    pub tracking: Tracking,
    /// How memory after the image becomes accessible.
    pub growth: Growth,
}

/// An image could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct BindError {
    /// The reason.
    pub error: Error,
    /// The slot, unbound; `None` if the kernel could not even unmap it.
    pub slot: Option<Slot>,
}

/// A slot with an image in it.
#[derive(Debug)]
pub struct Bound {
    // Before the slot, as `grown`: handlers must not find them once another slot may be here.
    tracked: Tracked,
    grown: Grown,
    lead: usize,
    head: usize,
    slot: Slot,
    // After the slot: as long as anything of the image is mapped, nothing else may be in its place.
    image: Arc<Image>,
}

impl Bound {
    pub(crate) fn new(mut slot: Slot, binding: Binding) -> Result<Bound, BindError> {
        let Binding { image, lead, head, .. } = &binding;
        let (bytes, before) = (image.len(), lead.saturating_add(*head));
        let fits = before <= slot.below()
            && bytes.checked_sub(*lead).is_some_and(|above| above <= slot.above());
        if !fits {
            return Err(BindError { error: Error::TooLarge { bytes, before }, slot: Some(slot) });
        }
        match map(&mut slot, &binding) {
            Ok((tracked, grown)) => {
                let Binding { image, lead, head, tracking: _, growth: _ } = binding;
                Ok(Bound { tracked, grown, lead, head, slot, image })
            }
            Err(error) => {
                let slot = slot.emptied().ok();
                if slot.is_none() {
                    keep(binding.image);
                }
                Err(BindError { error, slot })
            }
        }
    }

    /// Unmaps the image.
    ///
    /// # Errors
    /// [`Error::Os`]; the slot is given up then.
    pub fn unbind(self) -> Result<Slot, Error> {
        let Bound { tracked, grown, lead, head, mut slot, image } = self;
        let (before, end) = (lead + head, grown.mapped_end(&slot));
        drop((tracked, grown));
        match slot.reservation.close(slot.below() - before, before + end) {
            Ok(()) => Ok(slot),
            Err(error) => {
                keep(image);
                Err(error)
            }
        }
    }

    /// Makes the slot identical to the image again, and closes opened memory. The head keeps its
    /// contents.
    ///
    /// # Errors
    /// [`Error::Os`]. The slot must then not be used before it is bound anew.
    pub fn reset(&mut self) -> Result<(), Error> {
        // No `..`: a forgotten field would leak from this guest to the next one.
        let Bound { tracked, grown, image, lead, head, slot } = self;
        grown.discard_accessible(slot)?;
        let verdict = tracked.restore(image, *lead + grown.open_bytes());
        let watched = tracked.watched().saturating_sub(*lead);
        if verdict == Verdict::Restore {
            return grown.close_cleared(slot, watched);
        }
        let end = grown.open_bytes().max(watched);
        slot.reservation.discard(slot.below() - *lead, *lead + end)?;
        grown.close(slot)?;
        if verdict == Verdict::Discard {
            return Ok(());
        }
        let mapped = Mapped { image, start: slot.base() - *lead, head: *head };
        tracked.after_discard(verdict, mapped)
    }

    /// Gives a piece of the pages back that a reset to come gives back anyway: 4 MiB from `from` on, counted from
    /// BASE, or from where nothing is tracked: the reset has to see the other pages. Where the next piece
    /// begins, if there is one.
    ///
    /// # Errors
    /// [`Error::Os`]. The reset meets it too.
    pub fn shed(&mut self, from: usize) -> Result<Option<usize>, Error> {
        let Bound { tracked, grown, lead, slot, .. } = self;
        let tracks = tracked.active() != Tracking::Discard;
        let kept = if tracks { grown.kept(tracked.watched().saturating_sub(*lead)) } else { 0 };
        let (from, end) = (from.max(kept), grown.open_bytes());
        if from >= end {
            return Ok(None);
        }
        let bytes = PIECE.min(end - from);
        slot.reservation.discard(slot.below() + from, bytes)?;
        Ok(Some(from + bytes))
    }

    /// Makes the first `bytes` bytes from BASE on accessible; new ones are zero. Never closes any.
    ///
    /// # Errors
    /// [`Error::Open`] if `bytes` is not a multiple of [`PAGE`] or beyond the slot; otherwise
    /// [`Error::Os`].
    pub fn open(&mut self, bytes: usize) -> Result<(), Error> {
        let Bound { tracked, grown, slot, lead, .. } = self;
        open(slot, tracked, grown, bytes, *lead)
    }

    /// The way of tracking that is active: never [`Tracking::Auto`].
    pub fn tracking(&self) -> Tracking {
        self.tracked.active()
    }

    /// How memory after the image becomes accessible.
    pub fn growth(&self) -> Growth {
        self.grown.growth()
    }

    /// Pages that a reset restores, or granules.
    pub fn learned(&self) -> usize {
        self.tracked.elements()
    }

    /// Most bytes that stay in memory after a reset for the next guest.
    pub fn resident_bytes(&self) -> usize {
        self.tracked.resident_bytes()
    }

    /// Nanoseconds that a reset takes at most, as far as the cost model knows, if at most `written` pages
    /// were written to. Asks the kernel nothing.
    pub fn reset_nanos(&self, written: usize) -> u64 {
        let open = (self.lead + self.grown.most_open()) / PAGE;
        let restored = (self.resident_bytes() / PAGE) as u64;
        restored * cost::COPY_PAGE + written.min(open) as u64 * cost::GIVE_BACK_PAGE
    }

    /// The pages that guests wrote to since the image was bound, and how far they grew the memory.
    /// `None` if the slot does not record, or more was written to than can be recorded.
    pub fn recorded(&self) -> Option<WorkingSet> {
        let pages = self.tracked.recorded()?;
        let image = self.image.len() / PAGE;
        // Only userfaultfd sees pages of memory that grew.
        let in_image = pages.into_iter().filter(|page| *page < image);
        Some(WorkingSet::of_pages(in_image, image, self.grown.most_grown()))
    }

    /// The address BASE.
    #[inline]
    pub fn base(&self) -> *mut u8 {
        self.slot.base() as *mut u8
    }

    /// Bytes from BASE on that are accessible: the image, and memory opened since.
    #[inline]
    pub fn open_bytes(&self) -> usize {
        self.grown.open_bytes()
    }

    /// Makes sure that the kernel itself can write to a range, as in `read(2)`: it does not fault
    /// like user code does.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] if the range is not all accessible.
    pub fn make_writable(&mut self, at: isize, bytes: usize) -> Result<(), Error> {
        for page in self.bytes_mut(at, bytes)?.chunks_mut(PAGE) {
            let last = page.len() - 1;
            for index in [0, last] {
                let byte = std::hint::black_box(page[index]);
                // SAFETY: a reference to a byte of the slice. Volatile, since the write counts and
                // not the value.
                unsafe { std::ptr::write_volatile(&mut page[index], byte) };
            }
        }
        Ok(())
    }

    /// The bytes from `at` bytes from BASE on.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] if they are not all accessible.
    pub fn bytes(&self, at: isize, bytes: usize) -> Result<&[u8], Error> {
        let start = self.accessible(at, bytes)?;
        // SAFETY: the range is mapped and stays so until `&mut self` unmaps it; `&self` keeps
        // writers out.
        Ok(unsafe { std::slice::from_raw_parts(start, bytes) })
    }

    /// The bytes from `at` bytes from BASE on, to write to.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] if they are not all accessible.
    #[inline]
    pub fn bytes_mut(&mut self, at: isize, bytes: usize) -> Result<&mut [u8], Error> {
        let start = self.accessible(at, bytes)?;
        // SAFETY: the range is mapped and stays so while `&mut self` is borrowed, exclusively.
        Ok(unsafe { std::slice::from_raw_parts_mut(start, bytes) })
    }

    /// The bytes from BASE on that are accessible, no more than `most`, to write to.
    #[inline]
    pub fn first_mut(&mut self, most: usize) -> &mut [u8] {
        let bytes = most.min(self.open_bytes());
        // SAFETY: the range is mapped and stays so while `&mut self` is borrowed, exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.base(), bytes) }
    }

    /// The ranges of bytes from BASE on, negative before it, that may be anything but zero: the image's
    /// stored pages, and those touched since. Ascending, each of whole pages.
    pub fn contents(&self) -> Vec<Range<isize>> {
        let start = self.base() as usize - self.lead;
        let end = self.base() as usize + self.open_bytes();
        // Without a list from the kernel, any page may have been touched.
        let mut ranges =
            contents::touched(start..end).unwrap_or_else(|_| iter::once(start..end).collect());
        let stored = self.image.stored();
        ranges.extend(stored.iter().map(|(at, bytes)| start + at..start + at + bytes));
        let from_base = |address: usize| address.wrapping_sub(self.base() as usize) as isize;
        let ranges = contents::union(ranges).into_iter();
        ranges.map(|range| from_base(range.start)..from_base(range.end)).collect()
    }

    /// The image.
    pub(crate) fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// Bytes of the image before BASE.
    pub(crate) fn lead(&self) -> usize {
        self.lead
    }

    /// The tracking of writes.
    pub(crate) fn tracked(&self) -> &Tracked {
        &self.tracked
    }

    /// The tracking of writes, to change.
    pub(crate) fn tracked_mut(&mut self) -> &mut Tracked {
        &mut self.tracked
    }

    #[inline]
    fn accessible(&self, at: isize, bytes: usize) -> Result<*mut u8, Error> {
        let before = self.lead + self.head;
        let start = at.checked_add_unsigned(before).and_then(|start| usize::try_from(start).ok());
        let end = start.and_then(|start| start.checked_add(bytes));
        if end.is_none_or(|end| end > before + self.open_bytes()) {
            return Err(Error::OutOfBounds);
        }
        Ok(self.base().wrapping_offset(at))
    }
}

/// Keeps an image that may still be mapped somewhere as long as the process.
fn keep(image: Arc<Image>) {
    std::mem::forget(image);
}

/// Maps all of an image that fits. If this fails, anything may be mapped.
fn map(slot: &mut Slot, binding: &Binding) -> Result<(Tracked, Grown), Error> {
    let Binding { image, lead, head, tracking, growth } = binding;
    map_image(slot, image, slot.below() - lead, *head)?;
    let mapped = Mapped { image, start: slot.base() - lead, head: *head };
    let possible = if slot.can_be_found() { *tracking } else { Tracking::Discard };
    let mut tracked = Tracked::new(possible, mapped);
    let image_end = image.len() - lead;
    let mut grown = Grown::new(*growth, image_end, slot)?;
    if let Some(set) = image.working_set() {
        if tracked.active() == Tracking::Pages && *growth == Growth::Protect {
            let end = image_end + set.grown.min(crate::cost::MAX_GROWN);
            // If there is no memory to promise, the guest will find out by itself.
            let _ = open(slot, &mut tracked, &mut grown, end, *lead);
        }
        tracked.expect(set);
        grown.close(slot)?;
    }
    Ok((tracked, grown))
}

/// Maps an image at `image_at` bytes from the start of the slot, with `head` zeroed bytes before it.
fn map_image(slot: &mut Slot, image: &Image, image_at: usize, head: usize) -> Result<(), Error> {
    let reservation = &mut slot.reservation;
    let mut mapped = image_at - head;
    if let Some(file) = image.file() {
        for extent in image.extents() {
            let (start, end) = (image_at + extent.at, image_at + extent.at + extent.bytes);
            // The head is of the same mapping if it can be: mappings are few, and slots many.
            let with_head = start == image_at && head <= image.head_room();
            let before = if with_head { head } else { 0 };
            reservation.map_zeroed(mapped, start - before - mapped)?;
            let from = extent.file - before as u64;
            reservation.map_file(start - before, end - start + before, file, from)?;
            mapped = end;
        }
    }
    reservation.map_zeroed(mapped, image_at + image.len() - mapped)
}

/// Opens memory after the image, and watches it if the tracking can.
fn open(
    slot: &mut Slot,
    tracked: &mut Tracked,
    grown: &mut Grown,
    bytes: usize,
    lead: usize,
) -> Result<(), Error> {
    let before = grown.open_bytes();
    if grown.open(slot, bytes)? {
        tracked.extend(lead + before..lead + bytes);
    }
    Ok(())
}
