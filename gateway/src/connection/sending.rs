//! The body of an answer as hyper gets it: in pieces that tell when the client has taken them.

use super::exchange::Exchange;
use crate::http::{Answer, Rest};
use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use wfaas_function::BrokenOff;

/// Most bytes of a piece: the most that a reset stream leaves behind, and that waits in the
/// buffers of a protocol beyond their own size.
const PIECE: usize = 64 << 10;

/// Most bytes of an answer whose end goes with its last piece. Once hyper has the end, it does not
/// give up the stream any more, and only the end of the connection ends it; larger answers keep
/// theirs until everything before it is taken, at the price of an empty frame.
const SMALL: usize = 16 << 10;

/// An answer on its way to the client. Every byte that is there is offered at once, so that the clock
/// runs whether hyper asks for them or not. Of an answer that is still being made, more is taken only
/// when the client has taken what there was.
pub(super) struct Sending {
    rest: Bytes,
    made: Option<Box<Rest>>,
    ends_late: bool,
    /// `None` once the last piece has it.
    exchange: Option<Arc<Exchange>>,
}

/// A piece that was given to hyper, which drops it when it has been written to the socket. It is a
/// buffer of its own: to be told of the end of [`Bytes`] would take memory for each request.
pub(super) struct Piece {
    bytes: Bytes,
    length: usize,
    exchange: Arc<Exchange>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.exchange.taken(self.length as u64);
    }
}

impl Sending {
    pub(super) fn new(answer: Answer, exchange: Arc<Exchange>) -> Sending {
        let Answer { bytes: rest, lease, rest: made, added: _ } = answer;
        exchange.answer(lease);
        exchange.offer(rest.len() as u64);
        let ends_late = rest.len() > SMALL || made.is_some();
        Sending { rest, made, ends_late, exchange: Some(exchange) }
    }

    /// Waits for more of an answer that is still being made; whether there is more.
    fn poll_made(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, BrokenOff>> {
        let Some(made) = &mut self.made else { return Poll::Ready(Ok(false)) };
        let Some(bytes) = ready!(made.poll_next(context)).transpose()? else {
            return Poll::Ready(Ok(false));
        };
        if let Some(exchange) = &self.exchange {
            exchange.offer(bytes.len() as u64);
        }
        self.rest = bytes;
        Poll::Ready(Ok(true))
    }

    /// The next piece; the last one has the exchange, unless it is asked for once more.
    fn piece(&mut self) -> Option<Piece> {
        let length = self.rest.len().min(PIECE);
        let bytes = self.rest.split_to(length);
        let is_last = self.rest.is_empty() && !self.ends_late;
        let exchange = if is_last { self.exchange.take() } else { self.exchange.clone() };
        Some(Piece { bytes, length, exchange: exchange? })
    }
}

impl Body for Sending {
    type Data = Piece;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, BrokenOff>>> {
        if self.rest.is_empty() {
            if let Some(exchange) = &self.exchange {
                ready!(exchange.poll_taken(context));
            }
            if !ready!(self.poll_made(context))? {
                self.ends_late = false;
                let trailers = self.made.as_mut().and_then(|made| made.take_trailers());
                return Poll::Ready(trailers.map(|fields| Ok(Frame::trailers(fields))));
            }
        }
        Poll::Ready(self.piece().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && !self.ends_late
    }

    fn size_hint(&self) -> SizeHint {
        match &self.made {
            None => SizeHint::with_exact(self.rest.len() as u64),
            Some(made) => made.announced().map_or_else(SizeHint::new, SizeHint::with_exact),
        }
    }
}
