//! Deadline and cancellation of a store's calls, as other threads see and set them. No instruction
//! in compiled code pays for them, and no system call per call; see `watchdog`.

use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicU8, AtomicU64,
    Ordering::{Relaxed, Release, SeqCst},
};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};
use wfaas_abi::TrapCode;

/// No deadline.
const NEVER: u64 = u64::MAX;

/// The mark of a slice that is over: no trap's number.
const SLICE: u8 = u8::MAX;
const _: () = assert!(TrapCode::from_u8(SLICE).is_none());

/// The part of a store's calls that other threads may know.
#[derive(Debug)]
pub(crate) struct Control {
    /// Nanoseconds since [`anchor`], or [`NEVER`].
    deadline: AtomicU64,
    cancelled: AtomicBool,
    /// The mark: the trap a signal could not deliver at once, as a number, or [`SLICE`]; zero for
    /// none.
    interrupt: AtomicU8,
    /// Whether the time slice of the call under way is over.
    slice_over: AtomicBool,
    /// Thread that runs the store's calls, or zero.
    thread: AtomicI32,
    /// Whether a call is under way that may be suspended.
    suspendable: AtomicBool,
    /// Wakes the future of the suspended call.
    waker: Mutex<Option<Waker>>,
    /// Whether the watchdog has it in its list.
    watched: AtomicBool,
}

impl Default for Control {
    fn default() -> Self {
        Control {
            deadline: AtomicU64::new(NEVER),
            cancelled: AtomicBool::new(false),
            interrupt: AtomicU8::new(0),
            slice_over: AtomicBool::new(false),
            thread: AtomicI32::new(0),
            suspendable: AtomicBool::new(false),
            waker: Mutex::new(None),
            watched: AtomicBool::new(false),
        }
    }
}

impl Control {
    pub(crate) fn set_deadline(&self, deadline: Option<Instant>) {
        self.deadline.store(deadline.map_or(NEVER, nanos), Release);
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let nanos = self.deadline.load(SeqCst);
        (nanos != NEVER).then(|| anchor() + Duration::from_nanos(nanos))
    }

    /// Cancels the call under way, or else the next one.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, SeqCst);
    }

    /// Marks the start of the store's outermost call, on `thread`; whether the watchdog has to
    /// watch it.
    ///
    /// Plain loads and stores are enough: a cancellation that just misses this one stays with the
    /// watchdog until it has been seen.
    #[inline]
    pub(super) fn begin(&self, thread: i32) -> bool {
        self.thread.store(thread, Release);
        self.deadline.load(Relaxed) != NEVER || self.cancelled.load(Relaxed)
    }

    /// As [`Control::begin`], for a call that may be suspended. It ends with
    /// [`Control::end_suspendable`].
    #[inline]
    pub(super) fn begin_suspendable(&self, thread: i32) -> bool {
        self.suspendable.store(true, Release);
        self.slice_over.store(false, Relaxed);
        self.begin(thread)
    }

    /// Marks the end of an outermost call that may be suspended; `was` says whether it was.
    #[inline]
    pub(super) fn end_suspendable(&self, was: bool) {
        self.suspendable.store(false, Release);
        self.end();
        if was {
            drop(self.waker().take());
        }
    }

    /// Notes who has to be woken if the suspended call is due.
    pub(crate) fn wake_with(&self, waker: &Waker) {
        let mut noted = self.waker();
        match &mut *noted {
            Some(noted) => noted.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Wakes the future of the call if it is suspended; a clone, since the caller may hold locks.
    pub(super) fn suspended_waker(&self) -> Option<Waker> {
        self.waker().clone()
    }

    /// No code that could panic runs under this lock but a waker's.
    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the thread that runs the store's calls; the one before.
    #[inline]
    pub(super) fn set_thread(&self, thread: i32) -> i32 {
        let before = self.thread.load(Relaxed);
        self.thread.store(thread, Release);
        before
    }

    /// Marks the end of the outermost call.
    #[inline]
    pub(super) fn end(&self) {
        self.thread.store(0, Release);
        let interrupt = self.interrupt.load(Relaxed);
        if interrupt != 0 {
            self.interrupt.store(0, Relaxed);
            if interrupt == TrapCode::Cancelled as u8 {
                self.cancelled.store(false, SeqCst);
            }
        }
    }

    /// Forgets deadline, cancellation and mark, between two faaslets.
    #[inline]
    pub(super) fn reset(&self) {
        let Control {
            deadline,
            cancelled,
            interrupt,
            slice_over,
            // These say that there is no call, between calls.
            thread: _,
            suspendable: _,
            waker: _,
            // The watchdog's, with its lock.
            watched: _,
        } = self;
        deadline.store(NEVER, Release);
        cancelled.store(false, Release);
        interrupt.store(0, Release);
        slice_over.store(false, Relaxed);
    }

    /// The trap with which calls of this store have to end now. Async-signal-safe.
    pub(crate) fn due(&self) -> Option<TrapCode> {
        if self.cancelled.load(SeqCst) {
            return Some(TrapCode::Cancelled);
        }
        let deadline = self.deadline.load(SeqCst);
        (deadline != NEVER && nanos(Instant::now()) >= deadline)
            .then_some(TrapCode::DeadlineExceeded)
    }

    /// Leaves the mark. Async-signal-safe.
    pub(super) fn interrupt(&self, code: TrapCode) {
        self.interrupt.store(code as u8, SeqCst);
    }

    /// The mark.
    #[inline]
    pub(crate) fn interrupted(&self) -> Option<TrapCode> {
        match self.interrupt.load(Relaxed) {
            0 => None,
            mark => TrapCode::from_u8(mark),
        }
    }

    /// Whether there is a mark of either kind.
    #[inline]
    pub(crate) fn is_marked(&self) -> bool {
        self.interrupt.load(Relaxed) != 0
    }

    /// Ends the time slice of the call under way: the next of the watchdog's signals suspends it.
    pub(crate) fn end_slice(&self) {
        self.slice_over.store(true, SeqCst);
    }

    /// Whether the slice of a call that can be suspended is over. Async-signal-safe.
    pub(super) fn slice_is_over(&self) -> bool {
        self.slice_over.load(SeqCst) && self.suspendable.load(Relaxed)
    }

    /// Leaves the mark of a slice that is over, unless there is one of a trap. Async-signal-safe.
    pub(super) fn mark_slice(&self) {
        let _ = self.interrupt.compare_exchange(0, SLICE, SeqCst, Relaxed);
    }

    /// Forgets that a slice is over: the call is suspended.
    #[inline]
    pub(super) fn begin_slice(&self) {
        self.slice_over.store(false, Relaxed);
        if self.interrupt.load(Relaxed) == SLICE {
            let _ = self.interrupt.compare_exchange(SLICE, 0, Relaxed, Relaxed);
        }
    }

    /// Notes whether the watchdog has it in its list, which is locked; whether it had before.
    pub(super) fn set_watched(&self, watched: bool) -> bool {
        self.watched.swap(watched, Relaxed)
    }

    /// Whether a call is under way, or one is to be cancelled.
    pub(super) fn is_to_be_watched(&self) -> bool {
        let under_way = self.thread.load(Relaxed) != 0 || self.suspendable.load(Relaxed);
        under_way || self.cancelled.load(SeqCst)
    }

    /// The thread that runs the store's calls, or zero.
    pub(super) fn thread(&self) -> i32 {
        self.thread.load(SeqCst)
    }
}

/// The origin of deadlines.
fn anchor() -> Instant {
    static ANCHOR: OnceLock<Instant> = OnceLock::new();
    *ANCHOR.get_or_init(Instant::now)
}

fn nanos(instant: Instant) -> u64 {
    u64::try_from(instant.saturating_duration_since(anchor()).as_nanos()).unwrap_or(NEVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancellation_lasts_until_a_call_has_ended_by_it() {
        let control = Control::default();
        assert!(!control.begin(7));
        assert_eq!(control.due(), None);
        control.end();
        control.cancel();
        assert!(control.begin(7), "the next call is watched");
        assert_eq!(control.due(), Some(TrapCode::Cancelled));
        control.end();
        assert!(control.is_to_be_watched(), "nobody has ended that call");
        assert!(control.begin(7));
        control.interrupt(TrapCode::Cancelled);
        assert_eq!(control.interrupted(), Some(TrapCode::Cancelled));
        control.end();
        assert!(!control.is_to_be_watched());
        assert_eq!((control.due(), control.interrupted()), (None, None));
    }

    #[test]
    fn a_deadline_is_due_once_it_has_passed_and_gone_after_a_reset() {
        let control = Control::default();
        let now = Instant::now();
        control.set_deadline(Some(now + Duration::from_secs(3600)));
        assert_eq!(control.due(), None);
        control.set_deadline(Some(now));
        assert_eq!(control.due(), Some(TrapCode::DeadlineExceeded));
        control.interrupt(TrapCode::DeadlineExceeded);
        control.reset();
        assert_eq!((control.deadline(), control.due(), control.interrupted()), (None, None, None));
    }
}
