//! `faas.request_*`: what a reactor reads of its request.

use super::imports::{Answer, Guest, Refusal, copy};
use crate::exchange::Exchange;
use http::HeaderName;
use std::task::{Context, Poll, ready};
use wfaas_vm::BoxError;

/// Most bytes that one call reads of a body: a copy of less than 200 µs.
const MOST_READ: u32 = 128 << 10;

pub(super) fn method(exchange: &Exchange) -> &str {
    exchange.request.method().as_str()
}

pub(super) fn path(exchange: &Exchange) -> &str {
    exchange.request.uri().path()
}

pub(super) fn query(exchange: &Exchange) -> &str {
    exchange.query()
}

/// How many bytes at the beginning of the path are the function's route.
pub(super) fn route(exchange: &Exchange) -> Answer {
    Ok((exchange.request.uri().path().len() - exchange.path_info().len()) as u32)
}

/// Copies value number `index` of the header of this name.
pub(super) fn header(
    guest: &mut Guest<'_>,
    name: (u32, u32),
    index: u32,
    to: (u32, u32),
) -> Answer {
    let (bytes, _) = guest.range(name)?;
    let name = HeaderName::from_bytes(bytes).map_err(|_| Refusal::Invalid)?;
    let (target, state) = guest.range(to)?;
    let mut values = state.exchange().headers().get_all(name).iter();
    let value = values.nth(index as usize).ok_or(Refusal::Missing)?;
    Ok(copy(value.as_bytes(), target))
}

/// Copies all headers, `name:value` and a line feed each.
pub(super) fn headers(guest: &mut Guest<'_>, to: u32, room: u32) -> Answer {
    let (target, state) = guest.range((to, room))?;
    let mut copied = 0;
    for (name, value) in state.exchange().headers() {
        for part in [name.as_str().as_bytes(), b":", value.as_bytes(), b"\n"] {
            let start = target.len().min(copied);
            copied += copy(part, &mut target[start..]) as usize;
        }
    }
    Ok(u32::try_from(copied).unwrap_or(u32::MAX))
}

/// Reads bytes of the body that have arrived; none at its end, or for a `room` of none.
pub(super) fn poll_body_read(
    guest: &mut Guest<'_>,
    to: u32,
    room: u32,
    context: &mut Context<'_>,
) -> Poll<Result<Answer, BoxError>> {
    let (target, state) = match guest.range((to, room.min(MOST_READ))) {
        Ok(range) => range,
        Err(refusal) => return Poll::Ready(Ok(Err(refusal))),
    };
    let body = state.exchange().request.body_mut();
    let read = ready!(body.poll_read(target, context))?;
    Poll::Ready(Ok(Ok(read as u32)))
}
