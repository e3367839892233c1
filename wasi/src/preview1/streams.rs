//! `fd_*` on streams, the only descriptors that can be read or written.

use super::errno::{Errno, Failure};
use super::guest::{self, Guest, GuestPtr, GuestSlice};
use crate::stdio::{ReadError, WriteError};
use crate::table::Descriptor;
use crate::wait::{self, Wait};
use std::io::IsTerminal;
use std::os::fd::AsFd;

/// Most buffers of one read or write, as with Linux's `readv`.
const MAX_IOVECS: u32 = 1024;

/// Bytes of an iovec: address and length.
const IOVEC_BYTES: u32 = 8;

/// Bytes that are copied before others have their turn: a copy with page faults takes far less than
/// a millisecond.
const MAX_COPIED: u32 = 256 << 10;

/// A write counts as this many bytes at least: lines of the log take time of their own.
const LEAST_COPIED: u32 = 1 << 10;

/// Whether reading or writing a descriptor takes no wait.
enum Ready {
    /// There is never anything to wait for.
    Always,
    /// A descriptor of the process is ready for at least one byte.
    Once,
}

fn ready(guest: &mut Guest<'_>, fd: u32) -> Result<Ready, Failure> {
    let descriptor = guest.wasi().table.get(fd)?;
    if descriptor.is_awaited() {
        return Err(Wait::stream(fd).into());
    }
    match descriptor.process() {
        None => Ok(Ready::Always),
        Some(descriptor) if wait::is_ready(descriptor.clone())? => Ok(Ready::Once),
        Some(descriptor) => Err(Wait::descriptor(descriptor).into()),
    }
}

pub(super) fn fd_read(
    guest: &mut Guest<'_>,
    fd: u32,
    iovs: GuestPtr,
    iovs_len: u32,
    read: GuestPtr,
) -> Result<(), Failure> {
    if !matches!(guest.wasi().table.get(fd)?, Descriptor::Input(_)) {
        return Err(Errno::Badf.into());
    }
    guest::bytes(guest, read.slice(4))?;
    let before = *guest.transferred();
    // Bytes before the end of the present buffer: those that were read have their place.
    let mut end = 0;
    for slice in iovecs(guest, iovs, iovs_len)? {
        let start = end;
        end += slice.len(); // `iovecs` has checked the sum
        while *guest.transferred() < end {
            let done = *guest.transferred() - start;
            // Never waits with bytes in hand: what is ready is ready for the first ones.
            let ready = if start + done == 0 { ready(guest, fd)? } else { Ready::Always };
            if *guest.transferred() - before >= MAX_COPIED {
                return Err(Wait::Turn.into());
            }
            let wanted = (slice.len() - done).min(MAX_COPIED);
            let len = read_once(guest, fd, slice.part(done, wanted)?)?;
            *guest.transferred() += len;
            if len < wanted || matches!(ready, Ready::Once) {
                return finish(guest, read);
            }
        }
    }
    finish(guest, read)
}

/// Reads into a part of a buffer; how many bytes.
fn read_once(guest: &mut Guest<'_>, fd: u32, part: GuestSlice) -> Result<u32, Failure> {
    let (target, wasi) = guest::bytes_and_wasi(guest, part)?;
    let Descriptor::Input(input) = wasi.table.get_mut(fd)? else { return Ok(0) };
    match input.read(target) {
        Ok(len) => Ok(len as u32),
        Err(ReadError::Os(error)) => Err(Errno::from(error).into()),
        Err(ReadError::Stream(error)) => Err(Failure::End(error)),
    }
}

/// Tells the guest how much was transferred.
fn finish(guest: &mut Guest<'_>, at: GuestPtr) -> Result<(), Failure> {
    let total = *guest.transferred();
    Ok(guest::write_u32(guest, at, total)?)
}

pub(super) fn fd_write(
    guest: &mut Guest<'_>,
    fd: u32,
    iovs: GuestPtr,
    iovs_len: u32,
    written: GuestPtr,
) -> Result<(), Failure> {
    if !matches!(guest.wasi().table.get(fd)?, Descriptor::Output(_)) {
        return Err(Errno::Badf.into());
    }
    guest::bytes(guest, written.slice(4))?;
    let mut copied = 0;
    // Bytes before the end of the present buffer: none of those that were written is written again.
    let mut end = 0;
    for slice in iovecs(guest, iovs, iovs_len)? {
        let start = end;
        end += slice.len(); // `iovecs` has checked the sum
        match write_slice(guest, fd, slice, start, &mut copied) {
            Ok(()) => {}
            // The guest tries again with the rest; an error that lasts comes back then.
            Err(Failure::Errno(_)) if *guest.transferred() > 0 => break,
            Err(failure) => return Err(failure),
        }
    }
    finish(guest, written)
}

/// Writes the rest of a buffer that begins behind `start` bytes of others. A blocking stream takes
/// all of it, however often that has to wait: programs do not expect less of one.
fn write_slice(
    guest: &mut Guest<'_>,
    fd: u32,
    slice: GuestSlice,
    start: u32,
    copied: &mut u32,
) -> Result<(), Failure> {
    while *guest.transferred() < start + slice.len() {
        if *copied >= MAX_COPIED {
            return Err(Wait::Turn.into());
        }
        let done = *guest.transferred() - start;
        let part = slice.part(done, (slice.len() - done).min(MAX_COPIED))?;
        let written = write_once(guest, fd, part)?;
        *guest.transferred() += written;
        *copied += written.max(LEAST_COPIED);
    }
    Ok(())
}

/// Writes as much of a buffer as its stream takes at once.
fn write_once(guest: &mut Guest<'_>, fd: u32, part: GuestSlice) -> Result<u32, Failure> {
    ready(guest, fd)?;
    let (source, wasi) = guest::bytes_and_wasi(guest, part)?;
    match wasi.write(fd, source) {
        Ok(written) => {
            if let Some(event) = written.event {
                guest.data().log(event);
            }
            Ok(written.bytes as u32)
        }
        Err(WriteError::Os(rustix::io::Errno::INTR)) => Ok(0),
        Err(WriteError::Os(error)) => Err(Errno::from(error).into()),
        Err(WriteError::Limit(limit)) => Err(Failure::End(limit.into())),
        Err(WriteError::Stream(error)) => Err(Failure::End(error)),
        Err(WriteError::NoOutput) => Err(Errno::Badf.into()),
    }
}

/// The buffers of a read or write, which together are at most 4 GiB: their sum has to fit the
/// result.
fn iovecs(guest: &mut Guest<'_>, iovs: GuestPtr, count: u32) -> Result<Vec<GuestSlice>, Errno> {
    if count > MAX_IOVECS {
        return Err(Errno::Inval);
    }
    let array = guest::bytes(guest, iovs.slice(count * IOVEC_BYTES))?;
    let slices: Vec<GuestSlice> = array
        .as_chunks::<{ IOVEC_BYTES as usize }>()
        .0
        .iter()
        .map(|iovec| GuestPtr::from(guest::u32_at(iovec, 0)).slice(guest::u32_at(iovec, 4)))
        .collect();
    let total: u64 = slices.iter().map(|slice| u64::from(slice.len())).sum();
    if u32::try_from(total).is_err() {
        return Err(Errno::Inval);
    }
    for slice in &slices {
        guest::bytes(guest, *slice)?;
    }
    Ok(slices)
}

/// `filetype` of a terminal.
const CHARACTER_DEVICE: u8 = 2;
/// The right to `fd_read`.
const RIGHT_FD_READ: u64 = 1 << 1;
/// The right to `fd_write`.
const RIGHT_FD_WRITE: u64 = 1 << 6;
/// The right to wait for the stream in `poll_oneoff`.
const RIGHT_POLL: u64 = 1 << 27;

/// Writes an `fdstat`: file type (u8), flags (u16 at 2), rights (u64 at 8), inherited rights (u64
/// at 16). A guest takes a character device without the right to seek for a terminal, and buffers
/// its output by lines; any other stream is of unknown type.
pub(super) fn fd_fdstat_get(guest: &mut Guest<'_>, fd: u32, stat: GuestPtr) -> Result<(), Failure> {
    let descriptor = guest.wasi().table.get(fd)?;
    let rights = match descriptor {
        Descriptor::Input(_) => RIGHT_FD_READ | RIGHT_POLL,
        Descriptor::Output(_) => RIGHT_FD_WRITE | RIGHT_POLL,
    };
    let mut record = [0; 24];
    record[0] = stream_type(descriptor);
    record[8..16].copy_from_slice(&rights.to_le_bytes());
    Ok(guest::write(guest, stat, &record)?)
}

/// Writes a `filestat`: device (8 bytes), inode (8), file type (1 at 16), links (8 at 24), size (8 at
/// 32), three times (8 each). A stream has nothing but its type.
pub(super) fn fd_filestat_get(
    guest: &mut Guest<'_>,
    fd: u32,
    stat: GuestPtr,
) -> Result<(), Failure> {
    let mut record = [0; 64];
    record[16] = stream_type(guest.wasi().table.get(fd)?);
    Ok(guest::write(guest, stat, &record)?)
}

fn stream_type(descriptor: &Descriptor) -> u8 {
    let terminal = descriptor.process().is_some_and(|process| process.as_fd().is_terminal());
    if terminal { CHARACTER_DEVICE } else { 0 }
}

pub(super) fn fd_close(guest: &mut Guest<'_>, fd: u32) -> Result<(), Failure> {
    if let Some(event) = guest.wasi().close(fd)? {
        guest.data().log(event);
    }
    Ok(())
}

pub(super) fn fd_seek(
    guest: &mut Guest<'_>,
    fd: u32,
    _offset: u64,
    _whence: u32,
    _position: GuestPtr,
) -> Result<(), Failure> {
    cannot_seek(guest, fd)
}

pub(super) fn fd_tell(guest: &mut Guest<'_>, fd: u32, _position: GuestPtr) -> Result<(), Failure> {
    cannot_seek(guest, fd)
}

fn cannot_seek(guest: &mut Guest<'_>, fd: u32) -> Result<(), Failure> {
    match guest.wasi().table.get(fd)? {
        Descriptor::Input(_) | Descriptor::Output(_) => Err(Errno::Spipe.into()),
    }
}
