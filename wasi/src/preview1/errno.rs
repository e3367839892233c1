//! WASI error numbers, and how calls end.

use crate::wait::Wait;
use wfaas_vm::BoxError;

/// The error numbers of preview1 that this host answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Errno {
    /// Nothing wrong.
    Success = 0,
    /// Try again later.
    Again = 6,
    /// No such descriptor.
    Badf = 8,
    /// A bad pointer.
    Fault = 21,
    /// Interrupted by a signal.
    Intr = 27,
    /// An argument that makes no sense.
    Inval = 28,
    /// A device failed.
    Io = 29,
    /// A result that does not fit its type.
    Overflow = 61,
    /// No space left on the device.
    Nospc = 51,
    /// This host does not have the function.
    Nosys = 52,
    /// The other end of a pipe is closed.
    Pipe = 64,
    /// A stream cannot seek.
    Spipe = 70,
}

impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Errno {
        match errno {
            rustix::io::Errno::AGAIN => Errno::Again,
            rustix::io::Errno::BADF => Errno::Badf,
            rustix::io::Errno::INTR => Errno::Intr,
            rustix::io::Errno::INVAL => Errno::Inval,
            rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT => Errno::Nospc,
            rustix::io::Errno::PIPE => Errno::Pipe,
            _ => Errno::Io,
        }
    }
}

/// Why a WASI function did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The guest is told and goes on.
    Errno(Errno),
    /// The guest's call is over.
    End(BoxError),
    /// The function goes on later: call it again after the wait.
    Wait(Wait),
}

impl From<Wait> for Failure {
    fn from(wait: Wait) -> Failure {
        Failure::Wait(wait)
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Failure {
        Failure::Errno(errno)
    }
}
