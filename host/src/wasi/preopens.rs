//! Preopened directories: a guest can ask for their names. What is in them is not supported yet;
//! the functions for that answer `ENOSYS`.

use super::Guest;
use super::errno::{Errno, Failure};
use super::guest::{self, GuestPtr};

/// `filetype` of a directory.
const DIRECTORY: u8 = 3;

/// Writes the `fdstat` of a directory, without any right.
pub(super) fn fdstat(guest: &mut Guest<'_>, stat: GuestPtr) -> Result<(), Failure> {
    let mut record = [0; 24];
    record[0] = DIRECTORY;
    Ok(guest::write(guest, stat, &record)?)
}

/// Writes a `prestat`: tag (u8, 0 for a directory), length of the name (u32 at 4). `EBADF` ends the
/// list for a guest that goes through the descriptors.
pub(super) fn fd_prestat_get(
    guest: &mut Guest<'_>,
    fd: u32,
    prestat: GuestPtr,
) -> Result<(), Failure> {
    let name = guest.data().preopened(fd).ok_or(Errno::Badf)?;
    let len = u32::try_from(name.len()).map_err(|_| Errno::Overflow)?;
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
    let name = guest.data().preopened(fd).ok_or(Errno::Badf)?.as_bytes().to_vec();
    if name.len() > path_len as usize {
        return Err(Errno::Nametoolong.into());
    }
    Ok(guest::write(guest, path, &name)?)
}
