//! Where a guest's stdout and stderr go.

use super::log::{Lines, LogEvent, Logged};
use crate::preview1::Exit;
use crate::sockets;
use crate::wait;
use rustix::io::Errno;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::{Context, Poll};
use wfaas_vm::BoxError;

/// Most bytes given to a stream of the process at once.
const WRITE_CHUNK: usize = 64 << 10;

/// Bytes of a page of the host.
const PAGE: usize = 4096;

/// The destination of a stream that a guest writes. The default captures nothing: the first byte is
/// one too many.
#[derive(Debug)]
pub struct Output(Sink);

#[derive(Debug)]
enum Sink {
    Capture {
        limit: u64,
    },
    /// Kept up to the end of a line.
    Line {
        limit: u64,
    },
    Process(BorrowedFd<'static>),
    Log(Lines),
    Stream(Stream),
}

/// Where bytes go that a guest writes piece by piece, such as the body of an answer. A sink that is
/// full makes its guest wait: that is back-pressure.
pub trait ByteSink: Send {
    /// Whether the guest has to wait before the sink takes another byte.
    fn is_full(&self) -> bool;

    /// Bytes that [`ByteSink::write`] takes at once.
    fn room(&self) -> usize {
        usize::from(!self.is_full())
    }

    /// Ready when the sink [is not full](ByteSink::is_full).
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// Takes some bytes; how many: at least one, if there are any and the sink is not full.
    ///
    /// # Errors
    /// An error ends the guest's call with itself as the [`HostError`](wfaas_vm::HostError).
    fn write(&mut self, bytes: &[u8]) -> Result<usize, BoxError>;

    /// Takes all bytes if there is room for them at once, or none; whether it did.
    ///
    /// # Errors
    /// As [`ByteSink::write`].
    fn write_whole(&mut self, bytes: &[u8]) -> Result<bool, BoxError> {
        if self.room() < bytes.len() {
            return Ok(false);
        }
        match self.write(bytes)? == bytes.len() {
            true => Ok(true),
            false => Err("a sink took less than it had room for".into()),
        }
    }

    /// The guest is about to wait: bytes that are held back for more to follow go on their way.
    fn flush(&mut self) {}

    /// The guest has closed its descriptor, or the stream that goes here has ended as a whole.
    ///
    /// # Errors
    /// An error ends the guest's call with itself.
    fn close(&mut self) -> Result<(), BoxError> {
        Ok(())
    }
}

/// A [`ByteSink`] that several have.
pub trait SharedSink: Send + Sync {
    /// As [`ByteSink::is_full`].
    fn is_full(&self) -> bool;

    /// As [`ByteSink::room`].
    fn room(&self) -> usize;

    /// As [`ByteSink::poll_room`].
    fn poll_room(&self, context: &mut Context<'_>) -> Poll<()>;

    /// As [`ByteSink::write`].
    ///
    /// # Errors
    /// As there.
    fn write(&self, bytes: &[u8]) -> Result<usize, BoxError>;

    /// As [`ByteSink::write_whole`].
    ///
    /// # Errors
    /// As there.
    fn write_whole(&self, bytes: &[u8]) -> Result<bool, BoxError>;

    /// As [`ByteSink::flush`].
    fn flush(&self);
}

impl<S: SharedSink + ?Sized> ByteSink for Arc<S> {
    fn is_full(&self) -> bool {
        S::is_full(self)
    }

    fn room(&self) -> usize {
        S::room(self)
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        S::poll_room(self, context)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, BoxError> {
        S::write(self, bytes)
    }

    fn write_whole(&mut self, bytes: &[u8]) -> Result<bool, BoxError> {
        S::write_whole(self, bytes)
    }

    fn flush(&mut self) {
        S::flush(self);
    }
}

/// A sink of the embedder's.
enum Stream {
    Own(Box<dyn ByteSink>),
    Shared(Arc<dyn SharedSink>),
}

impl Stream {
    fn sink(&self) -> &dyn ByteSink {
        match self {
            Stream::Own(sink) => &**sink,
            Stream::Shared(sink) => sink,
        }
    }

    fn sink_mut(&mut self) -> &mut dyn ByteSink {
        match self {
            Stream::Own(sink) => &mut **sink,
            Stream::Shared(sink) => sink,
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

/// A sink takes nothing any more, which its guest learns by other means: the error of a sink of a pipe.
#[derive(Debug, thiserror::Error)]
#[error("the sink takes nothing any more")]
pub(crate) struct Refused;

/// The guest wrote more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("output limit exceeded: the guest wrote more than {bytes} bytes")]
pub struct OutputLimit {
    /// The limit, in bytes.
    pub bytes: u64,
}

/// Why a write failed.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The guest's limit is reached: this ends its call.
    Limit(OutputLimit),
    /// The stream of the process refused: the guest is told.
    Os(Errno),
    /// The connection failed: the guest is told.
    Socket(sockets::Error),
    /// The sink takes nothing more: this ends the guest's call.
    Stream(BoxError),
    /// Not a stream that can be written.
    NoOutput,
}

/// How much a write took.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// Bytes; all of them, unless the process's stream took less, or there is an event.
    pub(crate) bytes: usize,
    /// Something for the log.
    pub(crate) event: Option<LogEvent>,
}

/// What the output streams of an instance have in common.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Bytes written to captured streams, which stay when the guest closes the descriptor.
    pub(crate) captured: Vec<u8>,
    /// Bytes written to the log.
    pub(crate) logged: Logged,
}

impl Default for Output {
    fn default() -> Output {
        Output::capture(0)
    }
}

impl Output {
    /// Kept for [`Wasi::take_captured`](crate::Wasi::take_captured): at most `limit` bytes, with
    /// those of other captured streams of the instance. A guest that writes more is ended with
    /// [`OutputLimit`].
    #[inline]
    pub fn capture(limit: u64) -> Output {
        Output(Sink::Capture { limit })
    }

    /// One line, kept as by [`Output::capture`]. The guest's call ends as with [`Exit`] and code 0 when the line is
    /// complete, or the stream closed.
    pub fn capture_line(limit: u64) -> Output {
        Output(Sink::Line { limit })
    }

    /// The stdout of this process.
    pub fn process_stdout() -> Output {
        Output(Sink::Process(rustix::stdio::stdout()))
    }

    /// The stderr of this process.
    pub fn process_stderr() -> Output {
        Output(Sink::Process(rustix::stdio::stderr()))
    }

    /// The log, line by line: [`HasWasi::log`](crate::HasWasi::log). What goes beyond `budget` bytes
    /// is dropped, those of other such streams of the instance included.
    #[inline]
    pub fn log(budget: u64) -> Output {
        Output::log_with(budget, 0)
    }

    /// The same, where the log adds `overhead` bytes to each line, as a time and names, which count
    /// like those of the guest.
    #[inline]
    pub fn log_with(budget: u64, overhead: u64) -> Output {
        Output(Sink::Log(Lines::new(budget, overhead)))
    }

    /// A sink of the embedder's, which may make the guest wait.
    pub fn stream(sink: Box<dyn ByteSink>) -> Output {
        Output(Sink::Stream(Stream::Own(sink)))
    }

    /// The same of a sink that others have too.
    pub fn shared(sink: Arc<dyn SharedSink>) -> Output {
        Output(Sink::Stream(Stream::Shared(sink)))
    }

    /// Writes as much as is taken at once.
    ///
    /// # Errors
    /// [`WriteError`]: a limit reached, or a stream that refuses.
    pub(crate) fn write(
        &mut self,
        bytes: &[u8],
        shared: &mut Shared,
    ) -> Result<Written, WriteError> {
        match &mut self.0 {
            Sink::Capture { limit } => capture(*limit, bytes, shared),
            Sink::Line { limit } => match bytes.iter().position(|byte| *byte == b'\n') {
                None => capture(*limit, bytes, shared),
                Some(end) => {
                    capture(*limit, &bytes[..=end], shared)?;
                    Err(WriteError::Stream(Exit { code: 0 }.into()))
                }
            },
            Sink::Log(lines) => {
                let (bytes, event) = lines.write(bytes, &mut shared.logged);
                Ok(Written { bytes, event })
            }
            Sink::Process(descriptor) => {
                let bytes = wait::write(*descriptor, touched(bytes)).map_err(WriteError::Os)?;
                Ok(Written { bytes, event: None })
            }
            Sink::Stream(stream) => {
                let bytes = stream.sink_mut().write(bytes).map_err(WriteError::Stream)?;
                Ok(Written { bytes, event: None })
            }
        }
    }

    /// Writes all bytes to a sink of the embedder's that takes them at once; whether it does. Otherwise nothing is
    /// written.
    ///
    /// # Errors
    /// The one that ends the guest's call.
    pub(crate) fn write_whole(&mut self, bytes: &[u8]) -> Result<bool, BoxError> {
        match &mut self.0 {
            Sink::Stream(stream) => stream.sink_mut().write_whole(bytes),
            _ => Ok(false),
        }
    }

    /// The guest has closed it.
    ///
    /// # Errors
    /// The one that ends the guest's call.
    pub(crate) fn close(&mut self) -> Result<(), BoxError> {
        match &mut self.0 {
            Sink::Stream(stream) => stream.sink_mut().close(),
            Sink::Line { .. } => Err(Exit { code: 0 }.into()),
            Sink::Capture { .. } | Sink::Process(_) | Sink::Log(_) => Ok(()),
        }
    }

    /// Whether the guest has to wait before a sink of the embedder's takes more.
    pub(crate) fn is_full(&self) -> bool {
        matches!(&self.0, Sink::Stream(stream) if stream.sink().is_full())
    }

    /// Whether it is the log.
    pub(crate) fn is_log(&self) -> bool {
        matches!(self.0, Sink::Log(_))
    }

    /// Bytes that a write takes at once, at most `most`. A stream of this process is ready.
    pub(crate) fn room(&self, most: usize) -> usize {
        match &self.0 {
            Sink::Stream(stream) => stream.sink().room().min(most),
            Sink::Process(_) => PAGE.min(most), // `PIPE_BUF`: what is ready takes as much
            Sink::Capture { .. } | Sink::Line { .. } | Sink::Log(_) => most,
        }
    }

    /// Ready when a write takes no wait for a sink of the embedder's.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Sink::Stream(stream) => stream.sink_mut().poll_room(context),
            _ => Poll::Ready(()),
        }
    }

    /// Sends on what a sink of the embedder's [holds back](ByteSink::flush).
    pub(crate) fn flush(&mut self) {
        if let Sink::Stream(stream) = &mut self.0 {
            stream.sink_mut().flush();
        }
    }

    /// The end of a stream that goes to the log, if no line end has completed it.
    pub(crate) fn take_unfinished_line(&mut self, shared: &mut Shared) -> Option<LogEvent> {
        match &mut self.0 {
            Sink::Log(lines) => lines.take_unfinished(&mut shared.logged),
            _ => None,
        }
    }

    /// The descriptor that has to be waited for before writing; `None` if there is no waiting.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'static>> {
        match &self.0 {
            Sink::Capture { .. } | Sink::Line { .. } | Sink::Log(_) | Sink::Stream(_) => None,
            Sink::Process(descriptor) => Some(*descriptor),
        }
    }
}

/// Keeps bytes, if there is room for all of them.
fn capture(limit: u64, bytes: &[u8], shared: &mut Shared) -> Result<Written, WriteError> {
    let captured = &mut shared.captured;
    if captured.len() as u64 + bytes.len() as u64 > limit {
        return Err(WriteError::Limit(OutputLimit { bytes: limit }));
    }
    captured.extend_from_slice(bytes);
    Ok(Written { bytes: bytes.len(), event: None })
}

/// The first of these bytes, all of whose pages are there: the VM provides some only when they are
/// accessed, and not to the kernel, whose access would fail.
fn touched(bytes: &[u8]) -> &[u8] {
    let chunk = &bytes[..bytes.len().min(WRITE_CHUNK)];
    let touch = |byte: &u8| {
        std::hint::black_box(*byte);
    };
    chunk.iter().step_by(PAGE).for_each(touch);
    chunk.last().into_iter().for_each(touch);
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_takes_its_limit_and_not_a_byte_more() {
        let (mut output, mut shared) = (Output::capture(5), Shared::default());
        let mut write =
            |bytes: &[u8]| output.write(bytes, &mut shared).map(|written| written.bytes);
        assert!(matches!(write(b"abc"), Ok(3)));
        assert!(matches!(write(b"de"), Ok(2)));
        assert!(matches!(write(b""), Ok(0)));
        let limit = OutputLimit { bytes: 5 };
        assert!(matches!(write(b"f"), Err(WriteError::Limit(error)) if error == limit));
        assert!(limit.to_string().starts_with("output limit exceeded"));
        assert_eq!(shared.captured, b"abcde");
    }
}
