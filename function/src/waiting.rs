//! Waiting in a host function of a protocol.

use crate::state::State;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;
use wfaas_vm::{BoxError, Caller, MaybeFuture};

/// Longest single wait of a thread that a guest holds: as long as the end of its call may be late.
const SLICE: Duration = Duration::from_millis(20);

/// Waits for `future`, and goes on with `then`. The guest is suspended meanwhile, or holds its thread
/// where it cannot be. Time counts towards the guest's.
pub(crate) fn wait<'a, T: Send + 'a, R: 'a>(
    mut caller: Caller<'a, State>,
    future: impl Future<Output = T> + Send + 'a,
    then: impl FnOnce(&mut Caller<'a, State>, T) -> Result<R, BoxError> + Send + 'a,
) -> MaybeFuture<'a, Result<R, BoxError>> {
    if caller.can_wait() {
        return MaybeFuture::Future(Box::new(async move {
            let value = future.await;
            then(&mut caller, value)
        }));
    }
    MaybeFuture::Ready(match hold_guest(&caller, future) {
        Some(value) => then(&mut caller, value),
        None => Err("the call has to end".into()),
    })
}

/// Has others that can go on have their turns first.
pub(crate) async fn turns() {
    let mut is_first = true;
    poll_fn(|context| match std::mem::take(&mut is_first) {
        true => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
        false => Poll::Ready(()),
    })
    .await;
}

/// Holds the thread until the future is ready; `None` if the guest's call has to end first.
fn hold_guest<T>(caller: &Caller<'_, State>, future: impl Future<Output = T>) -> Option<T> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(value);
        }
        if caller.interrupted().is_some() {
            return None;
        }
        std::thread::park_timeout(SLICE);
    }
}

/// Holds the thread until `poll` is ready, which says itself how long that may take.
pub(crate) fn hold<R>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>) -> R {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        if let Poll::Ready(result) = poll(&mut Context::from_waker(&waker)) {
            return result;
        }
        std::thread::park_timeout(SLICE);
    }
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
