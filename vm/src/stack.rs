//! Guest stacks: a thread's, lent to the store whose guest runs on it.
//!
//! ```text
//!   low                                                             high
//!   | guard, 64 KiB | head room for host code | the guest's part ... |
//!                   |                         RuntimeContext::stack_limit
//!                   the guest itself may run down to here
//! ```
//!
//! Compiled code does not check the stack: it runs into the guard. Frames above 4 KiB are probed
//! page by page and smaller ones touch the stack at least once in 4 KiB and a few words, so the
//! guard of several pages cannot be jumped over. Stubs check for the head room before they call
//! host code, which then has at least that much.
//!
//! Nothing of a guest is on a stack between its calls, so a store needs none then: thousands of
//! idle faaslets share those of a few threads. A thread's *first* stack is that of its outermost
//! calls. A call that is nested in one of another store gets another, as large as the first.

use crate::entry::Activation;
use crate::error::Error;
use crate::faults;
use corosensei::stack::{DefaultStack, Stack};
use std::cell::{Cell, RefCell};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wfaas_abi::layout::{PAGE, page_align};

/// Bytes for host functions called by the guest.
const HOST_HEAD_ROOM: usize = 256 << 10;

/// Bytes of the guard. The stack's own is one page.
const GUARD: usize = 64 << 10;

/// Most stacks that a thread keeps beside those in use when it needs one more.
const MOST_UNUSED: usize = 8;

/// Where a guest's stack is. Its thread has it, and keeps it while a call is under way there.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct GuestStack {
    low: usize,
    top: usize,
    /// Of all stacks there ever were; zero if this is none.
    id: u64,
}

impl GuestStack {
    /// The address to start at; a multiple of 16.
    #[inline]
    pub(crate) fn top(&self) -> usize {
        self.top
    }

    /// Different from that of any other stack, whenever.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Whether it is the first of this thread, ready for an outermost call.
    #[inline]
    pub(crate) fn is_first_here(&self) -> bool {
        self.id != 0 && self.id == FIRST.get()
    }

    /// Host code is called only with the stack pointer above this.
    pub(crate) fn host_limit(&self) -> usize {
        self.low + GUARD + HOST_HEAD_ROOM
    }

    /// Whether `address` is in the guard.
    pub(crate) fn guards(&self, address: usize) -> bool {
        (self.low..self.low + GUARD).contains(&address)
    }

    /// Whether `address` is on this stack.
    pub(crate) fn contains(&self, address: usize) -> bool {
        (self.low..self.top).contains(&address)
    }

    /// Shows every aligned word from here up to the top, and the registers that callers may have
    /// left values in, if the thread is on this stack. If it is not, a host function may still be
    /// waiting there for this thread: then all of the stack is shown.
    ///
    /// # Safety
    /// A call must be under way on this stack.
    pub(crate) unsafe fn scan(&self, mut show: impl FnMut(u64)) {
        let mut registers = [0u64; 5];
        // SAFETY: stores the registers that a function must preserve, and nothing else.
        unsafe {
            std::arch::asm!(
                "mov [{0}], rbx",
                "mov [{0} + 8], r12",
                "mov [{0} + 16], r13",
                "mov [{0} + 24], r14",
                "mov [{0} + 32], rbp",
                in(reg) registers.as_mut_ptr(),
                options(nostack, preserves_flags),
            );
        }
        registers.into_iter().for_each(&mut show);
        let here = registers.as_ptr() as usize;
        let lowest = if self.contains(here) { here } else { self.low + GUARD };
        for at in (lowest..self.top).step_by(size_of::<u64>()) {
            // SAFETY: between the guard and the top the stack is mapped, while there is a call; the
            // frames on it belong to callers of this function, on this thread or on one that waits
            // for it.
            show(unsafe { (at as *const u64).read_volatile() });
        }
    }
}

/// A stack, and how many bytes of it are for a guest.
struct Owned {
    /// Unmapped when it is dropped.
    _memory: DefaultStack,
    bytes: usize,
    place: GuestStack,
}

impl Owned {
    /// Of `bytes` bytes for the guest, and the head room.
    fn new(bytes: usize) -> io::Result<Owned> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let usable = page_align(bytes.clamp(PAGE, 1 << 30));
        let memory = DefaultStack::new(usable + HOST_HEAD_ROOM + GUARD)?;
        let low = memory.limit().get();
        // SAFETY: the range is the low end of the new stack, which nobody uses yet.
        unsafe { region::protect(low as *const u8, GUARD, region::Protection::NONE) }
            .map_err(io::Error::other)?;
        let id = NEXT_ID.fetch_add(1, Relaxed);
        let place = GuestStack { low, top: memory.base().get() & !15, id };
        Ok(Owned { _memory: memory, bytes, place })
    }
}

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
        if !faults::current().is_null() {
            // The process ends in the middle of a host function: this runs on one of them.
            std::mem::forget(self.0.take());
        }
    }
}

/// Never lends a stack again: a host function was left in the middle on it, and who knows what still
/// refers to its frames. Its memory is never given back.
#[cold]
pub(crate) fn retire(stack: GuestStack) {
    forget_first();
    let _ = STACKS.try_with(|Stacks(stacks)| {
        let mut stacks = stacks.borrow_mut();
        if let Some(at) = stacks.iter().position(|owned| owned.place.id == stack.id) {
            std::mem::forget(stacks.swap_remove(at));
        }
    });
}

/// Makes the next call of this thread see to it that there is all it needs.
pub(crate) fn forget_first() {
    FIRST.set(0);
}

/// A stack of this thread with `bytes` bytes for a guest that no call under way uses. It becomes
/// the thread's first if there is no call under way at all.
///
/// # Errors
/// [`Error::Os`] if there is no memory for one more.
#[cold]
pub(crate) fn choose(bytes: usize, innermost: Option<&Activation>) -> Result<GuestStack, Error> {
    let chosen = STACKS.try_with(|Stacks(stacks)| -> Result<GuestStack, Error> {
        let in_use = |owned: &Owned| {
            let mut calls = std::iter::successors(innermost, |call| call.previous());
            calls.any(|call| call.stack_id() == owned.place.id)
        };
        let fits = |owned: &&Owned| owned.bytes == bytes && !in_use(owned);
        if let Some(owned) = stacks.borrow().iter().find(fits) {
            return Ok(owned.place);
        }
        // Not while they are borrowed: a host function may be at the end of its own stack here.
        let owned = Owned::new(bytes).map_err(Error::os("allocating a guest stack"))?;
        let place = owned.place;
        let mut stacks = stacks.borrow_mut();
        if stacks.iter().filter(|owned| !in_use(owned)).count() >= MOST_UNUSED {
            stacks.retain(in_use);
        }
        stacks.push(owned);
        Ok(place)
    });
    let ending = |_| Error::Unsupported("a call of a guest while its thread ends".into());
    let chosen = chosen.map_err(ending)??;
    if innermost.is_none() {
        FIRST.set(chosen.id);
    }
    Ok(chosen)
}
