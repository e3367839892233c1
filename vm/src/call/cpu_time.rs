//! Processor time of a store's calls.
//!
//! At the beginning and the end of a stint the time-stamp counter is read, which takes 8 ns; the
//! clock of the kernel takes 17, the thread's 180 (`clock_gettime(2)`). So a stint is charged for time in
//! which the kernel lets another thread run in between. That may be long only if the stint was long:
//! then the watchdog has seen it and read the thread's clock, and this reads it again.

use crate::arch;
use crate::call::time;
use crate::sys;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Stints that are longer are corrected: as many nanoseconds. It is the shortest time slice.
const LONG: u64 = 1_000_000;

/// Time from the first use of the counter after which its rate is known well enough: to 1 in 2000, if a
/// look at both clocks takes 100 ns.
const KNOWN_WELL: u64 = 200_000;

/// Looks at both clocks of which the shortest is taken: a thread that stood still in between would have a
/// wrong rate for ever.
const LOOKS: usize = 8;

/// Number of binary places of a rate.
const PLACES: u32 = 32;

/// The processor's counter if it is steady, or else the kernel's clock.
#[inline]
pub(super) fn ticks() -> u64 {
    if origin().steady { arch::ticks() } else { time::now() }
}

/// Nanoseconds of a number of ticks.
pub(super) fn nanos(ticks: u64) -> u64 {
    if ticks == 0 || !origin().steady {
        return ticks;
    }
    ((u128::from(ticks) * u128::from(rate())) >> PLACES) as u64
}

/// Processor time of a stint that began at the counter `start` and ends now: a number of ticks, or of nanoseconds that are
/// more exact, if the watchdog has seen it. Then it knows the thread's processor time when the stint began.
#[inline]
pub(super) fn since(start: u64, from: impl FnOnce() -> Option<u64>) -> Charge {
    let ticks = ticks().saturating_sub(start);
    // A tick takes less than a nanosecond on most processors.
    if ticks < LONG { Charge::Ticks(ticks) } else { correct(ticks, from()) }
}

/// Processor time that a stint is charged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charge {
    Ticks(u64),
    Nanos(u64),
}

#[cold]
fn correct(ticks: u64, from: Option<u64>) -> Charge {
    match from {
        Some(from) if nanos(ticks) >= LONG => {
            let used = sys::thread_nanos().saturating_sub(from);
            Charge::Nanos(used.min(nanos(ticks)))
        }
        _ => Charge::Ticks(ticks),
    }
}

/// The first use of the counter.
#[derive(Debug)]
struct Origin {
    steady: bool,
    look: Look,
}

/// A look at the counter and at the kernel's clock.
#[derive(Debug, Clone, Copy)]
struct Look {
    ticks: u64,
    nanos: u64,
    /// Ticks between two readings of the counter, before and behind the one of the clock.
    width: u64,
}

impl Look {
    fn once() -> Look {
        let before = arch::ticks();
        let nanos = time::now();
        // A counter that went back is the longest look there is.
        let width = arch::ticks().wrapping_sub(before);
        Look { ticks: before.saturating_add(width / 2), nanos, width }
    }

    /// The shortest of a few.
    fn best() -> Look {
        let looks = [(); LOOKS].map(|()| Look::once());
        looks.into_iter().min_by_key(|look| look.width).expect("there is more than none")
    }
}

#[inline]
fn origin() -> &'static Origin {
    static ORIGIN: OnceLock<Origin> = OnceLock::new();
    ORIGIN.get_or_init(|| Origin { steady: arch::ticks_are_steady(), look: Look::best() })
}

/// Nanoseconds of a tick, as a number with [`PLACES`] binary places. Waits if the counter is in use only
/// since a moment ago.
fn rate() -> u64 {
    static RATE: AtomicU64 = AtomicU64::new(0);
    match RATE.load(Relaxed) {
        0 => {
            let rate = measure_rate();
            RATE.store(rate, Relaxed);
            rate
        }
        rate => rate,
    }
}

#[cold]
fn measure_rate() -> u64 {
    let first = origin().look;
    loop {
        let look = Look::best();
        let passed = look.nanos.saturating_sub(first.nanos);
        let ticks = look.ticks.saturating_sub(first.ticks);
        if passed >= KNOWN_WELL && ticks > 0 {
            return ((u128::from(passed) << PLACES) / u128::from(ticks)) as u64;
        }
        std::hint::spin_loop();
    }
}

/// Account of a store: the processor time of its calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    ticks: u64,
    nanos: u64,
}

impl Account {
    /// Nothing was used.
    pub(super) const NEW: Account = Account { ticks: 0, nanos: 0 };

    #[inline]
    pub(super) fn charge(&mut self, charge: Charge) {
        match charge {
            Charge::Ticks(ticks) => self.ticks = self.ticks.saturating_add(ticks),
            Charge::Nanos(nanos) => self.nanos = self.nanos.saturating_add(nanos),
        }
    }

    /// All that was used, in nanoseconds.
    pub(super) fn nanos(&self) -> u64 {
        self.nanos.saturating_add(nanos(self.ticks))
    }

    /// The same.
    pub(super) fn total(&self) -> Duration {
        Duration::from_nanos(self.nanos())
    }
}

// The interpreter has neither the processor's counter nor clocks of threads.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn ticks_are_time() {
        let (start, instant) = (ticks(), Instant::now());
        std::thread::sleep(Duration::from_millis(50));
        let (ticks, passed) = (ticks() - start, instant.elapsed().as_nanos() as u64);
        let ratio = nanos(ticks) as f64 / passed as f64;
        assert!((0.95..1.05).contains(&ratio), "{ratio}");
    }

    #[test]
    fn a_long_stint_is_not_charged_for_sleep_that_the_watchdog_has_seen() {
        let start = ticks();
        let from = sys::thread_nanos();
        std::thread::sleep(Duration::from_millis(50));
        let mut account = Account::NEW;
        account.charge(since(start, || Some(from)));
        assert!(account.total() < Duration::from_millis(30), "{:?}", account.total());
        account.charge(since(start, || None));
        assert!(account.total() >= Duration::from_millis(49), "nobody has seen that one");
    }
}
