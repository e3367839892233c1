//! Looking up names here and in the lower tree, and taking over what is to be used or changed.

use super::content::{Pages, cost_of};
use super::entries::Target;
use super::node::{Content, Data, Folder, Id, Identity, LowerFile, Node};
use super::tree::{ROOT, Tree};
use crate::files::{self, Directory, Error, FileType, Follow, OpenOptions, Result, Stat, walk};
use std::sync::Arc;

/// Something in the tree.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// A node.
    Own(Id),
    /// Something of the lower tree that has no node.
    Lower(Lower),
}

/// Something of the lower tree.
#[derive(Debug, Clone)]
pub(super) struct Lower {
    parent: Arc<dyn Directory>,
    name: String,
    pub(super) stat: Stat,
}

/// Bytes of a buffer, and buffers that are copied up before others have their turn.
const BUFFER: usize = 64 << 10;
const BUFFERS_AT_ONCE: usize = 4;

impl Lower {
    /// What the name stands for, itself.
    fn open(&self) -> Result<files::Node> {
        let directory = self.stat.kind == FileType::Directory;
        let options = OpenOptions { directory, follow: Follow::No, ..OpenOptions::READ };
        self.parent.open(&self.name, options)
    }

    fn directory(&self) -> Result<Arc<dyn Directory>> {
        match self.open()? {
            files::Node::Directory(directory) => Ok(directory),
            files::Node::File(_) => Err(Error::NotDirectory),
        }
    }

    /// Whether it is a directory without entries.
    pub(super) fn is_empty_directory(&self) -> Result<bool> {
        Ok(self.directory()?.list(0, 1)?.is_empty())
    }

    fn content(&self) -> Result<Content> {
        match self.stat.kind {
            FileType::Directory => {
                let lower = Some(self.directory()?);
                Ok(Content::Directory(Folder { lower, ..Folder::default() }))
            }
            FileType::Regular => match self.open()? {
                files::Node::File(file) => {
                    let (size, copied) = (self.stat.size, Pages::default());
                    Ok(Content::File(Data::Lower(LowerFile { file, size, copied })))
                }
                files::Node::Directory(_) => Err(Error::IsDirectory),
            },
            FileType::Symlink => Ok(Content::Link(self.parent.read_link(&self.name)?)),
            _ => Err(Error::Access),
        }
    }
}

/// A name of a directory of the lower tree.
fn below(parent: &Arc<dyn Directory>, name: &str) -> Result<Option<Lower>> {
    match parent.stat_at(name, Follow::No) {
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error),
        Ok(stat) => Ok(Some(Lower { parent: parent.clone(), name: name.to_owned(), stat })),
    }
}

impl walk::Tree for Tree {
    type Node = Place;

    fn child(&self, directory: &Place, name: &str) -> Result<Option<Place>> {
        let lower = match directory {
            Place::Own(id) => {
                let folder = self.node(*id).folder().ok_or(Error::NotDirectory)?;
                match (folder.entries.get(name), &folder.lower) {
                    (Some(Target::Node(node)), _) => return Ok(Some(Place::Own(node))),
                    (Some(Target::Whiteout), _) | (None, None) => return Ok(None),
                    (None, Some(lower)) => lower.clone(),
                }
            }
            Place::Lower(lower) => lower.directory()?,
        };
        Ok(below(&lower, name)?.map(|lower| self.place(lower)))
    }

    fn kind(&self, node: &Place) -> FileType {
        match node {
            Place::Own(id) => self.node(*id).kind(),
            Place::Lower(lower) => lower.stat.kind,
        }
    }

    fn target(&self, link: &Place) -> Result<String> {
        match link {
            Place::Lower(lower) => lower.parent.read_link(&lower.name),
            Place::Own(id) => match &self.node(*id).content {
                Content::Link(target) => Ok(target.clone()),
                _ => Err(Error::Invalid),
            },
        }
    }
}

impl Tree {
    /// The node of something in the lower tree, if it has one.
    fn place(&self, lower: Lower) -> Place {
        match self.copies.get(&(lower.stat.device, lower.stat.inode)) {
            Some(id) => Place::Own(*id),
            None => Place::Lower(lower),
        }
    }

    /// Device and inode.
    pub(super) fn identity(&self, place: &Place) -> Identity {
        let stat = self.stat(place);
        (stat.device, stat.inode)
    }

    /// All that is known of something, for the guest. The root has had a time since anybody used the tree.
    pub(super) fn tell(&self, place: &Place) -> Stat {
        if let (Place::Own(ROOT), Some(times)) = (place, &self.times)
            && !self.node(ROOT).is_copy
        {
            times.tell_file_times();
        }
        self.stat(place)
    }

    /// All that is known of something.
    pub(super) fn stat(&self, place: &Place) -> Stat {
        match place {
            Place::Own(id) => self.node(*id).stat(),
            Place::Lower(lower) => lower.stat,
        }
    }

    /// The node of something, for a handle or for a change that follows.
    pub(super) fn adopt(&mut self, place: &Place) -> Result<Id> {
        let lower = match place {
            Place::Own(id) => return Ok(*id),
            Place::Lower(lower) => lower,
        };
        let identity = (lower.stat.device, lower.stat.inode);
        if let Some(id) = self.copies.get(&identity) {
            return Ok(*id);
        }
        let id = self.insert(Node::copy(&lower.stat, lower.content()?));
        self.copies.insert(identity, id);
        Ok(id)
    }

    /// The node of something that is about to be changed.
    pub(super) fn changing(&mut self, place: &Place) -> Result<Id> {
        let id = self.adopt(place)?;
        self.change(id)?;
        Ok(id)
    }

    /// Whether the directory below this one has the name.
    pub(super) fn is_below(&self, directory: Id, name: &str) -> Result<bool> {
        match self.node(directory).folder().and_then(|folder| folder.lower.as_ref()) {
            Some(lower) => Ok(below(lower, name)?.is_some()),
            None => Ok(false),
        }
    }

    /// Sees to it that a file has bytes of its own: the first `len` of those it had.
    ///
    /// # Errors
    /// [`Error::NoSpace`]: the file is as it was; [`Error::Unfinished`] after a part of them.
    pub(super) fn copy_up(&mut self, id: Id, len: u64) -> Result<()> {
        self.change(id)?;
        let (left, node) = (self.left.bytes, self.node_mut(id));
        let Content::File(Data::Lower(lower)) = &mut node.content else { return Ok(()) };
        let len = len.min(lower.size);
        if cost_of(len) > left.saturating_add(lower.copied.cost()) {
            return Err(Error::NoSpace);
        }
        let mut room = left;
        let copied = lower.copy(len, &mut room);
        if copied == Ok(true) {
            node.content = Content::File(Data::Own(std::mem::take(&mut lower.copied)));
        }
        self.left.bytes = room;
        if copied? { Ok(()) } else { Err(Error::Unfinished) }
    }
}

impl LowerFile {
    /// Copies a part of the first `len` bytes; whether all of them are copied now.
    fn copy(&mut self, len: u64, room: &mut u64) -> Result<bool> {
        // More than these were copied for a call that was given up.
        if self.copied.size() > len && !self.copied.set_size(len, room) {
            return Ok(false);
        }
        let mut buffer = vec![0; BUFFER.min(usize::try_from(len).unwrap_or(BUFFER))];
        for _ in 0..BUFFERS_AT_ONCE {
            let at = self.copied.size();
            let wanted = buffer.len().min(usize::try_from(len - at).unwrap_or(BUFFER));
            let count = self.file.read(&mut buffer[..wanted], at)?;
            if self.copied.write(&buffer[..count], at, room) < count {
                return Err(Error::NoSpace);
            }
            // A file may have become shorter.
            if count == 0 || self.copied.size() == len {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
