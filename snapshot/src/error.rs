//! Why pages could not be reserved, mapped or restored.

use crate::{LEARN_ALIGN, Missing};
use std::io;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("{doing}: {source}")]
    Os {
        /// The operation that needed it.
        doing: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// An image whose extents cannot be.
    #[error("impossible image: {0}")]
    Image(&'static str),
    /// More images than there may be.
    #[error("no room for an image of {bytes} bytes: there are {present} of at most {most} already")]
    ImageMemory {
        /// Bytes of the image.
        bytes: u64,
        /// Bytes of all images that there are.
        present: u64,
        /// Most bytes of all images.
        most: u64,
    },
    /// A working set that cannot be, or not of this image.
    #[error("impossible working set: {0}")]
    WorkingSet(&'static str),
    /// An image, with its head, that is larger than the slot.
    #[error(
        "an image of {bytes} bytes, {before} of them and of its head before BASE, is too large"
    )]
    TooLarge {
        /// Bytes of the image.
        bytes: usize,
        /// Bytes of the image and its head that would lie before BASE.
        before: usize,
    },
    /// More memory than the slot has, or not whole pages.
    #[error("cannot open {bytes} bytes of the slot")]
    Open {
        /// Bytes from BASE on.
        bytes: usize,
    },
    /// A range that is not all accessible.
    #[error("outside of the accessible part of the slot")]
    OutOfBounds,
    /// [`Growth::Fault`](crate::Growth::Fault), in a slot that handlers cannot find.
    #[error("pages on demand need a slot at a multiple of {LEARN_ALIGN} bytes")]
    Unaligned,
    /// [`Growth::Fault`](crate::Growth::Fault), without userfaultfd.
    #[error("pages on demand need userfaultfd: {0}")]
    Userfaultfd(#[from] Missing),
}

impl Error {
    /// Puts the operation before the kernel's answer.
    pub(crate) fn os<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> Error {
        move |source| Error::Os { doing, source: source.into() }
    }

    /// Whether memory, address space or mappings ran out: it may work after others gave some back.
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Error::Os { source, .. } if source.kind() == io::ErrorKind::OutOfMemory)
    }
}
