//! `wasi_unstable`, the interface before preview1: the same functions, four of them with other records
//! or numbers, and one fewer.

use super::descriptors::{Whence, seek};
use super::errno::{Errno, Failure};
use super::functions::{add_waiting, handle, wasi_linking};
use super::guest::{self, Guest, GuestPtr, call, call_async};
use super::poll::{self, Layout};
use super::stat::{fd_stat, file_type, path_stat};
use crate::context::HasWasi;
use crate::files::Stat;
use wfaas_vm::{Caller, Linker};

/// The function of preview1 that it does not have.
pub(super) const NOT_YET: &str = "sock_accept";

/// Subscriptions: a clock has an identifier (u64) before all else.
const SUBSCRIPTION: Layout = Layout { bytes: 56, clock: 24 };

wasi_linking! {
    fd_filestat_get(fd: u32, stat: u32) = fd_filestat_get, waits;
    fd_seek(fd: u32, offset: u64, whence: u32, position: u32) = fd_seek, waits;
    path_filestat_get(fd: u32, flags: u32, path: u32, path_len: u32, stat: u32)
        = path_filestat_get, waits;
    poll_oneoff(subscriptions: u32, events: u32, count: u32, stored: u32)
        = poll_oneoff, waits;
}

/// Writes a `filestat`: device (u64), inode (u64 at 8), file type (u8 at 16), links (u32 at 20), size
/// (u64 at 24), times of access, modification and change (u64 each, at 32, 40 and 48).
fn write_stat(guest: &mut Guest<'_>, at: GuestPtr, stat: &Stat) -> Result<(), Errno> {
    let mut record = [0; 56];
    let mut put = |at: usize, value: u64| record[at..at + 8].copy_from_slice(&value.to_le_bytes());
    put(0, stat.device);
    put(8, stat.inode);
    put(24, stat.size);
    put(32, stat.accessed.0);
    put(40, stat.modified.0);
    put(48, stat.changed.0);
    let links = u32::try_from(stat.links).unwrap_or(u32::MAX);
    record[20..24].copy_from_slice(&links.to_le_bytes());
    record[16] = file_type(stat.kind);
    guest::write(guest, at, &record)
}

fn fd_filestat_get(guest: &mut Guest<'_>, fd: u32, stat: GuestPtr) -> Result<(), Failure> {
    fd_stat(guest, fd, stat, write_stat)
}

fn path_filestat_get(
    guest: &mut Guest<'_>,
    fd: u32,
    flags: u32,
    path: GuestPtr,
    path_len: u32,
    stat: GuestPtr,
) -> Result<(), Failure> {
    path_stat(guest, fd, flags, (path, path_len), stat, write_stat)
}

/// Numbers are those of the position first.
fn fd_seek(
    guest: &mut Guest<'_>,
    fd: u32,
    offset: u64,
    whence: u32,
    position: GuestPtr,
) -> Result<(), Failure> {
    let whence = match whence {
        0 => Ok(Whence::Position),
        1 => Ok(Whence::End),
        2 => Ok(Whence::Start),
        _ => Err(Errno::Inval),
    };
    seek(guest, fd, offset as i64, whence, position)
}

fn poll_oneoff(
    guest: &mut Guest<'_>,
    subscriptions: GuestPtr,
    events: GuestPtr,
    count: u32,
    stored: GuestPtr,
) -> Result<(), Failure> {
    poll::poll(guest, (subscriptions, SUBSCRIPTION), events, count, stored)
}
