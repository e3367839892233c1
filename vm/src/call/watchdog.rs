//! Background thread: looks once a millisecond at the calls that have a deadline or were cancelled,
//! and signals the threads of the calls that are due.
//!
//! The signal handler (see `faults`) ends the guest if it finds guest code under way, and otherwise
//! leaves a mark that hostcalls see on return. A thread that waits at a shared memory is woken too,
//! and so is the future of a suspended call. The watchdog repeats this until the call has ended, so no signal is ever lost.

use crate::call::control::Control;
use crate::call::parking;
use crate::sys;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

/// How often the watchdog looks, and so how late a call may end.
const TICK: Duration = Duration::from_millis(1);

/// How long the watchdog goes on looking after there was anything to look at.
const IDLE_TICKS: u32 = 1000;

/// The stores with a call that may have to be ended.
struct Watchdog {
    /// Weak, so that a store which nobody else can cancel keeps its control for the next request:
    /// with a new one for each, this list would hold all requests of a tick.
    watched: Mutex<Vec<Weak<Control>>>,
    wake: Condvar,
}

/// Has the watchdog look at a store's calls until none is under way.
pub(crate) fn watch(control: &Arc<Control>) {
    let watchdog = watchdog();
    let mut watched = watchdog.watched.lock().unwrap_or_else(PoisonError::into_inner);
    if !control.set_watched(true) {
        watched.push(Arc::downgrade(control));
        if watched.len() == 1 {
            watchdog.wake.notify_one();
        }
    }
}

/// Has the watchdog look at the suspended calls that wait until some time, now that there is one.
pub(crate) fn watch_timers() {
    let watchdog = watchdog();
    // With the lock it is either asleep, or looks before it falls asleep.
    let watched = watchdog.watched.lock().unwrap_or_else(PoisonError::into_inner);
    watchdog.wake.notify_one();
    drop(watched);
}

fn watchdog() -> &'static Watchdog {
    static WATCHDOG: OnceLock<&'static Watchdog> = OnceLock::new();
    WATCHDOG.get_or_init(|| {
        let watchdog: &'static Watchdog =
            Box::leak(Box::new(Watchdog { watched: Mutex::default(), wake: Condvar::new() }));
        let thread = std::thread::Builder::new().name("wfaas-watchdog".into());
        thread.spawn(|| watchdog.run()).expect("a thread for the watchdog");
        watchdog
    })
}

impl Watchdog {
    fn run(&self) {
        let mut idle = 0;
        loop {
            // Without the lock: a waker may do anything, also look for it.
            let (suspended, watches) = self.look();
            suspended.into_iter().for_each(Waker::wake);
            parking::wake_timed_out();
            idle = if watches || parking::has_timers() { 0 } else { idle + 1 };
            if idle <= IDLE_TICKS {
                std::thread::sleep(TICK);
                continue;
            }
            idle = 0;
            let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
            if watched.is_empty() && !parking::has_timers() {
                drop(self.wake.wait(watched).unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    /// Signals the threads of the calls that are due. The wakers of suspended ones, and whether there
    /// is anything to look at further.
    fn look(&self) -> (Vec<Waker>, bool) {
        let mut suspended = Vec::new();
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|control| {
            let Some(control) = control.upgrade() else { return false };
            let keep = control.is_to_be_watched();
            control.set_watched(keep);
            if keep && control.due().is_some() {
                match control.thread() {
                    0 => suspended.extend(control.suspended_waker()),
                    thread => {
                        sys::signal_due(thread);
                        parking::wake(thread);
                    }
                }
            }
            keep
        });
        (suspended, !watched.is_empty())
    }
}
