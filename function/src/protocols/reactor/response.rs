//! `faas.response_*`: how a reactor makes its answer.

use super::imports::{Answer, Guest, Refusal};
use crate::exchange::Exchange;
use crate::head::{self, HeadError};
use crate::reply::Reply;
use std::task::{Context, Poll, ready};
use wfaas_vm::BoxError;

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Refusal {
        match error {
            HeadError::TooMany | HeadError::TooLarge => Refusal::TooLarge,
            HeadError::Sent => Refusal::Sent,
            _ => Refusal::Invalid,
        }
    }
}

/// Whether the head can still change.
fn check_open(exchange: &Exchange) -> Result<(), Refusal> {
    let is_sent = exchange.reply.as_ref().is_some_and(Reply::is_begun);
    if is_sent { Err(Refusal::Sent) } else { Ok(()) }
}

/// Sets the status.
pub(super) fn status(exchange: &mut Exchange, code: u32) -> Answer {
    check_open(exchange)?;
    *exchange.answer.status_mut() = head::status(code)?;
    Ok(0)
}

/// Adds a header.
pub(super) fn header(guest: &mut Guest<'_>, name: (u32, u32), value: (u32, u32)) -> Answer {
    check_open(guest.state().exchange())?;
    let most = head::MAX_HEAD_BYTES as u32;
    if name.1 > most || value.1 > most {
        return Err(Refusal::TooLarge);
    }
    let name = guest.range(name)?.0.to_vec();
    let (value, state) = guest.range(value)?;
    head::append(state.exchange().answer.headers_mut(), &name, value)?;
    Ok(0)
}

/// Sends the head, if that was not done, and all of these bytes, as the client takes them. `done` is how
/// many of them were taken before.
pub(super) fn poll_write(
    guest: &mut Guest<'_>,
    range: (u32, u32),
    done: &mut usize,
    context: &mut Context<'_>,
) -> Poll<Result<Answer, BoxError>> {
    let (bytes, state) = match guest.range(range) {
        Ok(range) => range,
        Err(refusal) => return Poll::Ready(Ok(Err(refusal))),
    };
    let reply = begun(state.exchange())?;
    while *done < bytes.len() {
        ready!(reply.poll_room(context));
        *done += reply.write(&bytes[*done..])?;
    }
    Poll::Ready(Ok(Ok(0)))
}

/// The reply, with the answer's head sent.
fn begun(exchange: &mut Exchange) -> Result<Reply, HeadError> {
    let reply = exchange.reply.get_or_insert_with(Reply::collecting).clone();
    if !reply.is_begun() {
        let head = std::mem::take(&mut exchange.answer).into_parts().0;
        reply.begin(head)?;
    }
    Ok(reply)
}
