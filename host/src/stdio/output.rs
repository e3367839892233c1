//! Where a guest's stdout and stderr go.

use super::log::LogLines;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};
use wfaas_abi::layout::PAGE;

/// Most bytes given to a stream of the process at once.
const WRITE_CHUNK: usize = 64 << 10;

/// The destination of a guest's stdout or stderr.
#[derive(Debug)]
pub struct Output(Sink);

#[derive(Debug)]
enum Sink {
    Buffer { bytes: Vec<u8>, limit: u64 },
    Stdout(std::io::Stdout),
    Stderr(std::io::Stderr),
    Log(LogLines),
}

/// The guest wrote more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("output limit exceeded: the guest wrote more than {bytes} bytes")]
pub struct OutputLimit {
    /// The limit, in bytes.
    pub bytes: u64,
}

/// Why a write failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The guest's limit is reached: this ends its call.
    #[error(transparent)]
    Limit(#[from] OutputLimit),
    /// The stream of the process refused: the guest is told.
    #[error("{0}")]
    Os(Errno),
}

impl Default for Output {
    /// A buffer that takes nothing.
    fn default() -> Output {
        Output::buffer(0)
    }
}

impl Output {
    /// A buffer that takes at most `limit` bytes.
    pub fn buffer(limit: u64) -> Output {
        Output(Sink::Buffer { bytes: Vec::new(), limit })
    }

    /// The stdout of this process.
    pub fn process_stdout() -> Output {
        Output(Sink::Stdout(std::io::stdout()))
    }

    /// The stderr of this process.
    pub fn process_stderr() -> Output {
        Output(Sink::Stderr(std::io::stderr()))
    }

    /// The log, line by line.
    pub fn log(lines: LogLines) -> Output {
        Output(Sink::Log(lines))
    }

    /// The bytes of a buffer; nothing for the other kinds.
    pub fn into_bytes(self) -> Vec<u8> {
        match self.0 {
            Sink::Buffer { bytes, .. } => bytes,
            _ => Vec::new(),
        }
    }

    /// Writes, and says how many bytes. Buffers and the log take all of them.
    ///
    /// # Errors
    /// [`WriteError`]: a limit reached, or a stream of the process that refuses.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize, WriteError> {
        match &mut self.0 {
            Sink::Buffer { bytes: buffer, limit } => {
                if buffer.len() as u64 + bytes.len() as u64 > *limit {
                    return Err(OutputLimit { bytes: *limit }.into());
                }
                buffer.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            Sink::Log(lines) => {
                lines.write(bytes);
                Ok(bytes.len())
            }
            Sink::Stdout(stream) => {
                rustix::io::write(stream, touched(bytes)).map_err(WriteError::Os)
            }
            Sink::Stderr(stream) => {
                rustix::io::write(stream, touched(bytes)).map_err(WriteError::Os)
            }
        }
    }

    /// The descriptor that has to be waited for before writing; `None` if there is no waiting.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.0 {
            Sink::Buffer { .. } | Sink::Log(_) => None,
            Sink::Stdout(stream) => Some(stream.as_fd()),
            Sink::Stderr(stream) => Some(stream.as_fd()),
        }
    }
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
    fn a_buffer_takes_its_limit_and_not_a_byte_more() {
        let mut output = Output::buffer(5);
        assert_eq!(output.write(b"abc"), Ok(3));
        assert_eq!(output.write(b"de"), Ok(2));
        assert_eq!(output.write(b""), Ok(0));
        let error = output.write(b"f").unwrap_err();
        assert_eq!(error, WriteError::Limit(OutputLimit { bytes: 5 }));
        assert!(error.to_string().starts_with("output limit exceeded"));
        assert_eq!(output.into_bytes(), b"abcde");
    }
}
