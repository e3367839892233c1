//! The processor's counter as a clock for short times.

use crate::call::cpu_time;
use crate::sys;
use std::time::Duration;

/// Processor time that the present thread has used: a system call of some 180 ns.
pub fn thread_processor_time() -> Duration {
    Duration::from_nanos(sys::thread_nanos())
}

/// A moment, for times that are short and measured often: reading it takes a third of the time of
/// [`Instant::now`](std::time::Instant::now). A time is right to 1 in 2000. Where the processor's counter
/// is not steady, it is the kernel's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticks(u64);

impl Ticks {
    /// The present.
    #[inline]
    pub fn now() -> Ticks {
        Ticks(cpu_time::ticks())
    }

    /// Time from `earlier` to this moment; zero if it is the later one.
    #[inline]
    pub fn since(self, earlier: Ticks) -> Duration {
        Duration::from_nanos(cpu_time::nanos(self.0.saturating_sub(earlier.0)))
    }

    /// Time from this moment to the present.
    #[inline]
    pub fn elapsed(self) -> Duration {
        Ticks::now().since(self)
    }
}

// The interpreter has no counter of the processor.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn ticks_go_as_the_clock_does() {
        let (began, ticks) = (Instant::now(), Ticks::now());
        let (mut late, mut after) = (began.elapsed(), Ticks::now());
        while late < Duration::from_millis(20) {
            // The clock is read on both sides of the counter: what lies between is no error of it.
            let early = began.elapsed();
            after = Ticks::now();
            late = began.elapsed();
            let passed = after.since(ticks);
            assert!(passed + Duration::from_micros(50) > early * 99 / 100, "{passed:?} {early:?}");
            assert!(passed * 99 / 100 < late + Duration::from_micros(50), "{passed:?} {late:?}");
        }
        assert_eq!(ticks.since(after), Duration::ZERO);
    }
}
