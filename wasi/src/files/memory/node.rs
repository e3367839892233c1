//! Nodes: directories, files and symlinks of a tree in memory.

use super::content::Pages;
use super::entries::Entries;
use crate::files::{Directory, File, FileType, Stat, Timestamp};
use std::sync::Arc;

/// Number of a node in the table.
pub(super) type Id = usize;

/// Device and inode: the same for all names of a file.
pub(super) type Identity = (u64, u64);

/// A directory, a file or a symlink.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) identity: Identity,
    /// Whether it is one of the lower tree.
    pub(super) is_copy: bool,
    /// Whether it is not as in the lower tree, and counts.
    pub(super) changed: bool,
    /// Names that it has.
    pub(super) links: u64,
    /// Open handles.
    pub(super) handles: usize,
    pub(super) accessed: Timestamp,
    pub(super) modified: Timestamp,
    pub(super) status_changed: Timestamp,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Directory(Folder),
    File(Data),
    Link(String),
}

/// Content of a directory.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// The directory with its name, if it may be renamed: one without anything below.
    pub(super) parent: Option<Id>,
    /// The directory below.
    pub(super) lower: Option<Arc<dyn Directory>>,
    pub(super) entries: Entries,
    /// The part of the directory below of which a listing has found all names hidden.
    pub(super) hidden: Hidden,
}

/// Entries of a lower directory that follow each other and are hidden, as cookies. A name that is hidden
/// once is never seen again.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Hidden {
    pub(super) from: u64,
    pub(super) to: u64,
}

/// Content of a file.
#[derive(Debug)]
pub(super) enum Data {
    /// Bytes of its own.
    Own(Pages),
    /// Those of a file of the lower tree.
    Lower(LowerFile),
}

/// A file of the lower tree.
#[derive(Debug)]
pub(super) struct LowerFile {
    pub(super) file: Arc<dyn File>,
    pub(super) size: u64,
    /// The beginning of its bytes, while they are copied.
    pub(super) copied: Pages,
}

impl Node {
    /// Content that is not in the lower tree.
    pub(super) fn new(identity: Identity, content: Content, now: Timestamp) -> Node {
        Node {
            identity,
            is_copy: false,
            changed: true,
            links: 1,
            handles: 0,
            accessed: now,
            modified: now,
            status_changed: now,
            content,
        }
    }

    /// Something of the lower tree.
    pub(super) fn copy(stat: &Stat, content: Content) -> Node {
        Node {
            identity: (stat.device, stat.inode),
            is_copy: true,
            changed: false,
            links: stat.links,
            handles: 0,
            accessed: stat.accessed,
            modified: stat.modified,
            status_changed: stat.changed,
            content,
        }
    }

    pub(super) fn kind(&self) -> FileType {
        match self.content {
            Content::Directory(_) => FileType::Directory,
            Content::File(_) => FileType::Regular,
            Content::Link(_) => FileType::Symlink,
        }
    }

    pub(super) fn size(&self) -> u64 {
        match &self.content {
            Content::Directory(_) => 0,
            Content::File(Data::Own(pages)) => pages.size(),
            Content::File(Data::Lower(lower)) => lower.size,
            Content::Link(target) => target.len() as u64,
        }
    }

    /// Bytes that the content counts as.
    pub(super) fn content_cost(&self) -> u64 {
        match &self.content {
            Content::Directory(folder) => folder.entries.cost_of_all(),
            Content::File(Data::Own(pages)) => pages.cost(),
            Content::File(Data::Lower(lower)) => lower.copied.cost(),
            Content::Link(target) => target.len() as u64,
        }
    }

    /// Drops parts of the content, at most so many; how many more it might have been.
    pub(super) fn shed(&mut self, most: usize) -> usize {
        match &mut self.content {
            Content::File(Data::Own(pages)) => pages.shed(most),
            Content::File(Data::Lower(lower)) => lower.copied.shed(most),
            Content::Directory(folder) => folder.entries.shed(most),
            Content::Link(_) => most,
        }
    }

    pub(super) fn stat(&self) -> Stat {
        Stat {
            device: self.identity.0,
            inode: self.identity.1,
            kind: self.kind(),
            links: self.links,
            size: self.size(),
            accessed: self.accessed,
            modified: self.modified,
            changed: self.status_changed,
        }
    }

    pub(super) fn folder(&self) -> Option<&Folder> {
        match &self.content {
            Content::Directory(folder) => Some(folder),
            _ => None,
        }
    }

    pub(super) fn folder_mut(&mut self) -> Option<&mut Folder> {
        match &mut self.content {
            Content::Directory(folder) => Some(folder),
            _ => None,
        }
    }

    /// Notes that the content has changed.
    pub(super) fn modify(&mut self, now: Timestamp) {
        (self.modified, self.status_changed) = (now, now);
    }
}
