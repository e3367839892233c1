//! Futures by hand: polling one, waiting for one, and ones that a test makes ready.
#![allow(dead_code)] // each test binary uses a part

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

/// Counts how often it was woken, and unparks a thread if it knows one.
pub(crate) struct Alarm {
    pub(crate) rings: AtomicUsize,
    thread: Option<Thread>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rings.fetch_add(1, SeqCst);
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}

impl Alarm {
    pub(crate) fn new() -> Arc<Alarm> {
        Arc::new(Alarm { rings: AtomicUsize::new(0), thread: None })
    }

    pub(crate) fn rings(&self) -> usize {
        self.rings.load(SeqCst)
    }
}

/// Polls a future once.
pub(crate) fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls a future once, with a waker that rings `alarm`.
pub(crate) fn poll_with<F: Future + ?Sized>(
    future: Pin<&mut F>,
    alarm: &Arc<Alarm>,
) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(alarm.clone())))
}

/// Polls a future whenever it is woken, until it is ready.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let thread = Some(std::thread::current());
    let alarm = Arc::new(Alarm { rings: AtomicUsize::new(0), thread });
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = poll_with(future.as_mut(), &alarm) {
            return output;
        }
        std::thread::park();
    }
}

/// Ready at the second poll; wakes itself at the first.
pub(crate) async fn yield_now() {
    let mut polled = false;
    poll_fn(|context| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Values that a test hands to futures that wait for them.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    values: Vec<i32>,
    wakers: Vec<Waker>,
    polls: usize,
    dropped: usize,
}

impl Gate {
    /// Lets one future go on.
    pub(crate) fn open(&self, value: i32) {
        let mut inner = self.0.lock().unwrap();
        inner.values.push(value);
        inner.wakers.drain(..).for_each(Waker::wake);
    }

    /// How often futures were polled.
    pub(crate) fn polls(&self) -> usize {
        self.0.lock().unwrap().polls
    }

    /// How many futures were dropped.
    pub(crate) fn dropped(&self) -> usize {
        self.0.lock().unwrap().dropped
    }

    /// The next value, once there is one.
    pub(crate) fn wait(&self) -> Waiter {
        Waiter(self.clone())
    }
}

/// A future of a [`Gate`].
pub(crate) struct Waiter(Gate);

impl Future for Waiter {
    type Output = i32;
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<i32> {
        let mut inner = self.0.0.lock().unwrap();
        inner.polls += 1;
        if inner.values.is_empty() {
            inner.wakers.push(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(inner.values.remove(0))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().dropped += 1;
    }
}
