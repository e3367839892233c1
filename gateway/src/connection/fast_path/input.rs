//! Bytes of a connection that have been read and not answered, and the next request in them.

use super::again::Found;
use super::head::NotPlain;
use super::request;
use crate::connection::socket::Socket;
use crate::connection::state::State;
use crate::http::Incoming;
use crate::http::plain::Asked;
use bytes::{Buf, BytesMut};
use hyper::Request;
use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

/// Most bytes of plain requests that are read ahead.
const MAX_INPUT: usize = 8 << 10;
/// Least room to read into: with less, bytes move to the beginning of the room.
const LEAST_ROOM: usize = 1 << 10;
/// Most pieces that the head of a plain request comes in: a head is parsed again with each.
const MAX_PIECES: u32 = 4;

/// Bytes that have been read.
pub(super) struct Input {
    bytes: BytesMut,
    /// The first request in them, or the last one that was.
    found: Found,
    /// Whether the connection's state knows of a head that is not complete.
    is_open: bool,
    in_a_row: u32,
    most_in_a_row: u32,
}

/// A connection goes on without a plain request.
pub(super) enum Without {
    /// With something else.
    Other,
    /// Not at all.
    End,
}

impl Input {
    /// `early` bytes were read before. A connection gets `most_in_a_row` requests in a turn.
    pub(super) fn new(early: Vec<u8>, most_in_a_row: u32) -> Input {
        // Room comes with the first bytes: many connections wait long for them.
        let bytes = BytesMut::from(&early[..]);
        Input { bytes, found: Found::default(), is_open: false, in_a_row: 0, most_in_a_row }
    }

    /// Ready as soon as the next request has come: then the first bytes are its.
    pub(super) async fn next(
        &mut self,
        socket: &mut Socket,
        state: &State,
        leaving: &AtomicBool,
    ) -> Result<(), Without> {
        self.in_a_row += 1;
        if self.in_a_row > self.most_in_a_row {
            self.in_a_row = 0;
            tokio::task::yield_now().await;
        }
        for _ in 0..=MAX_PIECES {
            if leaving.load(Relaxed) {
                return Err(Without::End);
            }
            if !self.bytes.is_empty() {
                let found = self.found.find(&self.bytes);
                let is_open = matches!(found, Err(NotPlain::Partial));
                if is_open != std::mem::replace(&mut self.is_open, is_open) {
                    state.set_head_open(is_open);
                }
                match found {
                    Ok(()) => return Ok(()),
                    Err(NotPlain::Partial) if self.bytes.len() < MAX_INPUT => {}
                    Err(_) => return Err(Without::Other),
                }
            }
            let read = poll_fn(|context| {
                if leaving.load(Relaxed) {
                    return Poll::Ready(Ok(0));
                }
                self.poll_fill(socket, context)
            });
            if !matches!(read.await, Ok(1..)) {
                return Err(Without::End);
            }
        }
        Err(Without::Other)
    }

    /// The request that was found.
    pub(super) fn asked(&self) -> Asked<'_> {
        self.found.asked(&self.bytes)
    }

    /// The same in types.
    pub(super) fn request(&self) -> Request<Incoming> {
        request::of(&self.asked())
    }

    /// Whether the connection ends with its answer.
    pub(super) fn closes(&self) -> bool {
        self.found.plain.closes
    }

    /// Takes it away.
    pub(super) fn take(&mut self) {
        let length = self.found.plain.head + self.found.plain.body;
        self.found.taken();
        if length == self.bytes.len() {
            // Now the next one has the whole room.
            self.bytes.clear();
        } else {
            self.bytes.advance(length);
        }
    }

    /// Ready when the client has left, as far as that can be seen behind bytes it sent before.
    pub(super) fn poll_left(&mut self, socket: &mut Socket, context: &mut Context<'_>) -> Poll<()> {
        while self.bytes.is_empty() {
            if !matches!(ready!(self.poll_fill(socket, context)), Ok(1..)) {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Reads some bytes; 0 at the end.
    fn poll_fill(
        &mut self,
        socket: &mut Socket,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.bytes.capacity() == 0 {
            ready!(socket.poll_readable(context))?;
        }
        if self.bytes.capacity() - self.bytes.len() < LEAST_ROOM {
            self.bytes.reserve(MAX_INPUT.saturating_sub(self.bytes.len()).max(LEAST_ROOM));
        }
        let read = socket.poll_read_into(context, &mut self.bytes);
        if read.is_pending() {
            self.in_a_row = 0;
        }
        read
    }
}

impl From<Input> for Vec<u8> {
    fn from(input: Input) -> Vec<u8> {
        input.bytes.into()
    }
}
