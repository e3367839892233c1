//! `fd_*` on the three standard streams, the only descriptors that can be read or written.

use super::Guest;
use super::errno::{Errno, Failure};
use super::guest::{self, GuestPtr, GuestSlice};
use super::preopens;
use super::wait::wait;
use crate::state::HostState;
use crate::stdio::{Output, WriteError};
use rustix::event::{PollFd, PollFlags};
use std::io::IsTerminal;
use std::os::fd::AsFd;

/// A standard stream, by its descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdin,
    Stdout,
    Stderr,
}

/// Most buffers of one read or write, as with Linux's `readv`.
const MAX_IOVECS: u32 = 1024;

/// Bytes of an iovec: address and length.
const IOVEC_BYTES: u32 = 8;

impl Stream {
    /// The open stream with this descriptor.
    pub(super) fn open(state: &HostState, fd: u32) -> Result<Stream, Errno> {
        let stream = match fd {
            0 => Stream::Stdin,
            1 => Stream::Stdout,
            2 => Stream::Stderr,
            _ => return Err(Errno::Badf),
        };
        if state.closed[stream as usize] { Err(Errno::Badf) } else { Ok(stream) }
    }

    fn output(self, state: &mut HostState) -> Result<&mut Output, Errno> {
        match self {
            Stream::Stdin => Err(Errno::Badf),
            Stream::Stdout => Ok(&mut state.stdout),
            Stream::Stderr => Ok(&mut state.stderr),
        }
    }

    /// What to wait for before reading from or writing to the stream: a descriptor of the
    /// process, if there is one behind it.
    pub(super) fn descriptor(self, state: &HostState) -> Option<PollFd<'_>> {
        let (descriptor, flags) = match self {
            Stream::Stdin => (state.stdin.descriptor(), PollFlags::IN),
            Stream::Stdout => (state.stdout.descriptor(), PollFlags::OUT),
            Stream::Stderr => (state.stderr.descriptor(), PollFlags::OUT),
        };
        Some(PollFd::from_borrowed_fd(descriptor?, flags))
    }

    /// Waits until the stream is ready.
    fn wait(self, guest: &Guest<'_>) -> Result<(), Errno> {
        if let Some(descriptor) = self.descriptor(guest.data()) {
            wait(guest, &mut [descriptor], None)?;
        }
        Ok(())
    }
}

pub(super) fn fd_read(
    guest: &mut Guest<'_>,
    fd: u32,
    iovs: GuestPtr,
    iovs_len: u32,
    read: GuestPtr,
) -> Result<(), Failure> {
    let stream = Stream::open(guest.data(), fd)?;
    if stream != Stream::Stdin {
        return Err(Errno::Badf.into());
    }
    guest::bytes(guest, read.slice(4))?;
    let slices = iovecs(guest, iovs, iovs_len)?;
    let mut total = 0u32;
    for slice in slices.into_iter().filter(|slice| slice.len() > 0) {
        if total > 0 && stream.descriptor(guest.data()).is_some() {
            break; // never wait with bytes in hand
        }
        stream.wait(guest)?;
        let (target, state) = guest::bytes_and_state(guest, slice)?;
        let len = state.stdin.read(target).map_err(Errno::from)?;
        total += len as u32; // `iovecs` has checked the sum
        if len < slice.len() as usize {
            break;
        }
    }
    Ok(guest::write_u32(guest, read, total)?)
}

pub(super) fn fd_write(
    guest: &mut Guest<'_>,
    fd: u32,
    iovs: GuestPtr,
    iovs_len: u32,
    written: GuestPtr,
) -> Result<(), Failure> {
    let stream = Stream::open(guest.data(), fd)?;
    stream.output(guest.data_mut())?;
    guest::bytes(guest, written.slice(4))?;
    let mut total = 0;
    for slice in iovecs(guest, iovs, iovs_len)? {
        let (len, refusal) = write_slice(guest, stream, slice)?;
        total += len;
        match refusal {
            Some(errno) if total == 0 => return Err(errno.into()),
            Some(_) => break,
            None => {}
        }
    }
    Ok(guest::write_u32(guest, written, total)?)
}

/// Writes one buffer; how many bytes, and why they are not all of them.
fn write_slice(
    guest: &mut Guest<'_>,
    stream: Stream,
    slice: GuestSlice,
) -> Result<(u32, Option<Errno>), Failure> {
    let mut done = 0;
    while done < slice.len() {
        stream.wait(guest)?;
        let (source, state) = guest::bytes_and_state(guest, slice)?;
        match stream.output(state)?.write(&source[done as usize..]) {
            Ok(len) => done += len as u32,
            Err(WriteError::Os(rustix::io::Errno::INTR)) => {}
            Err(WriteError::Os(error)) => return Ok((done, Some(error.into()))),
            Err(WriteError::Limit(limit)) => return Err(Failure::End(limit.into())),
        }
    }
    Ok((done, None))
}

/// The buffers of a read or write, which together are at most 4 GiB: their sum has to fit the
/// result.
fn iovecs(guest: &mut Guest<'_>, iovs: GuestPtr, count: u32) -> Result<Vec<GuestSlice>, Errno> {
    if count > MAX_IOVECS {
        return Err(Errno::Inval);
    }
    let array = guest::bytes(guest, iovs.slice(count * IOVEC_BYTES))?;
    let slices: Vec<GuestSlice> = array
        .chunks_exact(IOVEC_BYTES as usize)
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
/// its output by lines; anything else is of unknown type.
pub(super) fn fd_fdstat_get(guest: &mut Guest<'_>, fd: u32, stat: GuestPtr) -> Result<(), Failure> {
    if guest.data().preopened(fd).is_some() {
        return preopens::fdstat(guest, stat);
    }
    let stream = Stream::open(guest.data(), fd)?;
    let terminal =
        stream.descriptor(guest.data()).is_some_and(|descriptor| descriptor.as_fd().is_terminal());
    let rights = match stream {
        Stream::Stdin => RIGHT_FD_READ | RIGHT_POLL,
        Stream::Stdout | Stream::Stderr => RIGHT_FD_WRITE | RIGHT_POLL,
    };
    let mut record = [0; 24];
    record[0] = if terminal { CHARACTER_DEVICE } else { 0 };
    record[8..16].copy_from_slice(&rights.to_le_bytes());
    Ok(guest::write(guest, stat, &record)?)
}

pub(super) fn fd_close(guest: &mut Guest<'_>, fd: u32) -> Result<(), Failure> {
    let stream = Stream::open(guest.data(), fd)?;
    guest.data_mut().closed[stream as usize] = true;
    Ok(())
}

pub(super) fn fd_seek(
    guest: &mut Guest<'_>,
    fd: u32,
    _offset: u64,
    _whence: u32,
    _position: GuestPtr,
) -> Result<(), Failure> {
    Stream::open(guest.data(), fd)?;
    Err(Errno::Spipe.into())
}

pub(super) fn fd_tell(guest: &mut Guest<'_>, fd: u32, _position: GuestPtr) -> Result<(), Failure> {
    Stream::open(guest.data(), fd)?;
    Err(Errno::Spipe.into())
}
