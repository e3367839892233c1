//! Threads that wait for a change of a shared memory, without taking any CPU.
//!
//! Each shared memory has a queue of waiters for each address, first come, first served. A waiter
//! is woken by a notification, at the end of its time, or by the watchdog if a call on its thread
//! has to end: signals do not wake it, so the watchdog does, after each signal it sends.

use crate::call::current;
use crate::sys::thread_id;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use wfaas_abi::TrapCode;

/// The waiters of one memory, by their address.
#[derive(Debug, Default)]
pub(crate) struct Parking(Mutex<HashMap<u64, VecDeque<Arc<Waiter>>>>);

/// A thread that waits.
#[derive(Debug, Default)]
struct Waiter {
    notified: Mutex<bool>,
    wake: Condvar,
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
        let waiter = {
            let mut queues = lock(&self.0);
            // A thread that changes the value notifies afterwards, and for that needs the lock.
            if !unchanged() {
                return Ok(Outcome::Different);
            }
            let waiter = Arc::<Waiter>::default();
            queues.entry(address).or_default().push_back(waiter.clone());
            waiter
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

    /// Wakes at most `count` threads that wait at `address`; how many.
    pub(crate) fn notify(&self, address: u64, count: u32) -> u32 {
        let mut queues = lock(&self.0);
        let Some(queue) = queues.get_mut(&address) else { return 0 };
        let woken = queue.len().min(count as usize);
        for waiter in queue.drain(..woken) {
            *lock(&waiter.notified) = true;
            waiter.wake.notify_one();
        }
        if queue.is_empty() {
            queues.remove(&address);
        }
        woken as u32
    }

    /// Takes a waiter out of its queue; whether it was still there, and so was not notified.
    fn remove(&self, address: u64, waiter: &Arc<Waiter>) -> bool {
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
    /// Sleeps until notified or until `end`; the trap if a call on this thread has to end.
    fn sleep(&self, end: Option<Instant>) -> Option<TrapCode> {
        let mut notified = lock(&self.notified);
        loop {
            if let Some(code) = current::mark_due_calls() {
                return Some(code);
            }
            if *notified {
                return None;
            }
            notified = match end.map(|end| end.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return None,
                Some(left) => {
                    let woken = self.wake.wait_timeout(notified, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.wake.wait(notified).unwrap_or_else(PoisonError::into_inner),
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
