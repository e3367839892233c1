//! A connection's socket, which tells the connection's state what moves.

use super::state::State;
use bytes::BytesMut;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

pub(super) struct Socket {
    stream: TcpStream,
    /// Bytes that were read and counted before, and come first.
    early: Vec<u8>,
    /// Runs while nothing is read.
    pause: Option<Pin<Box<Sleep>>>,
    state: Arc<State>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, state: Arc<State>) -> Socket {
        Socket { stream, early: Vec::new(), pause: None, state }
    }

    /// Has bytes come first that were read and counted before.
    pub(super) fn put_back(&mut self, early: Vec<u8>) {
        self.early = early;
    }

    /// Ready when there is something to read.
    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_read_ready(context)
    }

    /// Reads bytes into the room that `bytes` has, and does not count them; 0 at the end.
    pub(super) fn poll_read_into(
        &mut self,
        context: &mut Context<'_>,
        bytes: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        pin!(self.stream.read_buf(bytes)).poll(context)
    }

    /// Ready when the client may send more.
    fn poll_pause(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            match self.state.pause() {
                None => return Poll::Ready(()),
                Some(pause) => self.pause = Some(Box::pin(tokio::time::sleep(pause))),
            }
        }
    }

    /// Notes the result of a write.
    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => self.state.blocked(),
            Poll::Ready(Ok(bytes)) => self.state.sent(*bytes),
            Poll::Ready(Err(_)) => {}
        }
        written
    }
}

/// Most bytes of an answer that are copied together: the kernel takes one piece sooner than two.
const TOGETHER: usize = 512;

/// The bytes of several pieces in one, if there is room for them.
fn gather<'a>(slices: &[io::IoSlice<'_>], room: &'a mut [u8; TOGETHER]) -> Option<&'a [u8]> {
    let mut filled = 0;
    for slice in slices {
        let end = filled + slice.len();
        room.get_mut(filled..end)?.copy_from_slice(slice);
        filled = end;
    }
    Some(&room[..filled])
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_pause(context));
        let before = buf.filled().len();
        if !self.early.is_empty() {
            let length = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early[..length]);
            self.early.drain(..length);
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut self.stream).poll_read(context, buf);
        if matches!(read, Poll::Ready(Ok(()))) {
            self.state.received(&buf.filled()[before..]);
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut together = [0; TOGETHER];
        let written = match gather(slices, &mut together) {
            Some(bytes) => Pin::new(&mut self.stream).poll_write(context, bytes),
            None => Pin::new(&mut self.stream).poll_write_vectored(context, slices),
        };
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_gathered_as_far_as_there_is_room() {
        let mut room = [0; TOGETHER];
        let slices = |parts: &[&'static [u8]]| {
            parts.iter().map(|part| io::IoSlice::new(part)).collect::<Vec<_>>()
        };
        assert_eq!(gather(&slices(&[b"ab", b"", b"c"]), &mut room), Some(&b"abc"[..]));
        let full = slices(&[&[b'x'; TOGETHER - 1], b"y"]);
        assert_eq!(gather(&full, &mut room).map(<[u8]>::len), Some(TOGETHER));
        assert_eq!(gather(&slices(&[&[b'x'; TOGETHER], b"y"]), &mut room), None);
    }
}
