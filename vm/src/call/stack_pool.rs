//! Stacks of an engine's suspended calls.
//!
//! A call that may be suspended starts on a stack of its thread, like any other. When it is suspended
//! for the first time it takes that stack along, and the thread gets another: a free one from here,
//! or a new one. When the call has ended, its stack comes here. So a call that never waits costs
//! nothing more, and there are no more stacks than threads have, plus the suspended calls'.

use crate::call::stack::Owned;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most free stacks that are kept.
const MOST_FREE: usize = 16;

/// How many stacks suspended calls have, and free ones.
#[derive(Debug)]
pub(crate) struct StackPool {
    /// Bytes of stack a guest may use.
    bytes: usize,
    /// Most stacks of suspended calls.
    max: usize,
    taken: AtomicUsize,
    free: Mutex<Vec<Owned>>,
}

impl StackPool {
    /// At most `max` stacks of `bytes` bytes for guests.
    pub(crate) fn new(bytes: usize, max: usize) -> StackPool {
        StackPool { bytes, max, taken: AtomicUsize::new(0), free: Mutex::default() }
    }

    /// Bytes of stack a guest may use.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Most stacks of suspended calls.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// Whether one more call could be suspended now.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.taken.load(Relaxed) < self.max
    }

    /// Counts one more suspended call, if there may be one.
    pub(super) fn count(&self) -> bool {
        let counted = self.taken.fetch_add(1, Relaxed) < self.max;
        if !counted {
            self.discount();
        }
        counted
    }

    /// Counts a suspended call less: its stack is of no use any more.
    pub(super) fn discount(&self) {
        self.taken.fetch_sub(1, Relaxed);
    }

    /// A free stack, if there is one.
    pub(super) fn take_free(&self) -> Option<Owned> {
        self.free().pop()
    }

    /// Takes the stack of a call back that was suspended and has ended.
    pub(super) fn put_back(&self, mut stack: Owned) {
        self.discount();
        stack.trim();
        let mut free = self.free();
        if free.len() < MOST_FREE {
            free.push(stack);
        }
    }

    /// Unmaps the free stacks.
    pub(crate) fn give_back_free(&self) {
        let free = std::mem::take(&mut *self.free());
        drop(free);
    }

    fn free(&self) -> MutexGuard<'_, Vec<Owned>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
