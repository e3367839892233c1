//! Tasks: calls that can be suspended, and go on on any thread.
//!
//! ```text
//!           start                    polled, the host function is ready
//!   Ended ────────→ Running ←──────────────────────────── Polled
//!     ↑  returned,  │ ↑   │ a host function waits         ↑    │ not ready
//!     └─────────────┘ │   └────────────────────────→ Suspended ←┘
//!                     └─── preempted: Suspended, and Running again
//! ```
//!
//! The outermost task of a store is recorded in the store, others behind their futures. A task starts
//! on a stack of the thread and takes that along when it is suspended. From then on everything it
//! needs is its own: its stack, with frames of compiled code and of stubs on it, its entry, its way
//! back, which each thread that resumes it writes anew, and the part of the runtime context that goes
//! with its frames.
//!
//! Entries of one store are a chain from the innermost outwards. A task is nested in another if it was
//! begun by a host function of the other, and then the other does not go on before it has ended. If a
//! task is leaked instead, the store's calls are refused, until the entry around it goes on.

use crate::arch::{
    Landing, PREEMPTED, SUSPENDED, SaveArea, WayBack, enter, resume_preempted, resume_suspended,
};
use crate::call::backtrace::RawBacktrace;
use crate::call::current::{current, set_current};
use crate::call::enter::{
    Callee, Ended, Refused, choose_stack, ended, nest, prepare_outermost, prepare_thread,
};
use crate::call::preempt;
use crate::call::stacks;
use crate::call::state::{Activation, CallState, Diverted, Phase, Task};
use crate::call::stint::PolledStint;
use crate::call::watchdog;
use crate::sys;
use std::ptr;
use std::task::{Context, Waker};
use wfaas_abi::TrapCode;

/// Most tasks of a store that one is nested in: each has a stack, whatever the guest does.
const DEEPEST: u32 = 100;

/// Progress of a task.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The function has returned.
    Finished,
    /// A host function waits.
    Suspended,
    /// It was preempted.
    Preempted,
}

impl Task {
    /// Begins the call of a guest function with its arguments in `cells`, which hold the results
    /// afterwards. Host functions that wait are polled for the first time with `context`.
    ///
    /// # Errors
    /// [`Ended`] if the function did not return, and is not suspended.
    ///
    /// # Safety
    /// As [`call`](crate::call::enter::call), and `cells` must stay where they are until the task has
    /// ended. So must the task, which must not be under way, and be dropped no sooner.
    #[inline]
    pub(crate) unsafe fn start(
        &mut self,
        state: &mut CallState,
        callee: Callee,
        cells: *mut u64,
        context: &mut Context<'_>,
    ) -> Result<Progress, Ended> {
        self.begin(state).map_err(Ended::Refused)?;
        let Callee { code, base, trampoline } = callee;
        let top = self.entry.stack.start();
        let enter = |back| {
            // SAFETY: the caller vouches for the callee, and no call under way uses the stack.
            unsafe { enter(code, cells, base, trampoline, top, back) }
        };
        // SAFETY: the caller's contract.
        unsafe { self.run(state, context, enter) }
    }

    /// Resumes the guest: where it waits, or at a place where it catches an exception.
    ///
    /// # Errors
    /// As [`Task::start`].
    ///
    /// # Safety
    /// As [`Task::start`], but the task must be suspended, and the host function's results be where
    /// its stub finds them; `landing` must be a handler in one of the task's frames.
    pub(crate) unsafe fn resume(
        &mut self,
        state: &mut CallState,
        landing: Option<&Landing>,
        context: &mut Context<'_>,
    ) -> Result<Progress, Ended> {
        self.prepare_to_resume(state)?;
        let landing = landing.map_or(ptr::null(), ptr::from_ref);
        // SAFETY: the caller vouches for the landing; the task is suspended, and exclusively ours.
        let resume = |back| unsafe { resume_suspended(back, landing) };
        // SAFETY: the caller's contract.
        unsafe { self.run(state, context, resume) }
    }

    /// Resumes the guest where it was preempted.
    ///
    /// # Errors
    /// As [`Task::start`].
    ///
    /// # Safety
    /// As [`Task::start`], but the task must be suspended because it was preempted.
    pub(crate) unsafe fn go_on(
        &mut self,
        state: &mut CallState,
        context: &mut Context<'_>,
    ) -> Result<Progress, Ended> {
        let Some(saved) = self.suspension.saved.take() else { unreachable!("it was preempted") };
        self.prepare_to_resume(state)?;
        state.runtime.exit_fp = self.suspension.exit_fp as u64;
        // SAFETY: the task was preempted, and is exclusively ours.
        let resume = |back| unsafe { resume_preempted(back, &raw const *saved) };
        // SAFETY: the caller's contract.
        unsafe { self.run(state, context, resume) }
    }

    /// Prepares this thread, and the state, for the guest of a suspended task.
    fn prepare_to_resume(&mut self, state: &mut CallState) -> Result<(), Ended> {
        state.give_up_inside(&self.entry);
        if let Err(refused) = prepare_thread() {
            self.end(state);
            return Err(Ended::Refused(refused));
        }
        self.swap_contexts(state);
        Ok(())
    }

    /// Polls the host function that a suspended task waits for, which may call into the store.
    ///
    /// # Safety
    /// The task must be suspended, and `state` be its call state; nobody else may use them but `poll`.
    pub(crate) unsafe fn poll<R>(
        task: *mut Task,
        state: *mut CallState,
        poll: impl FnOnce() -> R,
    ) -> R {
        let set_polled = |phase, thread| {
            // SAFETY: the caller's contract; the host function does not run.
            let task = unsafe { &mut *task };
            // SAFETY: as above.
            let state = unsafe { &mut *state };
            task.suspension.phase = phase;
            task.swap_contexts(state);
            state.control.set_thread(thread)
        };
        let thread = set_polled(Phase::Polled, sys::thread_id());
        // SAFETY: the caller's contract; the task of a nested call is a part of the outermost one's.
        let nested = unsafe { (*task).is_nested() };
        // SAFETY: the host function uses the state in between only.
        let stint = (!nested).then(|| unsafe { PolledStint::begin(state) });
        let result = poll();
        drop(stint);
        set_polled(Phase::Suspended, thread);
        result
    }

    /// Ends the task as it is: its frames are given up.
    #[inline]
    pub(crate) fn end(&mut self, state: &mut CallState) {
        let alone = state.innermost == &raw const self.entry;
        if !alone || self.is_nested() || self.suspension.stack.is_some() {
            return self.end_in_any_case(state);
        }
        self.suspension.phase = Phase::Ended;
        state.innermost = ptr::null();
        state.runtime.exit_fp = 0;
        state.control.end_suspendable(false);
    }

    #[inline(never)]
    fn end_in_any_case(&mut self, state: &mut CallState) {
        let was_suspended = self.suspension.stack.is_some();
        let nested_and_runs = self.is_nested() && self.suspension.phase == Phase::Running;
        state.give_up_inside(&self.entry);
        if nested_and_runs {
            self.swap_contexts(state);
        }
        state.innermost = self.entry.outer;
        state.end_suspension(&mut self.suspension);
        if !self.is_nested() {
            state.runtime.exit_fp = 0;
            state.control.end_suspendable(was_suspended);
            self.noted = None;
        }
    }

    /// Whether the task is suspended.
    pub(crate) fn is_suspended(&self) -> bool {
        self.suspension.phase == Phase::Suspended
    }

    /// The trap with which a suspended task has to end now. Nested ones end with the outermost.
    pub(crate) fn due(&self, state: &CallState) -> Option<TrapCode> {
        if self.is_nested() {
            return None;
        }
        let due = state.interrupted().or_else(|| state.control.due());
        if let Some(code) = due {
            // Its end uses up a cancellation, as if a signal had ended it.
            state.control.interrupt(code);
        }
        due
    }

    /// Has `waker` woken when the suspended task is due.
    #[inline]
    pub(crate) fn wake_when_due(&mut self, state: &CallState, waker: &Waker) {
        let noted = self.noted.as_ref().is_some_and(|noted| noted.will_wake(waker));
        if !self.is_nested() && !noted {
            state.control.wake_with(waker);
            self.noted = Some(waker.clone());
        }
        if !self.is_nested()
            && let Some(deadline) = state.control.set_timer()
        {
            watchdog::wake_for(deadline);
        }
    }

    /// The frame pointer at which the task's guest waits, and its entry.
    pub(crate) fn exit_frame(&self) -> (usize, &Activation) {
        (self.suspension.exit_fp, &self.entry)
    }

    fn is_nested(&self) -> bool {
        !self.entry.outer.is_null()
    }

    /// Makes the task the innermost entry of its store.
    #[inline]
    fn begin(&mut self, state: &mut CallState) -> Result<(), Refused> {
        // Even if this call never waits: one that does would be refused in the middle.
        if !state.stacks.has_room() {
            return Err(Refused::NoStack { max: state.stacks.max() });
        }
        self.entry.call = state;
        self.entry.suspension = &raw mut self.suspension;
        self.suspension.diverted = Diverted::NONE;
        if state.runtime.exit_fp != 0 {
            return self.begin_nested(state);
        }
        self.entry.outer = ptr::null();
        self.suspension.depth = 0;
        prepare_outermost(state, current())?;
        self.entry.stack = state.bottom.stack;
        state.innermost = &raw const self.entry;
        state.control.begin_suspendable(sys::thread_id());
        Ok(())
    }

    #[cold]
    fn begin_nested(&mut self, state: &mut CallState) -> Result<(), Refused> {
        if state.poisoned {
            return Err(Refused::Poisoned);
        }
        let outer = state.innermost();
        let Some(suspension) = outer.suspension() else { return Err(Refused::InsideSync) };
        if suspension.depth >= DEEPEST {
            return Err(Refused::TooDeep);
        }
        self.suspension.depth = suspension.depth + 1;
        let here = 0u8;
        match suspension.phase {
            Phase::Ended | Phase::Suspended => return Err(Refused::Leaked),
            Phase::Running if !outer.stack().contains(&raw const here as usize) => {
                return Err(Refused::OtherStack);
            }
            Phase::Running | Phase::Polled => {}
        }
        self.entry.stack = choose_stack(state)?;
        self.other = nest(state, outer, &mut self.entry);
        Ok(())
    }

    /// Lets the guest run until it returns, is left or is suspended.
    ///
    /// # Safety
    /// `switch` must enter or resume the task's guest with the way back it is given.
    #[inline]
    unsafe fn run(
        &mut self,
        state: &mut CallState,
        context: &mut Context<'_>,
        switch: impl FnOnce(*mut WayBack) -> u64,
    ) -> Result<Progress, Ended> {
        let previous = current();
        let outer_thread = if self.is_nested() { state.control.thread() } else { 0 };
        state.control.set_thread(sys::thread_id());
        self.entry.previous = previous;
        self.suspension.phase = Phase::Running;
        self.suspension.context = ptr::from_mut(context).cast();
        let nested = self.is_nested().then(|| state.begin_nested_stint());
        let mut watched = !self.is_nested() && state.begin_stint(true);
        set_current(&raw const self.entry);
        let mut status = switch(&raw mut self.entry.back);
        while status == PREEMPTED && self.own_stack(state).is_err() {
            // As many calls are suspended as there may be: this one goes on at once.
            if watched {
                state.end_stint();
                watched = state.begin_stint(true);
            }
            status = self.go_on_here(state);
        }
        set_current(previous);
        if watched {
            state.end_stint();
        }
        drop(nested);
        self.suspension.context = ptr::null_mut();
        state.control.set_thread(outer_thread);
        match status {
            SUSPENDED => {
                if let Err(refused) = self.own_stack(state) {
                    self.end(state);
                    return Err(Ended::Refused(refused));
                }
                self.keep(state);
                Ok(Progress::Suspended)
            }
            PREEMPTED => {
                self.suspension.saved = self.take_saved();
                self.keep(state);
                Ok(Progress::Preempted)
            }
            _ => {
                self.end(state);
                ended(state, status).map(|()| Progress::Finished)
            }
        }
    }

    /// Makes the stack of a guest that was switched away from the task's own.
    fn own_stack(&mut self, state: &CallState) -> Result<(), Refused> {
        if self.suspension.stack.is_some() {
            return Ok(());
        }
        let refused = Refused::NoStack { max: state.stacks.max() };
        if !state.stacks.count() {
            return Err(refused);
        }
        self.suspension.stack = stacks::give_away(self.entry.stack);
        if self.suspension.stack.is_none() {
            state.stacks.discount();
            return Err(refused);
        }
        Ok(())
    }

    /// The registers of the guest, which was just preempted.
    fn take_saved(&mut self) -> Option<Box<SaveArea>> {
        if !self.suspension.diverted.landing.calls_again() {
            self.suspension.diverted = Diverted::NONE;
        }
        preempt::take_saved()
    }

    /// Lets the guest go on that was just preempted, with a new slice; the status with which it is left.
    #[cold]
    fn go_on_here(&mut self, state: &CallState) -> u64 {
        let Some(saved) = self.take_saved() else { unreachable!("it was preempted") };
        state.control.begin_slice();
        // SAFETY: the guest was preempted, on this thread, and the task is exclusively ours.
        unsafe { resume_preempted(&raw mut self.entry.back, &raw const *saved) }
    }

    /// Keeps the frames of a guest that was switched away from.
    fn keep(&mut self, state: &mut CallState) {
        self.suspension.exit_fp = state.exit_fp();
        self.suspension.phase = Phase::Suspended;
        state.control.begin_slice();
        if self.suspension.saved.is_some() {
            // It may not have called the host yet: this says that a call is under way.
            state.runtime.exit_fp |= 1;
        }
        self.swap_contexts(state);
    }

    /// Changes the runtime context from a nested task's to that of the entry around it, or back. The
    /// outermost one's stays: it says that a call is under way.
    #[inline]
    fn swap_contexts(&mut self, state: &mut CallState) {
        if self.is_nested() {
            std::mem::swap(&mut state.runtime, &mut self.other);
        }
    }
}

/// The context of the poll under way, if the guest that called this host function can be suspended.
/// `None` inside of a call that cannot.
///
/// # Safety
/// Must be called by a host function that a guest of this thread has called, and not be kept any
/// longer than it runs.
pub(crate) unsafe fn context<'a, 'b>() -> Option<&'a mut Context<'b>> {
    // SAFETY: entries under way are alive.
    let entry = unsafe { current().as_ref()? };
    // SAFETY: the poll in which the guest runs has not returned, and does not use its context
    // meanwhile.
    unsafe { entry.suspension()?.context.cast::<Context<'b>>().as_mut() }
}

/// Whether the innermost guest under way on this thread can be suspended.
pub(crate) fn can_suspend() -> bool {
    // SAFETY: entries under way are alive.
    let entry = unsafe { current().as_ref() };
    let suspension = entry.and_then(Activation::suspension);
    suspension.is_some_and(|suspension| !suspension.context.is_null())
}

/// The way back by which the guest that called this host function is suspended.
///
/// # Safety
/// As [`context`].
pub(crate) unsafe fn way_to_suspend() -> *const WayBack {
    // SAFETY: a guest runs, so there is an entry.
    let entry = unsafe { &*current() };
    entry.way_back()
}

/// Notes the backtrace of the innermost guest under way, which is suspended.
pub(crate) fn note_suspended(state: &CallState) {
    let innermost = state.innermost();
    if let Some(saved) = innermost.saved() {
        // SAFETY: the guest was preempted there, and keeps its frames.
        return unsafe { RawBacktrace::interrupted(saved.place(), innermost) }.note();
    }
    let exit_fp = innermost.suspension().map_or(0, |suspension| suspension.exit_fp);
    let mut backtrace = RawBacktrace::EMPTY;
    // SAFETY: its guest waits in a stub, which wrote its frame pointer before.
    unsafe { backtrace.walk(exit_fp, innermost) };
    backtrace.note();
}
