//! The exceptions that a store keeps, by place.

use crate::runtime::thrown::{Exception, MARK, Thrown};
use std::sync::Arc;

/// Bytes that exceptions may take before the store looks which are still needed.
pub(super) const FIRST_LOOK: usize = 1 << 20;

/// Bytes that exceptions may take.
pub(super) const MOST_BYTES: usize = 64 << 20;

/// Units of work that a look at all exceptions takes before the store has the first: one for each, and one for
/// each cell of those that may refer to others.
pub(super) const FIRST_WORK: usize = 8 << 10;

/// Units that a look may take: it is done in one piece, in a fraction of a millisecond.
pub(super) const MOST_WORK: usize = 32 << 10;

/// Most elements of all tables of references to exceptions: a look goes through them too.
pub(super) const MOST_EXCEPTION_ELEMENTS: u64 = 64 << 10;

/// Bytes by which they may grow before it is asked again whether there is room for them: something
/// else may have grown.
pub(super) const SLICE: usize = 64 << 10;

/// The exceptions of a store.
#[derive(Debug)]
pub(super) struct Exceptions {
    pub(super) slots: Vec<Option<Arc<Thrown>>>,
    pub(super) free: Vec<u32>,
    pub(super) bytes: usize,
    /// Units of work that a look at them takes.
    pub(super) work: usize,
    /// Look again when they take so many bytes, or a look so many units.
    pub(super) next_look: usize,
    pub(super) next_work: usize,
    /// Bytes that they may take without asking.
    pub(super) known_room: usize,
}

impl Default for Exceptions {
    fn default() -> Self {
        let (slots, free) = (Vec::new(), Vec::new());
        let (next_look, next_work) = (FIRST_LOOK, FIRST_WORK);
        Exceptions { slots, free, bytes: 0, work: 0, next_look, next_work, known_room: 0 }
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
