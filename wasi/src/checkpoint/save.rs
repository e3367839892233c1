//! Saving: from a descriptor table to a list that an artifact can have.

use super::tree::tree;
use super::{Opened, Origin, Restored};
use crate::context::Wasi;
use crate::files::{self, Directory, File, Follow, MemoryDirectory, Stat};
use crate::table::{Descriptor, Object};
use std::any::Any;
use std::sync::Arc;
use wfaas_vm::bundle::BundleError;
use wfaas_vm::checkpoint::{Learned, SavedDescriptor, SavedFile, SavedObject, SavedStat};

/// Most descriptors that are kept between two requests of a session.
const MAX_KEPT: usize = 64;

/// All that an instance has outside of its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Open descriptors, ascending.
    pub descriptors: Vec<SavedDescriptor>,
    /// Names of the directories that were open from the start.
    pub directories: Vec<String>,
    /// Time of the monotonic clock, in nanoseconds.
    pub monotonic: u64,
    /// The things that the guest has asked for.
    pub learned: Learned,
    /// The tree that the guest has changed, if it has.
    pub tree: Option<SavedTree>,
}

/// A tree in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedTree {
    /// The guest's name for it.
    pub name: String,
    /// All of it, as the bytes of a bundle.
    pub bundle: Vec<u8>,
}

/// Something that cannot be saved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsaved {
    /// A descriptor.
    #[error("descriptor {number} is {what}, which cannot be kept")]
    Descriptor {
        /// Its number.
        number: u32,
        /// The thing that it stands for.
        what: String,
    },
    /// Changes in memory, over a directory of the host.
    #[error(
        "it has changed files of {name:?}, in memory over a directory of the host, which cannot be kept"
    )]
    Overlay {
        /// The guest's name for the directory.
        name: String,
    },
    /// More than one tree with changes.
    #[error("it has changed files of {name:?} and of another tree: one can be kept")]
    Trees {
        /// The guest's name for the second one.
        name: String,
    },
    /// A file of a tree in memory cannot be in a bundle.
    #[error("files that it has written cannot be kept: {0}")]
    Bundle(#[from] BundleError),
    /// A file of a tree in memory cannot be read.
    #[error("files that it has written cannot be kept: {path:?}: {error}")]
    Read {
        /// Path in the tree.
        path: String,
        /// Why.
        error: files::Error,
    },
    /// Handles of a component.
    #[error("it holds {0} handles of resources of the host, which cannot be kept")]
    Handles(usize),
}

impl Wasi {
    /// Notes from now on where descriptors are from, so that they can be saved. To be called before the guest
    /// runs.
    pub fn note_origins(&mut self) {
        self.table.note_origins();
    }

    /// All that the instance has outside of its memory.
    ///
    /// # Errors
    /// [`Unsaved`] names the first thing that cannot be saved.
    pub fn checkpoint(&mut self) -> Result<Saved, Unsaved> {
        match self.handles() {
            0 => {}
            handles => return Err(Unsaved::Handles(handles)),
        }
        let roots = self.table.roots().to_vec();
        let names = self.files().map(|files| files.directories().iter().map(|one| one.name()));
        let directories: Vec<String> = names.into_iter().flatten().map(str::to_owned).collect();
        let tree = changed_tree(&directories, &roots)?;
        let mut descriptors = Vec::new();
        for (number, descriptor) in self.table.numbered() {
            let saved = Saver { number, roots: &roots, rewritten: tree.as_ref() };
            descriptors.push(saved.descriptor(descriptor, &directories)?);
        }
        let (monotonic, learned) = (self.sources.monotonic(), self.sources.learned);
        Ok(Saved { descriptors, directories, monotonic, learned, tree })
    }
}

impl Wasi {
    /// The descriptors and clocks of a guest that goes on in another instance of its program, with the same directories.
    /// Files that it has made or changed in memory are not kept.
    ///
    /// This is done after each request of a session, by a thread of the server's: no file of the host is looked at, and
    /// at most 64 descriptors are.
    ///
    /// # Errors
    /// [`Unsaved`] names the first descriptor that cannot be saved: one of a file of the host among others.
    pub fn kept(&mut self) -> Result<Restored, Unsaved> {
        match self.handles() {
            0 => {}
            handles => return Err(Unsaved::Handles(handles)),
        }
        let roots = self.table.roots().to_vec();
        let mut descriptors = Vec::new();
        for (number, descriptor) in self.table.numbered() {
            let saver = Saver { number, roots: &roots, rewritten: None };
            if descriptors.len() >= MAX_KEPT {
                return Err(saver.refuse(format!("one more than the {MAX_KEPT} of a session")));
            }
            let is_opened = matches!(descriptor.origin, Origin::Opened(_));
            if is_opened && descriptor.blocks() {
                return Err(saver
                    .refuse("of a file or directory of the host, of which a session keeps none"));
            }
            descriptors.push(saver.descriptor(descriptor, &[])?);
        }
        Ok(Restored::kept(descriptors, roots.len(), self.sources.monotonic()))
    }
}

/// The tree in memory that the guest has changed.
fn changed_tree(
    names: &[String],
    roots: &[Arc<dyn Directory>],
) -> Result<Option<SavedTree>, Unsaved> {
    let mut found = None;
    for (name, root) in names.iter().zip(roots) {
        let memory: Option<&MemoryDirectory> = (&**root as &dyn Any).downcast_ref();
        if !memory.is_some_and(MemoryDirectory::is_changed) {
            continue;
        }
        if root.blocks() {
            return Err(Unsaved::Overlay { name: name.clone() });
        }
        if found.is_some() {
            return Err(Unsaved::Trees { name: name.clone() });
        }
        found = Some(SavedTree { name: name.clone(), bundle: tree(root)? });
    }
    Ok(found)
}

struct Saver<'a> {
    number: u32,
    roots: &'a [Arc<dyn Directory>],
    /// The tree that will have other places for its entries.
    rewritten: Option<&'a SavedTree>,
}

impl Saver<'_> {
    fn refuse(&self, what: impl Into<String>) -> Unsaved {
        Unsaved::Descriptor { number: self.number, what: what.into() }
    }

    fn descriptor(
        &self,
        descriptor: &Descriptor,
        names: &[String],
    ) -> Result<SavedDescriptor, Unsaved> {
        let object = match (&descriptor.object, &descriptor.origin) {
            (Object::Listener(_) | Object::Connection(_), _) => {
                return Err(self.refuse("a socket"));
            }
            (_, Origin::Stream(number)) => SavedObject::Stream(*number),
            (_, Origin::Preopen(place)) => SavedObject::Preopen(*place),
            (Object::File { file, position }, Origin::Opened(opened)) => {
                SavedObject::File(self.file(file, *position, opened)?)
            }
            (Object::Directory { directory, .. }, Origin::Opened(opened)) => {
                self.directory(directory, opened, names)?
            }
            _ => return Err(self.refuse("of unknown origin")),
        };
        Ok(SavedDescriptor {
            number: self.number,
            object,
            rights: descriptor.rights.bits(),
            inheriting: descriptor.inheriting.bits(),
            flags: descriptor.flags.bits(),
        })
    }

    fn file(
        &self,
        file: &Arc<dyn File>,
        position: u64,
        opened: &Opened,
    ) -> Result<SavedFile, Unsaved> {
        let stat = self.same(file.stat(), opened, "a file")?;
        let host = SavedStat { size: stat.size, modified: stat.modified.0 };
        let Opened { tree, path, read, write } = opened.clone();
        if write && file.blocks() {
            return Err(self.refuse(format!("a file of the host that is open to write, {path:?}")));
        }
        let host = file.blocks().then_some(host);
        Ok(SavedFile { tree, path, read, write, position, host })
    }

    fn directory(
        &self,
        directory: &Arc<dyn Directory>,
        opened: &Opened,
        names: &[String],
    ) -> Result<SavedObject, Unsaved> {
        let Opened { tree, path, .. } = opened.clone();
        if directory.blocks() {
            return Err(self.refuse(format!("a directory of the host, {path:?}")));
        }
        let name = names.get(tree as usize);
        if self.rewritten.is_some_and(|one| Some(&one.name) == name) {
            return Err(self.refuse(format!("a directory of a tree with new files, {path:?}")));
        }
        self.same(directory.stat(), opened, "a directory")?;
        Ok(SavedObject::Directory { tree, path })
    }

    /// Checks that the path still leads to the thing that was opened by it.
    fn same(
        &self,
        stat: files::Result<Stat>,
        opened: &Opened,
        kind: &str,
    ) -> Result<Stat, Unsaved> {
        let Opened { tree, path, .. } = opened;
        let root = self.roots.get(*tree as usize);
        let at_path = root.map(|root| root.stat_at(path, Follow::Yes));
        match (stat, at_path) {
            (Ok(stat), Some(Ok(at_path)))
                if (stat.device, stat.inode) == (at_path.device, at_path.inode) =>
            {
                Ok(stat)
            }
            _ => Err(self.refuse(format!("{kind} that has no longer the name {path:?}"))),
        }
    }
}
