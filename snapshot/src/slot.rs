//! Slots: reservations of address space, unbound.

use crate::bound::{BindError, Binding, Bound};
use crate::sys::Reservation;
use crate::{Error, LEARN_ALIGN};

/// The address space of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes before BASE.
    pub below: usize,
    /// Bytes from BASE on, guard included.
    pub above: usize,
    /// The slot starts at a multiple of this.
    pub align: usize,
}

/// Reserved address space, all of it inaccessible, that waits for an image.
#[derive(Debug)]
pub struct Slot {
    pub(crate) reservation: Reservation,
    geometry: Geometry,
}

impl Slot {
    /// Reserves the address space.
    ///
    /// # Errors
    /// [`Error::Os`] when the process has no address space or mappings left.
    pub fn reserve(geometry: Geometry) -> Result<Slot, Error> {
        let reservation = Reservation::new(geometry.below + geometry.above, geometry.align)
            .map_err(Error::os("reserving a slot (limited by vm.max_map_count and RLIMIT_AS)"))?;
        Ok(Slot { reservation, geometry })
    }

    /// Maps an image, and a zeroed head before it.
    ///
    /// # Errors
    /// [`BindError`], which gives the slot back: [`Error::TooLarge`], [`Error::Userfaultfd`] if the
    /// kernel has no [`Growth::Fault`](crate::Growth::Fault), otherwise [`Error::Os`].
    pub fn bind(self, binding: Binding) -> Result<Bound, BindError> {
        Bound::new(self, binding)
    }

    /// The address BASE.
    pub(crate) fn base(&self) -> usize {
        self.reservation.start() + self.geometry.below
    }

    /// Bytes before BASE.
    pub(crate) fn below(&self) -> usize {
        self.geometry.below
    }

    /// Bytes from BASE on.
    pub(crate) fn above(&self) -> usize {
        self.geometry.above
    }

    /// Whether handlers can find the slot by the address of a fault (see `table`).
    pub(crate) fn can_be_found(&self) -> bool {
        self.geometry.align.is_multiple_of(LEARN_ALIGN)
    }

    /// The slot without whatever is mapped in it.
    pub(crate) fn emptied(mut self) -> Result<Slot, Error> {
        self.reservation.close(0, self.geometry.below + self.geometry.above)?;
        Ok(self)
    }
}
