//! Stints: a call, from the moment when a thread goes on with it until the thread is done with it or
//! it is suspended. It is watched meanwhile, if there is a reason.

use crate::call::cpu_time;
use crate::call::stack::GuestStack;
use crate::call::state::CallState;
use crate::call::threads::{Budget, Deadline, Terms};
use crate::call::time::{self, NEVER};
use crate::call::watchdog;
use crate::call::watched::{Stint, Watched};
use std::time::{Duration, Instant};

impl CallState {
    /// Begins a stint of the outermost call; whether it is watched. If so it ends with
    /// [`CallState::end_stint`].
    #[inline]
    pub(super) fn begin_stint(&mut self, suspendable: bool) -> bool {
        let watched = self.is_watched();
        if watched {
            self.watch(suspendable);
        }
        watched
    }

    #[inline]
    fn is_watched(&self) -> bool {
        self.watched.any || self.control.is_cancelled()
    }

    #[inline(never)]
    fn watch(&mut self, suspendable: bool) {
        let (control, watched) = (&self.control, &self.watched);
        let due = control.deadline_nanos();
        let deadline = Deadline::begin(due);
        let slice = if suspendable { watched.slice } else { NEVER };
        let limited = slice != NEVER || watched.counted;
        let start = limited.then(cpu_time::ticks);
        let terms = || Terms { slice, left: watched.left() };
        let budget = start.map(|start| Budget::begin(terms(), start, control));
        let has_woken = watchdog::wake_for_stint(due);
        if control.is_cancelled() {
            watchdog::end_cancelled(control);
        }
        // Waking the watchdog is no work of the guest's.
        let start = start.map(|start| if has_woken { cpu_time::ticks() } else { start });
        let start = start.filter(|_| watched.counted);
        self.stint = Some(Stint { deadline, budget, start });
    }

    /// Ends a stint that was watched.
    #[inline(never)]
    pub(super) fn end_stint(&mut self) {
        let Some(Stint { deadline, budget, start }) = self.stint.take() else { return };
        if let Some(start) = start {
            self.charge(start, budget.as_ref());
        }
        drop((budget, deadline));
    }

    fn charge(&mut self, start: u64, budget: Option<&Budget>) {
        let watched = &mut self.watched;
        watched.account.charge(cpu_time::since(start, || budget?.from()));
        if watched.left() == 0 {
            self.control.exhaust();
        }
        if self.control.is_exhausted() {
            // The next call looks for one, and finds out.
            self.bottom.stack = GuestStack::NONE;
        }
    }

    /// Has a call that is nested in another end at the deadline, if there is one, on whatever thread it
    /// is made.
    #[inline]
    pub(super) fn begin_nested_stint(&self) -> Option<Deadline> {
        self.is_watched().then(|| {
            let due = self.control.deadline_nanos();
            let deadline = Deadline::begin(due);
            watchdog::wake_for_stint(due);
            deadline
        })
    }
}

/// A stint of the outermost call in which a host function is polled, which may panic.
#[derive(Debug)]
pub(super) struct PolledStint(*mut CallState, bool);

impl PolledStint {
    /// Begins one.
    ///
    /// # Safety
    /// Nobody may use the state while this is begun or dropped.
    pub(super) unsafe fn begin(state: *mut CallState) -> PolledStint {
        // SAFETY: the caller's contract.
        let watched = unsafe { &mut *state }.begin_stint(true);
        PolledStint(state, watched)
    }
}

impl Drop for PolledStint {
    fn drop(&mut self) {
        if self.1 {
            // SAFETY: the contract of `begin`.
            unsafe { &mut *self.0 }.end_stint();
        }
    }
}

impl CallState {
    /// Sets the deadline of the calls from now on.
    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.control.set_deadline(deadline);
        self.note_reasons();
    }

    /// Sets the time slice of calls that can be suspended from now on, in processor time.
    pub(crate) fn set_slice(&mut self, slice: Option<Duration>) {
        self.watched.slice = slice.map_or(NEVER, time::whole);
        self.note_reasons();
    }

    /// Counts the processor time of the calls from now on, or does not.
    pub(crate) fn count_cpu_time(&mut self, count: bool) {
        self.watched.counted = count || self.watched.limit != NEVER;
        self.note_reasons();
    }

    /// Sets the processor time that calls may use, together with those before that were counted.
    pub(crate) fn set_cpu_limit(&mut self, limit: Option<Duration>) {
        self.watched.limit = limit.map_or(NEVER, time::whole);
        self.watched.counted |= limit.is_some();
        self.control.replenish();
        if self.watched.left() == 0 {
            self.control.exhaust();
            self.bottom.stack = GuestStack::NONE;
        }
        self.note_reasons();
    }

    /// Processor time of the calls that were counted.
    pub(crate) fn cpu_time(&self) -> Duration {
        self.watched.account.total()
    }

    /// The same if calls are counted now.
    pub(crate) fn counted_cpu_time(&self) -> Option<Duration> {
        self.watched.counted.then(|| self.cpu_time())
    }

    fn note_reasons(&mut self) {
        let Watched { any, counted, slice, limit: _, account: _ } = &mut self.watched;
        *any = *counted || *slice != NEVER || self.control.deadline_nanos() != NEVER;
    }
}
