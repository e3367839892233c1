//! The descriptor table of an instance.
//!
//! Standard streams are entries like any other: a guest can close them. They lie in the table itself,
//! so that an instance needs no allocation.

use crate::preview1::Errno;
use crate::stdio::{Input, LogEvent, Output, Shared};
use rustix::event::{PollFd, PollFlags};

/// What a descriptor of the guest stands for.
#[derive(Debug)]
pub(crate) enum Descriptor {
    /// A stream to read.
    Input(Input),
    /// A stream to write.
    Output(Output),
}

impl Descriptor {
    /// The descriptor of this process to wait for before reading or writing; `None` if there is
    /// never anything to wait for.
    pub(crate) fn process(&self) -> Option<PollFd<'static>> {
        let (descriptor, flags) = match self {
            Descriptor::Input(input) => (input.descriptor()?, PollFlags::IN),
            Descriptor::Output(output) => (output.descriptor()?, PollFlags::OUT),
        };
        Some(PollFd::from_borrowed_fd(descriptor, flags))
    }

    /// Whether more of a stream has to arrive before it can be read, or to leave before it can be
    /// written.
    pub(crate) fn is_awaited(&self) -> bool {
        match self {
            Descriptor::Input(input) => input.is_awaited(),
            Descriptor::Output(output) => output.is_full(),
        }
    }

    /// The end of a stream that goes to the log, if no line end has completed it.
    pub(crate) fn take_unfinished_line(&mut self, shared: &mut Shared) -> Option<LogEvent> {
        match self {
            Descriptor::Output(output) => output.take_unfinished_line(shared),
            Descriptor::Input(_) => None,
        }
    }
}

/// Descriptors by number.
#[derive(Debug)]
pub(crate) struct Table([Option<Descriptor>; 3]);

impl Default for Table {
    fn default() -> Table {
        Table::with_streams(Input::default(), Output::default(), Output::default())
    }
}

impl Table {
    /// With the standard streams as 0, 1 and 2.
    #[inline]
    pub(crate) fn with_streams(stdin: Input, stdout: Output, stderr: Output) -> Table {
        let output = |output| Some(Descriptor::Output(output));
        Table([Some(Descriptor::Input(stdin)), output(stdout), output(stderr)])
    }

    /// What a descriptor stands for.
    ///
    /// # Errors
    /// [`Errno::Badf`] if it is not open.
    pub(crate) fn get(&self, fd: u32) -> Result<&Descriptor, Errno> {
        self.0.get(fd as usize).and_then(Option::as_ref).ok_or(Errno::Badf)
    }

    /// The same, to change.
    ///
    /// # Errors
    /// [`Errno::Badf`] if it is not open.
    pub(crate) fn get_mut(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        self.0.get_mut(fd as usize).and_then(Option::as_mut).ok_or(Errno::Badf)
    }

    /// Closes a descriptor; what it stood for.
    ///
    /// # Errors
    /// [`Errno::Badf`] if it is not open.
    pub(crate) fn remove(&mut self, fd: u32) -> Result<Descriptor, Errno> {
        self.0.get_mut(fd as usize).and_then(Option::take).ok_or(Errno::Badf)
    }

    /// All that are open.
    pub(crate) fn descriptors_mut(&mut self) -> impl Iterator<Item = &mut Descriptor> {
        self.0.iter_mut().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_open_is_badf() {
        let mut table = Table::default();
        for fd in [3, 4, u32::MAX] {
            assert_eq!(table.get(fd).err(), Some(Errno::Badf));
            assert_eq!(table.get_mut(fd).err(), Some(Errno::Badf));
            assert_eq!(table.remove(fd).err(), Some(Errno::Badf));
        }
        assert!(table.remove(0).is_ok());
        assert_eq!(table.remove(0).err(), Some(Errno::Badf));
    }
}
