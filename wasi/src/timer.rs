//! Timers: one thread wakes the futures of all guests that sleep, whatever executor polls them.
//!
//! A sleep is an entry of a map, from its time to its waker, and gone as soon as its [`Timer`] is
//! dropped. Times are rounded up to [`GRAIN`], so that many short sleeps cost the thread no more than
//! one wake-up a grain. The thread is started by the first timer, and takes no processor time without any.

use crate::preview1::Errno;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// How late a timer may be, apart from the scheduling of threads.
const GRAIN: Duration = Duration::from_micros(250);

/// Wakes somebody at some time, unless it is dropped before.
#[derive(Debug, Default)]
pub(crate) struct Timer(Option<Key>);

/// A time in grains since [`ORIGIN`], and a number of its own.
type Key = (u64, u64);

static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

static TIMERS: Mutex<Timers> = Mutex::new(Timers::NONE);
/// Tells the thread of a timer that comes before the time it sleeps until.
static EARLIER: Condvar = Condvar::new();

struct Timers {
    wakers: BTreeMap<Key, Waker>,
    /// The number of the next timer.
    next: u64,
    thread_runs: bool,
    /// The time that the thread sleeps until, in grains.
    sleeps_until: u64,
}

impl Timers {
    const NONE: Timers =
        Timers { wakers: BTreeMap::new(), next: 0, thread_runs: false, sleeps_until: 0 };

    /// The wakers of all timers up to `now`.
    fn take_due(&mut self, now: u64) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(first) = self.wakers.first_entry().filter(|first| first.key().0 <= now) {
            due.push(first.remove());
        }
        due
    }
}

impl Timer {
    /// Wakes `waker` at `time`, and not at a time it was set to before.
    ///
    /// # Errors
    /// [`Errno::Again`] if there can be no thread for it.
    pub(crate) fn set(&mut self, time: Instant, waker: &Waker) -> Result<(), Errno> {
        let grain = grain_after(time);
        let mut timers = lock();
        if !timers.thread_runs {
            let thread = std::thread::Builder::new().name("wfaas-timers".into()).spawn(run);
            thread.map_err(|_| Errno::Again)?;
            timers.thread_runs = true;
        }
        let before = self.0.take().and_then(|key| timers.wakers.remove(&key));
        let key = (grain, timers.next);
        timers.next += 1;
        let waker = before.filter(|known| known.will_wake(waker)).unwrap_or_else(|| waker.clone());
        timers.wakers.insert(key, waker);
        self.0 = Some(key);
        if grain < timers.sleeps_until {
            timers.sleeps_until = grain;
            EARLIER.notify_one();
        }
        Ok(())
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // A waker may do anything when it is dropped: without the lock.
        let waker = self.0.take().and_then(|key| lock().wakers.remove(&key));
        drop(waker);
    }
}

/// Waits until `time`, on whatever executor; not at all if there can be no thread for timers.
pub async fn sleep_until(time: Instant) {
    let mut timer = Timer::default();
    poll_fn(|context| {
        // Without a thread for timers, whoever polls has to be patient.
        if time <= Instant::now() || timer.set(time, context.waker()).is_err() {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
}

/// How many timers are set.
#[cfg(test)]
pub(crate) fn count() -> usize {
    lock().wakers.len()
}

fn lock() -> MutexGuard<'static, Timers> {
    TIMERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first grain that begins no sooner than `time`.
fn grain_after(time: Instant) -> u64 {
    let since = time.saturating_duration_since(*ORIGIN);
    u64::try_from(since.as_nanos().div_ceil(GRAIN.as_nanos())).unwrap_or(u64::MAX)
}

/// The grain under way.
fn present_grain() -> u64 {
    (ORIGIN.elapsed().as_nanos() / GRAIN.as_nanos()) as u64
}

fn until(grain: u64) -> Duration {
    let nanoseconds = grain.saturating_mul(GRAIN.as_nanos() as u64);
    Duration::from_nanos(nanoseconds).saturating_sub(ORIGIN.elapsed())
}

/// The thread.
fn run() {
    let mut timers = lock();
    loop {
        let due = timers.take_due(present_grain());
        if !due.is_empty() {
            drop(timers);
            for waker in due {
                // A panic of one executor must not keep all others asleep.
                let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
            }
            timers = lock();
            continue;
        }
        let first = timers.wakers.first_key_value().map(|(key, _)| key.0);
        timers.sleeps_until = first.unwrap_or(u64::MAX);
        timers = match first {
            None => EARLIER.wait(timers).unwrap_or_else(PoisonError::into_inner),
            Some(first) => {
                let woken = EARLIER.wait_timeout(timers, until(first));
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        timers.sleeps_until = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, mpsc};
    use std::task::Wake;

    /// Tests of timers, one at a time: they count all there are.
    static ALONE: Mutex<()> = Mutex::new(());

    struct Sender(mpsc::Sender<Instant>);

    impl Wake for Sender {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(Instant::now());
        }
    }

    fn waker() -> (Waker, mpsc::Receiver<Instant>) {
        let (sender, woken) = mpsc::channel();
        (Waker::from(Arc::new(Sender(sender))), woken)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn each_timer_wakes_once_and_not_before_its_time() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (waker, woken) = waker();
        let start = Instant::now();
        let times = [30, 10, 20, 10, 0].map(|millis| start + Duration::from_millis(millis));
        let timers = times.map(|time| {
            let mut timer = Timer::default();
            timer.set(time, &waker).unwrap();
            timer
        });
        let mut sorted = times;
        sorted.sort();
        for time in sorted {
            let woken = woken.recv_timeout(LONG).expect("it is woken");
            assert!(woken >= time, "{:?} too early", time - woken);
        }
        assert!(woken.recv_timeout(Duration::from_millis(20)).is_err(), "no more than once");
        drop(timers);
    }

    #[test]
    fn a_timer_that_is_dropped_or_set_anew_is_gone() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (waker, woken) = waker();
        let before = count();
        let soon = Instant::now() + Duration::from_millis(50);
        let mut timer = Timer::default();
        for _ in 0..10_000 {
            timer.set(soon, &waker).unwrap();
        }
        assert_eq!(count(), before + 1);
        timer.set(Instant::now() + Duration::from_secs(3600), &waker).unwrap();
        assert_eq!(count(), before + 1);
        drop(timer);
        assert_eq!(count(), before);
        assert!(woken.recv_timeout(Duration::from_millis(100)).is_err(), "nobody is woken");
    }

    #[test]
    fn a_waker_that_panics_keeps_nobody_else_asleep() {
        struct Panics;
        impl Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("a test's panic");
            }
        }
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (waker, woken) = waker();
        let (mut bad, mut good) = (Timer::default(), Timer::default());
        let soon = Instant::now() + Duration::from_millis(5);
        bad.set(soon, &Waker::from(Arc::new(Panics))).unwrap();
        good.set(soon, &waker).unwrap();
        assert!(woken.recv_timeout(LONG).is_ok());
    }

    #[test]
    fn a_grain_is_never_before_its_time() {
        let origin = *ORIGIN;
        assert_eq!(grain_after(origin), 0);
        assert_eq!(grain_after(origin + Duration::from_nanos(1)), 1);
        assert_eq!(grain_after(origin + GRAIN), 1);
        assert_eq!(grain_after(origin + 3 * GRAIN - Duration::from_nanos(1)), 3);
        assert!(until(grain_after(Instant::now() + Duration::from_secs(1 << 40))) > LONG);
    }
}
