//! `fd_read`, `fd_write`, `fd_pread` and `fd_pwrite`: which way they go, and the way of files.
//!
//! A file of the host reads into a buffer of ours, and writes from one: the kernel must not touch guest
//! memory, whose pages may be tracked. A file in memory gets the guest's memory itself.

use super::errno::{Errno, Failure};
use super::flags::Flags;
use super::guest::{self, Guest, GuestPtr};
use super::iovec::Iovecs;
use super::rights::Rights;
use super::streams;
use crate::files::{self, Durability, File, WriteAt, Written};
use crate::table::Object;
use crate::wait::Wait;
use crate::work::work;
use std::sync::Arc;

/// Bytes that are read or written before others have their turn, and most bytes of a buffer.
const CHUNK: u32 = 256 << 10;

/// Where a read or a write of a file begins.
#[derive(Clone, Copy)]
enum Place {
    /// At the descriptor's position, which it moves.
    Position,
    /// At this offset.
    Offset(u64),
}

pub(super) fn fd_read(
    guest: &mut Guest<'_>,
    fd: u32,
    iovs: GuestPtr,
    iovs_len: u32,
    read: GuestPtr,
) -> Result<(), Failure> {
    match &guest.wasi().table.get(fd)?.object {
        Object::Input(_) | Object::Connection(_) => streams::read(guest, fd, iovs, iovs_len, read),
        Object::File { .. } => read_file(guest, fd, iovs, iovs_len, Place::Position, read),
        Object::Directory { .. } => Err(Errno::Isdir.into()),
        Object::Output(_) | Object::Listener(_) => Err(Errno::Badf.into()),
    }
}

pub(super) fn fd_write(
    guest: &mut Guest<'_>,
    fd: u32,
    iovs: GuestPtr,
    iovs_len: u32,
    written: GuestPtr,
) -> Result<(), Failure> {
    match &guest.wasi().table.get(fd)?.object {
        Object::Output(_) | Object::Connection(_) => {
            streams::write(guest, fd, iovs, iovs_len, written)
        }
        Object::File { .. } => write_file(guest, fd, iovs, iovs_len, Place::Position, written),
        Object::Input(_) | Object::Listener(_) | Object::Directory { .. } => {
            Err(Errno::Badf.into())
        }
    }
}

pub(super) fn fd_pread(
    guest: &mut Guest<'_>,
    fd: u32,
    iovs: GuestPtr,
    iovs_len: u32,
    offset: u64,
    read: GuestPtr,
) -> Result<(), Failure> {
    match &guest.wasi().table.get(fd)?.object {
        Object::File { .. } => read_file(guest, fd, iovs, iovs_len, Place::Offset(offset), read),
        Object::Directory { .. } => Err(Errno::Isdir.into()),
        _ => Err(Errno::Spipe.into()),
    }
}

pub(super) fn fd_pwrite(
    guest: &mut Guest<'_>,
    fd: u32,
    iovs: GuestPtr,
    iovs_len: u32,
    offset: u64,
    written: GuestPtr,
) -> Result<(), Failure> {
    match &guest.wasi().table.get(fd)?.object {
        Object::File { .. } => {
            write_file(guest, fd, iovs, iovs_len, Place::Offset(offset), written)
        }
        Object::Directory { .. } => Err(Errno::Badf.into()),
        _ => Err(Errno::Spipe.into()),
    }
}

/// Tells the guest how much was transferred.
pub(super) fn finish(guest: &mut Guest<'_>, at: GuestPtr) -> Result<(), Failure> {
    let total = *guest.transferred();
    Ok(guest::write_u32(guest, at, total)?)
}

/// The rights that reading or writing takes: those at an offset are for descriptors that could seek.
fn rights(read_or_write: Rights, place: Place) -> Rights {
    match place {
        Place::Position => read_or_write,
        Place::Offset(_) => read_or_write | Rights::FD_SEEK,
    }
}

fn position(guest: &mut Guest<'_>, fd: u32) -> Result<u64, Errno> {
    match guest.wasi().table.get(fd)?.object {
        Object::File { position, .. } => Ok(position),
        _ => Err(Errno::Badf),
    }
}

fn set_position(guest: &mut Guest<'_>, fd: u32, to: u64) -> Result<(), Errno> {
    match &mut guest.wasi().table.get(fd)?.object {
        Object::File { position, .. } => *position = to,
        _ => return Err(Errno::Badf),
    }
    Ok(())
}

/// The offset of the next byte. Those that were transferred have moved the position, if it is used.
fn next(guest: &mut Guest<'_>, fd: u32, place: Place) -> Result<u64, Errno> {
    match place {
        Place::Position => position(guest, fd),
        Place::Offset(offset) => {
            offset.checked_add(u64::from(*guest.transferred())).ok_or(Errno::Inval)
        }
    }
}

/// A read or write of a file that a guest asks for.
struct Asked {
    fd: u32,
    /// Whether it reads or writes.
    right: Rights,
    place: Place,
    result: GuestPtr,
}

/// The part of a read or write that comes next.
struct Part {
    file: Arc<dyn File>,
    iovecs: Iovecs,
    /// Bytes that were transferred before.
    done: u32,
    /// Where it begins in the file.
    offset: u64,
    transfer: Transfer,
}

impl Asked {
    /// The next part, of at most [`CHUNK`] bytes; none of them, if all were transferred.
    fn part(self, guest: &mut Guest<'_>, iovs: GuestPtr, iovs_len: u32) -> Result<Part, Failure> {
        let Asked { fd, right, place, result } = self;
        let file = guest.wasi().table.file(fd, rights(right, place))?;
        guest::bytes(guest, result.slice(4))?;
        let iovecs = Iovecs::read(guest, iovs, iovs_len)?;
        let (done, total) = (*guest.transferred(), iovecs.total());
        let wanted = total.saturating_sub(done).min(CHUNK);
        let offset = next(guest, fd, place)?;
        let transfer = Transfer { fd, place, wanted, total, result };
        Ok(Part { file, iovecs, done, offset, transfer })
    }
}

fn read_file(
    guest: &mut Guest<'_>,
    fd: u32,
    iovs: GuestPtr,
    iovs_len: u32,
    place: Place,
    result: GuestPtr,
) -> Result<(), Failure> {
    let asked = Asked { fd, right: Rights::FD_READ, place, result };
    let Part { file, iovecs, done, offset, mut transfer } = asked.part(guest, iovs, iovs_len)?;
    let wanted = transfer.wanted;
    if wanted == 0 {
        return finish(guest, result);
    }
    if !file.blocks() {
        let read = read_memory(guest, &*file, &iovecs, (done, wanted), offset);
        return transfer.has_read(guest, read);
    }
    let read = move || {
        let mut bytes = vec![0; wanted as usize];
        let len = file.read(&mut bytes, offset)?;
        bytes.truncate(len);
        Ok::<_, files::Error>(bytes)
    };
    work(guest, true, read, move |guest, bytes| {
        let len = bytes.map_err(Failure::from).and_then(|bytes| {
            iovecs.scatter(guest, done, &bytes)?;
            Ok(bytes.len() as u32)
        });
        transfer.has_read(guest, len)
    })
}

/// Reads from a file that is in memory into that of the guest.
fn read_memory(
    guest: &mut Guest<'_>,
    file: &dyn File,
    iovecs: &Iovecs,
    (done, wanted): (u32, u32),
    mut offset: u64,
) -> Result<u32, Failure> {
    let mut total = 0;
    for part in iovecs.range(done, wanted) {
        let target = guest::bytes_mut(guest, part?)?;
        let len = file.read(target, offset)?;
        total += len as u32;
        offset += len as u64;
        if len < target.len() {
            break;
        }
    }
    Ok(total)
}

fn write_file(
    guest: &mut Guest<'_>,
    fd: u32,
    iovs: GuestPtr,
    iovs_len: u32,
    place: Place,
    result: GuestPtr,
) -> Result<(), Failure> {
    let asked = Asked { fd, right: Rights::FD_WRITE, place, result };
    let Part { file, iovecs, done, offset, mut transfer } = asked.part(guest, iovs, iovs_len)?;
    let wanted = transfer.wanted;
    if wanted == 0 {
        return finish(guest, result);
    }
    let flags = guest.wasi().table.get(fd)?.flags;
    let how = How { at: target(flags, place, offset), durability: flags.durability() };
    if !file.blocks() {
        let written = write_memory(guest, &*file, &iovecs, (done, wanted), how);
        return transfer.has_written(guest, written);
    }
    let bytes = iovecs.gather(guest, done, wanted)?;
    let write = move || file.write(&bytes, how.at, how.durability);
    work(guest, true, write, move |guest, written| {
        transfer.has_written(guest, written.map_err(Failure::from))
    })
}

/// Where a write goes: only one at the position may be one at the end.
fn target(flags: Flags, place: Place, offset: u64) -> WriteAt {
    match place {
        Place::Position => flags.at(offset),
        Place::Offset(_) => WriteAt::Offset(offset),
    }
}

/// How a file is written.
#[derive(Clone, Copy)]
struct How {
    at: WriteAt,
    durability: Durability,
}

/// Writes from the guest's memory to a file that is in memory.
fn write_memory(
    guest: &mut Guest<'_>,
    file: &dyn File,
    iovecs: &Iovecs,
    (done, wanted): (u32, u32),
    mut how: How,
) -> Result<Written, Failure> {
    let mut total = Written { bytes: 0, end: 0 };
    for part in iovecs.range(done, wanted) {
        let source = guest::bytes(guest, part?)?;
        let written = match file.write(source, how.at, how.durability) {
            Err(_) if total.bytes > 0 => break,
            written => written?,
        };
        total = Written { bytes: total.bytes + written.bytes, end: written.end };
        if written.bytes < source.len() {
            break;
        }
        if let WriteAt::Offset(offset) = &mut how.at {
            *offset = written.end;
        }
    }
    Ok(total)
}

/// A part of a read or write.
struct Transfer {
    fd: u32,
    place: Place,
    /// Bytes that were asked for.
    wanted: u32,
    /// Bytes of all parts.
    total: u32,
    /// Where the guest wants to know how much it was.
    result: GuestPtr,
}

impl Transfer {
    /// Goes on after bytes were read: fewer than were asked for are the last ones.
    fn has_read(
        &mut self,
        guest: &mut Guest<'_>,
        len: Result<u32, Failure>,
    ) -> Result<(), Failure> {
        let len = match len {
            Err(Failure::Errno(_)) if *guest.transferred() > 0 => 0,
            len => len?,
        };
        if matches!(self.place, Place::Position) {
            let end = position(guest, self.fd)?.saturating_add(len.into());
            set_position(guest, self.fd, end)?;
        }
        self.go_on(guest, len, len < self.wanted)
    }

    /// Goes on after bytes were written: fewer than were asked for are not the last ones, unless there
    /// are none.
    fn has_written(
        &mut self,
        guest: &mut Guest<'_>,
        written: Result<Written, Failure>,
    ) -> Result<(), Failure> {
        let written = match written {
            Err(Failure::Errno(_)) if *guest.transferred() > 0 => {
                // The guest tries again with the rest; an error that lasts comes back then.
                return finish(guest, self.result);
            }
            written => written?,
        };
        if matches!(self.place, Place::Position) {
            set_position(guest, self.fd, written.end)?;
        }
        self.go_on(guest, written.bytes as u32, written.bytes == 0)
    }

    fn go_on(&mut self, guest: &mut Guest<'_>, len: u32, is_last: bool) -> Result<(), Failure> {
        *guest.transferred() += len;
        if is_last || *guest.transferred() >= self.total {
            return finish(guest, self.result);
        }
        if guest.interrupted() { finish(guest, self.result) } else { Err(Wait::Turn.into()) }
    }
}
