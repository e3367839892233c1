//! Output streams: a standard stream, a sink of the embedder's, a file, or a socket.

use super::sockets::Sending;
use crate::files::{Durability, File, WriteAt};
use crate::stdio::{Output, Shared, WriteError, Written};
use crate::table::{Object, Table};
use crate::wait::Watched;
use std::sync::Arc;
use std::task::{Context, Poll};
use wfaas_vm::BoxError;

/// The thing behind an `output-stream`.
#[derive(Debug)]
pub struct OutputStream {
    pub(super) sink: Sink,
    /// Whether the guest's clock stands still while it waits for the other side.
    pub(crate) stops_clock: bool,
}

#[derive(Debug)]
pub(crate) enum Sink {
    /// A standard stream, by its descriptor in preview1's table.
    Descriptor(u32),
    /// The embedder's.
    Output(Output),
    /// A file, and what has to be on the disk when a write returns.
    File { file: Arc<dyn File>, at: WriteAt, durability: Durability },
    /// A connection.
    Socket(Sending),
}

impl OutputStream {
    /// A stream of the embedder's. A wait for its other side is the guest's time.
    pub fn new(output: Output) -> OutputStream {
        OutputStream { sink: Sink::Output(output), stops_clock: false }
    }

    /// The same, where the other side is a client, whose pace the embedder bounds: the guest's clock stands still
    /// while it waits.
    pub fn of_client(output: Output) -> OutputStream {
        OutputStream { stops_clock: true, ..OutputStream::new(output) }
    }

    pub(crate) fn of(sink: Sink) -> OutputStream {
        let stops_clock = matches!(sink, Sink::Descriptor(_));
        OutputStream { sink, stops_clock }
    }

    fn output<'a>(&'a mut self, table: &'a mut Table) -> Option<&'a mut Output> {
        match &mut self.sink {
            Sink::Output(output) => Some(output),
            Sink::Descriptor(fd) => match table.get(*fd).map(|found| &mut found.object) {
                Ok(Object::Output(output)) => Some(output),
                _ => None,
            },
            Sink::File { .. } | Sink::Socket(_) => None,
        }
    }

    /// Writes as much as is taken at once. Not to a file.
    pub(crate) fn write(
        &mut self,
        table: &mut Table,
        shared: &mut Shared,
        bytes: &[u8],
    ) -> Result<Written, WriteError> {
        if let Sink::Socket(sending) = &mut self.sink {
            return sending.write(bytes);
        }
        let output = self.output(table).ok_or(WriteError::NoOutput)?;
        output.write(bytes, shared)
    }

    /// Writes all bytes, if a sink of the embedder's takes them at once; whether it did. Otherwise nothing is written.
    ///
    /// # Errors
    /// The one that ends the guest's call.
    pub(super) fn write_whole(
        &mut self,
        table: &mut Table,
        bytes: &[u8],
    ) -> Result<bool, BoxError> {
        match self.output(table) {
            Some(output) => output.write_whole(bytes),
            None => Ok(false),
        }
    }

    /// The stream has ended, and was whole. A standard stream goes on.
    ///
    /// # Errors
    /// The one that ends the guest's call.
    pub(crate) fn end(&mut self) -> Result<(), BoxError> {
        match &mut self.sink {
            Sink::Output(output) => output.close(),
            Sink::Socket(sending) => {
                _ = sending.end(); // the other side may be gone
                Ok(())
            }
            Sink::Descriptor(_) | Sink::File { .. } => Ok(()),
        }
    }

    /// Bytes that a write takes without a wait for the other side of a stream; `most`, if there is no such side.
    pub(super) fn room(&mut self, table: &mut Table, most: usize) -> usize {
        match &self.sink {
            Sink::Socket(sending) => sending.room().min(most),
            _ => self.output(table).map_or(most, |output| output.room(most)),
        }
    }

    /// Whether it goes to the log, line by line.
    pub(super) fn is_log(&mut self, table: &mut Table) -> bool {
        self.output(table).is_some_and(|output| output.is_log())
    }

    /// Ready when a write takes no wait for the other side of a stream.
    pub(crate) fn poll(&mut self, table: &mut Table, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.sink {
            Sink::Socket(sending) => sending.poll(context),
            _ => self.output(table).map_or(Poll::Ready(()), |output| output.poll(context)),
        }
    }

    /// The descriptor of this process to wait for, if there is one.
    pub(super) fn watched(&self, table: &mut Table) -> Option<Watched> {
        match &self.sink {
            Sink::Descriptor(fd) => table.get(*fd).ok()?.writable(),
            Sink::Output(_) | Sink::File { .. } | Sink::Socket(_) => None,
        }
    }
}
