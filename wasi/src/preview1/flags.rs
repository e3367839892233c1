//! `fdflags`: flags of a descriptor that a guest can change.

use super::errno::Errno;
use crate::files::{Durability, WriteAt};

/// A set of `fdflags`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flags(u16);

impl Flags {
    /// Writes go to the end.
    pub(crate) const APPEND: Flags = Flags(1 << 0);
    /// Writes are on the disk when they return.
    pub(crate) const DSYNC: Flags = Flags(1 << 1);
    /// What would have to wait answers `EAGAIN`.
    pub(crate) const NONBLOCK: Flags = Flags(1 << 2);
    /// Reads see to it that what they read is on the disk as writes do.
    pub(crate) const RSYNC: Flags = Flags(1 << 3);
    /// Writes, and all that is known of the file, are on the disk when they return.
    pub(crate) const SYNC: Flags = Flags(1 << 4);

    const ALL: u32 = 0b1_1111;

    /// The flags with these bits.
    ///
    /// # Errors
    /// [`Errno::Inval`] if one means nothing.
    pub(crate) fn new(bits: u32) -> Result<Flags, Errno> {
        if bits & !Flags::ALL == 0 { Ok(Flags(bits as u16)) } else { Err(Errno::Inval) }
    }

    /// Whether `flag` is set.
    pub(crate) fn has(self, flag: Flags) -> bool {
        self.0 & flag.0 != 0
    }

    /// Where a write at `position` goes.
    pub(crate) fn at(self, position: u64) -> WriteAt {
        if self.has(Flags::APPEND) { WriteAt::End } else { WriteAt::Offset(position) }
    }

    /// Bytes that have to be on the disk when a write returns.
    pub(crate) fn durability(self) -> Durability {
        if self.has(Flags::SYNC) {
            Durability::File
        } else if self.has(Flags::DSYNC) {
            Durability::Data
        } else {
            Durability::None
        }
    }

    /// The bits.
    pub(crate) fn bits(self) -> u16 {
        self.0
    }
}
