//! Input streams: a standard stream, bytes of the embedder's, a file, or a socket.

use super::IoError;
use crate::files::{self, File};
use crate::sockets::{self, Direction, Socket};
use crate::stdio::{Input, ReadError};
use crate::table::{Object, Table};
use crate::wait::Watched;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use wfaas_vm::BoxError;

/// The thing behind an `input-stream`.
#[derive(Debug)]
pub struct InputStream {
    pub(super) source: Source,
    /// Whether the guest's clock stands still while it waits for the other side.
    pub(crate) stops_clock: bool,
}

#[derive(Debug)]
pub(crate) enum Source {
    /// A standard stream, by its descriptor in preview1's table.
    Descriptor(u32),
    /// The embedder's.
    Input(Input),
    /// A file, from an offset on.
    File { file: Arc<dyn File>, offset: u64 },
    /// A connection.
    Socket(Arc<dyn Socket>),
}

/// Result of a read.
pub(crate) enum Found {
    Bytes(Vec<u8>),
    /// Nothing yet.
    Nothing,
    End,
    /// The system refused: the guest is told.
    Failed(IoError),
    /// An error that ends the guest's call.
    Ends(BoxError),
}

impl InputStream {
    /// A stream of the embedder's. A wait for its other side is the guest's time.
    pub fn new(input: Input) -> InputStream {
        InputStream { source: Source::Input(input), stops_clock: false }
    }

    /// The same, where the other side is a client, whose pace the embedder bounds: the guest's clock stands still
    /// while it waits.
    pub fn of_client(input: Input) -> InputStream {
        InputStream { stops_clock: true, ..InputStream::new(input) }
    }

    pub(crate) fn of(source: Source) -> InputStream {
        let stops_clock = matches!(source, Source::Descriptor(_));
        InputStream { source, stops_clock }
    }

    /// Reads what is there, at most `most` bytes. Not of a file.
    pub(crate) fn read(&mut self, table: &mut Table, most: usize) -> Found {
        let input = match &mut self.source {
            Source::Input(input) => input,
            Source::Descriptor(fd) => match table.get(*fd).map(|found| &mut found.object) {
                Ok(Object::Input(input)) => input,
                _ => return Found::End,
            },
            Source::File { .. } => return Found::End,
            Source::Socket(socket) => return receive(&**socket, most),
        };
        if input.poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            return Found::Nothing;
        }
        let known = input.available().map_or(most, |known| known as usize);
        let mut bytes = vec![0; most.min(known.max(1))];
        match input.read(&mut bytes) {
            Ok(0) if most > 0 => Found::End,
            Ok(len) => {
                bytes.truncate(len);
                Found::Bytes(bytes)
            }
            Err(ReadError::Os(rustix::io::Errno::INTR)) => Found::Nothing,
            Err(ReadError::Os(error)) => Found::Failed(files::Error::from(error).into()),
            Err(ReadError::Stream(error)) => Found::Ends(error),
        }
    }

    /// Ready when a read takes no wait for the other side of a stream.
    pub(crate) fn poll(&mut self, table: &mut Table, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.source {
            Source::Input(input) => input.poll(context),
            Source::Descriptor(fd) => match table.get(*fd).map(|found| &mut found.object) {
                Ok(Object::Input(input)) => input.poll(context),
                _ => Poll::Ready(()),
            },
            Source::File { .. } => Poll::Ready(()),
            Source::Socket(socket) => socket.poll_ready(Direction::Receive, context),
        }
    }

    /// The descriptor of this process to wait for, if there is one.
    pub(super) fn watched(&self, table: &mut Table) -> Option<Watched> {
        match &self.source {
            Source::Descriptor(fd) => table.get(*fd).ok()?.readable(),
            Source::Input(_) | Source::File { .. } | Source::Socket(_) => None,
        }
    }
}

/// Reads of a connection, which is ready or not.
fn receive(socket: &dyn Socket, most: usize) -> Found {
    if most == 0 {
        return Found::Bytes(Vec::new()); // none is not the end
    }
    let mut bytes = vec![0; most];
    match socket.receive(&mut bytes) {
        Ok(0) => Found::End,
        Ok(len) => {
            bytes.truncate(len);
            Found::Bytes(bytes)
        }
        Err(sockets::Error::WouldBlock) => Found::Nothing,
        Err(error) => Found::Failed(error.into()),
    }
}
