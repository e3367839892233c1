//! The sending side of a connection: an `output-stream`.

use crate::sockets::{self, Direction, Error, Socket, SocketOption};
use crate::stdio::{WriteError, Written};
use std::net::Shutdown;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

/// Most bytes given to a connection at once.
const CHUNK: usize = 32 << 10;

/// A connection that bytes are sent to.
///
/// The system says that it takes some when a third of its buffer is free, so that is the room of one that is ready. If
/// it takes less all the same, the rest is kept here, and goes first.
#[derive(Debug)]
pub(crate) struct Sending {
    socket: Arc<dyn Socket>,
    rest: Vec<u8>,
    /// The error of the rest, for the next write.
    failed: Option<Error>,
}

impl Sending {
    pub(crate) fn new(socket: Arc<dyn Socket>) -> Sending {
        Sending { socket, rest: Vec::new(), failed: None }
    }

    /// Bytes that are taken at once, when it is ready.
    pub(crate) fn room(&self) -> usize {
        let buffer = self.socket.option(SocketOption::SendBuffer).unwrap_or(0);
        usize::try_from(buffer / 3).map_or(CHUNK, |third| third.clamp(1, CHUNK))
    }

    /// Ready when the rest has left, and the system takes more.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.rest.is_empty() {
            ready!(self.socket.poll_ready(Direction::Send, context));
            self.send_rest();
        }
        self.socket.poll_ready(Direction::Send, context)
    }

    /// Sends some of the rest, if it can.
    fn send_rest(&mut self) {
        match self.socket.send(&self.rest) {
            Ok(sent) => drop(self.rest.drain(..sent.min(self.rest.len()))),
            Err(Error::WouldBlock) => {}
            Err(error) => {
                self.rest = Vec::new();
                self.failed = Some(error);
            }
        }
    }

    /// Takes bytes, if it is ready: as many as it has room for.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<Written, WriteError> {
        if self.poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            return Ok(Written { bytes: 0, event: None });
        }
        if let Some(error) = self.failed.take() {
            return Err(WriteError::Socket(error));
        }
        // The kernel does not find pages of a guest that nobody has touched.
        let bytes = bytes[..bytes.len().min(self.room())].to_vec();
        match self.socket.send(&bytes) {
            Ok(sent) => {
                self.rest = bytes[sent.min(bytes.len())..].to_vec();
                Ok(Written { bytes: bytes.len(), event: None })
            }
            Err(Error::WouldBlock) => Ok(Written { bytes: 0, event: None }),
            Err(error) => Err(WriteError::Socket(error)),
        }
    }

    /// No bytes follow.
    pub(crate) fn end(&mut self) -> sockets::Result<()> {
        self.send_rest();
        self.socket.shutdown(Shutdown::Write)
    }
}

impl Drop for Sending {
    /// Whoever drops a stream without waiting for its bytes to leave may lose some.
    fn drop(&mut self) {
        if !self.rest.is_empty() {
            self.send_rest();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::sync::Mutex;

    /// A connection that takes so many bytes at a time, and then none until it is asked whether it is ready.
    #[derive(Debug, Default)]
    struct Slow {
        sent: Mutex<Vec<u8>>,
        is_full: Mutex<bool>,
    }

    const TAKEN: usize = 1000;

    impl Socket for Slow {
        fn bind(&self, _: SocketAddr) -> sockets::Result<()> {
            Ok(())
        }

        fn connect(&self, _: SocketAddr) -> sockets::Result<()> {
            Ok(())
        }

        fn connected(&self) -> sockets::Result<()> {
            Ok(())
        }

        fn poll_ready(&self, _: Direction, _: &mut Context<'_>) -> Poll<()> {
            *self.is_full.lock().unwrap() = false;
            Poll::Ready(())
        }

        fn receive(&self, _: &mut [u8]) -> sockets::Result<usize> {
            Ok(0)
        }

        fn send(&self, bytes: &[u8]) -> sockets::Result<usize> {
            if std::mem::replace(&mut *self.is_full.lock().unwrap(), true) {
                return Err(Error::WouldBlock);
            }
            let taken = bytes.len().min(TAKEN);
            self.sent.lock().unwrap().extend(&bytes[..taken]);
            Ok(taken)
        }

        fn receive_from(&self, _: &mut [u8]) -> sockets::Result<(usize, SocketAddr)> {
            Err(Error::NotSupported)
        }

        fn send_to(&self, _: &[u8], _: SocketAddr) -> sockets::Result<()> {
            Err(Error::NotSupported)
        }

        fn shutdown(&self, _: Shutdown) -> sockets::Result<()> {
            Ok(())
        }

        fn local_address(&self) -> sockets::Result<SocketAddr> {
            Err(Error::Unknown)
        }

        fn remote_address(&self) -> sockets::Result<SocketAddr> {
            Err(Error::Unknown)
        }

        fn option(&self, _: SocketOption) -> sockets::Result<u64> {
            Ok(128 << 10)
        }

        fn set_option(&self, _: SocketOption, _: u64) -> sockets::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn bytes_that_were_taken_leave_in_their_order() {
        let socket = Arc::new(Slow::default());
        let mut sending = Sending::new(socket.clone());
        let bytes: Vec<u8> = (0..1 << 20).map(|at: u32| (at % 251) as u8).collect();
        let mut done = 0;
        while done < bytes.len() {
            let written = sending.write(&bytes[done..]).unwrap().bytes;
            assert_eq!(written, sending.room().min(bytes.len() - done));
            done += written;
        }
        assert!(sending.poll(&mut Context::from_waker(Waker::noop())).is_ready());
        assert!(*socket.sent.lock().unwrap() == bytes);
    }
}
