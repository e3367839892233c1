//! `*_filestat_*`: type, size and times of files.

use super::descriptors;
use super::errno::{Errno, Failure};
use super::guest::{self, Guest, GuestPtr};
use super::rights::Rights;
use crate::files::{self, FileType, Follow, SetTime, SetTimes, Stat, Timestamp};
use crate::table::Object;
use crate::work::{done, work};

/// `lookupflags`: follow a symlink at the end of the path.
const SYMLINK_FOLLOW: u32 = 1;

/// Writes a `filestat`, in the layout of a version of the interface.
pub(super) type WriteStat = fn(&mut Guest<'_>, GuestPtr, &Stat) -> Result<(), Errno>;

/// `lookupflags` as they are meant. Bits that mean nothing are not looked at, as other hosts do.
pub(super) fn follow(flags: u32) -> Follow {
    if flags & SYMLINK_FOLLOW != 0 { Follow::Yes } else { Follow::No }
}

/// The number of a file type in preview1.
pub(super) fn file_type(kind: FileType) -> u8 {
    match kind {
        FileType::Unknown => 0,
        FileType::BlockDevice => 1,
        FileType::CharacterDevice => 2,
        FileType::Directory => 3,
        FileType::Regular => 4,
        FileType::SocketDatagram => 5,
        FileType::SocketStream => 6,
        FileType::Symlink => 7,
    }
}

/// Writes a `filestat` of preview1: device (u64), inode (u64 at 8), file type (u8 at 16), links (u64 at
/// 24), size (u64 at 32), times of access, modification and change (u64 each, at 40, 48 and 56).
fn write_stat(guest: &mut Guest<'_>, at: GuestPtr, stat: &Stat) -> Result<(), Errno> {
    let mut record = [0; 64];
    let mut put = |at: usize, value: u64| record[at..at + 8].copy_from_slice(&value.to_le_bytes());
    put(0, stat.device);
    put(8, stat.inode);
    put(24, stat.links);
    put(32, stat.size);
    put(40, stat.accessed.0);
    put(48, stat.modified.0);
    put(56, stat.changed.0);
    record[16] = file_type(stat.kind);
    guest::write(guest, at, &record)
}

pub(super) fn fd_filestat_get(
    guest: &mut Guest<'_>,
    fd: u32,
    stat: GuestPtr,
) -> Result<(), Failure> {
    fd_stat(guest, fd, stat, write_stat)
}

/// Tells the guest of what a descriptor stands for. A stream has nothing but its type.
pub(super) fn fd_stat(
    guest: &mut Guest<'_>,
    fd: u32,
    result: GuestPtr,
    write: WriteStat,
) -> Result<(), Failure> {
    let descriptor = guest.wasi().table.get(fd)?;
    descriptor.rights.check(Rights::FD_FILESTAT_GET)?;
    let then =
        move |guest: &mut Guest<'_>, stat: files::Result<Stat>| Ok(write(guest, result, &stat?)?);
    match &descriptor.object {
        Object::File { file, .. } => {
            let file = file.clone();
            work(guest, file.blocks(), move || file.stat(), then)
        }
        Object::Directory { directory, .. } => {
            let directory = directory.clone();
            work(guest, directory.blocks(), move || directory.stat(), then)
        }
        _ => {
            let stat = stream_stat(descriptors::kind(descriptor));
            then(guest, Ok(stat))
        }
    }
}

/// The rest of a function after the `filestat` is known.
fn told(
    result: GuestPtr,
    write: WriteStat,
) -> impl FnOnce(&mut Guest<'_>, files::Result<Stat>) -> Result<(), Failure> + Send + 'static {
    move |guest, stat| Ok(write(guest, result, &stat?)?)
}

fn stream_stat(kind: FileType) -> Stat {
    let never = Timestamp::default();
    let (accessed, modified, changed) = (never, never, never);
    Stat { device: 0, inode: 0, kind, links: 0, size: 0, accessed, modified, changed }
}

pub(super) fn path_filestat_get(
    guest: &mut Guest<'_>,
    fd: u32,
    flags: u32,
    path: GuestPtr,
    path_len: u32,
    stat: GuestPtr,
) -> Result<(), Failure> {
    path_stat(guest, fd, flags, (path, path_len), stat, write_stat)
}

/// Tells the guest of what is at a path.
pub(super) fn path_stat(
    guest: &mut Guest<'_>,
    fd: u32,
    flags: u32,
    (path, path_len): (GuestPtr, u32),
    result: GuestPtr,
    write: WriteStat,
) -> Result<(), Failure> {
    let directory = guest.wasi().table.directory(fd, Rights::PATH_FILESTAT_GET)?;
    let path = guest::path(guest, path, path_len)?;
    let (blocks, follow) = (directory.blocks(), follow(flags));
    work(guest, blocks, move || directory.stat_at(&path, follow), told(result, write))
}

/// `fstflags` and times as they are meant: for each time a bit for the value given, and one for the
/// present.
fn set_times(accessed: u64, modified: u64, flags: u32) -> Result<SetTimes, Errno> {
    if flags & !0b1111 != 0 {
        return Err(Errno::Inval);
    }
    let time = |value, bits: u32| match bits & 0b11 {
        0b00 => Ok(SetTime::Keep),
        0b01 => Ok(SetTime::To(Timestamp(value))),
        0b10 => Ok(SetTime::Now),
        _ => Err(Errno::Inval),
    };
    Ok(SetTimes { accessed: time(accessed, flags)?, modified: time(modified, flags >> 2)? })
}

pub(super) fn fd_filestat_set_times(
    guest: &mut Guest<'_>,
    fd: u32,
    accessed: u64,
    modified: u64,
    flags: u32,
) -> Result<(), Failure> {
    let descriptor = guest.wasi().table.get(fd)?;
    let object = match &descriptor.object {
        Object::File { file, .. } => Ok(file.clone()),
        Object::Directory { directory, .. } => Err(directory.clone()),
        _ => return Err(Errno::Badf.into()),
    };
    descriptor.rights.check(Rights::FD_FILESTAT_SET_TIMES)?;
    let times = set_times(accessed, modified, flags)?;
    match object {
        Ok(file) => work(guest, file.blocks(), move || file.set_times(times), done),
        Err(directory) => work(guest, directory.blocks(), move || directory.set_times(times), done),
    }
}

#[allow(clippy::too_many_arguments, reason = "preview1 has as many")]
pub(super) fn path_filestat_set_times(
    guest: &mut Guest<'_>,
    fd: u32,
    flags: u32,
    path: GuestPtr,
    path_len: u32,
    accessed: u64,
    modified: u64,
    set_flags: u32,
) -> Result<(), Failure> {
    let directory = guest.wasi().table.directory(fd, Rights::PATH_FILESTAT_SET_TIMES)?;
    let path = guest::path(guest, path, path_len)?;
    let times = set_times(accessed, modified, set_flags)?;
    let (blocks, follow) = (directory.blocks(), follow(flags));
    work(guest, blocks, move || directory.set_times_at(&path, follow, times), done)
}
