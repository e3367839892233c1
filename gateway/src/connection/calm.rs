//! Patience with frames of HTTP/2 that bring no request nearer to its end.

use crate::clock;
use std::time::{Duration, Instant};

/// Credit for frames that bring no request nearer to its end. It comes with time, with answers
/// and with bytes that are sent: a client that makes use of its connection has enough. Nothing is
/// read from one that is in debt.
#[derive(Debug)]
pub(super) struct Calm {
    credit: i64,
    /// When the debt began, or credit was last given for time.
    since: Instant,
}

/// Most credit, and what it starts with.
const MOST_CREDIT: i64 = 1000;
/// Credit a second.
const CREDIT_RATE: u64 = 20;
/// Credit for an answer.
const ANSWER_CREDIT: u64 = 20;
/// Bytes to send for one more.
pub(super) const CREDIT_BYTES: u64 = 512;
/// Longest pause between two looks at the debt.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Calm {
    pub(super) fn new(now: Instant) -> Calm {
        Calm { credit: MOST_CREDIT, since: now }
    }

    /// A request was answered.
    pub(super) fn answered(&mut self) {
        self.earn(ANSWER_CREDIT);
    }

    /// Bytes were given to the kernel.
    pub(super) fn sent(&mut self, bytes: u64) {
        self.earn(bytes / CREDIT_BYTES);
    }

    fn earn(&mut self, credit: u64) {
        let credit = i64::try_from(credit).unwrap_or(i64::MAX);
        self.credit = self.credit.saturating_add(credit).min(MOST_CREDIT);
    }

    /// Takes credit; whether there is a debt now.
    pub(super) fn spend(&mut self, cost: u32) -> bool {
        let before = self.credit;
        self.credit = before.saturating_sub(i64::from(cost));
        if before >= 0 && self.credit < 0 {
            self.since = clock::now();
        }
        self.credit < 0
    }

    /// How long to wait for what is owed.
    pub(super) fn pause(&mut self, now: Instant) -> Option<Duration> {
        if self.credit >= 0 {
            return None;
        }
        let passed = now.duration_since(self.since);
        let earned = passed.as_millis() as u64 * CREDIT_RATE / 1000;
        if earned > 0 {
            self.earn(earned);
            self.since = now;
        }
        let owed = self.credit.min(0).unsigned_abs();
        let pause = Duration::from_secs(owed) / CREDIT_RATE as u32;
        (owed > 0).then(|| pause.min(LONGEST_PAUSE))
    }
}
