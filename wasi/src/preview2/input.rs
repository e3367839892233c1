//! Input streams: a standard stream, bytes of the embedder's, or a file.

use crate::files::File;
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
    pub(super) stops_clock: bool,
}

#[derive(Debug)]
pub(super) enum Source {
    /// A standard stream, by its descriptor in preview1's table.
    Descriptor(u32),
    /// The embedder's.
    Input(Input),
    /// A file, from an offset on.
    File { file: Arc<dyn File>, offset: u64 },
}

/// Result of a read.
pub(super) enum Found {
    Bytes(Vec<u8>),
    /// Nothing yet.
    Nothing,
    End,
    /// The process's stream refused: the guest is told.
    Failed(rustix::io::Errno),
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

    pub(super) fn of(source: Source) -> InputStream {
        let stops_clock = matches!(source, Source::Descriptor(_));
        InputStream { source, stops_clock }
    }

    /// Reads what is there, at most `most` bytes. Not of a file.
    pub(super) fn read(&mut self, table: &mut Table, most: usize) -> Found {
        let input = match &mut self.source {
            Source::Input(input) => input,
            Source::Descriptor(fd) => match table.get(*fd).map(|found| &mut found.object) {
                Ok(Object::Input(input)) => input,
                _ => return Found::End,
            },
            Source::File { .. } => return Found::End,
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
            Err(ReadError::Os(error)) => Found::Failed(error),
            Err(ReadError::Stream(error)) => Found::Ends(error),
        }
    }

    /// Ready when a read takes no wait for the other side of a stream.
    pub(super) fn poll(&mut self, table: &mut Table, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.source {
            Source::Input(input) => input.poll(context),
            Source::Descriptor(fd) => match table.get(*fd).map(|found| &mut found.object) {
                Ok(Object::Input(input)) => input.poll(context),
                _ => Poll::Ready(()),
            },
            Source::File { .. } => Poll::Ready(()),
        }
    }

    /// The descriptor of this process to wait for, if there is one.
    pub(super) fn watched(&self, table: &mut Table) -> Option<Watched> {
        match &self.source {
            Source::Descriptor(fd) => table.get(*fd).ok()?.readable(),
            Source::Input(_) | Source::File { .. } => None,
        }
    }
}
