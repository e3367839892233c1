//! Operations on names.

use super::adopt::Place;
use super::entries::{Entries, Target};
use super::node::{Content, Data, Folder, Id};
use super::tree::Tree;
use crate::files::path::MAX_PATH;
use crate::files::walk::{Last, Name, Place as Walked, Tree as _, walk};
use crate::files::{Error, FileType, Follow, OpenOptions, Result};

impl Tree {
    /// The place that a path leads to.
    pub(super) fn walk(&self, base: Id, path: &str, last: Last) -> Result<Walked<Place>> {
        walk(self, Place::Own(base), path, last)
    }

    /// The thing at a path.
    pub(super) fn found(&self, base: Id, path: &str, follow: Follow) -> Result<Place> {
        self.walk(base, path, Last::Looked(follow))?.found()
    }

    /// Opens what is at a path; its node.
    pub(super) fn open_at(&mut self, base: Id, path: &str, options: OpenOptions) -> Result<Id> {
        let OpenOptions { write, create, exclusive, truncate, directory, follow, .. } = options;
        let last = match (create, exclusive) {
            (true, true) => Last::Named,
            (true, false) => Last::Created(follow),
            (false, _) => Last::Looked(follow),
        };
        let at = self.walk(base, path, last)?;
        if create && at.slash && matches!(at.name, Name::Normal(_)) {
            return Err(Error::IsDirectory);
        }
        let Some(place) = &at.node else {
            if !create {
                return Err(Error::NotFound);
            }
            return self.add(&at, Content::File(Data::Own(Default::default())));
        };
        if create && exclusive {
            return Err(Error::Exists);
        }
        match self.kind(place) {
            FileType::Directory if create || truncate || write && !directory => {
                Err(Error::IsDirectory)
            }
            FileType::Directory => self.adopt(place),
            _ if directory => Err(Error::NotDirectory),
            FileType::Regular => {
                let id = self.adopt(place)?;
                if truncate {
                    self.set_size(id, 0)?;
                }
                Ok(id)
            }
            FileType::Symlink => Err(Error::Loop),
            _ => Err(Error::Access),
        }
    }

    /// Gives a new node the name that a path ends with.
    fn add(&mut self, at: &Walked<Place>, content: Content) -> Result<Id> {
        let Name::Normal(name) = &at.name else { return Err(Error::Exists) };
        let parent = self.parent(at)?;
        self.take(Entries::cost(name))?;
        let created = self.create(content);
        let id = created.inspect_err(|_| self.left.bytes += Entries::cost(name))?;
        if let Some(folder) = self.node_mut(id).folder_mut() {
            folder.parent = Some(parent);
        }
        self.set_entry(parent, name, id);
        Ok(id)
    }

    /// The directory with the last name of a path, to be changed.
    fn parent(&mut self, at: &Walked<Place>) -> Result<Id> {
        let parent = self.changing(at.above.last().ok_or(Error::Escapes)?)?;
        // It may be open still, and have no name any more.
        if self.node(parent).links == 0 { Err(Error::NotFound) } else { Ok(parent) }
    }

    /// Sets an entry for which room was taken.
    fn set_entry(&mut self, directory: Id, name: &str, node: Id) {
        let Some(folder) = self.modified(directory).folder_mut() else { return };
        if !folder.entries.set(name, Target::Node(node)) {
            self.left.bytes += Entries::cost(name);
        }
    }

    /// Removes an entry, and what the directory below has of this name.
    fn hide(&mut self, directory: Id, name: &str) -> Result<()> {
        let whiteout = self.is_below(directory, name)?;
        if whiteout {
            self.take(Entries::cost(name))?;
        }
        let Some(folder) = self.modified(directory).folder_mut() else { return Ok(()) };
        let had_entry = folder.entries.get(name).is_some();
        if whiteout {
            folder.entries.set(name, Target::Whiteout);
        } else {
            folder.entries.remove(name);
        }
        if had_entry {
            self.left.bytes += Entries::cost(name);
        }
        Ok(())
    }

    /// Takes a name from what was there.
    fn unname_place(&mut self, place: &Place) {
        match place {
            Place::Own(id) => self.unname(*id),
            // Its other names have one less, if there is room to know it.
            Place::Lower(lower) if lower.stat.links > 1 && lower.stat.kind == FileType::Regular => {
                if let Ok(id) = self.changing(place) {
                    self.unname(id);
                }
            }
            Place::Lower(_) => {}
        }
    }

    pub(super) fn create_directory(&mut self, base: Id, path: &str) -> Result<()> {
        let at = self.walk(base, path, Last::Named)?;
        if at.node.is_some() {
            return Err(Error::Exists);
        }
        self.add(&at, Content::Directory(Folder::default())).map(drop)
    }

    pub(super) fn symlink(&mut self, target: &str, base: Id, path: &str) -> Result<()> {
        let at = self.walk(base, path, Last::Named)?;
        if target.is_empty() {
            return Err(Error::NotFound);
        }
        if target.len() > MAX_PATH {
            return Err(Error::NameTooLong);
        }
        check_free(&at)?;
        self.add(&at, Content::Link(target.to_owned())).map(drop)
    }

    pub(super) fn remove_directory(&mut self, base: Id, path: &str) -> Result<()> {
        let at = self.walk(base, path, Last::Named)?;
        let name = match &at.name {
            Name::Normal(name) => name,
            Name::Dot => return Err(Error::Invalid),
            Name::DotDot => return Err(Error::NotEmpty),
        };
        let place = at.node.as_ref().ok_or(Error::NotFound)?;
        if self.kind(place) != FileType::Directory {
            return Err(Error::NotDirectory);
        }
        if !self.is_empty(place)? {
            return Err(Error::NotEmpty);
        }
        let parent = self.parent(&at)?;
        self.hide(parent, name)?;
        self.unname_place(place);
        Ok(())
    }

    pub(super) fn unlink(&mut self, base: Id, path: &str) -> Result<()> {
        let at = self.walk(base, path, Last::Named)?;
        let Name::Normal(name) = &at.name else { return Err(Error::IsDirectory) };
        let place = at.node.as_ref().ok_or(Error::NotFound)?;
        match self.kind(place) {
            FileType::Directory => return Err(Error::IsDirectory),
            _ if at.slash => return Err(Error::NotDirectory),
            _ => {}
        }
        let parent = self.parent(&at)?;
        self.hide(parent, name)?;
        self.unname_place(place);
        Ok(())
    }

    pub(super) fn link(
        &mut self,
        (base, path, follow): (Id, &str, Follow),
        new_base: Id,
        new_path: &str,
    ) -> Result<()> {
        let place = self.found(base, path, follow)?;
        let at = self.walk(new_base, new_path, Last::Named)?;
        check_free(&at)?;
        if self.kind(&place) == FileType::Directory {
            return Err(Error::NotPermitted);
        }
        let Name::Normal(name) = &at.name else { return Err(Error::Exists) };
        let parent = self.parent(&at)?;
        let id = self.changing(&place)?;
        self.take(Entries::cost(name))?;
        let now = self.now();
        let node = self.node_mut(id);
        node.links += 1;
        node.status_changed = now;
        self.set_entry(parent, name, id);
        Ok(())
    }

    pub(super) fn rename(
        &mut self,
        (base, path): (Id, &str),
        (new_base, new_path): (Id, &str),
    ) -> Result<()> {
        let old = self.walk(base, path, Last::Named)?;
        let new = self.walk(new_base, new_path, Last::Named)?;
        let (Name::Normal(name), Name::Normal(new_name)) = (&old.name, &new.name) else {
            return Err(Error::Busy);
        };
        let moved = old.node.as_ref().ok_or(Error::NotFound)?;
        if !self.check_rename(&old, moved, &new)? {
            return Ok(());
        }
        let (from, to) = (self.parent(&old)?, self.parent(&new)?);
        let id = self.changing(moved)?;
        self.take(Entries::cost(new_name))?;
        if let Err(error) = self.hide(from, name) {
            self.left.bytes += Entries::cost(new_name);
            return Err(error);
        }
        self.set_entry(to, new_name, id);
        let now = self.now();
        let node = self.node_mut(id);
        node.status_changed = now;
        if let Some(folder) = node.folder_mut() {
            folder.parent = Some(to);
        }
        if let Some(replaced) = &new.node {
            self.unname_place(replaced);
        }
        Ok(())
    }

    /// Whether there is anything to rename: two names of one file stay.
    fn check_rename(
        &mut self,
        old: &Walked<Place>,
        moved: &Place,
        new: &Walked<Place>,
    ) -> Result<bool> {
        let is_directory = self.kind(moved) == FileType::Directory;
        if !is_directory && (old.slash || new.slash) {
            return Err(Error::NotDirectory);
        }
        if is_directory && self.is_inside(new, moved) {
            return Err(Error::Invalid);
        }
        if let Some(replaced) = &new.node {
            if self.is_inside(old, replaced) {
                return Err(Error::NotEmpty);
            }
            if self.identity(moved) == self.identity(replaced) {
                return Ok(false);
            }
            match (is_directory, self.kind(replaced) == FileType::Directory) {
                (true, false) => return Err(Error::NotDirectory),
                (false, true) => return Err(Error::IsDirectory),
                (true, true) if !self.is_empty(replaced)? => return Err(Error::NotEmpty),
                _ => {}
            }
        }
        if is_directory && self.is_merged(moved) { Err(Error::CrossDevice) } else { Ok(true) }
    }

    /// Whether a place is inside of a directory.
    fn is_inside(&self, place: &Walked<Place>, directory: &Place) -> bool {
        let identity = self.identity(directory);
        if place.above.iter().any(|above| self.identity(above) == identity) {
            return true;
        }
        // Where the path began is inside of other directories. One that has something below never moves.
        let mut above = match place.above.first() {
            Some(Place::Own(id)) => Some(*id),
            _ => None,
        };
        while let Some(id) = above {
            let node = self.node(id);
            if node.identity == identity {
                return true;
            }
            above = node.folder().and_then(|folder| folder.parent);
        }
        false
    }

    /// Whether a directory has another one below it.
    fn is_merged(&self, directory: &Place) -> bool {
        match directory {
            Place::Lower(_) => true,
            Place::Own(id) => self.node(*id).folder().is_some_and(|folder| folder.lower.is_some()),
        }
    }

    fn is_empty(&mut self, directory: &Place) -> Result<bool> {
        match directory {
            Place::Own(id) => Ok(self.list(*id, 0, 1)?.is_empty()),
            Place::Lower(lower) => lower.is_empty_directory(),
        }
    }
}

/// Whether a place is free for a name that is no directory's.
fn check_free(at: &Walked<Place>) -> Result<()> {
    match (&at.node, at.slash) {
        (Some(_), _) => Err(Error::Exists),
        (None, true) => Err(Error::NotFound),
        (None, false) => Ok(()),
    }
}
