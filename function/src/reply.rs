//! Replies: answers that go to the client while their guest runs.
//!
//! ```text
//!   guest ──→ head, bytes ──→ Reply (at most WINDOW bytes) ──→ server ──→ client
//! ```
//!
//! The guest's side of a [`Reply`] begins it with a head and adds bytes; it waits while the reply is
//! full. The server's side takes the head as soon as it is there, then the bytes. Who runs the guest
//! says how it ended: only they know.
//!
//! A guest without a head of its own adds bytes first: the reply [begins](Reply::flush) when the guest
//! waits. One that ends before has its whole answer in one piece, or none at all.

use crate::head::{self, HeadError};
use crate::plain_fields::PlainFields;
use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use std::cell::Cell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use wfaas_vm::BoxError;
use wfaas_wasi::{Output, OutputLimit, SharedSink};

/// Most bytes that a reply holds for its client.
pub const WINDOW: usize = 64 << 10;

/// An answer that is being made. Guest and server each have a handle.
#[derive(Debug, Clone)]
pub struct Reply(Arc<Shared>);

/// The place where both meet.
#[derive(Debug)]
struct Shared(Mutex<State>);

thread_local! {
    /// A reply that is as a new one.
    static SPARE: Cell<Option<Reply>> = const { Cell::new(None) };
}

#[derive(Debug)]
struct State {
    begun: bool,
    /// Until the server has taken it.
    head: Option<Head>,
    bytes: Vec<u8>,
    /// Fields behind the body.
    trailers: Option<Box<HeaderMap>>,
    window: usize,
    /// Most bytes of the body, and those of them that were not written yet.
    limit: u64,
    left: u64,
    end: End,
    /// Whether nobody takes the bytes any more.
    closed: bool,
    /// Whether nobody takes them once the head is there.
    closes_at_head: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Complete,
    BrokenOff,
}

/// The head of a reply.
#[derive(Debug)]
pub(crate) enum Head {
    /// A final status, and fields that nobody has to look at.
    Plain(StatusCode, PlainFields),
    /// Boxed: many replies wait for long before they have one.
    Types(Box<Parts>),
}

impl Head {
    /// Has the head be one that can be sent, as [`head::check`] does.
    fn check(&mut self) -> Result<Vec<HeaderName>, HeadError> {
        match self {
            Head::Plain(..) => Ok(Vec::new()),
            Head::Types(parts) => head::check(parts.status, &mut parts.headers),
        }
    }

    /// The head in types.
    pub(crate) fn into_parts(self) -> Parts {
        match self {
            Head::Plain(status, fields) => {
                let mut parts = head::empty();
                parts.status = status;
                fields.add_to(&mut parts.headers);
                parts
            }
            Head::Types(parts) => *parts,
        }
    }
}

impl From<Parts> for Head {
    fn from(parts: Parts) -> Head {
        Head::Types(Box::new(parts))
    }
}

/// Head and body of an answer, and the fields behind it.
pub(crate) type Whole = (Head, Vec<u8>, Option<HeaderMap>);

/// The guest has not made the whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer has broken off")]
pub struct BrokenOff;

impl Default for Reply {
    fn default() -> Reply {
        Reply::with_window(WINDOW)
    }
}

impl Reply {
    /// A reply that holds at most [`WINDOW`] bytes.
    pub fn new() -> Reply {
        SPARE.try_with(Cell::take).ok().flatten().unwrap_or_default()
    }

    /// Ends its use by the server. If nobody else has it, this thread's next reply has its place in memory, and nothing else
    /// of it.
    pub fn put_back(mut self) {
        if let Some(shared) = Arc::get_mut(&mut self.0) {
            *shared = Shared::new(WINDOW);
            _ = SPARE.try_with(|spare| spare.set(Some(self)));
        }
    }

    /// A body without a head, which holds at most [`WINDOW`] bytes.
    pub(crate) fn body() -> Reply {
        let reply = Reply::new();
        reply.lock().begun = true;
        reply
    }

    /// A reply that nobody takes before it is complete, and that never makes its guest wait.
    pub fn collecting() -> Reply {
        Reply::with_window(usize::MAX)
    }

    fn with_window(window: usize) -> Reply {
        Reply(Arc::new(Shared::new(window)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// A guest's stream that adds bytes.
    pub(crate) fn output(&self) -> Output {
        Output::shared(self.0.clone())
    }

    /// Sets the most bytes of the body. Nothing was written yet.
    pub(crate) fn set_limit(&self, bytes: u64) {
        let mut state = self.lock();
        (state.limit, state.left) = (bytes, bytes);
    }

    /// Begins with this head. The names of headers that were dropped.
    ///
    /// # Errors
    /// [`HeadError`] if it cannot be sent, or another one was.
    pub fn begin(&self, head: Parts) -> Result<Vec<HeaderName>, HeadError> {
        let mut head = Head::from(head);
        let dropped = head.check()?;
        let mut state = self.lock();
        if state.begun {
            return Err(HeadError::Sent);
        }
        let wakers = state.begin(head);
        drop(state);
        wake_all(wakers);
        Ok(dropped)
    }

    /// The same with bytes of the body, as many as there is room for, and the fields behind it as far as they are
    /// known.
    ///
    /// # Errors
    /// As [`Reply::begin`] and [`Reply::write`].
    pub(crate) fn begin_with(
        &self,
        mut head: Head,
        bytes: &[u8],
        trailers: Option<Box<HeaderMap>>,
    ) -> Result<(), BoxError> {
        head.check()?;
        let mut state = self.lock();
        if state.begun {
            return Err(HeadError::Sent.into());
        }
        let wakers = state.begin(head);
        let written = state.write(bytes);
        if trailers.is_some() {
            state.trailers = trailers;
        }
        drop(state);
        wake_all(wakers);
        written?;
        Ok(())
    }

    /// Begins with an empty head if bytes were added, and there was none yet.
    pub fn flush(&self) {
        self.0.flush();
    }

    /// Whether the head is there, or was.
    pub fn is_begun(&self) -> bool {
        self.lock().begun
    }

    /// Whether a write has to wait.
    pub fn is_full(&self) -> bool {
        self.0.is_full()
    }

    /// Bytes that a write takes at once.
    pub(crate) fn room(&self) -> usize {
        self.0.room()
    }

    /// Ready when there is room for a byte.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        self.0.poll_room(context)
    }

    /// Takes as many bytes as there is room for; how many. All if nobody takes them from here.
    ///
    /// # Errors
    /// [`OutputLimit`] if the body may not have so many.
    pub fn write(&self, bytes: &[u8]) -> Result<usize, OutputLimit> {
        self.0.write(bytes)
    }

    /// Ready with the head, once.
    pub fn poll_head(&self, context: &mut Context<'_>) -> Poll<Parts> {
        let mut state = self.lock();
        match state.head.take() {
            Some(head) => Poll::Ready(head.into_parts()),
            None => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The next bytes of the body; `None` at its end.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        let mut state = self.lock();
        if !state.bytes.is_empty() {
            let bytes = std::mem::take(&mut state.bytes);
            wake(state, |state| &mut state.writer);
            return Poll::Ready(Some(Ok(bytes.into())));
        }
        match state.end {
            End::Complete => Poll::Ready(None),
            End::BrokenOff => Poll::Ready(Some(Err(BrokenOff))),
            End::Open => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// All bytes of a reply that has not begun; `None` if it has.
    pub(crate) fn take_unbegun(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        (!state.begun).then(|| std::mem::take(&mut state.bytes))
    }

    /// All that is there of a reply that has begun, with the fields behind the body, unless somebody has taken the
    /// head. `None` if it has not begun.
    pub(crate) fn take_begun(&self) -> Option<Option<Whole>> {
        let mut state = self.lock();
        if !state.begun {
            return None;
        }
        let Some(head) = state.head.take() else { return Some(None) };
        let trailers = state.trailers.take().map(|fields| *fields);
        Some(Some((head, std::mem::take(&mut state.bytes), trailers)))
    }

    /// Sets the fields behind the body, before it is [complete](Reply::complete).
    pub(crate) fn set_trailers(&self, fields: HeaderMap) {
        self.lock().trailers = Some(Box::new(fields));
    }

    /// Takes the fields behind the body, at its end.
    pub fn take_trailers(&self) -> Option<HeaderMap> {
        self.lock().trailers.take().map(|fields| *fields)
    }

    /// The guest has made all of it.
    pub fn complete(&self) {
        self.finish(End::Complete);
    }

    /// The guest has not made all of it, and will not, unless it [has](Reply::complete).
    pub fn break_off(&self) {
        self.finish(End::BrokenOff);
    }

    fn finish(&self, end: End) {
        let mut state = self.lock();
        if state.end == End::Open {
            state.end = end;
        }
        wake(state, |state| &mut state.reader);
    }

    /// Nobody takes the bytes any more: those that the guest writes are dropped.
    pub fn close(&self) {
        let mut state = self.lock();
        state.close();
        wake(state, |state| &mut state.writer);
    }

    /// The same from the head on.
    pub fn close_at_head(&self) {
        self.lock().closes_at_head = true;
    }
}

impl State {
    fn close(&mut self) {
        self.closed = true;
        self.bytes = Vec::new();
    }

    fn is_full(&self) -> bool {
        !self.closed && self.bytes.len() >= self.window
    }

    /// Bytes that a write takes.
    fn room(&self) -> usize {
        if self.closed { usize::MAX } else { self.window.saturating_sub(self.bytes.len()) }
    }

    /// Begins a reply that has no head yet; whom to wake then.
    fn begin(&mut self, head: Head) -> [Option<Waker>; 2] {
        (self.begun, self.head) = (true, Some(head));
        let mut writer = None;
        if self.closes_at_head {
            self.close();
            writer = self.writer.take();
        }
        [self.reader.take(), writer]
    }

    /// Takes as many bytes as there is room for; how many.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, OutputLimit> {
        let taken = bytes.len().min(self.room());
        let Some(left) = self.left.checked_sub(taken as u64) else {
            return Err(OutputLimit { bytes: self.limit });
        };
        self.left = left;
        if !self.closed && taken > 0 {
            self.add(&bytes[..taken]);
        }
        Ok(taken)
    }

    /// Adds bytes, with no more room around them than the window.
    fn add(&mut self, bytes: &[u8]) {
        let needed = self.bytes.len() + bytes.len();
        if self.bytes.capacity() == 0 {
            self.bytes = Vec::with_capacity(needed);
        } else if needed > self.bytes.capacity() {
            let doubled = (self.bytes.capacity() * 2).min(self.window).max(needed);
            self.bytes.reserve_exact(doubled - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
    }
}

/// Wakes both sides, as far as they wait.
fn wake_all(wakers: [Option<Waker>; 2]) {
    wakers.into_iter().flatten().for_each(Waker::wake);
}

/// Wakes the reader of a reply to which so many bytes were added.
fn wake_for_bytes(state: MutexGuard<'_, State>, bytes: usize) {
    if bytes > 0 && state.begun && !state.closed {
        wake(state, |state| &mut state.reader);
    }
}

/// Wakes one side, without the lock.
fn wake(mut state: MutexGuard<'_, State>, side: fn(&mut State) -> &mut Option<Waker>) {
    let waker = side(&mut state).take();
    drop(state);
    waker.into_iter().for_each(Waker::wake);
}

impl Shared {
    fn new(window: usize) -> Shared {
        Shared(Mutex::new(State {
            begun: false,
            head: None,
            bytes: Vec::new(),
            trailers: None,
            window,
            limit: u64::MAX,
            left: u64::MAX,
            end: End::Open,
            closed: false,
            closes_at_head: false,
            reader: None,
            writer: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, OutputLimit> {
        let mut state = self.lock();
        let taken = state.write(bytes)?;
        wake_for_bytes(state, taken);
        Ok(taken)
    }
}

impl SharedSink for Shared {
    fn is_full(&self) -> bool {
        self.lock().is_full()
    }

    fn room(&self) -> usize {
        self.lock().room()
    }

    fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if !state.is_full() {
            return Poll::Ready(());
        }
        state.writer = Some(context.waker().clone());
        Poll::Pending
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, BoxError> {
        Ok(Shared::write(self, bytes)?)
    }

    fn write_whole(&self, bytes: &[u8]) -> Result<bool, BoxError> {
        let mut state = self.lock();
        if state.room() < bytes.len() {
            return Ok(false);
        }
        let taken = state.write(bytes)?;
        wake_for_bytes(state, taken);
        Ok(true)
    }

    fn flush(&self) {
        let mut state = self.lock();
        if !state.begun && !state.bytes.is_empty() {
            let wakers = state.begin(head::empty().into());
            drop(state);
            wake_all(wakers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn context() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn next(reply: &Reply) -> Poll<Option<Result<Vec<u8>, BrokenOff>>> {
        reply.poll_next(&mut context()).map(|next| next.map(|piece| piece.map(Vec::from)))
    }

    #[test]
    fn a_reply_takes_a_window_and_not_a_byte_more() {
        let reply = Reply::new();
        assert_eq!(reply.write(&[1; WINDOW + 7]), Ok(WINDOW));
        assert!(reply.is_full() && reply.poll_room(&mut context()).is_pending());
        assert_eq!(reply.write(b"x"), Ok(0));
        assert!(reply.lock().bytes.capacity() <= WINDOW);
        let Poll::Ready(Some(Ok(piece))) = next(&reply) else { panic!("nothing to take") };
        assert_eq!(piece.len(), WINDOW);
        assert!(!reply.is_full() && reply.poll_room(&mut context()).is_ready());
        assert!(next(&reply).is_pending());
        reply.complete();
        assert_eq!(next(&reply), Poll::Ready(None));
    }

    #[test]
    fn a_body_wakes_its_reader_with_each_write() {
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(woken.clone());
        let body = Reply::body();
        for count in 1..3 {
            assert!(body.poll_next(&mut Context::from_waker(&waker)).is_pending());
            assert_eq!(body.write(b"some"), Ok(4));
            assert_eq!(woken.0.load(Ordering::Relaxed), count);
            assert!(next(&body).is_ready());
        }
    }

    #[test]
    fn one_that_breaks_off_does_not_end() {
        let reply = Reply::new();
        assert_eq!(reply.write(b"some"), Ok(4));
        reply.break_off();
        reply.complete();
        assert_eq!(next(&reply), Poll::Ready(Some(Ok(b"some".to_vec()))));
        assert_eq!(next(&reply), Poll::Ready(Some(Err(BrokenOff))));
        let reply = Reply::new();
        reply.complete();
        reply.break_off();
        assert_eq!(next(&reply), Poll::Ready(None));
    }

    #[test]
    fn one_that_is_closed_takes_everything_up_to_the_limit_and_holds_nothing() {
        let reply = Reply::new();
        reply.set_limit(3 * WINDOW as u64);
        assert_eq!(reply.write(&[1; WINDOW]), Ok(WINDOW));
        reply.close();
        assert!(!reply.is_full());
        assert_eq!(reply.write(&[1; 2 * WINDOW]), Ok(2 * WINDOW));
        assert_eq!(reply.lock().bytes.capacity(), 0);
        assert_eq!(reply.write(b"x"), Err(OutputLimit { bytes: 3 * WINDOW as u64 }));
    }

    #[test]
    fn one_without_a_head_begins_when_its_guest_waits() {
        let reply = Reply::new();
        reply.flush();
        assert!(!reply.is_begun(), "there is nothing to send");
        assert_eq!(reply.write(b"some"), Ok(4));
        assert!(reply.poll_head(&mut context()).is_pending());
        assert_eq!(reply.take_unbegun(), Some(b"some".to_vec()));
        assert_eq!(reply.write(b"more"), Ok(4));
        reply.flush();
        assert_eq!(reply.take_unbegun(), None);
        let Poll::Ready(head) = reply.poll_head(&mut context()) else { panic!("no head") };
        assert_eq!((head.status.as_u16(), head.headers.len()), (200, 0));
        assert_eq!(next(&reply), Poll::Ready(Some(Ok(b"more".to_vec()))));
    }

    #[test]
    fn one_that_nobody_reads_closes_at_its_head() {
        let (reply, woken) = (Reply::new(), Arc::new(Woken::default()));
        reply.close_at_head();
        assert_eq!(reply.write(&[1; WINDOW + 1]), Ok(WINDOW));
        let waker = Waker::from(woken.clone());
        assert!(reply.poll_room(&mut Context::from_waker(&waker)).is_pending());
        reply.flush();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1, "there is room");
        assert_eq!(reply.write(&[1; 2 * WINDOW]), Ok(2 * WINDOW));
        assert_eq!(reply.lock().bytes.capacity(), 0);
        assert!(reply.is_begun());
    }

    #[test]
    fn one_begins_with_bytes_and_trailers_as_it_does_step_by_step() {
        let (reply, woken) = (Reply::new(), Arc::new(Woken::default()));
        let waker = Waker::from(woken.clone());
        assert!(reply.poll_head(&mut Context::from_waker(&waker)).is_pending());
        assert!(reply.take_begun().is_none());
        let fields = HeaderMap::from_iter([(http::header::AGE, "1".parse().unwrap())]);
        let trailers = Some(Box::new(fields.clone()));
        reply.begin_with(head::empty().into(), b"some", trailers).unwrap();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        let again = reply.begin_with(head::empty().into(), b"more", None).unwrap_err();
        assert_eq!(again.downcast_ref(), Some(&HeadError::Sent));
        let Some(Some((head, bytes, trailers))) = reply.take_begun() else { panic!("no head") };
        assert_eq!((head.into_parts().status.as_u16(), bytes), (200, b"some".to_vec()));
        assert_eq!(trailers, Some(fields));
        assert!(reply.take_begun().is_some_and(|taken| taken.is_none()), "the head was taken");
        let reply = Reply::new();
        reply.set_limit(3);
        let beyond = reply.begin_with(head::empty().into(), b"some", None).unwrap_err();
        assert_eq!(beyond.downcast_ref(), Some(&OutputLimit { bytes: 3 }));
    }

    #[test]
    fn bytes_are_taken_as_a_whole_or_not_at_all() {
        let (reply, woken) = (Reply::body(), Arc::new(Woken::default()));
        let waker = Waker::from(woken.clone());
        assert!(reply.poll_next(&mut Context::from_waker(&waker)).is_pending());
        assert!(!reply.0.write_whole(&[1; WINDOW + 1]).unwrap());
        assert_eq!((reply.lock().bytes.len(), woken.0.load(Ordering::Relaxed)), (0, 0));
        assert!(reply.0.write_whole(&[1; WINDOW]).unwrap());
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(!reply.0.write_whole(b"x").unwrap() && reply.0.write_whole(b"").unwrap());
        reply.set_limit(1);
        reply.close();
        let limit = reply.0.write_whole(b"xy").unwrap_err();
        assert_eq!(limit.downcast_ref(), Some(&OutputLimit { bytes: 1 }));
    }

    #[test]
    fn one_that_is_put_back_is_as_a_new_one_and_nobody_elses() {
        let reply = Reply::new();
        reply.set_limit(5);
        reply.begin_with(head::empty().into(), b"some", Some(Box::default())).unwrap();
        reply.close_at_head();
        reply.complete();
        let other = reply.clone();
        reply.put_back();
        let fresh = Reply::new();
        assert!(!Arc::ptr_eq(&fresh.0, &other.0), "somebody has it");
        other.put_back();
        let again = Reply::new();
        assert_eq!(format!("{again:?}"), format!("{fresh:?}"));
        assert!(!again.is_begun() && next(&again).is_pending() && again.take_trailers().is_none());
        assert_eq!(again.write(b"some more"), Ok(9));
    }

    #[test]
    fn a_head_is_there_once() {
        let reply = Reply::new();
        assert!(reply.poll_head(&mut context()).is_pending() && !reply.is_begun());
        assert_eq!(reply.begin(head::empty()), Ok(Vec::new()));
        assert_eq!(reply.begin(head::empty()), Err(HeadError::Sent));
        assert!(reply.poll_head(&mut context()).is_ready() && reply.is_begun());
        assert!(reply.poll_head(&mut context()).is_pending());
    }
}
