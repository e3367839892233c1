//! The queue between those who log and the thread that writes.

use crate::batch::Batch;
use crate::record::{Draft, Head};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the writer lets records gather after it has written some. Waking it up is most of the
/// price of a record, and is not paid during this time.
const GATHERING: Duration = Duration::from_millis(5);

/// A bounded queue of records.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// The writer has something to do.
    ready: Condvar,
    /// The writer has done everything.
    idle: Condvar,
    pub(crate) dropped: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Batch,
    writer: Activity,
    /// Somebody waits for the writer, which does not let records gather then.
    hurry: bool,
    closed: bool,
    /// Dropped records that the log has told of.
    told: u64,
}

/// What the writer does.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Activity {
    /// Sleeps until there is a record.
    #[default]
    Asleep,
    /// Lets records gather.
    Gathering,
    /// Writes a batch.
    Writing,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a record, or drops it if there is no room. Never waits for the writer.
    pub(crate) fn push(&self, head: Head, draft: &Draft) {
        let mut state = self.lock();
        if !state.waiting.push(head, draft) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let is_due = match state.writer {
            Activity::Asleep => state.waiting.len() == 1,
            Activity::Gathering => state.waiting.is_half_full(),
            Activity::Writing => false,
        };
        drop(state);
        if is_due {
            self.ready.notify_one();
        }
    }

    /// For the writer: exchanges a batch that was written for the next one, and tells how many
    /// records were dropped behind it. Waits for records; `None` at the end.
    pub(crate) fn next(&self, batch: &mut Batch, has_written: bool) -> Option<u64> {
        let mut state = self.lock();
        if has_written && !state.hurry && !state.waiting.is_half_full() {
            state.writer = Activity::Gathering;
            state =
                self.ready.wait_timeout(state, GATHERING).unwrap_or_else(PoisonError::into_inner).0;
        }
        while state.waiting.len() == 0 {
            state.writer = Activity::Asleep;
            state.hurry = false;
            self.idle.notify_all();
            if state.closed {
                return None;
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.writer = Activity::Writing;
        std::mem::swap(&mut state.waiting, batch);
        let dropped = self.dropped.load(Ordering::Relaxed);
        Some(dropped - std::mem::replace(&mut state.told, dropped))
    }

    /// Waits until nothing waits and nothing is being written, but no longer than this.
    pub(crate) fn flush(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        let mut state = self.lock();
        while state.waiting.len() > 0 || state.writer == Activity::Writing {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state.hurry = true;
            self.ready.notify_one();
            state = self.idle.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Lets the writer end once it has written everything.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_one();
    }
}
