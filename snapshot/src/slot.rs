//! Slots: reservations that images are bound to and reset in.

use crate::image::invalid;
use crate::learn::{LEARN_ALIGN, Restored, Tracker};
use crate::pager::Pager;
use crate::sys::Reservation;
use crate::{Image, PAGE};
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

/// Address space in which one image at a time is mapped.
#[derive(Debug)]
pub struct Slot {
    /// The learned set, while an image is bound and the slot learns. Before the reservation, so
    /// that it ends before somebody else's slot can be in the same place.
    tracker: Option<Box<Tracker>>,
    /// What provides pages after the image, if that is how it grows. Before the reservation too.
    pager: Option<Box<Pager>>,
    reservation: Reservation,
    geometry: Geometry,
    binding: Option<Binding>,
    /// Bytes from BASE on that are accessible, or that are to be used of those that are.
    open: usize,
}

/// How what is after the image becomes accessible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// By protection, when it is opened.
    Protect,
    /// Page by page, at the first access to each that was opened. The process's handler for SIGBUS
    /// must call [`handle_missing_page`](crate::handle_missing_page). The kernel itself cannot
    /// access pages that nobody has touched: see [`Slot::make_writable`].
    Fault,
    /// From the start, all that the slot has: opening only says how much is to be used.
    Whole,
}

/// How a slot knows what a reset has to restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracking {
    /// It does not: a reset discards all private pages, and the next writes fault again.
    Discard,
    /// It learns which pages are written to, and copies them back. The process's handler for
    /// SIGBUS must call [`handle_write_fault`](crate::handle_write_fault). Falls back to
    /// [`Tracking::Discard`] where the kernel cannot, or the image is not in memory.
    Learn,
}

impl Slot {
    /// Reserves the address space. Nothing is accessible until an image is bound.
    ///
    /// # Errors
    /// `OutOfMemory` when the process has no address space or mappings left.
    pub fn reserve(geometry: Geometry) -> io::Result<Slot> {
        let reservation = Reservation::new(geometry.below + geometry.above, geometry.align)?;
        Ok(Slot { reservation, geometry, binding: None, open: 0, tracker: None, pager: None })
    }

    /// What is active for the image bound.
    pub fn tracking(&self) -> Tracking {
        if self.tracker.is_some() { Tracking::Learn } else { Tracking::Discard }
    }

    /// Pages that a reset copies back.
    pub fn learned_pages(&self) -> usize {
        self.tracker.as_ref().map_or(0, |tracker| tracker.learned_pages())
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
        self.open = binding.image.len() - binding.lead;
        let binding = self.binding.insert(binding);
        let image_at = self.geometry.below - binding.lead;
        let head_at = image_at - binding.head;
        self.reservation.map_zeroed(head_at, binding.head + binding.image.len())?;
        for extent in binding.image.extents() {
            let file = binding.image.file();
            self.reservation.map_file(image_at + extent.at, extent.bytes, file, extent.file)?;
        }
        let aligned = self.geometry.align.is_multiple_of(LEARN_ALIGN);
        if binding.tracking == Tracking::Learn && aligned && binding.image.prepare_view() {
            let start = self.reservation.start() + image_at;
            self.tracker = Tracker::new(start, binding.image.len());
        }
        self.map_rest()
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
        (self.tracker, self.pager) = (None, None);
        let Some(binding) = self.binding.take() else { return Ok(()) };
        let before = binding.lead + binding.head;
        let open = std::mem::take(&mut self.open);
        let accessible = match binding.growth {
            Growth::Protect => open,
            Growth::Fault | Growth::Whole => self.geometry.above,
        };
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
                    self.reservation.protect(at, bytes - self.open, true)?;
                }
                Growth::Fault => self.set_pager_end(bytes),
                Growth::Whole => {}
            }
            self.open = bytes;
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
        self.close_opened()?;
        let Some(binding) = &self.binding else { return Ok(()) };
        let image_at = self.geometry.below - binding.lead;
        let Some(tracker) = &mut self.tracker else {
            return self.reservation.discard(image_at, binding.image.len());
        };
        let restored = tracker.restore(&binding.image);
        if restored == Restored::Done {
            return Ok(());
        }
        self.reservation.discard(image_at, binding.image.len())?;
        let worked = match restored {
            Restored::Erratic => tracker.release(),
            _ => tracker.forget(),
        };
        if restored == Restored::Erratic {
            self.tracker = None;
        }
        if worked { Ok(()) } else { Err(io::Error::other("protecting the image")) }
    }

    /// Forgets what is after the image, and that it was opened.
    fn close_opened(&mut self) -> io::Result<()> {
        let Some(binding) = &self.binding else { return Ok(()) };
        let (growth, image_end) = (binding.growth, binding.image.len() - binding.lead);
        let reached = match growth {
            Growth::Protect | Growth::Fault => self.open,
            // Opened or not, anything may have been written to.
            Growth::Whole => self.geometry.above,
        };
        if reached > image_end {
            let (at, grown) = (self.geometry.below + image_end, reached - image_end);
            if growth == Growth::Fault {
                self.set_pager_end(image_end);
            }
            self.reservation.discard(at, grown)?;
            if growth == Growth::Protect {
                self.reservation.protect(at, grown, false)?;
            }
            self.open = image_end;
        }
        Ok(())
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
