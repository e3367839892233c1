//! Waiting: the one place where a thread sleeps, or may be held up by the kernel, for a guest.
//!
//! A function of WASI that cannot go on says what it waits for, a [`Wait`], and is called again when
//! that has come. Whoever calls it decides how to wait; [`Wait::block`] holds the thread.

use crate::preview1::Errno;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// Longest single wait. A signal that arrives just before the system call does not interrupt it,
/// so no wait is longer than what a deadline may be late.
const SLICE: Duration = Duration::from_millis(20);

/// What a guest waits for.
#[derive(Debug)]
pub(crate) enum Wait {
    /// Others who want the processor.
    Turn,
    /// The first of several things.
    For {
        /// Descriptors of this process that become ready.
        descriptors: Vec<PollFd<'static>>,
        /// A time that comes; `None` for never.
        until: Option<Instant>,
    },
}

impl Wait {
    /// A wait for one descriptor.
    pub(crate) fn descriptor(descriptor: PollFd<'static>) -> Wait {
        Wait::For { descriptors: vec![descriptor], until: None }
    }

    /// Blocks the thread until it is over. `interrupted` says whether the guest's call is to end,
    /// by a deadline or a cancel.
    ///
    /// # Errors
    /// [`Errno::Intr`] if it is: return to the guest at once.
    pub(crate) fn block(self, interrupted: impl Fn() -> bool) -> Result<(), Errno> {
        let (mut descriptors, until) = match self {
            Wait::Turn => {
                std::thread::yield_now();
                return Ok(());
            }
            Wait::For { descriptors, until } => (descriptors, until),
        };
        loop {
            if interrupted() {
                return Err(Errno::Intr);
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let ready = poll_once(&mut descriptors, left.unwrap_or(SLICE).min(SLICE))?;
            if ready || left == Some(Duration::ZERO) {
                return Ok(());
            }
        }
    }
}

/// Whether a descriptor is ready now. Does not wait.
pub(crate) fn is_ready(descriptor: PollFd<'static>) -> Result<bool, Errno> {
    poll_once(&mut [descriptor], Duration::ZERO)
}

fn poll_once(descriptors: &mut [PollFd<'static>], time: Duration) -> Result<bool, Errno> {
    let time = Timespec {
        tv_sec: 0, // less than a second, see SLICE
        tv_nsec: time.subsec_nanos().into(),
    };
    match poll(descriptors, Some(&time)) {
        Ok(_) => Ok(descriptors.iter().any(|one| one.revents() != PollFlags::empty())),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Reads from a stream of this process, which is ready.
pub(crate) fn read(
    descriptor: BorrowedFd<'static>,
    target: &mut [u8],
) -> Result<usize, rustix::io::Errno> {
    rustix::io::read(descriptor, target)
}

/// Writes to a stream of this process, which is ready. It may take less room than there are bytes:
/// the kernel then holds the thread until there is more, or a signal comes.
pub(crate) fn write(
    descriptor: BorrowedFd<'static>,
    bytes: &[u8],
) -> Result<usize, rustix::io::Errno> {
    rustix::io::write(descriptor, bytes)
}
