//! The descriptor table of an instance.
//!
//! Standard streams and preopened directories are entries like any other: a guest can close them,
//! and a new descriptor is the lowest free number. The first three lie in the table itself, so that
//! an instance with nothing but streams needs no allocation.

use crate::environment::EnvironmentError;
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
    /// A directory that was there from the start.
    Directory(Directory),
}

/// A preopened directory.
#[derive(Debug)]
pub(crate) struct Directory {
    name: String,
}

impl Directory {
    /// A directory that the guest knows by this name.
    pub(crate) fn new(name: String) -> Result<Directory, EnvironmentError> {
        if name.is_empty() || name.contains('\0') {
            return Err(EnvironmentError::Directory { name });
        }
        Ok(Directory { name })
    }

    /// The guest's name for it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Descriptor {
    /// The descriptor of this process to wait for before reading or writing; `None` if there is
    /// never anything to wait for.
    pub(crate) fn process(&self) -> Option<PollFd<'static>> {
        let (descriptor, flags) = match self {
            Descriptor::Input(input) => (input.descriptor()?, PollFlags::IN),
            Descriptor::Output(output) => (output.descriptor()?, PollFlags::OUT),
            Descriptor::Directory(_) => return None,
        };
        Some(PollFd::from_borrowed_fd(descriptor, flags))
    }

    /// The end of a stream that goes to the log, if no line end has completed it.
    pub(crate) fn take_unfinished_line(&mut self, shared: &mut Shared) -> Option<LogEvent> {
        match self {
            Descriptor::Output(output) => output.take_unfinished_line(shared),
            Descriptor::Input(_) | Descriptor::Directory(_) => None,
        }
    }
}

/// Descriptors by number.
#[derive(Debug)]
pub(crate) struct Table {
    first: [Option<Descriptor>; FIRST],
    others: Vec<Option<Descriptor>>,
}

/// How many descriptors lie in the table itself.
const FIRST: usize = 3;

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
        let first = [Some(Descriptor::Input(stdin)), output(stdout), output(stderr)];
        Table { first, others: Vec::new() }
    }

    /// What a descriptor stands for.
    ///
    /// # Errors
    /// [`Errno::Badf`] if it is not open.
    pub(crate) fn get(&self, fd: u32) -> Result<&Descriptor, Errno> {
        let index = fd as usize;
        let entry = match index.checked_sub(FIRST) {
            None => self.first.get(index),
            Some(other) => self.others.get(other),
        };
        entry.and_then(Option::as_ref).ok_or(Errno::Badf)
    }

    /// The same, to change.
    ///
    /// # Errors
    /// [`Errno::Badf`] if it is not open.
    pub(crate) fn get_mut(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        self.entry(fd).and_then(Option::as_mut).ok_or(Errno::Badf)
    }

    /// Opens the lowest free descriptor; its number.
    pub(crate) fn insert(&mut self, descriptor: Descriptor) -> u32 {
        let entries = self.first.iter_mut().chain(&mut self.others);
        match entries.enumerate().find(|(_, entry)| entry.is_none()) {
            Some((index, free)) => {
                *free = Some(descriptor);
                index as u32
            }
            None => {
                self.others.push(Some(descriptor));
                (FIRST + self.others.len() - 1) as u32
            }
        }
    }

    /// Closes a descriptor; what it stood for.
    ///
    /// # Errors
    /// [`Errno::Badf`] if it is not open.
    pub(crate) fn remove(&mut self, fd: u32) -> Result<Descriptor, Errno> {
        self.entry(fd).and_then(Option::take).ok_or(Errno::Badf)
    }

    /// All that are open.
    pub(crate) fn descriptors_mut(&mut self) -> impl Iterator<Item = &mut Descriptor> {
        self.first.iter_mut().chain(&mut self.others).flatten()
    }

    fn entry(&mut self, fd: u32) -> Option<&mut Option<Descriptor>> {
        let index = fd as usize;
        match index.checked_sub(FIRST) {
            None => self.first.get_mut(index),
            Some(other) => self.others.get_mut(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> Descriptor {
        Descriptor::Directory(Directory::new(name.to_owned()).unwrap())
    }

    fn name(table: &Table, fd: u32) -> Option<&str> {
        match table.get(fd) {
            Ok(Descriptor::Directory(directory)) => Some(directory.name()),
            _ => None,
        }
    }

    #[test]
    fn a_new_descriptor_is_the_lowest_free_one() {
        let mut table = Table::default();
        assert_eq!(table.insert(directory("/a")), 3);
        assert_eq!(table.insert(directory("/b")), 4);
        assert!(table.remove(3).is_ok());
        assert!(table.remove(1).is_ok());
        assert_eq!(table.insert(directory("/c")), 1);
        assert_eq!(table.insert(directory("/d")), 3);
        assert_eq!(table.insert(directory("/e")), 5);
        assert_eq!(
            [1, 3, 4, 5].map(|fd| name(&table, fd)),
            [Some("/c"), Some("/d"), Some("/b"), Some("/e")]
        );
    }

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
