//! The time of a turn: one look at the clock for everything that happens in it.
//!
//! A request asks for the time half a dozen times, which is a tenth of its own work. All patience
//! with clients is counted in milliseconds, so that the beginning of the turn is exact enough: a turn
//! is shorter, or its guest has used the time.

use std::cell::Cell;
use std::time::Instant;

thread_local! {
    static TURN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// When the present turn of this thread began, or now if there is none.
pub(crate) fn now() -> Instant {
    TURN.get().unwrap_or_else(Instant::now)
}

/// A turn of this thread, until it is dropped.
#[derive(Debug)]
pub(crate) struct Began(Option<Instant>);

/// Begins a turn.
pub(crate) fn begin(began: Instant) -> Began {
    Began(TURN.replace(Some(began)))
}

impl Drop for Began {
    fn drop(&mut self) {
        TURN.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_clock_stands_during_a_turn_and_goes_on_behind_it() {
        let before = now();
        let began = Instant::now() + Duration::from_secs(1);
        let turn = begin(began);
        assert_eq!(now(), began);
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(now(), began);
        drop(turn);
        assert!(now() >= before + Duration::from_millis(2) && now() < began);
    }
}
