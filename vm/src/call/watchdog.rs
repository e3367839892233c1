//! Background thread: looks once a millisecond at the threads that run guests with a deadline or a time
//! slice, at the calls that were cancelled, and at timers, and signals the threads of calls that are due.
//!
//! The signal handler (see `faults`) ends the guest if it finds guest code under way, and otherwise
//! leaves a mark that hostcalls see on return. A thread that waits at a shared memory is woken too,
//! and so is the future of a suspended call. The watchdog repeats this until the call has ended, so no signal is ever lost.
//!
//! While no call lasts from one look to the next, a look is there to find the first one that does. The
//! watchdog *naps* between looks then: a thread that is woken once a millisecond takes 6 % of the processor
//! time of a server with short calls. Deadlines end a nap in time, but for one that is set in the moment
//! the nap begins. The first slice after a calm time may be longer by a nap, and so may a limit of processor time,
//! which counts from a look.
//!
//! A tick takes time for the threads, for the timers that are due, and for the calls that were
//! cancelled and have not ended, but not for calls under way or suspended ones.

use crate::call::control::Control;
use crate::call::threads::Sight;
use crate::call::{bell, faults, parking, threads, time, timers};
use crate::sys;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

/// How often the watchdog looks, and so how late a call ends, unless it begins in a nap.
const TICK: Duration = Duration::from_millis(1);

/// How long the watchdog naps, when all calls are short.
const NAP: Duration = Duration::from_millis(4);

/// How many looks in a row have to find no long call, before the watchdog naps. At the most one part in fifty
/// of the time has a longer slice then, so that others' 99th percentile keeps to the usual ones.
const CALM_LOOKS: u32 = 250;

/// How long the watchdog goes on looking after there was anything to look at.
const IDLE_TICKS: u32 = 1000;

/// The cancelled calls that have not ended. Weak, so that a store which nobody else can cancel keeps its
/// control for the next request: with a new one for each, this list would hold all requests of a tick.
static CANCELLED: Mutex<Vec<Weak<Control>>> = Mutex::new(Vec::new());

/// Has the watchdog end the call under way with a control that was cancelled, or else the next one.
pub(crate) fn end_cancelled(control: &Arc<Control>) {
    let mut cancelled = lock();
    if !control.set_listed(true) {
        cancelled.push(Arc::downgrade(control));
    }
    drop(cancelled);
    wake_for(0);
}

/// Makes sure that the watchdog sees at the time `at` something that was just written: a thread's
/// record, or a timer.
#[inline]
pub(crate) fn wake_for(at: u64) {
    if bell::sleeps_beyond(at) {
        wake();
    }
}

/// The same for a stint with this deadline that has just begun; whether the watchdog slept.
#[inline]
pub(crate) fn wake_for_stint(deadline: u64) -> bool {
    let sleeps = bell::sleeps_beyond_stint(deadline);
    if sleeps {
        wake();
    }
    sleeps
}

/// The same for a timer that was set for `at`.
pub(crate) fn wake_at(at: Instant) {
    wake_for(time::nanos(at));
}

#[cold]
fn wake() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        // A signal without a handler ends the process.
        faults::install().expect("signal handlers");
        let thread = std::thread::Builder::new().name("wfaas-watchdog".into());
        thread.spawn(run).expect("a thread for the watchdog");
    });
    bell::ring();
}

fn run() {
    sys::be_prompt();
    bell::awake();
    let (mut idle, mut calm) = (0, 0);
    loop {
        let tick = look();
        idle = if tick.watched { 0 } else { idle + 1 };
        calm = if tick.is_calm { calm + 1 } else { 0 };
        if idle <= IDLE_TICKS {
            if pause(calm, &tick) {
                // Calls have deadlines that are nearer than a nap is long.
                calm = 0;
            }
            continue;
        }
        let until = timers::next();
        let is_needed = || threads::are_watched() || timers::next() < until || are_cancelled();
        if bell::sleep(until, is_needed) {
            idle = 0;
        }
    }
}

/// Waits for the next look; whether somebody could not wait.
fn pause(calm: u32, tick: &Tick) -> bool {
    if calm < CALM_LOOKS || tick.is_new {
        std::thread::sleep(TICK);
        return false;
    }
    let until = tick.deadline.min(timers::next()).min(time::now() + time::whole(NAP));
    let is_needed = || threads::deadline() < until || timers::next() < until || are_cancelled();
    bell::nap(until, is_needed)
}

/// Work of a tick.
#[derive(Debug)]
struct Tick {
    /// Numbers of threads, timers and cancelled calls that were looked at.
    #[cfg_attr(not(test), expect(dead_code, reason = "for tests"))]
    looked_at: (usize, usize, usize),
    /// Whether there is anything to look at further, timers aside.
    watched: bool,
    /// Whether no call was under way that was seen before.
    is_calm: bool,
    /// Whether a call was under way that was not.
    is_new: bool,
    /// The earliest deadline.
    deadline: u64,
}

fn look() -> Tick {
    let now = time::now();
    let Sight { threads, watched, new, long, deadline } = threads::look(now, signal);
    let (cancelled, under_way) = look_at_cancelled();
    let timers = timers::fire(now);
    Tick {
        looked_at: (threads, timers, cancelled),
        watched: watched || under_way,
        is_calm: !long && !under_way && deadline > now,
        is_new: new,
        deadline,
    }
}

/// Tells the threads of cancelled calls, and wakes suspended ones; how many there are, and whether
/// one of them is under way.
fn look_at_cancelled() -> (usize, bool) {
    let mut controls = Vec::new();
    lock().retain(|control| {
        let Some(control) = control.upgrade() else { return false };
        let keep = control.is_cancelled();
        control.set_listed(keep);
        controls.push(control);
        keep
    });
    // Without the lock: a waker that is woken or dropped may do anything, also look for it.
    let mut under_way = false;
    for control in
        controls.iter().filter(|control| control.is_cancelled() && control.is_under_way())
    {
        under_way = true;
        match control.thread() {
            0 => control.suspended_waker().into_iter().for_each(Waker::wake),
            thread => signal(thread),
        }
    }
    (controls.len(), under_way)
}

/// Whether a cancelled call is under way.
fn are_cancelled() -> bool {
    let controls: Vec<_> = lock().iter().filter_map(Weak::upgrade).collect();
    controls.iter().any(|control| control.is_under_way())
}

/// Has a thread look whether a call on it has to end, or to be suspended.
fn signal(thread: i32) {
    sys::signal_due(thread);
    parking::wake(thread);
}

/// No code that could panic runs under this lock.
fn lock() -> MutexGuard<'static, Vec<Weak<Control>>> {
    CANCELLED.lock().unwrap_or_else(PoisonError::into_inner)
}

// The interpreter has neither the processor's counter nor clocks of threads.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn a_tick_looks_at_no_suspended_call() {
        // Threads of other tests are signalled, if their deadlines are over.
        faults::install().unwrap();
        let hour = Instant::now() + Duration::from_secs(3600);
        let suspended: Vec<Arc<Control>> = (0..10_000).map(|_| Arc::default()).collect();
        for control in &suspended {
            control.set_deadline(Some(hour));
            control.begin_suspendable(1);
            control.end_suspendable(false);
            assert!(control.set_timer().is_some());
        }
        let (threads, timers, _) = look().looked_at;
        assert_eq!(timers, 0);
        assert!(threads < 100, "only those of other tests");
    }

    #[test]
    fn a_cancelled_call_is_looked_at_until_it_has_ended() {
        let control = Arc::<Control>::default();
        control.cancel();
        lock().push(Arc::downgrade(&control));
        let listed = || lock().iter().any(|listed| listed.as_ptr() == Arc::as_ptr(&control));
        look_at_cancelled();
        assert!(listed(), "the next call is to be cancelled");
        control.begin(0);
        control.interrupt(wfaas_abi::TrapCode::Cancelled);
        control.end();
        look_at_cancelled();
        assert!(!listed());
    }
}
