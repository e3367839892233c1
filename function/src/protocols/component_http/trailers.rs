//! `future-trailers`: the fields behind a body that arrives.

use super::{error, fields};
use crate::exchange::Body;
use crate::trailers::Trailers;
use bytes::Bytes;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use wfaas_vm::BoxError;
use wfaas_wasi::ByteStream;
use wfaas_wasi::preview2::{Host, Ready, Stop, Value, args};

/// Most pieces of a body that are skipped at once: others have their turn then.
const MAX_SKIPPED: usize = 16;

/// A body that arrives, shared by its stream and whoever waits for its end.
#[derive(Clone)]
pub(super) struct SharedBody(Arc<Mutex<Body>>);

impl SharedBody {
    pub(super) fn new(body: Body) -> SharedBody {
        SharedBody(Arc::new(Mutex::new(body)))
    }
}

impl ByteStream for SharedBody {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).poll_next(context)
    }
}

/// The thing behind a `future-trailers`, shared with what waits for it.
#[derive(Clone)]
pub(super) struct FutureTrailers {
    state: Arc<Mutex<State>>,
    /// Whether the body comes from the client.
    of_client: bool,
}

enum State {
    /// What is left of the body is skipped.
    Arriving(SharedBody, Trailers),
    /// The body has ended, or broken off.
    Ended(Option<Trailers>),
    BrokenOff,
    Taken,
}

impl FutureTrailers {
    /// The trailers of a body whose stream the guest has dropped, if there may be any.
    pub(super) fn of(
        body: Option<SharedBody>,
        trailers: Option<Trailers>,
        of_client: bool,
    ) -> FutureTrailers {
        let state = match (body, trailers) {
            (Some(body), Some(trailers)) => State::Arriving(body, trailers),
            (_, trailers) => State::Ended(trailers),
        };
        FutureTrailers { state: Arc::new(Mutex::new(state)), of_client }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something that is ready when the body has ended.
    fn ready(&self) -> Ready {
        let future = self.clone();
        let poll = move |context: &mut Context<'_>| future.poll(context);
        if self.of_client { Ready::of_client(poll) } else { Ready::new(poll) }
    }

    /// Ready when the body has ended.
    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        let State::Arriving(body, trailers) = &mut *state else { return Poll::Ready(()) };
        for _ in 0..MAX_SKIPPED {
            match std::task::ready!(body.poll_next(context)) {
                Some(Ok(_)) => {}
                None => {
                    *state = State::Ended(Some(trailers.clone()));
                    return Poll::Ready(());
                }
                Some(Err(_)) => {
                    *state = State::BrokenOff;
                    return Poll::Ready(());
                }
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

pub(super) fn subscribe(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [trailers] = args(values)?;
    Ok(Ready::subscribe(host.resources(), trailers.handle()?, FutureTrailers::ready)?)
}

pub(super) fn get(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [trailers] = args(values)?;
    let future = host.resources().get::<FutureTrailers>(trailers.handle()?)?.clone();
    if future.poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        return Ok(Value::none());
    }
    let state = std::mem::replace(&mut *future.lock(), State::Taken);
    Ok(Value::some(match state {
        State::Ended(trailers) => {
            let found = trailers.and_then(|trailers| trailers.take());
            let handle = found.map(|found| fields::frozen(host, found)).transpose()?;
            Value::ok(Value::ok(Value::option(handle)))
        }
        State::BrokenOff => Value::ok(Value::err(error::internal("the body has broken off"))),
        State::Arriving(..) | State::Taken => Value::failed(),
    }))
}
