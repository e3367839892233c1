//! `fd_advise`, `fd_allocate`, `fd_sync`, `fd_datasync`, `fd_filestat_set_size`: what files take and
//! when it is on the disk.

use super::errno::{Errno, Failure};
use super::guest::Guest;
use super::rights::Rights;
use crate::files::{Advice, Durability};
use crate::table::Object;
use crate::wait::Wait;
use crate::work::{done, work};

pub(super) fn fd_advise(
    guest: &mut Guest<'_>,
    fd: u32,
    offset: u64,
    len: u64,
    advice: u32,
) -> Result<(), Failure> {
    let advice = match advice {
        0 => Advice::Normal,
        1 => Advice::Sequential,
        2 => Advice::Random,
        3 => Advice::WillNeed,
        4 => Advice::DontNeed,
        5 => Advice::NoReuse,
        _ => return Err(Errno::Inval.into()),
    };
    let file = seekable(guest, fd, Rights::FD_ADVISE)?;
    check_range(offset, len)?;
    work(guest, file.blocks(), move || file.advise(offset, len, advice), done)
}

pub(super) fn fd_allocate(
    guest: &mut Guest<'_>,
    fd: u32,
    offset: u64,
    len: u64,
) -> Result<(), Failure> {
    let file = seekable(guest, fd, Rights::FD_ALLOCATE)?;
    if len == 0 {
        return Err(Errno::Inval.into());
    }
    if check_range(offset, len).is_err() {
        return Err(Errno::Fbig.into());
    }
    let done = *guest.progress();
    let blocks = file.blocks();
    let rest = move || file.allocate(offset + done, len - done);
    work(guest, blocks, rest, move |guest, allocated| {
        *guest.progress() = done + allocated?;
        if *guest.progress() >= len { Ok(()) } else { Err(Wait::Turn.into()) }
    })
}

/// The file that a descriptor stands for; a stream has no offsets.
fn seekable(
    guest: &mut Guest<'_>,
    fd: u32,
    rights: Rights,
) -> Result<std::sync::Arc<dyn crate::files::File>, Errno> {
    match &guest.wasi().table.get(fd)?.object {
        Object::File { .. } | Object::Directory { .. } => guest.wasi().table.file(fd, rights),
        _ => Err(Errno::Spipe),
    }
}

/// Offsets are at most 2^63 - 1.
fn check_range(offset: u64, len: u64) -> Result<(), Errno> {
    let is_good = offset.checked_add(len).is_some_and(|end| end <= i64::MAX as u64);
    if is_good { Ok(()) } else { Err(Errno::Inval) }
}

pub(super) fn fd_filestat_set_size(
    guest: &mut Guest<'_>,
    fd: u32,
    size: u64,
) -> Result<(), Failure> {
    let file = guest.wasi().table.file(fd, Rights::FD_FILESTAT_SET_SIZE)?;
    check_range(size, 0)?;
    work(guest, file.blocks(), move || file.set_size(size), done)
}

pub(super) fn fd_sync(guest: &mut Guest<'_>, fd: u32) -> Result<(), Failure> {
    sync(guest, fd, Rights::FD_SYNC, Durability::File)
}

pub(super) fn fd_datasync(guest: &mut Guest<'_>, fd: u32) -> Result<(), Failure> {
    sync(guest, fd, Rights::FD_DATASYNC, Durability::Data)
}

/// Waits for the disk. A stream has none: `EINVAL`, as with `fsync(2)` on a pipe.
fn sync(
    guest: &mut Guest<'_>,
    fd: u32,
    rights: Rights,
    durability: Durability,
) -> Result<(), Failure> {
    match &guest.wasi().table.get(fd)?.object {
        Object::File { .. } => {
            let file = guest.wasi().table.file(fd, rights)?;
            work(guest, file.blocks(), move || file.sync(durability), done)
        }
        Object::Directory { .. } => {
            let directory = guest.wasi().table.directory(fd, rights)?;
            work(guest, directory.blocks(), move || directory.sync(), done)
        }
        _ => Err(Errno::Inval.into()),
    }
}
