//! Reading and writing of streams: the standard ones, and connections.

use super::errno::{Errno, Failure};
use super::flags::Flags;
use super::guest::{self, Guest, GuestPtr, GuestSlice};
use super::io::finish;
use super::iovec::Iovecs;
use super::rights::Rights;
use super::sockets;
use crate::stdio::{ReadError, WriteError};
use crate::table::Object;
use crate::wait::{self, Wait};

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

/// A direction of bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
}

fn ready(guest: &mut Guest<'_>, fd: u32, direction: Direction) -> Result<Ready, Failure> {
    let descriptor = guest.wasi().table.get(fd)?;
    let is_patient = !descriptor.flags.has(Flags::NONBLOCK);
    let waits =
        |wait: Wait| -> Failure { if is_patient { wait.into() } else { Errno::Again.into() } };
    if descriptor.is_awaited() {
        if !is_patient {
            // A guest that asks again and again never waits.
            guest.wasi().flush();
        }
        return Err(waits(Wait::stream(fd)));
    }
    let watched = match direction {
        Direction::Read => descriptor.readable(),
        Direction::Write => descriptor.writable(),
    };
    match watched {
        None => Ok(Ready::Always),
        Some(watched) if wait::is_ready(&watched)? => Ok(Ready::Once),
        Some(watched) => Err(waits(Wait::descriptor(watched))),
    }
}

pub(super) fn read(
    guest: &mut Guest<'_>,
    fd: u32,
    iovs: GuestPtr,
    iovs_len: u32,
    read: GuestPtr,
) -> Result<(), Failure> {
    guest.wasi().table.get(fd)?.rights.check(Rights::FD_READ)?;
    guest::bytes(guest, read.slice(4))?;
    let before = *guest.transferred();
    // Bytes before the end of the present buffer: those that were read have their place.
    let mut end = 0;
    for slice in Iovecs::read(guest, iovs, iovs_len)?.slices() {
        let start = end;
        end += slice.len(); // `Iovecs::read` has checked the sum
        while *guest.transferred() < end {
            let done = *guest.transferred() - start;
            // Never waits with bytes in hand: what is ready is ready for the first ones.
            let is_first = start + done == 0;
            let ready = if is_first { ready(guest, fd, Direction::Read)? } else { Ready::Always };
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
    let read = match &mut wasi.table.get(fd)?.object {
        Object::Input(input) => input.read(target),
        Object::Connection(connection) => {
            return sockets::receive(connection, target, false).map(|len| len as u32);
        }
        _ => return Ok(0),
    };
    match read {
        Ok(len) => Ok(len as u32),
        Err(ReadError::Os(error)) => Err(Errno::from(error).into()),
        Err(ReadError::Stream(error)) => Err(Failure::End(error)),
    }
}

pub(super) fn write(
    guest: &mut Guest<'_>,
    fd: u32,
    iovs: GuestPtr,
    iovs_len: u32,
    written: GuestPtr,
) -> Result<(), Failure> {
    guest.wasi().table.get(fd)?.rights.check(Rights::FD_WRITE)?;
    guest::bytes(guest, written.slice(4))?;
    let mut copied = 0;
    // Bytes before the end of the present buffer: none of those that were written is written again.
    let mut end = 0;
    for slice in Iovecs::read(guest, iovs, iovs_len)?.slices() {
        let start = end;
        end += slice.len(); // `Iovecs::read` has checked the sum
        match write_slice(guest, fd, *slice, start, &mut copied) {
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
    ready(guest, fd, Direction::Write)?;
    let (source, wasi) = guest::bytes_and_wasi(guest, part)?;
    if let Object::Connection(connection) = &wasi.table.get(fd)?.object {
        return sockets::send(connection, source).map(|len| len as u32);
    }
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
        Err(WriteError::Socket(_)) => Err(Errno::Io.into()),
        Err(WriteError::NoOutput) => Err(Errno::Badf.into()),
    }
}
