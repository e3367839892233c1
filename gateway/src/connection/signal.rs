//! The end of a connection from outside: by a clock, for another connection, or with the server.
//!
//! A connection is polled for every request, and would ask a timer and two queues of waiters each
//! time. A signal is one flag to look at: who raises it wakes the connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// The reason to end a connection. The most urgent one that was raised is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// The server ends: requests under way go on.
    Server,
    /// It is of no use, or another one has its place; it did nothing wrong, and is told first.
    Leave,
    /// The client owes bytes, or takes none.
    Overdue(&'static str),
}

/// A signal to one connection.
#[derive(Debug, Default)]
pub(super) struct Signal {
    is_raised: AtomicBool,
    raised: Mutex<Raised>,
}

#[derive(Debug, Default)]
struct Raised {
    end: Option<End>,
    waker: Option<Waker>,
}

/// The one who gets a signal.
#[derive(Debug)]
pub(super) struct Receiver<'a> {
    signal: &'a Signal,
    /// The waker that was left with the signal.
    waker: Option<Waker>,
}

impl Signal {
    fn lock(&self) -> MutexGuard<'_, Raised> {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the connection end.
    pub(super) fn raise(&self, end: End) {
        let mut raised = self.lock();
        raised.end = raised.end.max(Some(end));
        self.is_raised.store(true, Ordering::Release);
        let waker = raised.waker.clone();
        drop(raised);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// For the task of the connection, and one at a time.
    pub(super) fn receiver(&self) -> Receiver<'_> {
        Receiver { signal: self, waker: None }
    }
}

impl Receiver<'_> {
    /// The signal if it was raised since the last one. The task is woken when it is raised.
    pub(super) fn poll(&mut self, context: &Context<'_>) -> Option<End> {
        let is_known = |known: &Waker| known.will_wake(context.waker());
        if !self.waker.as_ref().is_some_and(is_known) {
            self.waker = Some(context.waker().clone());
            self.signal.lock().waker.clone_from(&self.waker);
        }
        if !self.signal.is_raised.load(Ordering::Acquire) {
            return None;
        }
        let mut raised = self.signal.lock();
        self.signal.is_raised.store(false, Ordering::Relaxed);
        raised.end.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_signal_wakes_and_is_received_once() {
        let signal = Signal::default();
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let context = Context::from_waker(&waker);
        let mut receiver = signal.receiver();
        assert_eq!(receiver.poll(&context), None);
        signal.raise(End::Leave);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(receiver.poll(&context), Some(End::Leave));
        assert_eq!(receiver.poll(&context), None);
    }

    #[test]
    fn the_most_urgent_end_is_kept_also_before_anybody_looks() {
        let signal = Signal::default();
        for end in [End::Server, End::Overdue("late"), End::Leave] {
            signal.raise(end);
        }
        let context = Context::from_waker(Waker::noop());
        assert_eq!(signal.receiver().poll(&context), Some(End::Overdue("late")));
    }

    #[test]
    fn a_task_that_moves_is_woken_where_it_is() {
        let signal = Signal::default();
        let counts: [Arc<Count>; 2] = Default::default();
        let mut receiver = signal.receiver();
        for count in &counts {
            receiver.poll(&Context::from_waker(&Waker::from(count.clone())));
        }
        signal.raise(End::Server);
        assert_eq!(counts.map(|count| count.0.load(Ordering::Relaxed)), [0, 1]);
    }
}
