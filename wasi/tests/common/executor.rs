//! The least executor: polls futures on the thread of the test, each whenever it was woken.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Counts how often it was woken, and tells its number each time.
pub(crate) struct Alarm {
    number: usize,
    woken: mpsc::Sender<usize>,
    pub(crate) rings: AtomicUsize,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rings.fetch_add(1, SeqCst);
        let _ = self.woken.send(self.number);
    }
}

/// An alarm, and where it rings.
pub(crate) fn alarm() -> (Arc<Alarm>, mpsc::Receiver<usize>) {
    let (woken, rings) = mpsc::channel();
    (Arc::new(Alarm { number: 0, woken, rings: AtomicUsize::new(0) }), rings)
}

/// Polls a future once, with a waker that rings `alarm`.
pub(crate) fn poll_with<F: Future + ?Sized>(
    future: Pin<&mut F>,
    alarm: &Arc<Alarm>,
) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(alarm.clone())))
}

/// Longest time that nobody is woken: only a future that nobody would wake takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Polls futures whenever they are woken, until all are ready; their results, and how often they were
/// polled together.
pub(crate) fn run_all<F: Future>(futures: Vec<F>) -> (Vec<F::Output>, usize) {
    let (woken, rings) = mpsc::channel();
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let alarm =
        |number| Arc::new(Alarm { number, woken: woken.clone(), rings: AtomicUsize::new(0) });
    let alarms: Vec<_> = (0..futures.len()).map(alarm).collect();
    (0..futures.len()).for_each(|number| woken.send(number).unwrap());
    let mut results: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    let (mut left, mut polls) = (futures.len(), 0);
    while left > 0 {
        let number = rings.recv_timeout(PATIENCE).expect("a future is woken");
        if results[number].is_some() {
            continue;
        }
        polls += 1;
        if let Poll::Ready(result) = poll_with(futures[number].as_mut(), &alarms[number]) {
            results[number] = Some(result);
            left -= 1;
        }
    }
    (results.into_iter().flatten().collect(), polls)
}

/// Polls a future whenever it is woken, until it is ready.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    run_all(vec![future]).0.remove(0)
}
