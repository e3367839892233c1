//! Slots: reservations that images are bound to and reset in.

use crate::image::invalid;
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
}

/// Address space in which one image at a time is mapped.
#[derive(Debug)]
pub struct Slot {
    reservation: Reservation,
    geometry: Geometry,
    binding: Option<Binding>,
    /// Bytes from BASE on that are accessible.
    open: usize,
}

impl Slot {
    /// Reserves the address space. Nothing is accessible until an image is bound.
    ///
    /// # Errors
    /// `OutOfMemory` when the process has no address space or mappings left.
    pub fn reserve(geometry: Geometry) -> io::Result<Slot> {
        let reservation = Reservation::new(geometry.below + geometry.above, geometry.align)?;
        Ok(Slot { reservation, geometry, binding: None, open: 0 })
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
    /// `InvalidInput` if it does not fit the slot; otherwise what the kernel says. The slot is
    /// unbound then.
    pub fn bind(&mut self, binding: Binding) -> io::Result<()> {
        self.unbind()?;
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
        Ok(())
    }

    /// Unmaps what is bound.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn unbind(&mut self) -> io::Result<()> {
        let Some(binding) = self.binding.take() else { return Ok(()) };
        let before = binding.lead + binding.head;
        let bytes = before + std::mem::take(&mut self.open);
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
            self.reservation.protect(self.geometry.below + self.open, bytes - self.open, true)?;
            self.open = bytes;
        }
        Ok(())
    }

    /// Makes the slot identical to the image again, and closes what was opened. The head keeps its
    /// contents.
    ///
    /// # Errors
    /// What the kernel says. The slot must then not be used before it is bound anew.
    pub fn reset(&mut self) -> io::Result<()> {
        let Some(binding) = &self.binding else { return Ok(()) };
        let image_at = self.geometry.below - binding.lead;
        self.reservation.discard(image_at, binding.lead + self.open)?;
        let image_end = binding.image.len() - binding.lead;
        if self.open > image_end {
            let grown = self.open - image_end;
            self.reservation.protect(self.geometry.below + image_end, grown, false)?;
            self.open = image_end;
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
