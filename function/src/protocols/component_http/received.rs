//! `future-incoming-response` and `incoming-response`: the answer of another server.

use super::body::IncomingBody;
use super::{error, fields};
use crate::exchange::Body;
use crate::outgoing::{OutgoingError, Sending};
use http::Response;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use wfaas_wasi::preview2::{Host, Ready, Stop, Value, args};

/// The thing behind a `future-incoming-response`, shared with what waits for it.
#[derive(Clone)]
pub(super) struct FutureResponse(Arc<Mutex<State>>);

enum State {
    Sending(Sending),
    Answered(Box<Result<Response<Body>, OutgoingError>>),
    Taken,
}

impl FutureResponse {
    pub(super) fn new(sending: Sending) -> FutureResponse {
        FutureResponse(Arc::new(Mutex::new(State::Sending(sending))))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something that is ready when there is an answer.
    pub(super) fn ready(&self) -> Ready {
        let future = self.clone();
        Ready::new(move |context| future.poll(context))
    }

    /// Ready when there is an answer, or was.
    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if let State::Sending(sending) = &mut *state {
            match sending.as_mut().poll(context) {
                Poll::Ready(answer) => *state = State::Answered(Box::new(answer)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

pub(super) fn subscribe(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [future] = args(values)?;
    Ok(Ready::subscribe(host.resources(), future.handle()?, FutureResponse::ready)?)
}

pub(super) fn get(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [future] = args(values)?;
    let future = host.resources().get::<FutureResponse>(future.handle()?)?.clone();
    if future.poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        return Ok(Value::none());
    }
    let state = std::mem::replace(&mut *future.lock(), State::Taken);
    let State::Answered(answer) = state else { return Ok(Value::some(Value::failed())) };
    Ok(Value::some(Value::ok(match *answer {
        Ok(answer) => {
            let kept = fields::bytes(answer.headers());
            let response = IncomingResponse::new(answer);
            Value::ok(Value::Handle(host.resources().insert_kept(response, kept)?))
        }
        Err(error) => Value::err(error::of_outgoing(&error)),
    })))
}

/// The thing behind an `incoming-response`.
struct IncomingResponse {
    head: http::response::Parts,
    /// Until it is consumed.
    body: Option<Body>,
}

impl IncomingResponse {
    fn new(answer: Response<Body>) -> IncomingResponse {
        let (mut head, body) = answer.into_parts();
        fields::tidy(&mut head.headers);
        IncomingResponse { head, body: Some(body) }
    }
}

fn response<'a>(
    host: &'a mut Host<'_, '_>,
    values: &[Value],
) -> Result<&'a mut IncomingResponse, Stop> {
    let [response] = args(values)?;
    Ok(host.resources().get::<IncomingResponse>(response.handle()?)?)
}

pub(super) fn status(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    Ok(Value::U16(response(host, values)?.head.status.as_u16()))
}

pub(super) fn headers(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let map = response(host, values)?.head.headers.clone();
    let [response] = args(values)?;
    fields::immutable(host, map, response.handle()?)
}

pub(super) fn consume(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let Some(body) = response(host, values)?.body.take() else { return Ok(Value::failed()) };
    let body = host.resources().insert(IncomingBody::new(body, false))?;
    Ok(Value::ok(Value::Handle(body)))
}
