//! Open directories of a tree in memory.

use super::adopt::Place;
use super::file::MemoryFile;
use super::node::{Hidden, Id};
use super::tree::Tree;
use super::{Handle, MemoryDirectory};
use crate::files::walk::{Last, Name, Tree as _};
use crate::files::{Directory, Entry, Error, Follow, Node, OpenOptions, Result, SetTimes, Stat};
use std::any::Any;
use std::sync::Arc;

/// Entries of a lower directory that are asked for at once, and how often before others have their turn.
const LOWER_ENTRIES: usize = 256;
const LOWER_LISTS: usize = 3;

/// Mark of the cookies of entries of its own, in a directory with another one below.
const OWN: u64 = 1 << 63;

impl MemoryDirectory {
    /// The handle of a directory, if it is one of the same tree.
    fn other<'a>(&self, directory: &'a dyn Directory) -> Result<&'a Handle> {
        let other: Option<&MemoryDirectory> = (directory as &dyn Any).downcast_ref();
        let MemoryDirectory(other) = other.ok_or(Error::CrossDevice)?;
        self.0.check_same_tree(other)?;
        Ok(other)
    }
}

impl Directory for MemoryDirectory {
    fn blocks(&self) -> bool {
        self.0.shared.blocks
    }

    fn closes_slowly(&self) -> bool {
        self.0.closes_slowly()
    }

    fn open(&self, path: &str, options: OpenOptions) -> Result<Node> {
        if options.create && options.directory {
            return Err(Error::Invalid);
        }
        let mut tree = self.0.shared.lock()?;
        let id = tree.open_at(self.0.node, path, options)?;
        tree.open(id);
        let is_directory = tree.node(id).folder().is_some();
        drop(tree);
        let handle = self.0.to(id);
        Ok(match is_directory {
            true => Node::Directory(Arc::new(MemoryDirectory(handle))),
            false => Node::File(Arc::new(MemoryFile::new(handle, options))),
        })
    }

    fn stat(&self) -> Result<Stat> {
        Ok(self.0.shared.lock()?.tell(&Place::Own(self.0.node)))
    }

    fn stat_at(&self, path: &str, follow: Follow) -> Result<Stat> {
        let tree = self.0.shared.lock()?;
        let place = tree.found(self.0.node, path, follow)?;
        Ok(tree.tell(&place))
    }

    fn set_times(&self, times: SetTimes) -> Result<()> {
        self.0.shared.lock()?.set_times(self.0.node, times)
    }

    fn set_times_at(&self, path: &str, follow: Follow, times: SetTimes) -> Result<()> {
        let mut tree = self.0.shared.lock()?;
        let place = tree.found(self.0.node, path, follow)?;
        let id = tree.changing(&place)?;
        tree.set_times(id, times)
    }

    fn list(&self, cookie: u64, most: usize) -> Result<Vec<Entry>> {
        self.0.shared.lock()?.list(self.0.node, cookie, most)
    }

    fn create_directory(&self, path: &str) -> Result<()> {
        self.0.shared.lock()?.create_directory(self.0.node, path)
    }

    fn remove_directory(&self, path: &str) -> Result<()> {
        self.0.shared.lock()?.remove_directory(self.0.node, path)
    }

    fn unlink(&self, path: &str) -> Result<()> {
        self.0.shared.lock()?.unlink(self.0.node, path)
    }

    fn rename(&self, path: &str, new: &dyn Directory, new_path: &str) -> Result<()> {
        let new = self.other(new)?;
        self.0.shared.lock()?.rename((self.0.node, path), (new.node, new_path))
    }

    fn link(&self, path: &str, follow: Follow, new: &dyn Directory, new_path: &str) -> Result<()> {
        let new = self.other(new)?;
        self.0.shared.lock()?.link((self.0.node, path, follow), new.node, new_path)
    }

    fn symlink(&self, target: &str, path: &str) -> Result<()> {
        if target.starts_with('/') {
            return Err(Error::Escapes);
        }
        self.0.shared.lock()?.symlink(target, self.0.node, path)
    }

    fn read_link(&self, path: &str) -> Result<String> {
        let tree = self.0.shared.lock()?;
        let at = tree.walk(self.0.node, path, Last::Looked(Follow::No))?;
        let is_name = matches!(at.name, Name::Normal(_));
        let place = at.found()?;
        if !is_name || tree.kind(&place) != crate::files::FileType::Symlink {
            return Err(Error::Invalid);
        }
        tree.target(&place)
    }
}

impl Tree {
    /// Entries of a directory: those below it that are not hidden, then its own.
    ///
    /// # Errors
    /// [`Error::Unfinished`] if many of those below are hidden.
    pub(super) fn list(&mut self, id: Id, cookie: u64, most: usize) -> Result<Vec<Entry>> {
        let folder = self.node_mut(id).folder_mut().ok_or(Error::NotDirectory)?;
        let Some(lower) = &folder.lower else { return Ok(self.own_entries(id, cookie, most, 0)) };
        let mut at = if folder.hidden.from == cookie { folder.hidden.to } else { cookie };
        for _ in 0..LOWER_LISTS {
            if at & OWN != 0 {
                return Ok(self.own_entries(id, at & !OWN, most, OWN));
            }
            let entries = lower.list(at, LOWER_ENTRIES.max(most))?;
            let Some(last) = entries.last() else {
                return Ok(self.own_entries(id, 0, most, OWN));
            };
            at = last.next;
            let is_seen = |entry: &Entry| folder.entries.get(&entry.name).is_none();
            let seen: Vec<Entry> = entries.into_iter().filter(is_seen).take(most).collect();
            if !seen.is_empty() {
                return Ok(seen);
            }
        }
        folder.hidden = Hidden { from: cookie, to: at };
        Err(Error::Unfinished)
    }

    /// Entries of its own; `mark` is set in their cookies.
    fn own_entries(&self, id: Id, cookie: u64, most: usize, mark: u64) -> Vec<Entry> {
        let entry = |(cookie, name, id): (u64, &Arc<str>, Id)| {
            let node = self.node(id);
            let (kind, inode) = (node.kind(), node.identity.1);
            Entry { name: name.to_string(), inode, kind, next: mark | (cookie + 1) }
        };
        let folder = self.node(id).folder();
        let entries = folder.into_iter().flat_map(|folder| folder.entries.nodes_from(cookie));
        entries.take(most).map(entry).collect()
    }

    /// Sets times.
    pub(super) fn set_times(&mut self, id: Id, times: SetTimes) -> Result<()> {
        self.change(id)?;
        let now = self.now();
        let node = self.node_mut(id);
        times.accessed.set(&mut node.accessed, now);
        times.modified.set(&mut node.modified, now);
        node.status_changed = now;
        Ok(())
    }
}
