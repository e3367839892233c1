//! Timers: things that nothing is heard of until some time, ordered by it. Looking for those that are
//! due takes no time for the others.

use crate::call::time::NEVER;
use std::collections::BTreeMap;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
    fence,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Something with a timer.
pub(super) trait Timed: Send + Sync {
    /// Its timer.
    fn timer(&self) -> &Timer;

    /// The time for which the timer was set has come, which may be sooner than it is needed now: then
    /// the result is when it is, and it is set again.
    /// That time is after `now`.
    fn is_due(&self, now: u64) -> Option<u64>;
}

/// The timer of a thing: the time for which it is set. Whoever holds one forgets it in `drop`.
#[derive(Debug)]
pub(super) struct Timer(AtomicU64);

impl Default for Timer {
    fn default() -> Self {
        Timer(AtomicU64::new(NEVER))
    }
}

/// Times, and addresses of the things, which are of one thing each as long as there is a `Weak`.
type Queue = BTreeMap<(u64, usize), Weak<dyn Timed>>;

static QUEUE: Mutex<Queue> = Mutex::new(Queue::new());

/// Sets the timer of `thing` for `at`, or an earlier time if it is set for that already. Whether it was
/// set.
///
/// A thing for which that is not so was written to before, and [`Timed::is_due`] sees that.
pub(super) fn set<T: Timed + 'static>(thing: &Arc<T>, at: u64) -> bool {
    fence(SeqCst);
    if thing.timer().0.load(Relaxed) <= at {
        return false;
    }
    insert(&mut lock(), Arc::<T>::downgrade(thing), &**thing, at);
    true
}

fn insert(queue: &mut Queue, weak: Weak<dyn Timed>, thing: &dyn Timed, at: u64) {
    let before = thing.timer().0.swap(at, Relaxed);
    let address = address(thing);
    drop(queue.remove(&(before, address)));
    queue.insert((at, address), weak);
}

/// Forgets the timer of a thing that is dropped.
pub(super) fn forget(thing: &dyn Timed) {
    if thing.timer().0.load(Relaxed) != NEVER {
        let mut queue = lock();
        let at = thing.timer().0.load(Relaxed);
        drop(queue.remove(&(at, address(thing))));
    }
}

/// Tells all things that are due; how many timers were looked at.
pub(super) fn fire(now: u64) -> usize {
    let due = take_due(now);
    for weak in &due {
        // Dropped without the lock, which its drop may need.
        let Some(thing) = weak.upgrade() else { continue };
        if let Some(later) = thing.is_due(now) {
            let mut queue = lock();
            if thing.timer().0.load(Relaxed) > later {
                insert(&mut queue, weak.clone(), &*thing, later);
            }
        }
    }
    due.len()
}

/// Takes out all timers that are due.
fn take_due(now: u64) -> Vec<Weak<dyn Timed>> {
    let mut queue = lock();
    if queue.first_key_value().is_none_or(|((at, _), _)| *at > now) {
        return Vec::new();
    }
    let later = queue.split_off(&(now + 1, 0));
    let due: Vec<_> = std::mem::replace(&mut *queue, later).into_values().collect();
    let things: Vec<_> = due.iter().filter_map(Weak::upgrade).collect();
    for thing in &things {
        thing.timer().0.store(NEVER, Relaxed);
    }
    fence(SeqCst);
    drop(queue);
    due
}

/// The time of the first timer, or [`NEVER`].
pub(super) fn next() -> u64 {
    lock().first_key_value().map_or(NEVER, |((at, _), _)| *at)
}

fn address(thing: &dyn Timed) -> usize {
    std::ptr::from_ref(thing).cast::<()>().addr()
}

/// No code that could panic runs under this lock.
fn lock() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// Counts how often it is told, and is needed at a later time if that is not over.
    #[derive(Default)]
    struct Thing {
        timer: Timer,
        needed: AtomicU64,
        told: AtomicUsize,
    }

    impl Timed for Thing {
        fn timer(&self) -> &Timer {
            &self.timer
        }

        fn is_due(&self, now: u64) -> Option<u64> {
            let needed = self.needed.load(SeqCst);
            if needed > now {
                return Some(needed);
            }
            self.told.fetch_add(1, SeqCst);
            None
        }
    }

    impl Drop for Thing {
        fn drop(&mut self) {
            forget(self);
        }
    }

    fn told(thing: &Thing) -> usize {
        thing.told.load(SeqCst)
    }

    /// One test for all, since there is one queue in a process: its times are before all that others
    /// set, and it looks at no others.
    #[test]
    fn timers_are_told_once_when_they_are_due_and_nobody_looks_at_the_others() {
        let things: Vec<Arc<Thing>> = (0..10_000).map(|_| Arc::default()).collect();
        let far = NEVER / 2;
        for (thing, at) in things.iter().zip(far..) {
            thing.needed.store(at, SeqCst);
            assert!(set(thing, at));
        }
        assert_eq!(fire(3), 0, "ten thousand timers are no work");
        let (first, second) = (&things[5000], &things[77]);
        first.needed.store(1, SeqCst);
        second.needed.store(far, SeqCst);
        assert!(set(first, 1) && set(second, 2));
        assert!(!set(first, 1) && !set(second, 5), "set already");
        assert_eq!(next(), 1);
        assert_eq!(fire(0), 0);
        assert_eq!(fire(2), 2);
        assert_eq!((told(first), told(second)), (1, 0));
        assert_eq!(lock().keys().filter(|(at, _)| *at == far).count(), 2, "set again, for later");
        assert_eq!(fire(4), 0, "once");
        drop(things);
        assert!(lock().keys().all(|(at, _)| *at < far), "dropped with the things");
    }
}
