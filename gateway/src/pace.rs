//! Patience with a client that has to send or take bytes: a leaky bucket of time.
//!
//! Waiting empties it, bytes that move fill it up to its size again, each by the time it may take
//! at the least rate. A client that stops is given up after `patience`; one that is slower than
//! the least rate soon; one that is faster, never. The clock runs only while something is waited
//! for, so a stream without news, or a guest that takes its time, costs a client nothing.

use std::time::{Duration, Instant};

/// The patience left with one transfer.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    patience: Duration,
    /// Bytes a second.
    rate: u64,
    /// As of `since`, or of the last pause.
    left: Duration,
    /// Set while the client is waited for.
    since: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(patience: Duration, rate: u64) -> Pace {
        Pace { patience, rate: rate.max(1), left: patience, since: None }
    }

    /// Waits for the client from now on, if not already.
    pub(crate) fn wait(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Does not wait any more.
    pub(crate) fn pause(&mut self, now: Instant) {
        self.left = self.left(now);
        self.since = None;
    }

    /// Does not wait any more, and forgets how it was: the client has taken all there is.
    pub(crate) fn rest(&mut self) {
        self.left = self.patience;
        self.since = None;
    }

    /// Whether all patience is there and nothing is waited for: bytes that move change nothing.
    pub(crate) fn is_rested(&self) -> bool {
        self.since.is_none() && self.left == self.patience
    }

    /// The client has moved bytes. Late is late: they do not revive a transfer that was given up.
    pub(crate) fn moved(&mut self, now: Instant, bytes: u64) {
        let left = self.left(now);
        let worth = Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        self.left = if left.is_zero() { left } else { (left + worth).min(self.patience) };
        self.since = self.since.map(|_| now);
    }

    /// How much longer the client is waited for without a byte.
    pub(crate) fn left(&self, now: Instant) -> Duration {
        let waited = self.since.map_or(Duration::ZERO, |since| now.duration_since(since));
        self.left.saturating_sub(waited)
    }

    /// Whether patience is at its end.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.left(now).is_zero()
    }

    /// How much patience a client that is waited for has used up.
    pub(crate) fn strain(&self, now: Instant) -> Option<Duration> {
        self.since.map(|_| self.patience - self.left(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_client_that_stops_is_given_up_after_the_patience() {
        let start = Instant::now();
        let mut pace = Pace::new(10 * SECOND, 1000);
        pace.wait(start);
        assert!(!pace.is_over(start + 9 * SECOND));
        assert!(pace.is_over(start + 10 * SECOND));
        pace.moved(start + 11 * SECOND, 1_000_000);
        assert!(pace.is_over(start + 11 * SECOND), "too late");
    }

    #[test]
    fn the_least_rate_is_enough_and_less_is_not() {
        for (rate, lives) in [(1000, true), (500, false), (1, false)] {
            let start = Instant::now();
            let mut pace = Pace::new(10 * SECOND, 1000);
            pace.wait(start);
            for second in 1..=30 {
                pace.moved(start + second * SECOND, rate);
            }
            assert_eq!(!pace.is_over(start + 30 * SECOND), lives, "{rate} bytes a second");
        }
    }

    #[test]
    fn bytes_buy_no_more_than_the_patience() {
        let start = Instant::now();
        let mut pace = Pace::new(10 * SECOND, 1000);
        pace.wait(start);
        pace.moved(start, 1 << 30);
        assert!(pace.is_over(start + 10 * SECOND));
    }

    #[test]
    fn the_clock_stands_while_nothing_is_waited_for() {
        let start = Instant::now();
        let mut pace = Pace::new(10 * SECOND, 1000);
        pace.wait(start);
        pace.pause(start + 9 * SECOND);
        assert_eq!(pace.left(start + 1000 * SECOND), SECOND);
        assert_eq!(pace.strain(start + 1000 * SECOND), None);
        pace.rest();
        pace.wait(start + 1000 * SECOND);
        assert_eq!(pace.left(start + 1001 * SECOND), 9 * SECOND);
        assert_eq!(pace.strain(start + 1001 * SECOND), Some(SECOND));
    }
}
