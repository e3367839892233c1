//! What a guest does with directories of the host.

use super::file::HostFile;
use super::{ALWAYS, HostDirectory, list, path_of, stat, timestamps};
use crate::files::path::split;
use crate::files::{Directory, Entry, Error, Follow, Node, OpenOptions, Result, SetTimes, Stat};
use rustix::fs::{self, AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use std::any::Any;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

impl HostDirectory {
    /// Opens a path of a tree that must not change.
    fn open_read_only(&self, path: &str, options: OpenOptions) -> Result<Node> {
        let OpenOptions { write, create, exclusive, truncate, directory, .. } = options;
        if create && !exclusive && !write && !truncate {
            let existing = OpenOptions { create: false, ..options };
            return match self.open_with(path, existing) {
                Err(Error::NotFound) => Err(self.cannot_create(path)),
                result => result,
            };
        }
        if create || truncate || write && !directory {
            // Errors of the path come first, as they do where something may change.
            let exists = self.located(path, options.follow).map(drop);
            return Err(match exists {
                Ok(()) if create && exclusive => Error::Exists,
                Ok(()) => Error::ReadOnly,
                Err(Error::NotFound) if create => self.cannot_create(path),
                Err(error) => error,
            });
        }
        self.open_with(path, options)
    }

    /// The error of making something that is not there.
    fn cannot_create(&self, path: &str) -> Error {
        self.parent(path).err().unwrap_or(Error::ReadOnly)
    }

    fn open_with(&self, path: &str, options: OpenOptions) -> Result<Node> {
        let descriptor = self.beneath(path, flags(options))?;
        match fs::FileType::from_raw_mode(fs::fstat(&descriptor)?.st_mode) {
            fs::FileType::RegularFile => {
                Ok(Node::File(Arc::new(HostFile::new(descriptor, self.read_only))))
            }
            fs::FileType::Directory => {
                Ok(Node::Directory(Arc::new(HostDirectory::new(descriptor, self.read_only))))
            }
            _ => Err(Error::Access),
        }
    }

    /// The directory, if it is one of the host.
    fn of(directory: &dyn Directory) -> Result<&HostDirectory> {
        (directory as &dyn Any).downcast_ref().ok_or(Error::CrossDevice)
    }
}

/// Flags of `open(2)`.
fn flags(options: OpenOptions) -> OFlags {
    let OpenOptions { read, write, create, exclusive, truncate, directory, follow } = options;
    let access = match (read, write && !directory) {
        (_, false) => OFlags::RDONLY,
        (false, true) => OFlags::WRONLY,
        (true, true) => OFlags::RDWR,
    };
    let mut flags = ALWAYS | access;
    flags.set(OFlags::CREATE, create);
    flags.set(OFlags::EXCL, create && exclusive);
    flags.set(OFlags::TRUNC, truncate);
    flags.set(OFlags::DIRECTORY, directory);
    flags.set(OFlags::NOFOLLOW, follow == Follow::No);
    flags
}

impl Directory for HostDirectory {
    fn blocks(&self) -> bool {
        true
    }

    fn open(&self, path: &str, options: OpenOptions) -> Result<Node> {
        if options.create && options.directory {
            return Err(Error::Invalid);
        }
        if self.read_only {
            self.open_read_only(path, options)
        } else {
            self.open_with(path, options)
        }
    }

    fn stat(&self) -> Result<Stat> {
        stat(&self.descriptor)
    }

    fn stat_at(&self, path: &str, follow: Follow) -> Result<Stat> {
        stat(self.located(path, follow)?)
    }

    fn set_times(&self, times: SetTimes) -> Result<()> {
        self.check_writable()?;
        Ok(fs::futimens(&self.descriptor, &timestamps(times))?)
    }

    fn set_times_at(&self, path: &str, follow: Follow, times: SetTimes) -> Result<()> {
        let file = self.located(path, follow)?;
        self.check_writable()?;
        Ok(fs::utimensat(file, "", &timestamps(times), AtFlags::EMPTY_PATH)?)
    }

    fn list(&self, cookie: u64, most: usize) -> Result<Vec<Entry>> {
        let _position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        list::list(self.descriptor.as_fd(), cookie, most)
    }

    fn create_directory(&self, path: &str) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        if self.read_only {
            return Err(match self.located(path, Follow::No) {
                Ok(_) => Error::Exists,
                Err(_) => Error::ReadOnly,
            });
        }
        Ok(fs::mkdirat(parent, name, Mode::from(0o777))?)
    }

    fn remove_directory(&self, path: &str) -> Result<()> {
        let (parent, name) = self.changing(path)?;
        Ok(fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
    }

    fn unlink(&self, path: &str) -> Result<()> {
        let (parent, name) = self.changing(path)?;
        Ok(fs::unlinkat(parent, name, AtFlags::empty())?)
    }

    fn rename(&self, path: &str, new: &dyn Directory, new_path: &str) -> Result<()> {
        let (old_parent, old_name) = self.changing(path)?;
        let (new_parent, new_name) = HostDirectory::of(new)?.changing(new_path)?;
        Ok(fs::renameat(old_parent, old_name, new_parent, new_name)?)
    }

    fn link(&self, path: &str, follow: Follow, new: &dyn Directory, new_path: &str) -> Result<()> {
        // Following is in opening: the file is linked by the kernel's name for its descriptor. A slash
        // at the end follows too; a directory, which has to be there then, cannot be linked.
        let follow = if split(path)?.is_directory() { Follow::Yes } else { follow };
        let (old_parent, old_name) = self.changing(path)?;
        let (new_parent, new_name) = HostDirectory::of(new)?.changing(new_path)?;
        if follow == Follow::No {
            let linked = fs::linkat(old_parent, old_name, new_parent, new_name, AtFlags::empty());
            return Ok(linked?);
        }
        let file = self.located(path, Follow::Yes)?;
        let by_descriptor = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(fs::linkat(CWD, by_descriptor, new_parent, new_name, AtFlags::SYMLINK_FOLLOW)?)
    }

    fn symlink(&self, target: &str, path: &str) -> Result<()> {
        if target.starts_with('/') {
            return Err(Error::Escapes);
        }
        let (parent, name) = self.changing(path)?;
        Ok(fs::symlinkat(target, parent, name)?)
    }

    fn read_link(&self, path: &str) -> Result<String> {
        let link = self.located(path, Follow::No)?;
        let target = match fs::readlinkat(link, "", Vec::new()) {
            // The kernel's answer for a descriptor of anything but a symlink.
            Err(Errno::NOENT) => return Err(Error::Invalid),
            target => target?,
        };
        let target = target.into_string().map_err(|_| Error::IllegalName)?;
        if target.starts_with('/') { Err(Error::Escapes) } else { Ok(target) }
    }

    fn host_path(&self) -> Option<PathBuf> {
        path_of(&self.descriptor)
    }

    fn sync(&self) -> Result<()> {
        Ok(fs::fsync(&self.descriptor)?)
    }
}
