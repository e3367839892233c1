//! Deadline and cancellation of a store's calls, as other threads see and set them. No instruction
//! in compiled code pays for them, and no system call per call; see `watchdog`.

use crate::call::time::{self, NEVER};
use crate::call::timers::{self, Timed, Timer};
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicU8, AtomicU64,
    Ordering::{Relaxed, Release, SeqCst},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;
use wfaas_abi::TrapCode;

/// The mark of a slice that is over: no trap's number.
const SLICE: u8 = u8::MAX;
const _: () = assert!(TrapCode::from_u8(SLICE).is_none());

/// The part of a store's calls that other threads may know.
#[derive(Debug)]
pub(crate) struct Control {
    /// A [`time`], or [`NEVER`].
    deadline: AtomicU64,
    cancelled: AtomicBool,
    /// The mark: the trap a signal could not deliver at once, as a number, or [`SLICE`]; zero for
    /// none.
    interrupt: AtomicU8,
    /// Whether the time slice of the call under way is over.
    slice_over: AtomicBool,
    /// Whether the store's calls have used the processor time that they may.
    exhausted: AtomicBool,
    /// Thread that runs the store's calls, or zero.
    thread: AtomicI32,
    /// Whether a call is under way that may be suspended.
    suspendable: AtomicBool,
    /// Wakes the future of the suspended call.
    waker: Mutex<Option<Waker>>,
    /// Has the watchdog wake that future at the deadline.
    timer: Timer,
    /// Whether the watchdog has it in its list of cancelled ones.
    listed: AtomicBool,
}

impl Default for Control {
    fn default() -> Self {
        Control {
            deadline: AtomicU64::new(NEVER),
            cancelled: AtomicBool::new(false),
            interrupt: AtomicU8::new(0),
            slice_over: AtomicBool::new(false),
            exhausted: AtomicBool::new(false),
            thread: AtomicI32::new(0),
            suspendable: AtomicBool::new(false),
            waker: Mutex::new(None),
            timer: Timer::default(),
            listed: AtomicBool::new(false),
        }
    }
}

impl Control {
    pub(crate) fn set_deadline(&self, deadline: Option<Instant>) {
        self.deadline.store(deadline.map_or(NEVER, time::nanos), Release);
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        time::instant(self.deadline.load(SeqCst))
    }

    /// The deadline as a [`time`], or [`NEVER`].
    #[inline]
    pub(super) fn deadline_nanos(&self) -> u64 {
        self.deadline.load(Relaxed)
    }

    /// Cancels the call under way, or else the next one.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, SeqCst);
    }

    /// Whether the next call is to be cancelled, or the one under way.
    ///
    /// A plain load is enough: a cancellation that just misses a call stays with the watchdog until it
    /// has been seen.
    #[inline]
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }

    /// Marks the start of the store's outermost call, on `thread`.
    #[inline]
    pub(super) fn begin(&self, thread: i32) {
        self.thread.store(thread, Release);
    }

    /// As [`Control::begin`], for a call that may be suspended. It ends with
    /// [`Control::end_suspendable`].
    #[inline]
    pub(super) fn begin_suspendable(&self, thread: i32) {
        self.suspendable.store(true, Release);
        self.slice_over.store(false, Relaxed);
        self.begin(thread);
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

    /// Has the watchdog wake the future of the suspended call at the deadline; whether it has to be
    /// told that there is one.
    #[inline]
    pub(super) fn set_timer(self: &Arc<Self>) -> Option<u64> {
        let deadline = self.deadline_nanos();
        (deadline != NEVER && timers::set(self, deadline)).then_some(deadline)
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
            exhausted,
            // These say that there is no call, between calls.
            thread: _,
            suspendable: _,
            waker: _,
            // At worst the watchdog looks once too often.
            timer: _,
            // The watchdog's, with its lock.
            listed: _,
        } = self;
        deadline.store(NEVER, Release);
        cancelled.store(false, Release);
        interrupt.store(0, Release);
        slice_over.store(false, Relaxed);
        exhausted.store(false, Release);
    }

    /// The trap with which calls of this store have to end now. Async-signal-safe.
    pub(crate) fn due(&self) -> Option<TrapCode> {
        if self.cancelled.load(SeqCst) {
            return Some(TrapCode::Cancelled);
        }
        if self.is_exhausted() {
            return Some(TrapCode::CpuLimitExceeded);
        }
        let deadline = self.deadline.load(SeqCst);
        (deadline != NEVER && time::now() >= deadline).then_some(TrapCode::DeadlineExceeded)
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

    /// Notes that the store's calls have used the processor time that they may. Async-signal-safe.
    pub(super) fn exhaust(&self) {
        self.exhausted.store(true, Release);
    }

    /// Whether they have.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted.load(Relaxed)
    }

    /// Notes that they may use more.
    pub(super) fn replenish(&self) {
        self.exhausted.store(false, Release);
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

    /// Notes whether the watchdog has it in its list of cancelled ones, which is locked; whether it had
    /// before.
    pub(super) fn set_listed(&self, listed: bool) -> bool {
        self.listed.swap(listed, Relaxed)
    }

    /// Whether a call is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.thread.load(Relaxed) != 0 || self.suspendable.load(Relaxed)
    }

    /// The thread that runs the store's calls, or zero.
    pub(super) fn thread(&self) -> i32 {
        self.thread.load(SeqCst)
    }
}

impl Timed for Control {
    fn timer(&self) -> &Timer {
        &self.timer
    }

    fn is_due(&self, now: u64) -> Option<u64> {
        let deadline = self.deadline.load(SeqCst);
        if !self.suspendable.load(SeqCst) || deadline == NEVER {
            return None;
        }
        if deadline > now {
            return Some(deadline);
        }
        self.suspended_waker().into_iter().for_each(Waker::wake);
        None
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        timers::forget(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_cancellation_lasts_until_a_call_has_ended_by_it() {
        let control = Control::default();
        control.begin(7);
        assert_eq!((control.due(), control.is_under_way()), (None, true));
        control.end();
        control.cancel();
        assert!(control.is_cancelled() && !control.is_under_way());
        control.begin(7);
        assert_eq!(control.due(), Some(TrapCode::Cancelled));
        control.end();
        assert!(control.is_cancelled(), "nobody has ended that call");
        control.begin(7);
        control.interrupt(TrapCode::Cancelled);
        assert_eq!(control.interrupted(), Some(TrapCode::Cancelled));
        control.end();
        assert!(!control.is_cancelled());
        assert_eq!((control.due(), control.interrupted()), (None, None));
    }

    #[test]
    fn a_slice_that_is_over_is_forgotten_by_a_reset() {
        let control = Control::default();
        control.begin_suspendable(7);
        control.end_slice();
        assert!(control.slice_is_over());
        control.reset();
        assert!(!control.slice_is_over());
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

    #[test]
    fn a_slice_that_is_over_leaves_a_mark_that_is_no_trap_and_hides_none() {
        let control = Control::default();
        control.end_slice();
        assert!(!control.slice_is_over(), "no call is under way that can be suspended");
        control.begin_suspendable(7);
        assert!(!control.slice_is_over(), "it is not the slice of this call");
        control.end_slice();
        assert!(control.slice_is_over());
        control.mark_slice();
        assert_eq!((control.is_marked(), control.interrupted()), (true, None));
        control.begin_slice();
        assert!(!control.slice_is_over() && !control.is_marked());
        control.interrupt(TrapCode::Cancelled);
        control.mark_slice();
        control.begin_slice();
        assert_eq!(control.interrupted(), Some(TrapCode::Cancelled));
    }
}
