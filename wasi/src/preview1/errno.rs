//! WASI error numbers, and how calls end.

use crate::files;
use crate::wait::Wait;
use crate::work::Work;
use wfaas_vm::BoxError;

/// The error numbers of preview1 that this host answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Errno {
    /// Nothing wrong.
    Success = 0,
    /// The host refuses.
    Acces = 2,
    /// Try again later.
    Again = 6,
    /// No such descriptor, or not one for this.
    Badf = 8,
    /// In use.
    Busy = 10,
    /// The other end gave a connection up.
    Connaborted = 13,
    /// The other end broke a connection.
    Connreset = 15,
    /// The quota is used up.
    Dquot = 19,
    /// There is something.
    Exist = 20,
    /// A bad pointer.
    Fault = 21,
    /// A file that is too large.
    Fbig = 22,
    /// Text that is not UTF-8.
    Ilseq = 25,
    /// Interrupted by a signal.
    Intr = 27,
    /// An argument that makes no sense.
    Inval = 28,
    /// A device failed.
    Io = 29,
    /// A directory where there must be none.
    Isdir = 31,
    /// Too many symlinks, or one where there must be none.
    Loop = 32,
    /// Too many open descriptors.
    Mfile = 33,
    /// Too many names of a file.
    Mlink = 34,
    /// A path or a name that is too long.
    Nametoolong = 37,
    /// Nothing of this name.
    Noent = 44,
    /// No memory.
    Nomem = 48,
    /// No space left on the device.
    Nospc = 51,
    /// This host does not have the function.
    Nosys = 52,
    /// Not connected.
    Notconn = 53,
    /// Not a directory.
    Notdir = 54,
    /// A directory that is not empty.
    Notempty = 55,
    /// Not a socket.
    Notsock = 57,
    /// The backend cannot do it.
    Notsup = 58,
    /// No such device.
    Nxio = 60,
    /// A result that does not fit its type.
    Overflow = 61,
    /// Nobody may, or the path leads out of its directory.
    Perm = 63,
    /// The other end of a pipe is closed.
    Pipe = 64,
    /// Cannot be changed.
    Rofs = 69,
    /// A stream cannot seek.
    Spipe = 70,
    /// A handle of a remote file that is gone.
    Stale = 72,
    /// The other end did not answer.
    Timedout = 73,
    /// The host runs the file.
    Txtbsy = 74,
    /// Two trees are involved.
    Xdev = 75,
    /// A right is missing.
    Notcapable = 76,
}

impl From<files::Error> for Errno {
    fn from(error: files::Error) -> Errno {
        use files::Error;
        match error {
            Error::Access => Errno::Acces,
            // The second is a wait, see below.
            Error::Again | Error::Unfinished => Errno::Again,
            Error::BadDescriptor => Errno::Badf,
            Error::Busy => Errno::Busy,
            Error::CrossDevice => Errno::Xdev,
            Error::Escapes | Error::NotPermitted => Errno::Perm,
            Error::Exists => Errno::Exist,
            Error::IllegalName => Errno::Ilseq,
            Error::Interrupted => Errno::Intr,
            Error::Invalid => Errno::Inval,
            Error::Io => Errno::Io,
            Error::IsDirectory => Errno::Isdir,
            Error::Loop => Errno::Loop,
            Error::NameTooLong => Errno::Nametoolong,
            Error::NoDevice => Errno::Nxio,
            Error::NoMemory => Errno::Nomem,
            Error::NoSpace => Errno::Nospc,
            Error::NotEmpty => Errno::Notempty,
            Error::NotFound => Errno::Noent,
            Error::NotDirectory => Errno::Notdir,
            Error::NotSupported => Errno::Notsup,
            Error::Overflow => Errno::Overflow,
            Error::Pipe => Errno::Pipe,
            Error::Quota => Errno::Dquot,
            Error::ReadOnly => Errno::Rofs,
            Error::Stale | Error::Changed => Errno::Stale,
            Error::TextBusy => Errno::Txtbsy,
            Error::TooBig => Errno::Fbig,
            Error::TooManyLinks => Errno::Mlink,
            Error::TooManyOpen => Errno::Mfile,
        }
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Errno {
        match errno {
            rustix::io::Errno::CONNABORTED => Errno::Connaborted,
            rustix::io::Errno::CONNRESET => Errno::Connreset,
            rustix::io::Errno::NOTCONN => Errno::Notconn,
            rustix::io::Errno::TIMEDOUT => Errno::Timedout,
            other => files::Error::from(other).into(),
        }
    }
}

impl From<std::io::Error> for Errno {
    /// The number of the kernel's error.
    fn from(error: std::io::Error) -> Errno {
        rustix::io::Errno::from_io_error(&error).map_or(Errno::Io, Errno::from)
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
    /// The function goes on after this work, as the work says.
    Work(Work),
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

impl From<files::Error> for Failure {
    /// An operation that is not finished is asked for again after others had their turn. A program that was
    /// captured with other files cannot go on.
    fn from(error: files::Error) -> Failure {
        match error {
            files::Error::Unfinished => Wait::Turn.into(),
            files::Error::Changed => Failure::End(error.into()),
            error => Failure::Errno(error.into()),
        }
    }
}
