//! Bodies, in both directions.

use super::error;
use super::fields;
use super::trailers::{FutureTrailers, SharedBody};
use crate::exchange::Body;
use crate::invoke::GuestFault;
use crate::reply::{Head, Reply};
use crate::spare::Spare;
use crate::trailers::{self, Trailers};
use bytes::Bytes;
use http::HeaderMap;
use std::cell::Cell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use wfaas_vm::BoxError;
use wfaas_wasi::preview2::{
    DirectCall, Host, InputStream, OutputStream, Resources, Stop, Value, Violation, args,
};
use wfaas_wasi::{ByteSink, ByteStream, Input, Output, OutputLimit};

/// The thing behind an `incoming-body`.
pub(super) struct IncomingBody {
    /// Until it is taken.
    stream: Option<InputStream>,
    /// The same, if fields may follow it.
    shared: Option<SharedBody>,
    trailers: Option<Trailers>,
    /// Whether it comes from the client.
    of_client: bool,
}

impl IncomingBody {
    /// A body that arrives from the client, or from another server.
    pub(super) fn new(mut body: Body, of_client: bool) -> IncomingBody {
        let trailers = body.trailers().cloned();
        let may_follow = trailers.is_some() && !body.is_complete();
        let shared = may_follow.then(|| SharedBody::new(std::mem::take(&mut body)));
        let input = match &shared {
            Some(shared) => Input::stream(Box::new(shared.clone())),
            None => body.take_input(),
        };
        let stream = match of_client {
            true => InputStream::of_client(input),
            false => InputStream::new(input),
        };
        IncomingBody { stream: Some(stream), shared, trailers, of_client }
    }
}

pub(super) fn stream(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [body] = args(values)?;
    let handle = body.handle()?;
    let Some(stream) = host.resources().get::<IncomingBody>(handle)?.stream.take() else {
        return Ok(Value::failed());
    };
    let stream = host.resources().insert_child(stream, handle)?;
    Ok(Value::ok(Value::Handle(stream)))
}

pub(super) fn finish_incoming(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [body] = args(values)?;
    let IncomingBody { shared, trailers, of_client, .. } = host.resources().take(body.handle()?)?;
    let future = FutureTrailers::of(shared, trailers, of_client);
    Ok(Value::Handle(host.resources().insert(future)?))
}

/// A body that the guest writes, shared by its stream, its resource and whoever sends it.
#[derive(Debug, Clone, Default)]
pub(super) struct Writing(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Bytes that were written before there was a reply.
    waiting: Vec<u8>,
    reply: Option<Reply>,
    is_finished: bool,
    /// Fields behind it, until there is a reply.
    trailers: Option<Box<HeaderMap>>,
    is_sent_elsewhere: bool,
    /// Whether it was dropped.
    is_given_up: bool,
}

/// Most bytes that wait for a reply.
pub(super) const MAX_WAITING: usize = crate::reply::WINDOW;

/// Why a body cannot be written any further.
const EARLY: &str = "the component wrote more than 64 KiB of a body before it sent the head";

thread_local! {
    /// A body that is as a new one.
    static SPARE: Cell<Option<Writing>> = const { Cell::new(None) };
    static BODIES: Spare<OutgoingBody> = const { Spare::none() };
}

impl Writing {
    pub(super) fn new() -> Writing {
        SPARE.try_with(Cell::take).ok().flatten().unwrap_or_default()
    }

    /// If nobody else has it, this thread's next body has its place in memory, and nothing else of it.
    pub(super) fn put_back(mut self) {
        if let Some(state) = Arc::get_mut(&mut self.0) {
            *state = Mutex::default();
            _ = SPARE.try_with(|spare| spare.set(Some(self)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a reply with a head, and sends it what was written, and all that comes. It takes as much at once as can
    /// wait. Whoever runs the guest says when the reply is complete.
    pub(super) fn begin(&self, reply: Reply, head: Head) -> Result<(), BoxError> {
        let mut state = self.lock();
        let (waiting, trailers) = (std::mem::take(&mut state.waiting), state.trailers.take());
        reply.begin_with(head, &waiting, trailers)?;
        state.reply = Some(reply);
        Ok(())
    }

    /// The same, to another server. The body is complete as soon as the guest says so.
    pub(super) fn send(&self) -> Result<Body, OutputLimit> {
        let (reply, mut state) = (Reply::body(), self.lock());
        reply.write(&std::mem::take(&mut state.waiting))?;
        state.trailers.take().into_iter().for_each(|fields| reply.set_trailers(*fields));
        (state.reply, state.is_sent_elsewhere) = (Some(reply.clone()), true);
        match &*state {
            State { is_finished: true, .. } => reply.complete(),
            State { is_given_up: true, .. } => reply.break_off(),
            _ => {}
        }
        let trailers = Trailers::default();
        Ok(Body::stream(Box::new(Sent(reply, trailers.clone()))).with_trailers(Some(trailers)))
    }

    /// Notes that the guest has written all of it, and the fields behind it.
    pub(super) fn finish(&self, trailers: Option<HeaderMap>) {
        let mut state = self.lock();
        state.is_finished = true;
        match (trailers, &state.reply) {
            (Some(fields), Some(reply)) => reply.set_trailers(fields),
            (trailers, _) => state.trailers = trailers.map(Box::new),
        }
        if let Some(reply) = state.reply.as_ref().filter(|_| state.is_sent_elsewhere) {
            reply.complete();
        }
    }

    /// Notes that nothing more comes: one that is not finished has broken off.
    pub(super) fn give_up(&self) {
        let mut state = self.lock();
        state.is_given_up = true;
        if let Some(reply) = state.reply.as_ref().filter(|_| state.is_sent_elsewhere) {
            reply.break_off();
        }
    }

    /// Whether the guest has said that it is complete.
    pub(super) fn is_finished(&self) -> bool {
        self.lock().is_finished
    }
}

impl ByteSink for Writing {
    /// Nobody makes room before there is a reply: no wait for it would end.
    fn is_full(&self) -> bool {
        self.lock().reply.as_ref().is_some_and(Reply::is_full)
    }

    fn room(&self) -> usize {
        let state = self.lock();
        match &state.reply {
            Some(reply) => reply.room(),
            None => MAX_WAITING - state.waiting.len(),
        }
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.lock().reply.as_ref().map_or(Poll::Ready(()), |reply| reply.poll_room(context))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, BoxError> {
        let mut state = self.lock();
        if let Some(reply) = &state.reply {
            return Ok(reply.write(bytes)?);
        }
        let len = bytes.len().min(MAX_WAITING - state.waiting.len());
        if len == 0 && !bytes.is_empty() {
            return Err(GuestFault(EARLY.to_owned()).into());
        }
        state.waiting.extend_from_slice(&bytes[..len]);
        Ok(len)
    }
}

/// The thing behind an `outgoing-body`.
#[derive(Default)]
pub(super) struct OutgoingBody {
    /// Until it is finished.
    writing: Option<Writing>,
    has_stream: bool,
    /// Whether it goes to the client.
    of_client: bool,
}

impl OutgoingBody {
    /// Adds it to the guest's handles. What may wait in it counts here, and with whom it was made from: either is
    /// dropped first.
    pub(super) fn insert(self, resources: &mut Resources) -> Result<u32, Violation> {
        let mut room = Spare::take(&BODIES);
        *room = self;
        resources.insert_box(room, MAX_WAITING)
    }

    /// Of an answer.
    pub(super) fn of_answer(writing: Writing) -> OutgoingBody {
        OutgoingBody { writing: Some(writing), has_stream: false, of_client: true }
    }

    /// Of a request to another server.
    pub(super) fn of_request(writing: Writing) -> OutgoingBody {
        OutgoingBody { writing: Some(writing), has_stream: false, of_client: false }
    }

    /// Where its stream goes: straight to the reply, if there is one.
    fn output(&self) -> Output {
        let Some(writing) = &self.writing else { return Output::default() };
        match &writing.lock().reply {
            Some(reply) => reply.output(),
            None => Output::stream(Box::new(writing.clone())),
        }
    }

    fn finish(mut self: Box<Self>, trailers: Option<HeaderMap>) {
        if let Some(writing) = self.writing.take() {
            writing.finish(trailers);
        }
        Spare::put_back(&BODIES, self);
    }
}

impl Drop for OutgoingBody {
    fn drop(&mut self) {
        if let Some(writing) = &self.writing {
            writing.give_up();
        }
    }
}

/// A body on its way to another server, and the fields behind it once it has ended.
struct Sent(Reply, Trailers);

impl ByteStream for Sent {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let next = ready!(self.0.poll_next(context));
        if next.is_none() {
            self.0.take_trailers().into_iter().for_each(|fields| self.1.set(fields));
        }
        Poll::Ready(next.map(|piece| piece.map_err(Into::into)))
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.0.close();
    }
}

pub(super) fn write(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [body] = args(values)?;
    let stream = begin_stream(host.resources(), body.handle()?)?;
    Ok(stream.map_or_else(Value::failed, |stream| Value::ok(Value::Handle(stream))))
}

pub(super) fn write_directly(
    call: &mut DirectCall<'_>,
    cells: &[u64],
) -> Result<Option<u32>, BoxError> {
    let [body, ..] = *cells else { return Ok(None) };
    Ok(begin_stream(call.resources(), body as u32)?)
}

/// The stream of a body, the first time that somebody asks for it.
#[inline]
fn begin_stream(resources: &mut Resources, handle: u32) -> Result<Option<u32>, Violation> {
    let body = resources.get::<OutgoingBody>(handle)?;
    if std::mem::replace(&mut body.has_stream, true) {
        return Ok(None);
    }
    let output = body.output();
    let stream = match body.of_client {
        true => OutputStream::of_client(output),
        false => OutputStream::new(output),
    };
    resources.insert_child(stream, handle).map(Some)
}

pub(super) fn finish_outgoing(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [body, given] = args(values)?;
    let body = host.resources().take_box::<OutgoingBody>(body.handle()?)?;
    let fields = given.optional()?.map(|given| fields::take(host, given)).transpose()?;
    if let Some(Err(error)) = fields.as_ref().map(trailers::check) {
        return Ok(Value::err(error::internal(&error.to_string())));
    }
    body.finish(fields);
    Ok(Value::done())
}

pub(super) fn finish_directly(
    call: &mut DirectCall<'_>,
    cells: &[u64],
) -> Result<Option<u32>, BoxError> {
    let [body, ..] = *cells else { return Ok(None) };
    let body = call.resources().take_box::<OutgoingBody>(body as u32)?;
    body.finish(None);
    Ok(Some(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn a_body_that_is_put_back_is_as_a_new_one_and_nobody_elses() {
        let mut writing = Writing::new();
        writing.write(b"some").unwrap();
        writing.finish(Some(HeaderMap::new()));
        let mut other = writing.clone();
        writing.put_back();
        let fresh = Writing::new();
        assert!(!Arc::ptr_eq(&fresh.0, &other.0), "somebody has it");
        other.write(b"more").unwrap();
        let place = Arc::as_ptr(&other.0);
        other.put_back();
        let again = Writing::new();
        assert_eq!((Arc::as_ptr(&again.0), format!("{again:?}")), (place, format!("{fresh:?}")));
    }

    #[test]
    fn a_body_that_was_dropped_before_its_request_is_sent_breaks_off() {
        let mut writing = Writing::default();
        writing.write(b"some").unwrap();
        drop(OutgoingBody::of_request(writing.clone()));
        let mut body = writing.send().unwrap();
        let mut next = || body.poll_next(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(next(), Poll::Ready(Some(Ok(bytes))) if bytes == "some"));
        assert!(matches!(next(), Poll::Ready(Some(Err(_)))));
    }
}
