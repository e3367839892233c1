//! Bodies, in both directions.

use super::error;
use super::fields;
use crate::exchange::Body;
use crate::invoke::GuestFault;
use crate::reply::Reply;
use bytes::Bytes;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use wfaas_vm::BoxError;
use wfaas_wasi::preview2::{Host, InputStream, OutputStream, Pollable, Stop, Value, args};
use wfaas_wasi::{ByteSink, ByteStream, Output};

/// The thing behind an `incoming-body`.
pub(super) struct IncomingBody {
    /// Until it is taken.
    stream: Option<InputStream>,
}

impl IncomingBody {
    pub(super) fn new(stream: InputStream) -> IncomingBody {
        IncomingBody { stream: Some(stream) }
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

/// The thing behind `future-trailers`. There are none: the server does not keep them.
struct FutureTrailers {
    is_taken: bool,
}

pub(super) fn finish_incoming(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [body] = args(values)?;
    host.resources().take::<IncomingBody>(body.handle()?)?;
    Ok(Value::Handle(host.resources().insert(FutureTrailers { is_taken: false })?))
}

pub(super) fn subscribe_trailers(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [trailers] = args(values)?;
    let pollable = host.resources().insert_child(Pollable::Always, trailers.handle()?)?;
    Ok(Value::Handle(pollable))
}

pub(super) fn get_trailers(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [trailers] = args(values)?;
    let trailers = host.resources().get::<FutureTrailers>(trailers.handle()?)?;
    Ok(Value::some(match std::mem::replace(&mut trailers.is_taken, true) {
        false => Value::ok(Value::ok(Value::none())),
        true => Value::failed(),
    }))
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
    is_sent_elsewhere: bool,
    /// Whether it was dropped.
    is_given_up: bool,
}

/// Most bytes that wait for a reply.
pub(super) const MAX_WAITING: usize = crate::reply::WINDOW;

/// Why a body cannot be written any further.
const EARLY: &str = "the component wrote more than 64 KiB of a body before it sent the head";

impl Writing {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what was written, and all that comes, to a reply. It takes as much at once as can wait. Whoever runs the
    /// guest says when the reply is complete.
    pub(super) fn connect(&self, reply: Reply) -> Result<(), Stop> {
        let mut state = self.lock();
        let waiting = std::mem::take(&mut state.waiting);
        reply.write(&waiting).map_err(Stop::end)?;
        state.reply = Some(reply);
        Ok(())
    }

    /// The same, to another server. The body is complete as soon as the guest says so.
    pub(super) fn send(&self) -> Result<Body, Stop> {
        let reply = Reply::new();
        self.connect(reply.clone())?;
        let mut state = self.lock();
        state.is_sent_elsewhere = true;
        match &*state {
            State { is_finished: true, .. } => reply.complete(),
            State { is_given_up: true, .. } => reply.break_off(),
            _ => {}
        }
        Ok(Body::stream(Box::new(Sent(reply))))
    }

    /// Notes that the guest has written all of it.
    fn finish(&self) {
        let mut state = self.lock();
        state.is_finished = true;
        if let Some(reply) = state.reply.as_ref().filter(|_| state.is_sent_elsewhere) {
            reply.complete();
        }
    }

    /// Notes that nothing more comes: one that is not finished has broken off.
    fn give_up(&self) {
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
            Some(reply) => ByteSink::room(reply),
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
pub(super) struct OutgoingBody {
    writing: Writing,
    has_stream: bool,
    /// Whether it goes to the client.
    of_client: bool,
}

impl OutgoingBody {
    /// Adds it to the guest's handles. What may wait in it counts here, and with whom it was made from: either is
    /// dropped first.
    pub(super) fn insert(self, host: &mut Host<'_, '_>) -> Result<Value, Stop> {
        let handle = host.resources().insert(self)?;
        host.resources().keep(handle, MAX_WAITING)?;
        Ok(Value::ok(Value::Handle(handle)))
    }

    /// Of an answer.
    pub(super) fn of_answer(writing: Writing) -> OutgoingBody {
        OutgoingBody { writing, has_stream: false, of_client: true }
    }

    /// Of a request to another server.
    pub(super) fn of_request(writing: Writing) -> OutgoingBody {
        OutgoingBody { writing, has_stream: false, of_client: false }
    }
}

impl Drop for OutgoingBody {
    fn drop(&mut self) {
        self.writing.give_up();
    }
}

/// A body on its way to another server.
struct Sent(Reply);

impl ByteStream for Sent {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        self.0.poll_next(context).map(|next| next.map(|piece| piece.map_err(Into::into)))
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.0.close();
    }
}

pub(super) fn write(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [body] = args(values)?;
    let handle = body.handle()?;
    let body = host.resources().get::<OutgoingBody>(handle)?;
    if std::mem::replace(&mut body.has_stream, true) {
        return Ok(Value::failed());
    }
    let of_client = body.of_client;
    let output = Output::stream(Box::new(body.writing.clone()));
    let stream = match of_client {
        true => OutputStream::of_client(output),
        false => OutputStream::new(output),
    };
    let stream = host.resources().insert_child(stream, handle)?;
    Ok(Value::ok(Value::Handle(stream)))
}

pub(super) fn finish_outgoing(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [body, trailers] = args(values)?;
    let body = host.resources().take::<OutgoingBody>(body.handle()?)?;
    if let Some(trailers) = trailers.optional()? {
        fields::take(host, trailers)?;
        return Ok(Value::err(error::internal("trailers are not supported")));
    }
    body.writing.finish();
    Ok(Value::done())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

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
