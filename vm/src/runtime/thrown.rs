//! Exceptions as the embedder holds them.

use crate::runtime::code::Frame;
use crate::runtime::trap::Backtrace;
use std::fmt;
use std::sync::Arc;

/// An exception, as the embedder holds it; alive as long as this.
#[derive(Clone)]
pub struct Exception(pub(super) Arc<Thrown>);

/// An exception as its store keeps it.
#[derive(Debug)]
pub(crate) struct Thrown {
    pub(super) store: u32,
    /// Place in the store's list of exceptions.
    pub(super) index: u32,
    /// Place of its tag among the store's tags.
    pub(super) tag: u32,
    /// The values, in cells, references to functions in terms that hold in every instance.
    pub(super) values: Box<[u64]>,
}

impl fmt::Debug for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exception(tag {})", self.0.tag)
    }
}

impl Exception {
    /// The store that has it, and the place of its tag there.
    pub(crate) fn tag_place(&self) -> (u32, u32) {
        (self.0.store, self.0.tag)
    }

    /// The values, in cells.
    pub(crate) fn cells(&self) -> &[u64] {
        &self.0.values
    }

    pub(super) fn to_bits(&self) -> u64 {
        MARK | u64::from(self.0.index)
    }
}

/// An exception on its way to its handler, while its guest is preempted.
#[derive(Debug)]
pub(super) struct Throwing {
    /// The instance that throws it.
    pub(super) instance: u32,
    /// Kept alive by this.
    pub(super) exception: Exception,
    /// The next frame to look at.
    pub(super) at: usize,
}

/// The upper half of references to exceptions, unlikely in anything else.
pub(super) const MARK: u64 = 0x6578_6e72 << 32;

/// An exception that nobody in the guest caught.
#[derive(Debug, Clone)]
pub struct Uncaught {
    /// The exception.
    pub exception: Exception,
    pub(super) backtrace: Backtrace,
}

impl Uncaught {
    /// The guest's frames where it was thrown last, innermost first.
    pub fn frames(&self) -> Vec<Frame> {
        self.backtrace.frames()
    }
}

impl fmt::Display for Uncaught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uncaught exception{}", self.backtrace)
    }
}

impl std::error::Error for Uncaught {}
