//! Where a guest's stdin comes from.

use crate::wait;
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// Most bytes taken from the process's stdin at once.
const READ_CHUNK: usize = 64 << 10;

/// The source of a stream that a guest reads. The default is at its end from the start.
#[derive(Debug)]
pub struct Input(Source);

#[derive(Debug)]
enum Source {
    Bytes { bytes: Vec<u8>, read: usize },
    Process(BorrowedFd<'static>),
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

    /// The stdin of this process.
    pub fn process_stdin() -> Input {
        Input(Source::Process(rustix::stdio::stdin()))
    }

    /// Reads into guest memory; how many bytes. None means the end, or a `target` of none.
    ///
    /// # Errors
    /// What `read(2)` answers on the stdin of this process.
    pub(crate) fn read(&mut self, target: &mut [u8]) -> Result<usize, Errno> {
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
                let len = wait::read(*descriptor, &mut taken)?;
                target[..len].copy_from_slice(&taken[..len]);
                Ok(len)
            }
        }
    }

    /// Bytes that can be read without waiting, if that is known.
    pub(crate) fn available(&self) -> Option<u64> {
        match &self.0 {
            Source::Bytes { bytes, read } => Some((bytes.len() - read) as u64),
            Source::Process(descriptor) => rustix::io::ioctl_fionread(descriptor).ok(),
        }
    }

    /// The descriptor that has to be waited for before reading; `None` if there is no waiting.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'static>> {
        match &self.0 {
            Source::Bytes { .. } => None,
            Source::Process(descriptor) => Some(*descriptor),
        }
    }
}
