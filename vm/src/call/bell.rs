//! Bell: wakes the watchdog when there is something to watch, if it is asleep.
//!
//! A call that has to be watched writes to its thread's record and then looks whether the watchdog
//! sleeps; the watchdog notes that it will sleep and then looks at the records. One of them sees the
//! other: the thread pays for no barrier, since the watchdog has the kernel make one everywhere
//! (`membarrier(2)`; the pattern is Dekker's).

use crate::call::time::{self, NEVER};
use crate::sys;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
    compiler_fence,
};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long to wait for what threads have written, if the kernel has no barrier: no processor keeps
/// a store to itself that long.
const WITHOUT_BARRIER: Duration = Duration::from_millis(2);

/// The time until which the watchdog sleeps; zero while it ticks, [`NEVER`] before it was started.
static SLEEPS_UNTIL: AtomicU64 = AtomicU64::new(NEVER);
/// Whether that is a nap, which nobody ends but for a time that lies in it.
static IS_NAP: AtomicBool = AtomicBool::new(false);
static RUNG: Mutex<bool> = Mutex::new(false);
static WAKE: Condvar = Condvar::new();

/// Whether the watchdog has to be woken for something that the caller has just written, and that it
/// has to see at the time `at`.
#[inline]
pub(super) fn sleeps_beyond(at: u64) -> bool {
    compiler_fence(SeqCst);
    SLEEPS_UNTIL.load(Relaxed) > at
}

/// The same for a stint that the caller has just begun, with a deadline: a nap is short enough for
/// everything else about it.
#[inline]
pub(super) fn sleeps_beyond_stint(deadline: u64) -> bool {
    compiler_fence(SeqCst);
    let until = SLEEPS_UNTIL.load(Relaxed);
    until > deadline || until > 0 && !IS_NAP.load(Relaxed)
}

/// Notes that the watchdog looks from now on.
pub(super) fn awake() {
    SLEEPS_UNTIL.store(0, SeqCst);
    IS_NAP.store(false, SeqCst);
    *lock() = false;
}

/// Wakes the watchdog.
pub(super) fn ring() {
    *lock() = true;
    WAKE.notify_one();
}

/// Sleeps until `until` or until somebody rings, unless `is_needed`, once others see that this
/// sleeps; whether somebody rang.
pub(super) fn sleep(until: u64, is_needed: impl FnOnce() -> bool) -> bool {
    SLEEPS_UNTIL.store(until, SeqCst);
    // The kernel takes milliseconds to prepare them, so nobody waits for that before it is needed.
    if !sys::barrier_everywhere() && !sys::prepare_barriers() {
        std::thread::sleep(WITHOUT_BARRIER);
    }
    let rung = is_needed() || wait(until);
    awake();
    rung
}

/// Sleeps until `until`, which is soon, or until somebody rings, unless `is_needed`. No barrier is made: a
/// thread whose stores are not seen yet has a deadline that is late by a nap at the most, and processors
/// do not keep stores to themselves for as long as a look takes. Returns whether it was needed or rung for.
pub(super) fn nap(until: u64, is_needed: impl FnOnce() -> bool) -> bool {
    IS_NAP.store(true, SeqCst);
    SLEEPS_UNTIL.store(until, SeqCst);
    let rung = is_needed() || wait(until);
    awake();
    rung
}

fn wait(until: u64) -> bool {
    let mut rung = lock();
    while !*rung {
        rung = match until {
            NEVER => WAKE.wait(rung).unwrap_or_else(PoisonError::into_inner),
            until => match until.saturating_sub(time::now()) {
                0 => return false,
                left => {
                    let woken = WAKE.wait_timeout(rung, Duration::from_nanos(left));
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            },
        };
    }
    true
}

/// No code that could panic runs under this lock.
fn lock() -> MutexGuard<'static, bool> {
    RUNG.lock().unwrap_or_else(PoisonError::into_inner)
}
