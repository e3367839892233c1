//! `path_*`: names that come, go and change.

use super::errno::{Errno, Failure};
use super::guest::{self, Guest, GuestPtr};
use super::rights::Rights;
use super::stat::follow;
use crate::files::{self, Directory};
use crate::work::{done, work};
use std::sync::Arc;

/// Does something with a path that begins at the directory `fd`.
fn at_path(
    guest: &mut Guest<'_>,
    fd: u32,
    rights: Rights,
    (path, path_len): (GuestPtr, u32),
    job: impl FnOnce(&dyn Directory, &str) -> files::Result<()> + Send + 'static,
) -> Result<(), Failure> {
    let directory = guest.wasi().table.directory(fd, rights)?;
    let path = guest::path(guest, path, path_len)?;
    let blocks = directory.blocks();
    work(guest, blocks, move || job(&*directory, &path), done)
}

pub(super) fn path_create_directory(
    guest: &mut Guest<'_>,
    fd: u32,
    path: GuestPtr,
    path_len: u32,
) -> Result<(), Failure> {
    let create = |directory: &dyn Directory, path: &str| directory.create_directory(path);
    at_path(guest, fd, Rights::PATH_CREATE_DIRECTORY, (path, path_len), create)
}

pub(super) fn path_remove_directory(
    guest: &mut Guest<'_>,
    fd: u32,
    path: GuestPtr,
    path_len: u32,
) -> Result<(), Failure> {
    let remove = |directory: &dyn Directory, path: &str| directory.remove_directory(path);
    at_path(guest, fd, Rights::PATH_REMOVE_DIRECTORY, (path, path_len), remove)
}

pub(super) fn path_unlink_file(
    guest: &mut Guest<'_>,
    fd: u32,
    path: GuestPtr,
    path_len: u32,
) -> Result<(), Failure> {
    let unlink = |directory: &dyn Directory, path: &str| directory.unlink(path);
    at_path(guest, fd, Rights::PATH_UNLINK_FILE, (path, path_len), unlink)
}

pub(super) fn path_symlink(
    guest: &mut Guest<'_>,
    old: GuestPtr,
    old_len: u32,
    fd: u32,
    new: GuestPtr,
    new_len: u32,
) -> Result<(), Failure> {
    guest.wasi().table.directory(fd, Rights::PATH_SYMLINK)?;
    let target = guest::path(guest, old, old_len)?;
    let symlink = move |directory: &dyn Directory, path: &str| directory.symlink(&target, path);
    at_path(guest, fd, Rights::PATH_SYMLINK, (new, new_len), symlink)
}

/// Two paths, each with the directory it begins at.
struct Two {
    old: (Arc<dyn Directory>, String),
    new: (Arc<dyn Directory>, String),
}

impl Two {
    /// Whether one of the directories may block.
    fn blocks(&self) -> bool {
        self.old.0.blocks() || self.new.0.blocks()
    }
}

fn two(
    guest: &mut Guest<'_>,
    (old_fd, old_rights): (u32, Rights),
    (old, old_len): (GuestPtr, u32),
    (new_fd, new_rights): (u32, Rights),
    (new, new_len): (GuestPtr, u32),
) -> Result<Two, Errno> {
    let table = &mut guest.wasi().table;
    let old_directory = table.directory(old_fd, old_rights)?;
    let new_directory = table.directory(new_fd, new_rights)?;
    let old = guest::path(guest, old, old_len)?;
    let new = guest::path(guest, new, new_len)?;
    Ok(Two { old: (old_directory, old), new: (new_directory, new) })
}

#[allow(clippy::too_many_arguments, reason = "preview1 has as many")]
pub(super) fn path_link(
    guest: &mut Guest<'_>,
    old_fd: u32,
    old_flags: u32,
    old: GuestPtr,
    old_len: u32,
    new_fd: u32,
    new: GuestPtr,
    new_len: u32,
) -> Result<(), Failure> {
    let from = (old_fd, Rights::PATH_LINK_SOURCE);
    let to = (new_fd, Rights::PATH_LINK_TARGET);
    let paths = two(guest, from, (old, old_len), to, (new, new_len))?;
    let (blocks, follow) = (paths.blocks(), follow(old_flags));
    let link = move || {
        let Two { old: (old_directory, old), new: (new_directory, new) } = paths;
        old_directory.link(&old, follow, &*new_directory, &new)
    };
    work(guest, blocks, link, done)
}

pub(super) fn path_rename(
    guest: &mut Guest<'_>,
    old_fd: u32,
    old: GuestPtr,
    old_len: u32,
    new_fd: u32,
    new: GuestPtr,
    new_len: u32,
) -> Result<(), Failure> {
    let from = (old_fd, Rights::PATH_RENAME_SOURCE);
    let to = (new_fd, Rights::PATH_RENAME_TARGET);
    let paths = two(guest, from, (old, old_len), to, (new, new_len))?;
    let blocks = paths.blocks();
    let rename = move || {
        let Two { old: (old_directory, old), new: (new_directory, new) } = paths;
        old_directory.rename(&old, &*new_directory, &new)
    };
    work(guest, blocks, rename, done)
}

/// Writes the target of a symlink, as much of it as there is room for, without a NUL behind it.
pub(super) fn path_readlink(
    guest: &mut Guest<'_>,
    fd: u32,
    path: GuestPtr,
    path_len: u32,
    buf: GuestPtr,
    buf_len: u32,
    used: GuestPtr,
) -> Result<(), Failure> {
    let directory = guest.wasi().table.directory(fd, Rights::PATH_READLINK)?;
    let path = guest::path(guest, path, path_len)?;
    guest::bytes(guest, buf.slice(buf_len))?;
    guest::bytes(guest, used.slice(4))?;
    let blocks = directory.blocks();
    work(
        guest,
        blocks,
        move || directory.read_link(&path),
        move |guest, target| {
            let target = target?;
            let len = target.len().min(buf_len as usize);
            guest::write(guest, buf, &target.as_bytes()[..len])?;
            Ok(guest::write_u32(guest, used, len as u32)?)
        },
    )
}
