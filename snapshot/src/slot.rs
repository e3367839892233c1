//! Slots: reservations that images are bound to and reset in.

use crate::cost::{self, History, Verdict};
use crate::granules::Granules;
use crate::image::invalid;
use crate::learn::Tracker;
use crate::pager::Pager;
use crate::sys::{Access, Reservation};
use crate::watch::{Watcher, Way};
use crate::{Image, LEARN_ALIGN, PAGE, WorkingSet};
use std::io;
use std::sync::Arc;

/// The address space a slot takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes before BASE.
    pub below: usize,
    /// Bytes from BASE on, guard included.
    pub above: usize,
    /// The slot starts at a multiple of this.
    pub align: usize,
}

/// An image in a slot.
#[derive(Debug, Clone)]
pub struct Binding {
    /// The image.
    pub image: Arc<Image>,
    /// Bytes of the image that lie before BASE.
    pub lead: usize,
    /// Bytes of ordinary memory before the image.
    pub head: usize,
    /// How to know what a reset has to restore.
    pub tracking: Tracking,
    /// How what is after the image becomes accessible.
    pub growth: Growth,
}

impl Binding {
    /// Bytes of the image from BASE on.
    fn image_end(&self) -> usize {
        self.image.len() - self.lead
    }
}

/// Address space in which one image at a time is mapped.
#[derive(Debug)]
pub struct Slot {
    /// While an image is bound and the slot learns. Before the reservation, so that it ends before
    /// somebody else's slot can be in the same place.
    watcher: Option<Box<Watcher>>,
    /// While an image is bound and the slot learns, or may learn again.
    history: Option<History>,
    /// What provides pages after the image, if that is how it grows. Before the reservation too.
    pager: Option<Box<Pager>>,
    reservation: Reservation,
    geometry: Geometry,
    binding: Option<Binding>,
    /// Bytes from BASE on that are accessible, or that are to be used of those that are.
    open: usize,
    /// Most bytes from BASE on that were accessible since the image was bound.
    most_open: usize,
}

/// How what is after the image becomes accessible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// By protection, when it is opened.
    Protect,
    /// By blocks of pages, at the first access to one that was opened. The process's handler for
    /// SIGBUS must call [`handle_missing_page`](crate::handle_missing_page). The kernel itself cannot
    /// access pages that are not there yet: see [`Slot::make_writable`].
    Fault,
    /// From the start, all that the slot has: opening only says how much is to be used.
    Whole,
}

/// How a slot knows what a reset has to restore.
///
/// For all but [`Tracking::Discard`], the process's handlers for SIGBUS and SIGSEGV must call
/// [`handle_write_fault`](crate::handle_write_fault). Where one of them is not possible, the slot
/// discards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tracking {
    /// The one that should cost least: see [`cost::choose`].
    Auto,
    /// It does not: a reset discards all private pages, and the next writes fault again.
    Discard,
    /// It learns which pages are written to, by userfaultfd, and copies them back.
    Learn,
    /// It learns which granules of [`cost::GRANULE_PAGES`] are written to, by `mprotect`, and copies
    /// back what differs in them. Memory that grew is discarded.
    Granules,
    /// As [`Tracking::Learn`], or else by `mprotect` for each single page: the same pages by either
    /// way, to record a working set. The slot never forgets any.
    Record,
}

impl Tracking {
    /// One word for listings.
    pub const fn name(self) -> &'static str {
        match self {
            Tracking::Auto => "auto",
            Tracking::Discard => "discard",
            Tracking::Learn => "learn",
            Tracking::Granules => "granules",
            Tracking::Record => "record",
        }
    }
}

impl Slot {
    /// Reserves the address space. Nothing is accessible until an image is bound.
    ///
    /// # Errors
    /// `OutOfMemory` when the process has no address space or mappings left.
    pub fn reserve(geometry: Geometry) -> io::Result<Slot> {
        let reservation = Reservation::new(geometry.below + geometry.above, geometry.align)?;
        Ok(Slot {
            watcher: None,
            history: None,
            pager: None,
            reservation,
            geometry,
            binding: None,
            open: 0,
            most_open: 0,
        })
    }

    /// What is active for the image bound: never [`Tracking::Auto`].
    pub fn tracking(&self) -> Tracking {
        let recording = self.recording();
        match self.watcher.as_ref().map(|watcher| watcher.way()) {
            Some(_) if recording => Tracking::Record,
            Some(Way::Pages(_)) => Tracking::Learn,
            Some(Way::Granules(_)) => Tracking::Granules,
            None => Tracking::Discard,
        }
    }

    fn recording(&self) -> bool {
        self.binding.as_ref().is_some_and(|binding| binding.tracking == Tracking::Record)
    }

    /// Pages that a reset restores, or granules.
    pub fn learned_pages(&self) -> usize {
        self.watcher.as_ref().map_or(0, |watcher| watcher.learned())
    }

    /// Most bytes that stay in memory after a reset for the next guest.
    pub fn resident_bytes(&self) -> usize {
        self.watcher.as_ref().map_or(0, |watcher| match watcher.way() {
            Way::Pages(pages) => pages.learned_pages() * PAGE,
            Way::Granules(granules) => granules.pages().count() * PAGE,
        })
    }

    /// The pages that guests wrote to since the image was bound, and how far they grew the memory.
    /// `None` if the slot does not record, or more was written to than can be recorded.
    pub fn recorded(&self) -> Option<WorkingSet> {
        let binding = self.binding.as_ref().filter(|_| self.recording())?;
        let watcher = self.watcher.as_ref().filter(|watcher| !watcher.overflowed())?;
        let mut pages: Vec<usize> = match watcher.way() {
            Way::Pages(pages) => pages.pages().collect(),
            Way::Granules(granules) => granules.pages().collect(),
        };
        pages.sort_unstable();
        let image = binding.image.len();
        let grown = self.most_open - binding.image_end();
        // Only one of the two ways sees pages of memory that grew.
        let in_image = pages.iter().filter(|page| **page < image / PAGE);
        Some(WorkingSet::of_pages(in_image.copied(), image / PAGE, grown))
    }

    /// The address BASE.
    pub fn base(&self) -> *mut u8 {
        (self.reservation.start() + self.geometry.below) as *mut u8
    }

    /// What is bound.
    pub fn binding(&self) -> Option<&Binding> {
        self.binding.as_ref()
    }

    /// Bytes from BASE on that are accessible: those of the image, and those opened since.
    pub fn open_bytes(&self) -> usize {
        self.open
    }

    /// Maps an image, and a zeroed head before it, in place of what was bound.
    ///
    /// # Errors
    /// `InvalidInput` if it does not fit the slot; `Unsupported` if the kernel has no
    /// [`Growth::Fault`]; otherwise what the kernel says. The slot is unbound then.
    pub fn bind(&mut self, binding: Binding) -> io::Result<()> {
        self.unbind()?;
        let bound = self.map(binding);
        if bound.is_err() {
            self.unbind()?;
        }
        bound
    }

    fn map(&mut self, binding: Binding) -> io::Result<()> {
        let before = binding.lead.checked_add(binding.head);
        if before.is_none_or(|before| before > self.geometry.below)
            || binding.image.len() < binding.lead
            || binding.image.len() - binding.lead > self.geometry.above
        {
            return Err(invalid("the image does not fit the slot"));
        }
        self.open = binding.image_end();
        self.most_open = self.open;
        let binding = self.binding.insert(binding);
        let image_at = self.geometry.below - binding.lead;
        let head_at = image_at - binding.head;
        let file = binding.image.file();
        let mut mapped = head_at;
        for extent in binding.image.extents() {
            let (start, end) = (image_at + extent.at, image_at + extent.at + extent.bytes);
            // The head is of the same mapping if it can be: mappings are few, and slots many.
            let with_head = start == image_at && binding.head <= binding.image.head_room();
            let before = if with_head { binding.head } else { 0 };
            self.reservation.map_zeroed(mapped, start - before - mapped)?;
            let from = extent.file - before as u64;
            self.reservation.map_file(start - before, end - start + before, file, from)?;
            mapped = end;
        }
        self.reservation.map_zeroed(mapped, image_at + binding.image.len() - mapped)?;
        let (image, tracking) = (binding.image.clone(), binding.tracking);
        self.watch(cost::way(tracking, &image), &image);
        self.map_rest()?;
        if tracking != Tracking::Record {
            self.expect(&image)?;
        }
        Ok(())
    }

    /// Prepares for what guests are expected to write to.
    fn expect(&mut self, image: &Image) -> io::Result<()> {
        let (Some(watcher), Some(set)) = (&mut self.watcher, image.working_set()) else {
            return Ok(());
        };
        let by_pages = matches!(watcher.way(), Way::Pages(_)) && self.growth() == Growth::Protect;
        let (image_end, end) = (self.open, self.open + set.grown.min(cost::MAX_GROWN));
        if by_pages && end <= self.geometry.above {
            // If there is no memory to promise, the guest will find out by itself.
            let _ = self.open(end);
        }
        if let (Some(watcher), Some(history)) = (&mut self.watcher, &mut self.history) {
            watcher.expect(set);
            history.expect();
        }
        self.close(image_end)
    }

    /// Starts to watch the image in this way, if that is possible.
    fn watch(&mut self, way: Tracking, image: &Image) {
        let Some(binding) = &self.binding else { return };
        if !self.geometry.align.is_multiple_of(LEARN_ALIGN) || !image.prepare_view() {
            return;
        }
        let start = self.reservation.start() + self.geometry.below - binding.lead;
        let (head, len) = (binding.head, image.len());
        let pages = || Tracker::new(start, len, head);
        let all_pages = || {
            let mut tracker = pages()?;
            tracker.make_room();
            Some(tracker)
        };
        let granules = |pages, most| Granules::new(start, len, pages, most).map(Way::Granules);
        let way = match way {
            Tracking::Auto | Tracking::Discard => None,
            Tracking::Learn => pages().map(Way::Pages),
            Tracking::Granules => granules(cost::GRANULE_PAGES, cost::MAX_GRANULES),
            Tracking::Record => {
                all_pages().map(Way::Pages).or_else(|| granules(1, cost::MAX_PAGES))
            }
        };
        self.watcher = way.map(|way| Watcher::new(way, start, len));
        if let (Some(watcher), None) = (&self.watcher, &self.history) {
            self.history = Some(History::new(watcher.rates()));
        }
    }

    /// Makes what is after the image accessible, unless that is done when it is opened.
    fn map_rest(&mut self) -> io::Result<()> {
        let growth = self.growth();
        let rest = self.geometry.above - self.open;
        if growth == Growth::Protect || rest == 0 {
            return Ok(());
        }
        let at = self.geometry.below + self.open;
        self.reservation.map_zeroed(at, rest)?;
        if growth == Growth::Fault {
            let aligned = self.geometry.align.is_multiple_of(LEARN_ALIGN);
            let pager = aligned.then(|| Pager::new(self.reservation.start() + at, rest)).flatten();
            let missing = || io::Error::new(io::ErrorKind::Unsupported, "no userfaultfd");
            self.pager = Some(pager.ok_or_else(missing)?);
        }
        Ok(())
    }

    /// Unmaps what is bound.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn unbind(&mut self) -> io::Result<()> {
        (self.watcher, self.history, self.pager) = (None, None, None);
        let Some(binding) = self.binding.take() else { return Ok(()) };
        let before = binding.lead + binding.head;
        // Closed memory may have kept pages.
        let most_open = std::mem::take(&mut self.most_open);
        let accessible = match binding.growth {
            Growth::Protect => most_open,
            Growth::Fault | Growth::Whole => self.geometry.above,
        };
        self.open = 0;
        let bytes = before + accessible;
        self.reservation.close(self.geometry.below - before, bytes)
    }

    /// Makes the first `bytes` bytes from BASE on accessible; new ones are zero. Never closes any.
    ///
    /// # Errors
    /// `InvalidInput` if `bytes` is not a multiple of [`PAGE`] or beyond the slot; otherwise what
    /// the kernel says.
    pub fn open(&mut self, bytes: usize) -> io::Result<()> {
        if bytes > self.geometry.above || !bytes.is_multiple_of(PAGE) {
            return Err(invalid("cannot open that much of the slot"));
        }
        if bytes > self.open {
            match self.growth() {
                Growth::Protect => {
                    let at = self.geometry.below + self.open;
                    self.reservation.protect(at, bytes - self.open, Access::Write)?;
                }
                Growth::Fault => self.set_pager_end(bytes),
                Growth::Whole => {}
            }
            self.open = bytes;
            self.most_open = self.most_open.max(bytes);
            if let (Some(watcher), Some(binding)) = (&mut self.watcher, &self.binding)
                && binding.growth == Growth::Protect
            {
                watcher.extend(binding.lead + bytes);
            }
        }
        Ok(())
    }

    fn growth(&self) -> Growth {
        self.binding.as_ref().map_or(Growth::Protect, |binding| binding.growth)
    }

    fn set_pager_end(&self, open: usize) {
        if let Some(pager) = &self.pager {
            pager.set_end(self.base() as usize + open);
        }
    }

    /// Makes the slot identical to the image again, and closes what was opened. The head keeps its
    /// contents.
    ///
    /// # Errors
    /// What the kernel says. The slot must then not be used before it is bound anew.
    pub fn reset(&mut self) -> io::Result<()> {
        if self.growth() != Growth::Protect {
            self.discard_rest()?;
        }
        let Some(binding) = &self.binding else { return Ok(()) };
        let recording = binding.tracking == Tracking::Record;
        let (Some(watcher), Some(history)) = (&mut self.watcher, &mut self.history) else {
            return self.reset_unwatched();
        };
        let verdict = match watcher.overflowed() {
            true if recording => return self.discard(),
            true => history.overflowed(),
            false if recording => Verdict::Restore,
            false => history.judge(watcher.learned()),
        };
        if verdict == Verdict::Restore {
            watcher.restore(&binding.image, binding.lead + self.open);
            return self.close_grown();
        }
        self.discard()?;
        match (&mut self.watcher, verdict) {
            (Some(watcher), Verdict::Relearn) => watcher.forget(),
            (Some(watcher), _) => {
                watcher.release()?;
                self.watcher = None;
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }

    /// Resets a slot that does not learn, or not now.
    fn reset_unwatched(&mut self) -> io::Result<()> {
        self.discard()?;
        if let (Some(history), Some(binding)) = (&mut self.history, &self.binding)
            && history.rested()
        {
            let image = binding.image.clone();
            self.watch(cost::way(binding.tracking, &image), &image);
            if self.watcher.is_none() {
                self.history = None; // it would try at each reset
            }
        }
        Ok(())
    }

    /// Closes what was opened. What was watched is zero again, and stays for the next time.
    fn close_grown(&mut self) -> io::Result<()> {
        let Some(binding) = &self.binding else { return Ok(()) };
        let image_end = binding.image_end();
        if self.open == image_end {
            return Ok(());
        }
        let watched = self.watcher.as_ref().map_or(0, |watcher| watcher.watched());
        let kept = watched.saturating_sub(binding.lead).max(image_end);
        if self.open > kept {
            self.reservation.discard(self.geometry.below + kept, self.open - kept)?;
        }
        self.close(image_end)
    }

    /// Discards all private pages, and closes what was opened.
    fn discard(&mut self) -> io::Result<()> {
        let Some(binding) = &self.binding else { return Ok(()) };
        let (lead, image_end) = (binding.lead, binding.image_end());
        let watched = self.watcher.as_ref().map_or(0, |watcher| watcher.watched());
        let end = self.open.max(watched.saturating_sub(lead));
        self.reservation.discard(self.geometry.below - lead, lead + end)?;
        self.close(image_end)
    }

    /// Makes all from `end` bytes from BASE on inaccessible.
    fn close(&mut self, end: usize) -> io::Result<()> {
        if self.open > end {
            let at = self.geometry.below + end;
            self.reservation.protect(at, self.open - end, Access::None)?;
            self.open = end;
        }
        Ok(())
    }

    /// Forgets what is after the image, of a slot where that stays accessible, and that it was opened.
    fn discard_rest(&mut self) -> io::Result<()> {
        let Some(binding) = &self.binding else { return Ok(()) };
        let image_end = binding.image_end();
        self.open = image_end;
        self.set_pager_end(image_end);
        let (slot, below) = (self.reservation.start(), self.geometry.below);
        let touched = match &mut self.pager {
            Some(pager) => pager.take_provided().map(|range| range.start - slot..range.end - slot),
            // Opened or not, anything may have been written to.
            None => Some(below + image_end..below + self.geometry.above),
        };
        let touched = touched.filter(|range| !range.is_empty());
        touched.map_or(Ok(()), |range| self.reservation.discard(range.start, range.len()))
    }

    /// Makes sure that the kernel itself can write to a range, as in `read(2)`: it does not fault
    /// like user code does.
    ///
    /// # Errors
    /// `InvalidInput` if the range is not all accessible.
    pub fn make_writable(&mut self, at: isize, bytes: usize) -> io::Result<()> {
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
    /// `InvalidInput` if they are not all accessible.
    pub fn bytes(&self, at: isize, bytes: usize) -> io::Result<&[u8]> {
        let start = self.accessible(at, bytes)?;
        // SAFETY: the range is mapped and stays so until `&mut self` unmaps it; `&self` keeps
        // writers out.
        Ok(unsafe { std::slice::from_raw_parts(start, bytes) })
    }

    /// The bytes from `at` bytes from BASE on, to write to.
    ///
    /// # Errors
    /// `InvalidInput` if they are not all accessible.
    pub fn bytes_mut(&mut self, at: isize, bytes: usize) -> io::Result<&mut [u8]> {
        let start = self.accessible(at, bytes)?;
        // SAFETY: the range is mapped and stays so while `&mut self` is borrowed, exclusively.
        Ok(unsafe { std::slice::from_raw_parts_mut(start, bytes) })
    }

    fn accessible(&self, at: isize, bytes: usize) -> io::Result<*mut u8> {
        let before = self.binding.as_ref().map_or(0, |binding| binding.lead + binding.head);
        let start = at.checked_add_unsigned(before).and_then(|start| usize::try_from(start).ok());
        let end = start.and_then(|start| start.checked_add(bytes));
        if end.is_none_or(|end| end > before + self.open) {
            return Err(invalid("outside of the accessible part of the slot"));
        }
        Ok(self.base().wrapping_offset(at))
    }
}
