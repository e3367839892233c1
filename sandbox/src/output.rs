//! Outputs: what a program wrote, and how it ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use wfaas_function::{InvokeError, Stdio, Usage};
use wfaas_vm::{BoxError, Fault};
use wfaas_wasi::{ByteSink, Input, OutputLimit};

/// The outcome of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The bytes written to standard output, up to the limit.
    pub stdout: Vec<u8>,
    /// The bytes written to standard error, up to the limit. They are the program's: escape them before a
    /// terminal shows them.
    pub stderr: Vec<u8>,
    /// The end of the program.
    pub exit: Exit,
    /// The resources that it took.
    pub usage: Usage,
}

/// The end of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It returned, with code 0, or exited with this code.
    Code(u32),
    /// It trapped, or threw an exception that it did not catch: the message has the backtrace. A program
    /// whose stack overflowed has trapped.
    Trap(String),
    /// It used more processor time than it may.
    Cpu,
    /// It took longer than it may.
    Time,
    /// It wrote more than it may.
    Output,
}

impl Exit {
    /// Whether the program ended by itself, with code 0.
    pub fn is_success(&self) -> bool {
        *self == Exit::Code(0)
    }

    /// The end of a run; an error that is none of the program's doing stays one.
    pub(crate) fn of(end: Result<(), InvokeError>) -> Result<Exit, InvokeError> {
        match end {
            Ok(()) => Ok(Exit::Code(0)),
            Err(InvokeError::Exit(code)) => Ok(Exit::Code(code)),
            Err(InvokeError::CpuLimit(_)) => Ok(Exit::Cpu),
            Err(InvokeError::Deadline(_)) => Ok(Exit::Time),
            Err(InvokeError::OutputLimit(_)) => Ok(Exit::Output),
            Err(error) if error.fault() == Fault::Module => Ok(Exit::Trap(error.to_string())),
            Err(error) => Err(error),
        }
    }
}

/// The bytes that a program writes, as it writes them.
#[derive(Debug)]
pub(crate) struct Kept {
    bytes: Arc<Mutex<Bytes>>,
    limit: u64,
}

/// The bytes of both streams.
#[derive(Debug, Default)]
struct Bytes {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// One of the two streams.
struct Stream {
    kept: Kept,
    is_stderr: bool,
}

impl Kept {
    /// Nothing yet, and at most `limit` bytes.
    pub(crate) fn new(limit: u64) -> Kept {
        Kept { bytes: Arc::default(), limit }
    }

    /// The streams of a run with this input.
    pub(crate) fn streams(&self, input: Vec<u8>) -> Stdio {
        let stream = |is_stderr| {
            let kept = Kept { bytes: self.bytes.clone(), limit: self.limit };
            wfaas_wasi::Output::stream(Box::new(Stream { kept, is_stderr }))
        };
        Stdio { stdin: Input::bytes(input), stdout: stream(false), stderr: stream(true) }
    }

    /// What was written to standard output, and to standard error.
    pub(crate) fn into_bytes(self) -> (Vec<u8>, Vec<u8>) {
        let Bytes { stdout, stderr } = std::mem::take(&mut *self.lock());
        (stdout, stderr)
    }

    fn lock(&self) -> MutexGuard<'_, Bytes> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    /// Bytes that may still be written.
    fn left(&self) -> usize {
        let Bytes { stdout, stderr } = &*self.kept.lock();
        let left = self.kept.limit.saturating_sub((stdout.len() + stderr.len()) as u64);
        usize::try_from(left).unwrap_or(usize::MAX)
    }
}

impl ByteSink for Stream {
    fn is_full(&self) -> bool {
        false
    }

    /// A byte too many is taken too, to end the program.
    fn room(&self) -> usize {
        self.left().saturating_add(1)
    }

    fn poll_room(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, BoxError> {
        let fits = bytes.len().min(self.left());
        let mut kept = self.kept.lock();
        let Bytes { stdout, stderr } = &mut *kept;
        let target = if self.is_stderr { stderr } else { stdout };
        target.extend_from_slice(&bytes[..fits]);
        match fits == bytes.len() {
            true => Ok(fits),
            false => Err(Box::new(OutputLimit { bytes: self.kept.limit })),
        }
    }
}
