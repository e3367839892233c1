//! Threads and suspended calls that wait for a change of a shared memory, without taking any CPU.
//!
//! Each shared memory has a queue of waiters for each address, first come, first served. A waiter
//! is woken by a notification or at the end of its time. A thread is woken by the watchdog too if a
//! call on it has to end: signals do not wake it, so the watchdog does, after each signal it sends. A
//! suspended call has no thread that could look at a clock: the watchdog does that for it.

use crate::call::current;
use crate::call::time;
use crate::call::timers::{self, Timed, Timer};
use crate::sys::thread_id;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};
use wfaas_abi::TrapCode;

/// The waiters of one memory, by their address.
#[derive(Debug, Default)]
pub(crate) struct Parking(Mutex<HashMap<u64, VecDeque<Arc<Waiter>>>>);

/// A thread or a suspended call that waits.
#[derive(Debug, Default)]
pub(crate) struct Waiter {
    state: Mutex<WaiterState>,
    wake: Condvar,
    /// Of a suspended call: the end of its time.
    timer: Timer,
}

#[derive(Debug, Default)]
struct WaiterState {
    notified: bool,
    /// Of a suspended call.
    waker: Option<Waker>,
}

/// End of a wait. Guests get it as this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Outcome {
    /// Somebody notified the address.
    Notified = 0,
    /// The value was not the expected one; there was no wait.
    Different = 1,
    /// The time was over.
    TimedOut = 2,
}

impl Parking {
    /// Waits at `address` if `unchanged`, until `end` if there is one.
    ///
    /// # Errors
    /// The trap with which a call on this thread has to end.
    pub(crate) fn wait(
        &self,
        address: u64,
        unchanged: impl FnOnce() -> bool,
        end: Option<Instant>,
    ) -> Result<Outcome, TrapCode> {
        let Some(waiter) = self.enqueue(address, unchanged) else {
            return Ok(Outcome::Different);
        };
        let registered = Registered::new(waiter.clone());
        let due = waiter.sleep(end);
        drop(registered);
        let in_time = !self.remove(address, &waiter);
        match due {
            Some(code) => Err(code),
            None if in_time => Ok(Outcome::Notified),
            None => Ok(Outcome::TimedOut),
        }
    }

    /// Adds a waiter at `address` if `unchanged`. Whoever waits with it takes it out again.
    pub(crate) fn enqueue(
        &self,
        address: u64,
        unchanged: impl FnOnce() -> bool,
    ) -> Option<Arc<Waiter>> {
        let mut queues = lock(&self.0);
        // A thread that changes the value notifies afterwards, and for that needs the lock.
        if !unchanged() {
            return None;
        }
        let waiter = Arc::<Waiter>::default();
        queues.entry(address).or_default().push_back(waiter.clone());
        Some(waiter)
    }

    /// Wakes at most `count` of those that wait at `address`; how many.
    pub(crate) fn notify(&self, address: u64, count: u32) -> u32 {
        let woken: Vec<Arc<Waiter>> = {
            let mut queues = lock(&self.0);
            let Some(queue) = queues.get_mut(&address) else { return 0 };
            let woken = queue.len().min(count as usize);
            let woken = queue.drain(..woken).collect();
            if queue.is_empty() {
                queues.remove(&address);
            }
            woken
        };
        // Without the lock: a waker may do anything.
        woken.iter().for_each(|waiter| waiter.notify());
        woken.len() as u32
    }

    /// Looks whether a suspended call has to wait any longer with `waiter`; if so it wakes `waker`
    /// when it has not. The watchdog has to be told of `end` then.
    pub(crate) fn poll(
        &self,
        address: u64,
        waiter: &Arc<Waiter>,
        end: Option<Instant>,
        waker: &Waker,
    ) -> Poll<Outcome> {
        let mut state = lock(&waiter.state);
        if state.notified {
            return Poll::Ready(Outcome::Notified);
        }
        if end.is_none_or(|end| Instant::now() < end) {
            match &mut state.waker {
                Some(known) => known.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
            drop(state);
            if let Some(end) = end {
                timers::set(waiter, time::nanos(end));
            }
            return Poll::Pending;
        }
        drop(state);
        let in_time = !self.remove(address, waiter);
        Poll::Ready(if in_time { Outcome::Notified } else { Outcome::TimedOut })
    }

    /// Takes a waiter out of its queue; whether it was still there, and so was not notified.
    pub(crate) fn remove(&self, address: u64, waiter: &Arc<Waiter>) -> bool {
        let mut queues = lock(&self.0);
        let Some(queue) = queues.get_mut(&address) else { return false };
        let before = queue.len();
        queue.retain(|other| !Arc::ptr_eq(other, waiter));
        let removed = queue.len() < before;
        if queue.is_empty() {
            queues.remove(&address);
        }
        removed
    }
}

impl Waiter {
    fn notify(&self) {
        let waker = {
            let mut state = lock(&self.state);
            state.notified = true;
            self.wake.notify_one();
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Sleeps until notified or until `end`; the trap if a call on this thread has to end.
    fn sleep(&self, end: Option<Instant>) -> Option<TrapCode> {
        let mut state = lock(&self.state);
        loop {
            if let Some(code) = current::mark_due_calls() {
                return Some(code);
            }
            if state.notified {
                return None;
            }
            state = match end.map(|end| end.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return None,
                Some(left) => {
                    let woken = self.wake.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// The threads that wait, for the watchdog.
static SLEEPERS: Mutex<Vec<(i32, Arc<Waiter>)>> = Mutex::new(Vec::new());

/// A thread's entry among [`SLEEPERS`].
struct Registered(Arc<Waiter>);

impl Registered {
    fn new(waiter: Arc<Waiter>) -> Registered {
        lock(&SLEEPERS).push((thread_id(), waiter.clone()));
        Registered(waiter)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&SLEEPERS).retain(|(_, waiter)| !Arc::ptr_eq(waiter, &self.0));
    }
}

/// Has `thread` look whether a call on it has to end, if it waits. One that is about to wait may
/// miss it; the watchdog repeats itself until the call has ended.
pub(crate) fn wake(thread: i32) {
    let sleepers = lock(&SLEEPERS);
    if let Some((_, waiter)) = sleepers.iter().find(|(sleeper, _)| *sleeper == thread) {
        waiter.wake.notify_one();
    }
}

impl Timed for Waiter {
    fn timer(&self) -> &Timer {
        &self.timer
    }

    fn is_due(&self, _now: u64) -> Option<u64> {
        let waker = lock(&self.state).waker.clone();
        waker.into_iter().for_each(Waker::wake);
        None
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        timers::forget(self);
    }
}

/// No code that could panic runs under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_at_its_time_or_at_once_if_the_value_is_another() {
        let parking = Parking::default();
        assert_eq!(parking.wait(8, || false, None), Ok(Outcome::Different));
        let soon = Instant::now() + Duration::from_millis(1);
        assert_eq!(parking.wait(8, || true, Some(soon)), Ok(Outcome::TimedOut));
        assert_eq!(parking.notify(8, 1), 0, "nobody is left there");
    }

    #[test]
    fn a_waiter_is_notified_at_its_address_only() {
        let parking = Parking::default();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| parking.wait(16, || true, None));
            while parking.notify(16, 1) == 0 {
                assert_eq!(parking.notify(24, u32::MAX), 0);
                std::thread::yield_now();
            }
            assert_eq!(waiter.join().unwrap(), Ok(Outcome::Notified));
        });
    }
}
