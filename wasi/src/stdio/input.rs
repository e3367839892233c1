//! Where a guest's stdin comes from.

use crate::wait;
use bytes::{Buf, Bytes};
use rustix::io::Errno;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};
use wfaas_vm::BoxError;

/// Most bytes taken from the process's stdin at once.
const READ_CHUNK: usize = 64 << 10;

/// The source of a stream that a guest reads. The default is at its end from the start.
#[derive(Debug)]
pub struct Input(Source);

#[derive(Debug)]
enum Source {
    Bytes { bytes: Vec<u8>, read: usize },
    Process(BorrowedFd<'static>),
    Stream(Arriving),
}

/// Bytes that arrive piece by piece, such as the body of a request. Nothing is polled that the guest
/// has no use for yet: a source that makes its sender wait meanwhile is one with back-pressure.
pub trait ByteStream: Send {
    /// The next piece, once it has arrived; `None` at the end. Not called again after the end or an
    /// error. An error ends the guest's call with itself as the [`HostError`](wfaas_vm::HostError).
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>>;
}

/// A stream, and what has arrived of it.
struct Arriving {
    /// `None` after the end or an error.
    stream: Option<Box<dyn ByteStream>>,
    piece: Bytes,
    error: Option<BoxError>,
}

impl fmt::Debug for Arriving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arriving({} bytes)", self.piece.len())
    }
}

/// Why a read failed.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The stream of the process refused: the guest is told.
    Os(Errno),
    /// Nothing more arrives: this ends the guest's call.
    Stream(BoxError),
}

impl Default for Input {
    fn default() -> Input {
        Input::bytes(Vec::new())
    }
}

impl Input {
    /// A stream of these bytes.
    #[inline]
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Input {
        Input(Source::Bytes { bytes: bytes.into(), read: 0 })
    }

    /// A stream of bytes that arrive piece by piece.
    pub fn stream(stream: Box<dyn ByteStream>) -> Input {
        Input(Source::Stream(Arriving { stream: Some(stream), piece: Bytes::new(), error: None }))
    }

    /// The stdin of this process.
    pub fn process_stdin() -> Input {
        Input(Source::Process(rustix::stdio::stdin()))
    }

    /// Reads into guest memory; how many bytes. None means the end, or a `target` of none, or that
    /// [none has arrived](Input::is_awaited).
    ///
    /// # Errors
    /// What `read(2)` answers on the stdin of this process, or the error of a stream.
    pub(crate) fn read(&mut self, target: &mut [u8]) -> Result<usize, ReadError> {
        match &mut self.0 {
            Source::Bytes { bytes, read } => {
                let len = target.len().min(bytes.len() - *read);
                target[..len].copy_from_slice(&bytes[*read..*read + len]);
                *read += len;
                Ok(len)
            }
            Source::Process(descriptor) => {
                // The kernel must not write to guest memory: it would not notice that a page is
                // tracked for the reset, and fail.
                let mut taken = vec![0; target.len().min(READ_CHUNK)];
                let len = wait::read(*descriptor, &mut taken).map_err(ReadError::Os)?;
                target[..len].copy_from_slice(&taken[..len]);
                Ok(len)
            }
            Source::Stream(arriving) => arriving.read(target).map_err(ReadError::Stream),
        }
    }

    /// Bytes that can be read without waiting, if that is known.
    pub(crate) fn available(&self) -> Option<u64> {
        match &self.0 {
            Source::Bytes { bytes, read } => Some((bytes.len() - read) as u64),
            Source::Process(descriptor) => rustix::io::ioctl_fionread(descriptor).ok(),
            Source::Stream(arriving) => Some(arriving.piece.len() as u64),
        }
    }

    /// The descriptor that has to be waited for before reading; `None` if there is no waiting, or not
    /// for one.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'static>> {
        match &self.0 {
            Source::Bytes { .. } | Source::Stream(_) => None,
            Source::Process(descriptor) => Some(*descriptor),
        }
    }

    /// Whether more has to arrive before there is anything to read, also of an end or an error.
    pub(crate) fn is_awaited(&self) -> bool {
        match &self.0 {
            Source::Bytes { .. } | Source::Process(_) => false,
            Source::Stream(arriving) => arriving.is_awaited(),
        }
    }

    /// Ready when nothing has to arrive before there is something to read.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Source::Bytes { .. } | Source::Process(_) => Poll::Ready(()),
            Source::Stream(arriving) => arriving.poll(context),
        }
    }
}

impl Arriving {
    fn is_awaited(&self) -> bool {
        self.piece.is_empty() && self.stream.is_some()
    }

    fn read(&mut self, target: &mut [u8]) -> Result<usize, BoxError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let len = target.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut target[..len]);
        Ok(len)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.is_awaited() {
            let Some(stream) = &mut self.stream else { break };
            match std::task::ready!(stream.poll_next(context)) {
                Some(Ok(piece)) => self.piece = piece,
                end => {
                    self.stream = None;
                    self.error = end.and_then(Result::err);
                }
            }
        }
        Poll::Ready(())
    }
}
