//! Directories that are open from the start, and their names.

use super::errno::{Errno, Failure};
use super::guest::{self, Guest, GuestPtr};
use crate::table::Object;

/// Writes a `prestat`: type (u8, 0 for a directory), length of the name (u32 at 4). `EBADF` for
/// everything else ends the list for a guest that goes through its descriptors.
pub(super) fn fd_prestat_get(
    guest: &mut Guest<'_>,
    fd: u32,
    prestat: GuestPtr,
) -> Result<(), Failure> {
    let len = name(guest, fd)?.len() as u32; // at most `MAX_PATH`
    let mut record = [0; 8];
    record[4..8].copy_from_slice(&len.to_le_bytes());
    Ok(guest::write(guest, prestat, &record)?)
}

/// Writes the name, without a NUL behind it, to a place of `path_len` bytes.
pub(super) fn fd_prestat_dir_name(
    guest: &mut Guest<'_>,
    fd: u32,
    path: GuestPtr,
    path_len: u32,
) -> Result<(), Failure> {
    let name = name(guest, fd)?.to_owned();
    if name.len() > path_len as usize {
        return Err(Errno::Nametoolong.into());
    }
    Ok(guest::write(guest, path, name.as_bytes())?)
}

fn name<'a>(guest: &'a mut Guest<'_>, fd: u32) -> Result<&'a str, Errno> {
    match &guest.wasi().table.get(fd)?.object {
        Object::Directory { name: Some(name), .. } => Ok(name),
        _ => Err(Errno::Badf),
    }
}
