//! A request and its answer, from the head to the last byte taken: clocks, and an end from outside.

use super::state::State;
use crate::budget::{Account, Lease};
use crate::clock;
use crate::pace::Pace;
use crate::turns::{self, Turns};
use hyper::rt::Executor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// One request. It is under way as long as anything holds it: the service, the body of the answer,
/// or a piece of that body in a buffer of the protocol's.
#[derive(Debug)]
pub(crate) struct Exchange {
    connection: Arc<State>,
    number: u64,
    /// Whether a line of its head, or of one before, ended with a line feed alone.
    pub(crate) bare_line_feed: bool,
    receive: Mutex<Pace>,
    send: Mutex<Sending>,
    /// The task of its stream, if it has one.
    task: OnceLock<AbortHandle>,
    is_cancelled: AtomicBool,
}

/// The answer's bytes that are offered and not taken.
#[derive(Debug)]
struct Sending {
    pace: Pace,
    offered: u64,
    answered: bool,
    waker: Option<Waker>,
    /// Of the bytes of the request and its answer, as long as there is any of them.
    lease: Option<Lease>,
}

impl Exchange {
    pub(super) fn new(
        connection: Arc<State>,
        number: u64,
        bare_line_feed: bool,
        (receive, send): (Pace, Pace),
    ) -> Exchange {
        Exchange {
            connection,
            number,
            bare_line_feed,
            receive: Mutex::new(receive),
            send: Mutex::new(Sending {
                pace: send,
                offered: 0,
                answered: false,
                waker: None,
                lease: None,
            }),
            task: OnceLock::new(),
            is_cancelled: AtomicBool::new(false),
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn connection(&self) -> &State {
        &self.connection
    }

    fn receiving(&self) -> MutexGuard<'_, Pace> {
        self.receive.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sending(&self) -> MutexGuard<'_, Sending> {
        self.send.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the client's bytes from now on: how long at most until the next ones.
    pub(crate) fn await_bytes(&self) -> Duration {
        let (now, mut receive) = (Instant::now(), self.receiving());
        receive.wait(now);
        receive.left(now)
    }

    /// Bytes have come, or will not come any more.
    pub(crate) fn received(&self, bytes: u64) {
        let (now, mut receive) = (Instant::now(), self.receiving());
        receive.moved(now, bytes);
        receive.pause(now);
    }

    /// There is an answer, and a lease of its bytes and those of its request.
    pub(super) fn answer(&self, lease: Option<Lease>) {
        let mut send = self.sending();
        send.lease = lease;
        send.answered = true;
    }

    /// Bytes of the answer are there for the client.
    pub(super) fn offer(&self, bytes: u64) {
        let mut send = self.sending();
        send.offered += bytes;
        if send.offered > 0 {
            send.pace.wait(clock::now());
        }
    }

    /// The client has taken bytes of the answer.
    pub(super) fn taken(&self, bytes: u64) {
        let mut send = self.sending();
        send.offered = send.offered.saturating_sub(bytes);
        if send.offered > 0 {
            send.pace.moved(Instant::now(), bytes);
            return;
        }
        send.pace.rest();
        let waker = send.waker.take();
        drop(send);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ready when the client has taken everything that was offered.
    pub(super) fn poll_taken(&self, context: &Context<'_>) -> Poll<()> {
        let mut send = self.sending();
        if send.offered == 0 {
            return Poll::Ready(());
        }
        send.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Whether the client has taken too long to take the answer.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.sending().pace.is_over(now)
    }

    /// How much patience with the client is used up, if only the client keeps it from going on.
    pub(super) fn strain(&self, now: Instant) -> Option<Duration> {
        let receiving = self.receiving().strain(now);
        receiving.or_else(|| self.sending().pace.strain(now))
    }

    /// Has its stream reset; `false` if that was tried before.
    pub(super) fn cancel(&self) -> bool {
        // One that has no task yet has just begun.
        self.task.get().is_none_or(|task| {
            task.abort();
            !self.is_cancelled.swap(true, Ordering::Relaxed)
        })
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let sending = self.send.get_mut().unwrap_or_else(PoisonError::into_inner);
        let answered = sending.answered;
        self.connection.finished(self.number, answered);
    }
}

/// A connection's turn may have lasted this part of a guest's time slice when a stream of it runs in it.
const PART_OF_SLICE: u32 = 10;

/// Runs the streams of an HTTP/2 connection, each until it is done or its exchange is cancelled:
/// hyper resets the stream of a task that is aborted.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    turns: Arc<Turns>,
    payer: Arc<Account>,
    longest_turn: Duration,
    /// The exchange that the service was just called for. hyper gives its task away next.
    next: Arc<Mutex<Option<Arc<Exchange>>>>,
}

impl Streams {
    /// Streams that go on in turns, in the time of `payer`, beside guests with this time slice.
    pub(super) fn new(turns: &Arc<Turns>, payer: &Arc<Account>, time_slice: Duration) -> Streams {
        let longest_turn = time_slice / PART_OF_SLICE;
        Streams { turns: turns.clone(), payer: payer.clone(), longest_turn, next: Arc::default() }
    }

    /// Tells which exchange the next task is for.
    pub(super) fn expect(&self, exchange: &Arc<Exchange>) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(exchange.clone());
    }
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    /// Polls a stream once in the connection's own turn: most answers are there then, and take no
    /// task. A turn that has lasted a while gives the thread back first.
    fn execute(&self, task: F) {
        let exchange = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut task = Box::pin(task);
        // hyper asks its connection for more after this, and sends what there is.
        if clock::now().elapsed() < self.longest_turn
            && turns::before_going_on(|| is_over(task.as_mut()))
        {
            return;
        }
        let task = tokio::spawn(self.turns.of(&self.payer, task));
        if let Some(exchange) = exchange {
            let _ = exchange.task.set(task.abort_handle());
        }
    }
}

/// Whether a future ends when it is polled, or panics, which is a bug of ours and costs its own stream.
/// Otherwise it has to be polled again, by a task that it can wake.
fn is_over(task: Pin<&mut impl Future>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    catch_unwind(AssertUnwindSafe(|| task.poll(&mut context).is_ready())).unwrap_or(true)
}
