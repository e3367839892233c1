//! The body of an answer as hyper gets it: in pieces that tell when the client has taken them.

use super::exchange::Exchange;
use crate::http::Answer;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Most bytes of a piece: the most that a reset stream leaves behind, and that waits in the
/// buffers of a protocol beyond their own size.
const PIECE: usize = 64 << 10;

/// Most bytes of an answer whose end goes with its last piece. Once hyper has the end, it does not
/// give up the stream any more, and only the end of the connection ends it; larger answers keep
/// theirs until everything before it is taken, at the price of an empty frame.
const SMALL: usize = 16 << 10;

/// An answer on its way to the client. Every byte is offered from the start, so that the clock
/// runs whether hyper asks for them or not.
pub(super) struct Sending {
    rest: Bytes,
    ends_late: bool,
    exchange: Arc<Exchange>,
}

/// A piece that was given to hyper, which drops it when it has been written to the socket.
struct Piece {
    bytes: Bytes,
    exchange: Arc<Exchange>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.exchange.taken(self.bytes.len() as u64);
    }
}

impl Sending {
    pub(super) fn new(answer: Answer, exchange: Arc<Exchange>) -> Sending {
        let rest = answer.into_bytes();
        exchange.offer(rest.len() as u64);
        Sending { ends_late: rest.len() > SMALL, rest, exchange }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return self.exchange.poll_taken(context).map(|()| {
                self.ends_late = false;
                None
            });
        }
        let length = self.rest.len().min(PIECE);
        let bytes = self.rest.split_to(length);
        let piece = Piece { bytes, exchange: self.exchange.clone() };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && !self.ends_late
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
