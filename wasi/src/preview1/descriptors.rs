//! `fd_*` on descriptors of all kinds: status, flags, rights, position, number.

use super::errno::{Errno, Failure};
use super::flags::Flags;
use super::guest::{self, Guest, GuestPtr};
use super::rights::Rights;
use super::stat::file_type;
use crate::files::FileType;
use crate::table::{Descriptor, Object};
use crate::work::work;
use std::io::IsTerminal;
use std::os::fd::AsFd;

/// `filetype` of a descriptor. A stream that is no terminal is of unknown type.
pub(super) fn kind(descriptor: &Descriptor) -> FileType {
    let stream = match &descriptor.object {
        Object::File { .. } => return FileType::Regular,
        Object::Directory { .. } => return FileType::Directory,
        Object::Listener(_) | Object::Connection(_) => return FileType::SocketStream,
        Object::Input(input) => input.descriptor(),
        Object::Output(output) => output.descriptor(),
    };
    match stream {
        Some(stream) if stream.as_fd().is_terminal() => FileType::CharacterDevice,
        _ => FileType::Unknown,
    }
}

/// Writes an `fdstat`: file type (u8), flags (u16 at 2), rights (u64 at 8), inherited rights (u64
/// at 16). A guest takes a character device without the right to seek for a terminal, and buffers
/// its output by lines.
pub(super) fn fd_fdstat_get(guest: &mut Guest<'_>, fd: u32, stat: GuestPtr) -> Result<(), Failure> {
    let descriptor = guest.wasi().table.get(fd)?;
    let mut record = [0; 24];
    record[0] = file_type(kind(descriptor));
    record[2..4].copy_from_slice(&descriptor.flags.bits().to_le_bytes());
    record[8..16].copy_from_slice(&descriptor.rights.bits().to_le_bytes());
    record[16..24].copy_from_slice(&descriptor.inheriting.bits().to_le_bytes());
    Ok(guest::write(guest, stat, &record)?)
}

pub(super) fn fd_fdstat_set_flags(
    guest: &mut Guest<'_>,
    fd: u32,
    flags: u32,
) -> Result<(), Failure> {
    let descriptor = guest.wasi().table.get(fd)?;
    descriptor.rights.check(Rights::FD_FDSTAT_SET_FLAGS)?;
    descriptor.flags = Flags::new(flags)?;
    Ok(())
}

/// Gives rights up: asking for one that the descriptor does not have is `ENOTCAPABLE`.
pub(super) fn fd_fdstat_set_rights(
    guest: &mut Guest<'_>,
    fd: u32,
    base: u64,
    inheriting: u64,
) -> Result<(), Failure> {
    let descriptor = guest.wasi().table.get(fd)?;
    let (rights, inheriting) = (Rights::from(base), Rights::from(inheriting));
    descriptor.rights.check(rights)?;
    descriptor.inheriting.check(inheriting)?;
    (descriptor.rights, descriptor.inheriting) = (rights, inheriting);
    Ok(())
}

pub(super) fn fd_close(guest: &mut Guest<'_>, fd: u32) -> Result<(), Failure> {
    let closed = guest.wasi().table.remove(fd)?;
    close(guest, closed)
}

/// Gives a descriptor the number of another one, which is closed.
pub(super) fn fd_renumber(guest: &mut Guest<'_>, from: u32, to: u32) -> Result<(), Failure> {
    match guest.wasi().table.renumber(from, to)? {
        Some(closed) => close(guest, closed),
        None => Ok(()),
    }
}

/// Closes a descriptor that has no number any more. The last handle of a file may take a while: the kernel
/// writes to the disk, or frees what has no name.
fn close(guest: &mut Guest<'_>, mut closed: Descriptor) -> Result<(), Failure> {
    if let Some(event) = guest.wasi().last_line(&mut closed) {
        guest.data().log(event);
    }
    if let Object::Output(output) = &mut closed.object {
        output.close().map_err(Failure::End)?;
    }
    let is_slow = closed.closes_slowly();
    work(guest, is_slow, move || drop(closed), |_, ()| Ok(()))
}

/// Where `fd_seek` counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whence {
    Start,
    Position,
    End,
}

pub(super) fn fd_seek(
    guest: &mut Guest<'_>,
    fd: u32,
    offset: u64,
    whence: u32,
    position: GuestPtr,
) -> Result<(), Failure> {
    let whence = match whence {
        0 => Ok(Whence::Start),
        1 => Ok(Whence::Position),
        2 => Ok(Whence::End),
        _ => Err(Errno::Inval),
    };
    seek(guest, fd, offset as i64, whence, position)
}

/// Moves the position of a file, and tells the guest where it is then.
pub(super) fn seek(
    guest: &mut Guest<'_>,
    fd: u32,
    offset: i64,
    whence: Result<Whence, Errno>,
    result: GuestPtr,
) -> Result<(), Failure> {
    let (file, present) = match &guest.wasi().table.get(fd)?.object {
        Object::File { file, position } => (file.clone(), *position),
        Object::Directory { .. } => return Err(Errno::Badf.into()),
        _ => return Err(Errno::Spipe.into()),
    };
    let whence = whence?;
    let rights = guest.wasi().table.get(fd)?.rights;
    let only_tells = whence == Whence::Position && offset == 0;
    if !rights.has(Rights::FD_SEEK) && !(only_tells && rights.has(Rights::FD_TELL)) {
        return Err(Errno::Notcapable.into());
    }
    guest::bytes(guest, result.slice(8))?;
    match whence {
        Whence::Start => go_to(guest, fd, 0, offset, result),
        Whence::Position => go_to(guest, fd, present, offset, result),
        Whence::End => work(
            guest,
            file.blocks(),
            move || file.stat(),
            move |guest, stat| go_to(guest, fd, stat?.size, offset, result),
        ),
    }
}

fn go_to(
    guest: &mut Guest<'_>,
    fd: u32,
    base: u64,
    offset: i64,
    result: GuestPtr,
) -> Result<(), Failure> {
    let target = base.checked_add_signed(offset).filter(|target| *target <= i64::MAX as u64);
    let target = target.ok_or(Errno::Inval)?;
    if let Object::File { position, .. } = &mut guest.wasi().table.get(fd)?.object {
        *position = target;
    }
    Ok(guest::write_u64(guest, result, target)?)
}

pub(super) fn fd_tell(guest: &mut Guest<'_>, fd: u32, result: GuestPtr) -> Result<(), Failure> {
    seek(guest, fd, 0, Ok(Whence::Position), result)
}
