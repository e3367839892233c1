//! The exceptions that a store keeps, by place.

use crate::runtime::thrown::{Exception, MARK, Thrown};
use std::sync::Arc;

/// Bytes that exceptions may take before the store looks which are still needed.
pub(super) const FIRST_LOOK: usize = 1 << 20;

/// Bytes that exceptions may take.
pub(super) const MOST_BYTES: usize = 64 << 20;

/// Bytes by which they may grow before it is asked again whether there is room for them: something
/// else may have grown.
pub(super) const SLICE: usize = 64 << 10;

/// The exceptions of a store.
#[derive(Debug)]
pub(super) struct Exceptions {
    pub(super) slots: Vec<Option<Arc<Thrown>>>,
    pub(super) free: Vec<u32>,
    pub(super) bytes: usize,
    /// Look again when they take so many.
    pub(super) next_look: usize,
    /// Bytes that they may take without asking.
    pub(super) known_room: usize,
}

impl Default for Exceptions {
    fn default() -> Self {
        let (slots, free) = (Vec::new(), Vec::new());
        Exceptions { slots, free, bytes: 0, next_look: FIRST_LOOK, known_room: 0 }
    }
}

impl Exceptions {
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Makes the next exception ask whether there is room for it.
    pub(super) fn forget_room(&mut self) {
        self.known_room = 0;
    }

    pub(super) fn index_of(&self, bits: u64) -> Option<usize> {
        let index = (bits ^ MARK) as usize;
        self.slots.get(index)?.as_ref().map(|_| index)
    }

    /// The exception a reference names.
    pub(super) fn get(&self, bits: u64) -> Option<Exception> {
        let index = self.index_of(bits)?;
        self.slots[index].clone().map(Exception)
    }
}

/// Bytes that an exception with so many cells takes.
pub(super) fn bytes_of(cells: usize) -> usize {
    cells * 8 + size_of::<Thrown>() + 64
}
