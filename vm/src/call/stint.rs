//! Stints: a call, from the moment when a thread goes on with it until the thread is done with it or
//! it is suspended. It is watched meanwhile, if there is a reason.

use crate::call::state::{CallState, Watched};
use crate::call::threads::{Deadline, Slice};
use crate::call::time::{self, NEVER};
use crate::call::watchdog;
use std::time::{Duration, Instant};

/// A stint that is watched.
#[derive(Debug)]
pub(super) struct Stint {
    _deadline: Deadline,
    _slice: Option<Slice>,
}

impl Stint {
    /// Begins one of a call that cannot be suspended, or of one that is nested in another.
    #[inline]
    pub(super) fn begin(state: &CallState) -> Option<Stint> {
        let watched = state.watched.any || state.control.is_cancelled();
        watched.then(|| Stint::watch(state, NEVER))
    }

    /// Begins one of a call that can be suspended.
    #[inline]
    pub(super) fn begin_suspendable(state: &CallState) -> Option<Stint> {
        let watched = state.watched.any || state.control.is_cancelled();
        watched.then(|| Stint::watch(state, state.watched.slice))
    }

    #[inline(never)]
    fn watch(state: &CallState, slice: u64) -> Stint {
        let control = &state.control;
        let deadline = Deadline::begin(control.deadline_nanos());
        let slice = (slice != NEVER).then(|| Slice::begin(slice, control));
        watchdog::wake_for(0);
        if control.is_cancelled() {
            watchdog::end_cancelled(control);
        }
        Stint { _deadline: deadline, _slice: slice }
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

    fn note_reasons(&mut self) {
        let Watched { any, slice } = &mut self.watched;
        *any = *slice != NEVER || self.control.deadline_nanos() != NEVER;
    }
}
