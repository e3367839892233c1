//! Restoring: from the list of an artifact to a descriptor table.

use super::{Opened, Origin};
use crate::context::Wasi;
use crate::files::{self, Directory, Files, Follow, Node, OpenOptions, Reopened};
use crate::preview1::{Flags, Rights};
use crate::table::{Descriptor, Object, RESULT, STREAMS};
use std::sync::Arc;
use wfaas_vm::checkpoint::{Checkpoint, SavedDescriptor, SavedFile, SavedObject};

/// The descriptors and clocks of a program that waits, checked for the directories that its instances get.
#[derive(Debug)]
pub struct Restored {
    descriptors: Vec<SavedDescriptor>,
    monotonic: u64,
    /// Whether the descriptors are those that every instance begins with.
    is_usual: bool,
}

/// Why a program that waits cannot go on with the directories that it would get.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Other directories.
    #[error(
        "the program was captured with the directories {expected}, and would go on with {found}: it has to have the same ones, in the same order"
    )]
    Directories {
        /// Names of those that it had.
        expected: String,
        /// Names of those that it would have.
        found: String,
    },
    /// A file is not what it was.
    #[error("the program was captured with {path:?} open, in the directory {tree:?}: {error}")]
    File {
        /// The guest's name for the directory.
        tree: String,
        /// Path in it.
        path: String,
        /// Why it cannot go on with it.
        error: files::Error,
    },
    /// Descriptors that make no sense.
    #[error("descriptor {0} of the captured program cannot be restored")]
    Descriptor(u32),
}

impl Restored {
    /// Checks that a program can go on with these directories: each file that it has open is opened once, and
    /// compared.
    ///
    /// # Errors
    /// [`RestoreError`] names the first thing that is not as it was.
    pub fn new(checkpoint: &Checkpoint, files: Option<&Files>) -> Result<Restored, RestoreError> {
        let directories = files.map_or(&[][..], Files::directories);
        let found: Vec<&str> = directories.iter().map(|one| one.name()).collect();
        if found != checkpoint.directories {
            let list = |names: &[&str]| match names {
                [] => "(none)".to_owned(),
                names => names.join(", "),
            };
            let expected: Vec<&str> = checkpoint.directories.iter().map(String::as_str).collect();
            let (expected, found) = (list(&expected), list(&found));
            return Err(RestoreError::Directories { expected, found });
        }
        for saved in &checkpoint.descriptors {
            check(saved, files)?;
        }
        let is_usual = is_usual(&checkpoint.descriptors, directories.len());
        let (descriptors, monotonic) = (checkpoint.descriptors.clone(), checkpoint.monotonic);
        Ok(Restored { descriptors, monotonic, is_usual })
    }
}

impl Restored {
    /// Of an instance with so many directories, which another one goes on from.
    pub(super) fn kept(
        descriptors: Vec<SavedDescriptor>,
        directories: usize,
        monotonic: u64,
    ) -> Restored {
        let is_usual = is_usual(&descriptors, directories);
        Restored { descriptors, monotonic, is_usual }
    }

    /// Bytes of memory that it takes.
    pub fn bytes(&self) -> usize {
        let path = |saved: &SavedDescriptor| match &saved.object {
            SavedObject::File(SavedFile { path, .. }) | SavedObject::Directory { path, .. } => {
                path.capacity()
            }
            SavedObject::Stream(_) | SavedObject::Preopen(_) => 0,
        };
        let paths = self.descriptors.iter().map(path).sum::<usize>();
        size_of::<Restored>() + self.descriptors.capacity() * size_of::<SavedDescriptor>() + paths
    }
}

/// Whether these are the descriptors that an instance with so many directories begins with.
fn is_usual(descriptors: &[SavedDescriptor], directories: usize) -> bool {
    let streams = [Rights::INPUT, Rights::OUTPUT, Rights::OUTPUT];
    let streams = (0..)
        .zip(streams)
        .map(|(number, rights)| (SavedObject::Stream(number), rights, Rights::NONE));
    let preopen =
        |place| (SavedObject::Preopen(place), Rights::DIRECTORY, Rights::DIRECTORY | Rights::FILE);
    let preopens = (0..directories as u32).map(preopen);
    let usual = (0..).zip(streams.chain(preopens)).map(|(number, (object, rights, inheriting))| {
        let (rights, inheriting) = (rights.bits(), inheriting.bits());
        SavedDescriptor { number, object, rights, inheriting, flags: 0 }
    });
    usual.eq(descriptors.iter().cloned())
}

/// Checks that a descriptor can be restored.
fn check(saved: &SavedDescriptor, files: Option<&Files>) -> Result<(), RestoreError> {
    let no_sense = RestoreError::Descriptor(saved.number);
    let most = files.map_or(RESULT + 1, Files::max_descriptors);
    if saved.number as usize >= most || Flags::new(saved.flags.into()).is_err() {
        return Err(no_sense);
    }
    let (tree, path) = match &saved.object {
        SavedObject::Stream(_) | SavedObject::Preopen(_) => return Ok(()),
        SavedObject::File(file) => (file.tree, &file.path),
        SavedObject::Directory { tree, path } => (*tree, path),
    };
    let preopen = files.and_then(|files| files.directories().get(tree as usize));
    let Some(preopen) = preopen else { return Err(no_sense) };
    let root = preopen.root();
    let opened = match &saved.object {
        SavedObject::File(file) => reopened(&root, file).check(),
        _ => directory(&root, path).map(drop),
    };
    opened.map_err(|error| RestoreError::File {
        tree: preopen.name().to_owned(),
        path: path.clone(),
        error,
    })
}

fn reopened(root: &Arc<dyn Directory>, file: &SavedFile) -> Reopened {
    let options = OpenOptions { read: file.read, write: file.write, ..OpenOptions::READ };
    Reopened::new(root.clone(), file.path.clone(), options, file.host)
}

fn directory(root: &Arc<dyn Directory>, path: &str) -> files::Result<Arc<dyn Directory>> {
    let options = OpenOptions { directory: true, follow: Follow::Yes, ..OpenOptions::READ };
    match root.open(path, options)? {
        Node::Directory(directory) => Ok(directory),
        Node::File(_) => Err(files::Error::NotDirectory),
    }
}

impl Wasi {
    /// Goes on with the clock and the descriptors of a program that was captured. To be called before the guest
    /// runs, and after its directories are set.
    #[inline]
    pub fn restore(&mut self, restored: &Arc<Restored>) {
        self.sources.set_monotonic(restored.monotonic);
        if !restored.is_usual {
            self.table.restore(restored.clone());
        }
    }
}

/// Descriptors of the start, from which others are made.
pub(crate) struct Start {
    pub(crate) streams: Vec<Option<Descriptor>>,
    pub(crate) others: Vec<Option<Descriptor>>,
}

impl Restored {
    /// Whether each stream of the start has its number or is closed, and nothing else has one of theirs.
    pub(crate) fn keeps_streams(&self) -> bool {
        self.descriptors.iter().all(|saved| match &saved.object {
            SavedObject::Stream(number) => *number == saved.number,
            _ => saved.number as usize >= STREAMS,
        })
    }

    /// The descriptors with numbers from `first` to `end`, each at its place, made from those of the start.
    pub(crate) fn descriptors(
        &self,
        start: &mut Start,
        first: usize,
        end: usize,
    ) -> Vec<Option<Descriptor>> {
        let root = |other: &Option<Descriptor>| match other.as_ref().map(|one| &one.object) {
            Some(Object::Directory { directory, .. }) => Some(directory.clone()),
            _ => None,
        };
        let roots: Vec<_> = start.others.iter().map_while(root).collect();
        let mut made: Vec<Option<Descriptor>> = Vec::new();
        for saved in &self.descriptors {
            let number = saved.number as usize;
            if number < first || number >= end {
                continue;
            }
            let Some(descriptor) = make(saved, start, &roots) else { continue };
            made.resize_with(number - first + 1, || None);
            made[number - first] = Some(descriptor);
        }
        made
    }
}

/// A descriptor. One that cannot be opened any more is closed: it was checked before.
fn make(
    saved: &SavedDescriptor,
    start: &mut Start,
    roots: &[Arc<dyn Directory>],
) -> Option<Descriptor> {
    let root = |tree: u32| roots.get(tree as usize);
    let (object, origin) = match &saved.object {
        SavedObject::Stream(number) => {
            let descriptor = start.streams.get_mut(*number as usize)?.take()?;
            (descriptor.object, descriptor.origin)
        }
        SavedObject::Preopen(place) => {
            let descriptor = start.others.get_mut(*place as usize)?.take()?;
            (descriptor.object, descriptor.origin)
        }
        SavedObject::File(file) => {
            let file_again = Arc::new(reopened(root(file.tree)?, file));
            let (read, write) = (file.read, file.write);
            let origin = Opened { tree: file.tree, path: file.path.clone(), read, write };
            let origin = Origin::Opened(Box::new(origin));
            (Object::File { file: file_again, position: file.position }, origin)
        }
        SavedObject::Directory { tree, path } => {
            let directory = directory(root(*tree)?, path).ok()?;
            let origin = Opened { tree: *tree, path: path.clone(), read: true, write: false };
            let origin = Origin::Opened(Box::new(origin));
            (Object::Directory { directory, name: None }, origin)
        }
    };
    let (rights, inheriting) = (Rights::from(saved.rights), Rights::from(saved.inheriting));
    let flags = Flags::new(saved.flags.into()).unwrap_or_default();
    Some(Descriptor { object, rights, inheriting, flags, origin })
}
