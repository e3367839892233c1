//! `path_open`.

use super::errno::{Errno, Failure};
use super::flags::Flags;
use super::guest::{self, Guest, GuestPtr};
use super::rights::Rights;
use super::stat::follow;
use crate::files::{Node, OpenOptions};
use crate::table::{Descriptor, Object};
use crate::work::work;

/// `oflags`: make a file if there is nothing.
const CREAT: u32 = 1 << 0;
/// `oflags`: fail if it is no directory.
const DIRECTORY: u32 = 1 << 1;
/// `oflags`: fail if there is something.
const EXCL: u32 = 1 << 2;
/// `oflags`: make the file empty.
const TRUNC: u32 = 1 << 3;

#[allow(clippy::too_many_arguments, reason = "preview1 has as many")]
pub(super) fn path_open(
    guest: &mut Guest<'_>,
    fd: u32,
    dir_flags: u32,
    path: GuestPtr,
    path_len: u32,
    open_flags: u32,
    base: u64,
    inheriting: u64,
    fd_flags: u32,
    opened: GuestPtr,
) -> Result<(), Failure> {
    let (base, inheriting) = (Rights::from(base), Rights::from(inheriting));
    let directory = guest.wasi().table.directory(fd, Rights::PATH_OPEN)?;
    let flags = Flags::new(fd_flags)?;
    check_rights(guest, fd, open_flags, base | inheriting, flags)?;
    let path = guest::path(guest, path, path_len)?;
    guest::bytes(guest, opened.slice(4))?;
    guest.wasi().table.check_room()?;
    let options = OpenOptions {
        read: base.has(Rights::FD_READ),
        write: base.has_any(Rights::WRITING),
        create: open_flags & CREAT != 0,
        exclusive: open_flags & EXCL != 0,
        truncate: open_flags & TRUNC != 0,
        directory: open_flags & DIRECTORY != 0,
        follow: follow(dir_flags),
    };
    let origin = guest.wasi().table.origin(fd, &path, options.read, options.write);
    let blocks = directory.blocks();
    work(
        guest,
        blocks,
        move || directory.open(&path, options),
        move |guest, node| {
            let descriptor = Descriptor { origin, ..descriptor(node?, base, inheriting, flags) };
            let number = guest.wasi().table.insert(descriptor)?;
            Ok(guest::write_u32(guest, opened, number)?)
        },
    )
}

/// Whether a directory lets something be opened like this through it.
fn check_rights(
    guest: &mut Guest<'_>,
    fd: u32,
    open_flags: u32,
    wanted: Rights,
    flags: Flags,
) -> Result<(), Errno> {
    if open_flags & !(CREAT | DIRECTORY | EXCL | TRUNC) != 0 {
        return Err(Errno::Inval);
    }
    let Descriptor { rights, inheriting, .. } = guest.wasi().table.get(fd)?;
    if open_flags & CREAT != 0 {
        rights.check(Rights::PATH_CREATE_FILE)?;
    }
    if open_flags & TRUNC != 0 {
        rights.check(Rights::PATH_FILESTAT_SET_SIZE)?;
    }
    if flags.has(Flags::DSYNC) {
        inheriting.check(Rights::FD_DATASYNC)?;
    }
    if flags.has(Flags::SYNC) || flags.has(Flags::RSYNC) {
        inheriting.check(Rights::FD_SYNC)?;
    }
    // Rights that neither a file nor a directory can have are asked for by programs that ask for all.
    inheriting.check(wanted.and(Rights::FILE | Rights::DIRECTORY))
}

fn descriptor(node: Node, base: Rights, inheriting: Rights, flags: Flags) -> Descriptor {
    let (object, rights, inheriting) = match node {
        Node::File(file) => {
            (Object::File { file, position: 0 }, base.and(Rights::FILE), Rights::NONE)
        }
        Node::Directory(directory) => {
            let inheriting = inheriting.and(Rights::FILE | Rights::DIRECTORY);
            (Object::Directory { directory, name: None }, base.and(Rights::DIRECTORY), inheriting)
        }
    };
    Descriptor { flags, ..Descriptor::new(object, rights, inheriting) }
}
