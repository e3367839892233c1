//! Time that a thread spends with guests, without the time in which the kernel runs others on its core.

use std::cell::Cell;
use std::time::Duration;
use wfaas_vm::thread_processor_time;

/// A shorter stint was hardly interrupted. Reading the processor clock is a system call, which a short one
/// would pay for more than for itself.
const SHORT: Duration = Duration::from_micros(200);

thread_local! {
    /// This thread's processor time at the end of its last long stint.
    static LAST: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Processor time of a stint of this thread that has just ended and took `elapsed`: at most.
pub(super) fn processor_time(elapsed: Duration) -> Duration {
    if elapsed < SHORT {
        return elapsed;
    }
    let now = thread_processor_time();
    elapsed.min(now.saturating_sub(LAST.replace(now)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn sleep_is_not_charged() {
        let long = Duration::from_millis(50);
        processor_time(long);
        std::thread::sleep(long);
        assert!(processor_time(long) < long / 2);
        let began = Instant::now();
        while began.elapsed() < long {
            std::hint::spin_loop();
        }
        // Other threads have the processor too.
        assert!(processor_time(began.elapsed()) > long / 20);
    }
}
