//! The time of a turn: one look at the clock for everything that happens in it.
//!
//! A request asks for the time half a dozen times, which is a tenth of its own work. All patience
//! with clients is counted in milliseconds, so that the beginning of the turn is exact enough: a turn
//! is shorter, or its guest has used the time. The look itself is at the processor's counter, which goes
//! on from the kernel's clock for a millisecond.

use std::cell::Cell;
use std::time::{Duration, Instant};
use wfaas_vm::Ticks;

/// Time after which this thread looks at the kernel's clock again: the counter is off by half a
/// microsecond then.
const TRUSTED: Duration = Duration::from_millis(1);

/// Longest time between two looks that are taken for one.
const TOGETHER: Duration = Duration::from_micros(10);

thread_local! {
    static TURN: Cell<Option<Instant>> = const { Cell::new(None) };
    /// This thread's last look at the kernel's clock, and the counter then.
    static LOOK: Cell<Option<(Instant, Ticks)>> = const { Cell::new(None) };
}

/// When the present turn of this thread began, or now if there is none.
pub(crate) fn now() -> Instant {
    TURN.get().unwrap_or_else(Instant::now)
}

/// A turn of this thread, until it is dropped.
#[derive(Debug)]
pub(crate) struct Began(Option<Instant>);

/// Begins a turn, at this moment.
pub(crate) fn begin(at: Ticks) -> Began {
    Began(TURN.replace(Some(instant(at))))
}

/// The point in time of the present moment.
fn instant(present: Ticks) -> Instant {
    if let Some((look, then)) = LOOK.get() {
        let passed = present.since(then);
        if passed < TRUSTED {
            return look + passed;
        }
    }
    let look = Instant::now();
    // A thread that stood still in between has two points in time.
    let is_one = Ticks::now().since(present) < TOGETHER;
    LOOK.set(is_one.then_some((look, present)));
    look
}

impl Drop for Began {
    fn drop(&mut self) {
        TURN.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_stands_during_a_turn_and_goes_on_behind_it() {
        let turn = begin(Ticks::now());
        let began = now();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(now(), began);
        drop(turn);
        assert!(now() >= began + Duration::from_millis(2));
    }

    #[test]
    fn turns_begin_at_the_time_of_the_kernels_clock() {
        let start = Instant::now();
        while start.elapsed() < 4 * TRUSTED {
            let early = Instant::now();
            let turn = begin(Ticks::now());
            let (began, late) = (now(), Instant::now());
            drop(turn);
            // Two looks that are taken for one, and the counter's error.
            let slack = 4 * TOGETHER;
            assert!(early < began + slack && began < late + slack, "{early:?} {began:?} {late:?}");
        }
    }
}
