//! Preopened directories: a guest can ask for their names. Their contents are not supported yet;
//! the functions for that answer `ENOSYS`.

use super::errno::{Errno, Failure};
use super::guest::{self, Guest, GuestPtr};
use crate::table::Descriptor;

/// The name of the directory with this descriptor. `EBADF` ends the list for a guest that goes
/// through the descriptors.
fn name<'a>(guest: &'a mut Guest<'_>, fd: u32) -> Result<&'a str, Errno> {
    match guest.wasi().table.get(fd)? {
        Descriptor::Directory(directory) => Ok(directory.name()),
        Descriptor::Input(_) | Descriptor::Output(_) => Err(Errno::Badf),
    }
}

/// Writes a `prestat`: tag (u8, 0 for a directory), length of the name (u32 at 4).
pub(super) fn fd_prestat_get(
    guest: &mut Guest<'_>,
    fd: u32,
    prestat: GuestPtr,
) -> Result<(), Failure> {
    let len = u32::try_from(name(guest, fd)?.len()).map_err(|_| Errno::Overflow)?;
    let mut record = [0; 8];
    record[4..].copy_from_slice(&len.to_le_bytes());
    Ok(guest::write(guest, prestat, &record)?)
}

/// Writes the name, which must fit.
pub(super) fn fd_prestat_dir_name(
    guest: &mut Guest<'_>,
    fd: u32,
    path: GuestPtr,
    path_len: u32,
) -> Result<(), Failure> {
    let name = name(guest, fd)?.as_bytes().to_vec();
    if name.len() > path_len as usize {
        return Err(Errno::Nametoolong.into());
    }
    Ok(guest::write(guest, path, &name)?)
}
