//! Time that a thread spends with guests, without the time in which the kernel runs others on its core.

use rustix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// A shorter stint was hardly interrupted. Reading the processor clock is a system call, which a short one
/// would pay for more than for itself.
const SHORT: Duration = Duration::from_micros(200);

thread_local! {
    /// This thread's processor time at the end of its last long stint.
    static LAST: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Processor time of this thread since `began`, at most.
pub(super) fn spent(began: Instant) -> Duration {
    let elapsed = began.elapsed();
    if elapsed < SHORT {
        return elapsed;
    }
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let now = Duration::new(now.tv_sec as u64, now.tv_nsec as u32);
    elapsed.min(now.saturating_sub(LAST.replace(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_is_not_charged() {
        let long = Duration::from_millis(50);
        let began = Instant::now();
        spent(began.checked_sub(long).unwrap_or(began));
        std::thread::sleep(long);
        assert!(spent(began) < long / 2);
        let began = Instant::now();
        while began.elapsed() < long {
            std::hint::spin_loop();
        }
        // Other threads have the processor too.
        assert!(spent(began) > long / 20);
    }
}
