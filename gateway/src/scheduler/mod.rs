//! The scheduler: which guest goes on next, when there are more than threads to run them.
//!
//! A guest runs inline, in the task of its request, on the thread that polls it. Its slice over, it
//! is `runnable` and waits in line; a guest that `waits` for the host is in no line. Lines are in two
//! levels, tenants and within a tenant its functions; at each level whoever has had the least
//! processor time by weight goes first ([fair queueing](crate::fair)). A request that nobody is ahead
//! of runs at once, on the thread that read it; if nobody is in line at all, it asks the `gate` alone.
//!
//! ```text
//!              nobody is ahead, or its turn has come         returned
//!   Woken ──────────────────────────────────────→ Running ─────────────→ (gone)
//!     ↑   └─→ InLine ──→ Granted ────────────────→  │  │
//!     │          ↑                                  │  │ waits for the host
//!     │          └──── its slice is over ───────────┘  ↓
//!     └──────────────── woken ───────────────────── Asleep
//! ```
//!
//! After a slice, the thread that ran it does its I/O first: the next guest's task is woken by
//! [`yield_now`](tokio::task::yield_now), which waits until the driver was polled, and once more,
//! until the tasks that the driver has woken have run.

mod clock;
mod gate;
mod payer;
mod queue;
mod seat;
mod ticket;

pub(crate) use payer::{Payer, Reserved, Tenant, Usage};

use crate::budget::{Account, Lease};
use gate::Gate;
use queue::Queue;
use seat::Seat;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The scheduler of one server.
#[derive(Debug)]
pub(crate) struct Scheduler {
    gate: Arc<Gate>,
    queue: Mutex<Queue>,
}

/// Why a guest did not run to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfinished {
    /// It made room for a request of another client.
    MadeRoom,
    /// Its time was over before it began.
    Late,
    /// A bug of ours.
    Panicked,
}

/// Terms on which a guest runs.
#[derive(Debug)]
pub(crate) struct Terms<'a> {
    /// Who is charged for its time.
    pub(crate) payer: &'a Arc<Payer>,
    /// Its place among the requests under way.
    pub(crate) place: Place,
    /// When it is ended, wherever it is.
    pub(crate) deadline: Option<Instant>,
}

/// Shares of budgets that a guest holds as long as it is there.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) lease: Lease,
    pub(crate) _memory: Reserved,
}

/// Guests by standing, of one function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// In line for a thread.
    pub(crate) runnable: u64,
    /// Waiting for the host.
    pub(crate) waiting: u64,
}

/// A guest and its seat.
pub(crate) struct Seated<F> {
    // First, so that it is gone before its place is given to others.
    work: Pin<Box<F>>,
    seat: Seat<Arc<Scheduler>, Arc<Payer>>,
}

impl<F: Future> Future for Seated<F> {
    type Output = Result<F::Output, Unfinished>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Seated { work, seat } = &mut *self;
        seat.poll(context, work.as_mut())
    }
}

impl Scheduler {
    /// For guests on `threads` threads.
    pub(crate) fn new(threads: usize) -> Arc<Scheduler> {
        let gate = Arc::new(Gate::default());
        Arc::new(Scheduler { queue: Mutex::new(Queue::new(threads, gate.clone())), gate })
    }

    /// Runs a guest whenever it is its turn: `work` is polled for nothing else.
    pub(crate) fn run<'a, F: Future>(
        &'a self,
        terms: Terms<'a>,
        work: F,
    ) -> impl Future<Output = Result<F::Output, Unfinished>> + use<'a, F> {
        let Terms { payer, place, deadline } = terms;
        Seat::new(self, payer, Some(place), deadline).take(work)
    }

    /// As [`Scheduler::run`], by a future that can be moved between two polls.
    pub(crate) fn seat<F: Future>(
        self: &Arc<Self>,
        terms: Terms<'_>,
        work: Pin<Box<F>>,
    ) -> Seated<F> {
        let Terms { payer, place, deadline } = terms;
        let seat = Seat::new(self.clone(), payer.clone(), Some(place), deadline);
        Seated { seat, work }
    }

    /// Does work for a function whenever it is the function's turn, as a guest. It is no request, and has no
    /// place among them.
    pub(crate) async fn work(
        &self,
        payer: &Arc<Payer>,
        work: impl Future,
    ) -> Result<(), Unfinished> {
        Seat::new(self, payer, None, None).take(work).await.map(drop)
    }

    /// Ends the youngest guest of a tenant's client with most of them, for one that has none: the longest
    /// queue is the one to drop from, and no other tenant's. Looks at guests that were put off only, the
    /// others will have ended soon. `false` if there is no client with two.
    pub(crate) fn make_room(&self, client: &Arc<Account>, tenant: &Tenant) -> bool {
        let evicted = self.lock().evict(client, tenant);
        let Some((evicted, waker)) = evicted else { return false };
        // It has the lease of a place, which has a lock of its own.
        drop(evicted);
        waker.wake();
        true
    }

    /// Charges work in the background that was done for a function.
    pub(crate) fn charge(&self, payer: &Payer, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        payer.used.charge(nanos);
        self.lock().charge(payer, nanos);
    }

    /// Guests that were put off, by payer and standing.
    pub(crate) fn counts(&self) -> HashMap<*const Payer, Counts> {
        self.lock().counts()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
