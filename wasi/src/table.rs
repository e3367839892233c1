//! The descriptor table of an instance.
//!
//! Standard streams are entries like any other: a guest can close them. They lie in the table itself,
//! so that an instance without files needs no allocation. Directories and listeners that are open from
//! the start come behind them, once the guest looks at any but a standard stream.

use crate::checkpoint::{Origin, Restored, Start};
use crate::files::{Directory, File, Files, Preopen};
use crate::preview1::{Errno, Flags, Rights};
use crate::stdio::{Input, LogEvent, Output, Shared};
use crate::wait::{Owner, Watched};
use rustix::event::PollFlags;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

/// A descriptor of the guest.
#[derive(Debug)]
pub(crate) struct Descriptor {
    /// The thing it stands for.
    pub(crate) object: Object,
    /// All that the guest may do with it.
    pub(crate) rights: Rights,
    /// Most rights of descriptors that are opened through it.
    pub(crate) inheriting: Rights,
    /// Flags that the guest can change.
    pub(crate) flags: Flags,
    /// Where it is from.
    pub(crate) origin: Origin,
}

/// The thing that a descriptor stands for.
#[derive(Debug)]
pub(crate) enum Object {
    /// A stream to read.
    Input(Input),
    /// A stream to write.
    Output(Output),
    /// A regular file.
    File {
        /// The file.
        file: Arc<dyn File>,
        /// Bytes before the next one that is read or written.
        position: u64,
    },
    /// A directory.
    Directory {
        /// The directory.
        directory: Arc<dyn Directory>,
        /// The guest's name for it, if it was open from the start.
        name: Option<Box<str>>,
    },
    /// A socket to accept connections from.
    Listener(Arc<TcpListener>),
    /// A socket to read and write.
    Connection(Arc<TcpStream>),
}

impl Descriptor {
    /// A descriptor with no flags set.
    pub(crate) fn new(object: Object, rights: Rights, inheriting: Rights) -> Descriptor {
        let (flags, origin) = (Flags::default(), Origin::Unknown);
        Descriptor { object, rights, inheriting, flags, origin }
    }

    /// The directory with this place among those open from the start.
    fn preopened(place: usize, directory: &Preopen) -> Descriptor {
        let name = Some(directory.name().into());
        let object = Object::Directory { directory: directory.root(), name };
        let inheriting = Rights::DIRECTORY | Rights::FILE;
        let origin = Origin::Preopen(place as u32); // far fewer than 4 Gi
        Descriptor { origin, ..Descriptor::new(object, Rights::DIRECTORY, inheriting) }
    }

    /// The descriptor of this process to wait for before reading (or accepting); `None` if there is
    /// never anything to wait for.
    pub(crate) fn readable(&self) -> Option<Watched> {
        let owner = match &self.object {
            Object::Input(input) => Owner::Process(input.descriptor()?),
            Object::Listener(listener) => Owner::Socket(listener.clone()),
            Object::Connection(connection) => Owner::Socket(connection.clone()),
            Object::Output(_) | Object::File { .. } | Object::Directory { .. } => return None,
        };
        Some(Watched { owner, flags: PollFlags::IN })
    }

    /// The same before writing.
    pub(crate) fn writable(&self) -> Option<Watched> {
        let owner = match &self.object {
            Object::Output(output) => Owner::Process(output.descriptor()?),
            Object::Connection(connection) => Owner::Socket(connection.clone()),
            _ => return None,
        };
        Some(Watched { owner, flags: PollFlags::OUT })
    }

    /// Whether more of a stream has to arrive before it can be read, or to leave before it can be
    /// written.
    pub(crate) fn is_awaited(&self) -> bool {
        match &self.object {
            Object::Input(input) => input.is_awaited(),
            Object::Output(output) => output.is_full(),
            _ => false,
        }
    }

    /// Whether closing it may block a thread, or take long.
    pub(crate) fn closes_slowly(&self) -> bool {
        match &self.object {
            Object::File { file, .. } => file.closes_slowly(),
            Object::Directory { directory, .. } => directory.closes_slowly(),
            _ => false,
        }
    }

    /// Whether it is a file or a directory that may block a thread.
    pub(crate) fn blocks(&self) -> bool {
        match &self.object {
            Object::File { file, .. } => file.blocks(),
            Object::Directory { directory, .. } => directory.blocks(),
            _ => false,
        }
    }

    /// The end of a stream that goes to the log, if no line end has completed it.
    pub(crate) fn take_unfinished_line(&mut self, shared: &mut Shared) -> Option<LogEvent> {
        match &mut self.object {
            Object::Output(output) => output.take_unfinished_line(shared),
            _ => None,
        }
    }
}

/// Standard streams.
pub(crate) const STREAMS: usize = 3;

/// Number of the stream for results, where there is one.
pub(crate) const RESULT: usize = 3;

/// Descriptors by number.
#[derive(Debug)]
pub(crate) struct Table {
    streams: [Option<Descriptor>; STREAMS],
    others: Vec<Option<Descriptor>>,
    /// Things open from the start that are not among the others yet.
    unopened: Option<Arc<Files>>,
    /// The same, whether they are or not.
    files: Option<Arc<Files>>,
    /// Most descriptors at once.
    most: usize,
    /// The descriptors that a program goes on with, until they are among the others.
    restored: Option<Arc<Restored>>,
    /// The directories open from the start, if origins are noted.
    roots: Option<Vec<Arc<dyn Directory>>>,
}

impl Default for Table {
    fn default() -> Table {
        Table::with_streams(Input::default(), Output::default(), Output::default())
    }
}

impl Table {
    /// With the standard streams as 0, 1 and 2.
    #[inline]
    pub(crate) fn with_streams(stdin: Input, stdout: Output, stderr: Output) -> Table {
        let stream = |number, object, rights| {
            let origin = Origin::Stream(number);
            Some(Descriptor { origin, ..Descriptor::new(object, rights, Rights::NONE) })
        };
        let output = |number, output| stream(number, Object::Output(output), Rights::OUTPUT);
        let input = stream(0, Object::Input(stdin), Rights::INPUT);
        Table {
            streams: [input, output(1, stdout), output(2, stderr)],
            others: Vec::new(),
            unopened: None,
            files: None,
            most: STREAMS,
            restored: None,
            roots: None,
        }
    }

    /// Adds a stream for results behind the standard ones. There must be no directories.
    pub(crate) fn set_result(&mut self, output: Output) {
        let (object, origin) = (Object::Output(output), Origin::Stream(RESULT as u32));
        let result = Descriptor { origin, ..Descriptor::new(object, Rights::OUTPUT, Rights::NONE) };
        self.most = self.most.max(RESULT + 1);
        self.others.push(Some(result));
    }

    /// Notes origins from now on.
    pub(crate) fn note_origins(&mut self) {
        let root = |other: &Option<Descriptor>| match other.as_ref().map(|one| &one.object) {
            Some(Object::Directory { directory, .. }) => Some(directory.clone()),
            _ => None,
        };
        self.roots = Some(self.others().iter().map_while(root).collect());
    }

    /// The directories that were open from the start, if origins are noted.
    pub(crate) fn roots(&self) -> &[Arc<dyn Directory>] {
        self.roots.as_deref().unwrap_or_default()
    }

    /// The origin of something that is opened by a path from a directory, if origins are noted.
    pub(crate) fn origin(&mut self, directory: u32, path: &str, read: bool, write: bool) -> Origin {
        if self.roots.is_none() {
            return Origin::Unknown;
        }
        let descriptor = self.get(directory);
        descriptor.map_or(Origin::Unknown, |descriptor| descriptor.origin.below(path, read, write))
    }

    /// Goes on with the descriptors of a program that was captured, instead of those of the start. Those but the
    /// standard streams are made when the guest looks at one.
    pub(crate) fn restore(&mut self, restored: Arc<Restored>) {
        let keeps_streams = restored.keeps_streams();
        if keeps_streams {
            let streams = self.streams.iter_mut().map(Option::take).collect();
            let mut start = Start { streams, others: Vec::new() };
            self.set_streams(restored.descriptors(&mut start, 0, STREAMS));
        }
        self.restored = Some(restored);
        if !keeps_streams {
            self.others();
        }
    }

    fn set_streams(&mut self, streams: Vec<Option<Descriptor>>) {
        let mut streams = streams.into_iter();
        self.streams = std::array::from_fn(|_| streams.next().flatten());
    }

    /// Makes the descriptors of a program that was captured from those of the start.
    fn restore_others(&mut self, restored: &Restored) {
        // The guest may have changed streams that are restored already.
        let first = if restored.keeps_streams() { STREAMS } else { 0 };
        let mut streams: Vec<_> = match first {
            0 => self.streams.iter_mut().map(Option::take).collect(),
            _ => vec![None, None, None],
        };
        let is_result = |one: &mut Descriptor| matches!(one.origin, Origin::Stream(_));
        streams.push(self.others.first_mut().and_then(|first| first.take_if(is_result)));
        let mut start = Start { streams, others: std::mem::take(&mut self.others) };
        let mut all = restored.descriptors(&mut start, first, usize::MAX);
        if first == 0 {
            self.others = all.split_off(STREAMS.min(all.len()));
            self.set_streams(all);
        } else {
            self.others = all;
        }
    }

    /// Adds directories and listeners that are open from the start.
    pub(crate) fn set_files(&mut self, files: Arc<Files>) {
        let opened = files.directories().len() + files.listeners().len();
        self.most = files.max_descriptors().max(STREAMS + opened);
        self.files = Some(files.clone());
        self.unopened = Some(files);
    }

    /// The place of a descriptor.
    fn place(&mut self, fd: u32) -> Option<&mut Option<Descriptor>> {
        let fd = fd as usize;
        match fd.checked_sub(STREAMS) {
            None => self.streams.get_mut(fd),
            Some(other) => self.others().get_mut(other),
        }
    }

    /// Places of all but the standard streams.
    fn others(&mut self) -> &mut Vec<Option<Descriptor>> {
        if let Some(files) = self.unopened.take() {
            let directories = files.directories().iter().enumerate();
            let directories = directories.map(|(place, one)| Descriptor::preopened(place, one));
            let listeners = files.listeners().iter().map(|listener| {
                let object = Object::Listener(listener.clone());
                Descriptor::new(object, Rights::LISTENER, Rights::CONNECTION)
            });
            self.others.extend(directories.chain(listeners).map(Some));
        }
        if let Some(restored) = self.restored.take() {
            self.restore_others(&restored);
        }
        &mut self.others
    }

    /// A descriptor.
    ///
    /// # Errors
    /// [`Errno::Badf`] if it is not open.
    pub(crate) fn get(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        self.place(fd).and_then(Option::as_mut).ok_or(Errno::Badf)
    }

    /// The file that a descriptor stands for, which has to have these rights.
    ///
    /// # Errors
    /// [`Errno::Badf`] if it is not open, or no file; [`Errno::Notcapable`].
    pub(crate) fn file(&mut self, fd: u32, rights: Rights) -> Result<Arc<dyn File>, Errno> {
        let descriptor = self.get(fd)?;
        match &descriptor.object {
            Object::File { file, .. } => {
                descriptor.rights.check(rights)?;
                Ok(file.clone())
            }
            _ => Err(Errno::Badf),
        }
    }

    /// The directory that a descriptor stands for, which has to have these rights.
    ///
    /// # Errors
    /// [`Errno::Badf`] if it is not open; [`Errno::Notdir`] if it is something else;
    /// [`Errno::Notcapable`].
    pub(crate) fn directory(
        &mut self,
        fd: u32,
        rights: Rights,
    ) -> Result<Arc<dyn Directory>, Errno> {
        let descriptor = self.get(fd)?;
        match &descriptor.object {
            Object::Directory { directory, .. } => {
                descriptor.rights.check(rights)?;
                Ok(directory.clone())
            }
            _ => Err(Errno::Notdir),
        }
    }

    /// Whether there is room for one more.
    ///
    /// # Errors
    /// [`Errno::Mfile`] if not.
    pub(crate) fn check_room(&mut self) -> Result<(), Errno> {
        let most = self.most.saturating_sub(STREAMS);
        let others = self.others();
        let is_full = others.len() >= most && others.iter().all(Option::is_some);
        if is_full { Err(Errno::Mfile) } else { Ok(()) }
    }

    /// Adds a descriptor; its number, which is no standard stream's.
    ///
    /// # Errors
    /// [`Errno::Mfile`] if there is no room.
    pub(crate) fn insert(&mut self, descriptor: Descriptor) -> Result<u32, Errno> {
        self.check_room()?;
        let others = self.others();
        let free = others.iter().position(Option::is_none).unwrap_or(others.len());
        if free == others.len() {
            others.push(None);
        }
        others[free] = Some(descriptor);
        Ok((STREAMS + free) as u32) // far fewer than 4 Gi
    }

    /// Closes a descriptor; what it stood for.
    ///
    /// # Errors
    /// [`Errno::Badf`] if it is not open.
    pub(crate) fn remove(&mut self, fd: u32) -> Result<Descriptor, Errno> {
        self.place(fd).and_then(Option::take).ok_or(Errno::Badf)
    }

    /// Gives a descriptor the number of another one; the other one.
    ///
    /// # Errors
    /// [`Errno::Badf`] if one of them is not open.
    pub(crate) fn renumber(&mut self, from: u32, to: u32) -> Result<Option<Descriptor>, Errno> {
        self.get(to)?;
        self.get(from)?;
        if from == to {
            return Ok(None);
        }
        let moved = self.remove(from)?;
        Ok(Some(std::mem::replace(self.get(to)?, moved)))
    }

    /// Takes those whose closing may block a thread, or take long.
    pub(crate) fn take_slow(&mut self) -> Vec<Descriptor> {
        let others = self.streams.iter_mut().chain(&mut self.others);
        let is_slow = |one: &mut Descriptor| one.closes_slowly();
        others.filter_map(|other| other.take_if(is_slow)).collect()
    }

    /// Files and directories of the host, or over some, that were opened since: number and path.
    pub(crate) fn opened_on_host(&self) -> Vec<(usize, Option<PathBuf>)> {
        let numbered = self.streams.iter().chain(&self.others).enumerate();
        let on_host = numbered.filter_map(|(number, one)| match &one.as_ref()?.object {
            Object::File { file, .. } if file.blocks() => Some((number, file.host_path())),
            Object::Directory { directory, name: None } if directory.blocks() => {
                Some((number, directory.host_path()))
            }
            _ => None,
        });
        on_host.collect()
    }

    /// All that are open, with their numbers, ascending.
    pub(crate) fn numbered(&mut self) -> Vec<(u32, &Descriptor)> {
        self.others();
        let all = self.streams.iter().chain(&self.others);
        (0..).zip(all).filter_map(|(number, one)| Some((number, one.as_ref()?))).collect()
    }

    /// All that are open.
    pub(crate) fn descriptors_mut(&mut self) -> impl Iterator<Item = &mut Descriptor> {
        self.streams.iter_mut().chain(&mut self.others).flatten()
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
            assert_eq!(table.remove(fd).err(), Some(Errno::Badf));
            assert_eq!(table.renumber(fd, 1).err(), Some(Errno::Badf));
            assert_eq!(table.renumber(1, fd).err(), Some(Errno::Badf));
        }
        assert!(table.remove(0).is_ok());
        assert_eq!(table.remove(0).err(), Some(Errno::Badf));
    }

    #[test]
    fn a_number_is_used_again_and_there_are_no_more_than_the_most() {
        let mut table = Table::default();
        let mut files = Files::default();
        files.set_max_descriptors(5);
        table.set_files(Arc::new(files));
        let stream =
            || Descriptor::new(Object::Input(Input::default()), Rights::INPUT, Rights::NONE);
        assert_eq!(table.insert(stream()), Ok(3));
        assert_eq!(table.insert(stream()), Ok(4));
        assert_eq!(table.insert(stream()), Err(Errno::Mfile));
        table.remove(3).unwrap();
        assert_eq!(table.insert(stream()), Ok(3));
        table.renumber(4, 0).unwrap();
        assert_eq!(table.get(4).err(), Some(Errno::Badf));
    }
}
