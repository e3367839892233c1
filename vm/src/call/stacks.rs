//! Stacks of a thread, lent to the stores whose guests run on them.
//!
//! Nothing of a guest is on a stack between its calls, so a store needs none then: thousands of
//! idle faaslets share the stacks of a few threads. A thread's *first* stack is for its outermost
//! calls. A call that is nested in a call of another store gets another, as large as the first. A call
//! that is suspended takes its stack along.

use crate::call::current::{current, under_way};
use crate::call::stack::{GuestStack, Owned};
use crate::call::stack_pool::StackPool;
use std::cell::{Cell, RefCell};
use std::io;

/// Most stacks that a thread keeps beside those in use when it needs one more.
const MOST_UNUSED: usize = 8;

thread_local! {
    /// The [`GuestStack::id`] of this thread's first stack, or zero.
    static FIRST: Cell<u64> = const { Cell::new(0) };
    /// All stacks of this thread.
    static STACKS: Stacks = const { Stacks(RefCell::new(Vec::new())) };
}

struct Stacks(RefCell<Vec<Owned>>);

impl Drop for Stacks {
    fn drop(&mut self) {
        forget_first();
        if !current().is_null() {
            // The process ends in the middle of a host function: this runs on one of them.
            std::mem::forget(self.0.take());
        }
    }
}

/// Whether a stack is the first of this thread, ready for an outermost call.
#[inline]
pub(crate) fn is_first_here(stack: GuestStack) -> bool {
    stack.id() != 0 && stack.id() == FIRST.get()
}

/// Makes the next call of this thread see to it that there is all it needs.
pub(crate) fn forget_first() {
    FIRST.set(0);
}

/// Never lends a stack again: a host function was left in the middle on it, and other threads
/// may still refer to its frames. Its memory is never given back.
#[cold]
pub(crate) fn retire(stack: GuestStack) {
    forget_first();
    let _ = STACKS.try_with(|Stacks(stacks)| {
        let mut stacks = stacks.borrow_mut();
        if let Some(at) = stacks.iter().position(|owned| owned.place().id() == stack.id()) {
            std::mem::forget(stacks.swap_remove(at));
        }
    });
}

/// Takes a stack away from this thread: the call on it is suspended. `None` if it is not the
/// thread's.
pub(super) fn give_away(stack: GuestStack) -> Option<Owned> {
    if is_first_here(stack) {
        forget_first();
    }
    let given = STACKS.try_with(|Stacks(stacks)| {
        let mut stacks = stacks.borrow_mut();
        let at = stacks.iter().position(|owned| owned.place().id() == stack.id())?;
        Some(stacks.swap_remove(at))
    });
    given.ok().flatten()
}

/// A stack of this thread, as large as those of `pool`, that no call under way uses. It becomes
/// the thread's first if there is no call under way at all. `None` if the thread ends.
///
/// # Errors
/// [`io::Error`] if there is no memory for one more.
#[cold]
pub(crate) fn choose(pool: &StackPool) -> io::Result<Option<GuestStack>> {
    let bytes = pool.bytes();
    let chosen = STACKS.try_with(|Stacks(stacks)| -> io::Result<GuestStack> {
        let in_use =
            |owned: &Owned| under_way().any(|call| call.stack().id() == owned.place().id());
        let fits = |owned: &&Owned| owned.bytes() == bytes && !in_use(owned);
        if let Some(owned) = stacks.borrow().iter().find(fits) {
            return Ok(owned.place());
        }
        // Not while they are borrowed: a host function may be at the end of its own stack here.
        let owned = pool.take_free().map_or_else(|| Owned::new(bytes), Ok)?;
        let place = owned.place();
        let mut stacks = stacks.borrow_mut();
        if stacks.iter().filter(|owned| !in_use(owned)).count() >= MOST_UNUSED {
            stacks.retain(in_use);
        }
        stacks.push(owned);
        Ok(place)
    });
    let Ok(chosen) = chosen else { return Ok(None) };
    let chosen = chosen?;
    if current().is_null() {
        FIRST.set(chosen.id());
    }
    Ok(Some(chosen))
}
