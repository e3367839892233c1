//! Looking up names here and in the lower tree, and taking over what is to be used or changed.

use super::content::{Pages, cost_of};
use super::entries::Target;
use super::node::{Content, Data, Folder, Id, Identity, Node};
use super::tree::Tree;
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

/// Bytes that are copied up at once.
const COPIED_AT_ONCE: usize = 64 << 10;

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
                files::Node::File(file) => Ok(Content::File(Data::Lower(file, self.stat.size))),
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
    /// [`Error::NoSpace`]: the file is as it was.
    pub(super) fn copy_up(&mut self, id: Id, len: u64) -> Result<()> {
        self.change(id)?;
        let Content::File(Data::Lower(file, size)) = &self.node(id).content else { return Ok(()) };
        let (file, len) = (file.clone(), len.min(*size));
        if cost_of(len) > self.left.bytes {
            return Err(Error::NoSpace);
        }
        let (mut pages, mut room) = (Pages::default(), self.left.bytes);
        let mut buffer = vec![0; COPIED_AT_ONCE.min(usize::try_from(len).unwrap_or(usize::MAX))];
        while pages.size() < len {
            let wanted = buffer.len().min((len - pages.size()) as usize);
            let count = file.read(&mut buffer[..wanted], pages.size())?;
            if count == 0 {
                break;
            }
            if pages.write(&buffer[..count], pages.size(), &mut room) < count {
                return Err(Error::NoSpace);
            }
        }
        self.left.bytes = room;
        self.node_mut(id).content = Content::File(Data::Own(pages));
        Ok(())
    }
}
