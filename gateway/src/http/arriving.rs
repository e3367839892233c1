//! Bodies that arrive while their guest runs.
//!
//! ```text
//!   client ──→ hyper ──→ Rest::receive_during ──→ pipe (at most WINDOW) ──→ Stdin ──→ guest
//! ```
//!
//! A body of at most [`SMALL`] bytes is received before its guest starts: a slow client with little to
//! send holds no guest. Of a longer one that much is, and the rest goes through a pipe. A guest that
//! does not read fills the pipe, then nothing is taken from hyper any more, and the client has to stop.
//! Pace and limit are those of any other body, and the lease covers everything that can wait somewhere.

use super::Incoming;
use super::answer::Problem;
use super::body::{check_announced, next_in_time, receive};
use crate::budget::Lease;
use crate::connection::{Exchange, STREAM_WINDOW};
use bytes::Bytes;
use hyper::body::Body as _;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use wfaas_function::{Body, ByteStream, Trailers};
use wfaas_vm::BoxError;

/// Bytes of a body that are received before its guest starts.
const SMALL: u64 = 64 << 10;

/// Most bytes in a pipe. The guest has as many at the most that it has not read to the end.
const WINDOW: usize = 128 << 10;

/// A body, the lease of its bytes, and the part of it that has not arrived.
pub(super) struct Arriving {
    pub(super) body: Body,
    pub(super) lease: Lease,
    pub(super) rest: Rest,
}

/// The part of a body that has not arrived, if there is one.
pub(super) struct Rest(Option<Receiving>);

struct Receiving {
    /// Bytes that were received, and most bytes of the whole.
    received: u64,
    limit: u64,
    pipe: Filler,
    trailers: Trailers,
}

impl Arriving {
    /// No body.
    pub(super) fn nothing(lease: Lease) -> Arriving {
        Arriving { body: Body::default(), lease, rest: Rest(None) }
    }
}

/// Receives a body of at most `limit` bytes before its guest starts; only the beginning of a long one
/// if the guest `reads_streams`.
pub(super) async fn begin(
    body: &mut Incoming,
    limit: u64,
    lease: Lease,
    exchange: &Exchange,
    reads_streams: bool,
) -> Result<Arriving, Problem> {
    check_announced(body, limit, "the body")?;
    let enough = if reads_streams { SMALL } else { u64::MAX };
    let beginning = receive(body, limit, enough, lease, exchange).await?;
    let (bytes, mut lease) = (beginning.bytes, beginning.lease);
    if beginning.ended {
        let trailers = body.take_trailers().map(Trailers::of);
        let body = Body::complete(bytes).with_trailers(trailers);
        return Ok(Arriving { body, lease, rest: Rest(None) });
    }
    let left = body.size_hint().upper().unwrap_or(u64::MAX).min(limit);
    let waiting = 2 * WINDOW as u64 + u64::from(STREAM_WINDOW);
    lease.grow(waiting.min(left)).map_err(|_| Problem::too_much())?;
    let received = bytes.len() as u64;
    let (pipe, stdin) = pipe(bytes);
    let trailers = Trailers::default();
    let body = Body::stream(Box::new(stdin)).with_trailers(Some(trailers.clone()));
    let receiving = Receiving { received, limit, pipe, trailers };
    Ok(Arriving { body, lease, rest: Rest(Some(receiving)) })
}

impl Rest {
    /// Whether everything has arrived.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_none()
    }

    /// Does `work`, and receives the rest of the `body` meanwhile, as fast as the guest reads it.
    ///
    /// # Errors
    /// The client's doing: the work is dropped then.
    pub(super) async fn receive_during<T>(
        self,
        body: &mut Incoming,
        exchange: &Exchange,
        work: impl Future<Output = T>,
    ) -> Result<T, Problem> {
        let Rest(Some(receiving)) = self else { return Ok(work.await) };
        let mut work = pin!(work);
        tokio::select! {
            biased;
            done = work.as_mut() => return Ok(done),
            received = receiving.receive(body, exchange) => received?,
        }
        Ok(work.await)
    }
}

impl Receiving {
    async fn receive(mut self, body: &mut Incoming, exchange: &Exchange) -> Result<(), Problem> {
        while let Some(data) = next_in_time(body, exchange).await? {
            self.received += data.len() as u64;
            if self.received > self.limit {
                return Err(Problem::too_large("the body", self.limit));
            }
            self.pipe.fill(data).await;
        }
        body.take_trailers().into_iter().for_each(|fields| self.trailers.set(fields));
        self.pipe.end();
        Ok(())
    }
}

/// The end of a pipe where bytes arrive. Dropped before the end, it breaks the stream off.
struct Filler(Arc<Mutex<Pipe>>);

/// The end of a pipe that a guest reads.
struct Stdin(Arc<Mutex<Pipe>>);

#[derive(Default)]
struct Pipe {
    bytes: Vec<u8>,
    end: End,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    Ended,
    Broken,
}

/// A pipe in which some bytes are, which do not count.
fn pipe(bytes: Vec<u8>) -> (Filler, Stdin) {
    let pipe = Arc::new(Mutex::new(Pipe { bytes, ..Pipe::default() }));
    (Filler(pipe.clone()), Stdin(pipe))
}

fn lock(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Filler {
    /// Adds bytes as there is room for them.
    async fn fill(&self, mut data: Bytes) {
        poll_fn(|context| self.poll_fill(&mut data, context)).await;
    }

    fn poll_fill(&self, data: &mut Bytes, context: &mut Context<'_>) -> Poll<()> {
        let mut pipe = lock(&self.0);
        let added = data.split_to(data.len().min(WINDOW.saturating_sub(pipe.bytes.len())));
        pipe.add(&added);
        let full = !data.is_empty();
        pipe.writer = full.then(|| context.waker().clone());
        let reader = if added.is_empty() { None } else { pipe.reader.take() };
        drop(pipe);
        reader.into_iter().for_each(Waker::wake);
        if full { Poll::Pending } else { Poll::Ready(()) }
    }

    fn end(&self) {
        self.finish(End::Ended);
    }

    fn finish(&self, end: End) {
        let mut pipe = lock(&self.0);
        if pipe.end == End::Open {
            pipe.end = end;
        }
        let reader = pipe.reader.take();
        drop(pipe);
        reader.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        self.finish(End::Broken);
    }
}

impl Pipe {
    /// Adds bytes, with no more room around them than the window.
    fn add(&mut self, bytes: &[u8]) {
        let needed = self.bytes.len() + bytes.len();
        if needed > self.bytes.capacity() {
            let capacity = needed.next_power_of_two().min(WINDOW.max(needed));
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
    }
}

/// The client has not sent the whole body; it gets the answer to that, not to this.
#[derive(Debug, thiserror::Error)]
#[error("the body has broken off")]
struct BrokenOff;

impl ByteStream for Stdin {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let mut pipe = lock(&self.0);
        if pipe.bytes.is_empty() {
            return match pipe.end {
                End::Ended => Poll::Ready(None),
                End::Broken => Poll::Ready(Some(Err(BrokenOff.into()))),
                End::Open => {
                    pipe.reader = Some(context.waker().clone());
                    Poll::Pending
                }
            };
        }
        let bytes = std::mem::take(&mut pipe.bytes);
        let writer = pipe.writer.take();
        drop(pipe);
        writer.into_iter().for_each(Waker::wake);
        Poll::Ready(Some(Ok(bytes.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn read(stdin: &mut Stdin) -> Poll<Option<Vec<u8>>> {
        stdin.poll_next(&mut context()).map(|it| it.map(|bytes| bytes.unwrap().to_vec()))
    }

    #[test]
    fn a_pipe_takes_a_window_and_not_a_byte_more() {
        let (filler, mut stdin) = pipe(b"begin".to_vec());
        assert_eq!(read(&mut stdin), Poll::Ready(Some(b"begin".to_vec())));
        assert_eq!(read(&mut stdin), Poll::Pending);
        let all: Vec<u8> = (0..3 * WINDOW).map(|n| n as u8).collect();
        let mut data = Bytes::from(all.clone());
        let mut got = Vec::new();
        while filler.poll_fill(&mut data, &mut context()).is_pending() {
            assert!(lock(&filler.0).bytes.capacity() <= WINDOW);
            assert!(filler.poll_fill(&mut data, &mut context()).is_pending());
            let Poll::Ready(Some(piece)) = read(&mut stdin) else { panic!("nothing to read") };
            assert_eq!(piece.len(), WINDOW);
            got.extend(piece);
        }
        filler.end();
        drop(filler);
        let Poll::Ready(Some(piece)) = read(&mut stdin) else { panic!("nothing to read") };
        got.extend(piece);
        assert!(got == all);
        assert_eq!(read(&mut stdin), Poll::Ready(None));
    }

    #[test]
    fn a_pipe_that_is_given_up_is_an_error_and_no_end() {
        let (filler, mut stdin) = pipe(Vec::new());
        assert!(filler.poll_fill(&mut Bytes::from_static(b"some"), &mut context()).is_ready());
        drop(filler);
        assert_eq!(read(&mut stdin), Poll::Ready(Some(b"some".to_vec())));
        let Poll::Ready(Some(Err(error))) = stdin.poll_next(&mut context()) else {
            panic!("no error")
        };
        assert!(error.is::<BrokenOff>());
    }

    #[test]
    fn both_ends_wake_each_other() {
        struct Count(std::sync::atomic::AtomicUsize);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        }
        let count = Arc::new(Count(Default::default()));
        let waker = Waker::from(count.clone());
        let context = &mut Context::from_waker(&waker);
        let woken = || count.0.load(std::sync::atomic::Ordering::SeqCst);
        let (filler, mut stdin) = pipe(Vec::new());
        assert!(stdin.poll_next(context).is_pending());
        let mut data = Bytes::from(vec![0; WINDOW + 1]);
        assert!(filler.poll_fill(&mut data, context).is_pending());
        assert_eq!(woken(), 1, "the reader has something to read");
        assert!(stdin.poll_next(context).is_ready());
        assert_eq!(woken(), 2, "the writer has room");
        assert!(filler.poll_fill(&mut data, context).is_ready());
        assert!(stdin.poll_next(context).is_ready());
        assert!(stdin.poll_next(context).is_pending());
        drop(filler);
        assert_eq!(woken(), 3, "the reader is told of the end");
    }
}
