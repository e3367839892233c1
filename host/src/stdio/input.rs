//! Where a guest's stdin comes from.

use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};

/// Most bytes taken from the process's stdin at once.
const READ_CHUNK: usize = 64 << 10;

/// The source of a guest's stdin.
#[derive(Debug)]
pub struct Input(Source);

#[derive(Debug)]
enum Source {
    Buffer { bytes: Vec<u8>, read: usize },
    Process(std::io::Stdin),
}

impl Default for Input {
    fn default() -> Input {
        Input::empty()
    }
}

impl Input {
    /// A stdin that is at its end from the start.
    pub fn empty() -> Input {
        Input::buffer(Vec::new())
    }

    /// A stdin of these bytes.
    pub fn buffer(bytes: Vec<u8>) -> Input {
        Input(Source::Buffer { bytes, read: 0 })
    }

    /// The stdin of this process.
    pub fn process() -> Input {
        Input(Source::Process(std::io::stdin()))
    }

    /// Reads into guest memory; how many bytes. None means the end, or a `target` of none.
    ///
    /// # Errors
    /// What `read(2)` answers on the stdin of this process.
    pub(crate) fn read(&mut self, target: &mut [u8]) -> Result<usize, Errno> {
        match &mut self.0 {
            Source::Buffer { bytes, read } => {
                let len = target.len().min(bytes.len() - *read);
                target[..len].copy_from_slice(&bytes[*read..*read + len]);
                *read += len;
                Ok(len)
            }
            Source::Process(stdin) => {
                // The kernel must not write to guest memory: it would not notice that a page is
                // tracked for the reset, and fail.
                let mut taken = vec![0; target.len().min(READ_CHUNK)];
                let len = rustix::io::read(stdin.as_fd(), &mut taken[..])?;
                target[..len].copy_from_slice(&taken[..len]);
                Ok(len)
            }
        }
    }

    /// Bytes that can be read without waiting, if that is known.
    pub(crate) fn available(&self) -> Option<u64> {
        match &self.0 {
            Source::Buffer { bytes, read } => Some((bytes.len() - read) as u64),
            Source::Process(stdin) => rustix::io::ioctl_fionread(stdin.as_fd()).ok(),
        }
    }

    /// The descriptor that has to be waited for before reading; `None` if there is no waiting.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.0 {
            Source::Buffer { .. } => None,
            Source::Process(stdin) => Some(stdin.as_fd()),
        }
    }
}
