//! Preopened directories: there are none, and a guest is told of none. Files are not supported yet,
//! and a program that could do without a directory may give up over one that it cannot open.

use super::errno::{Errno, Failure};
use super::guest::{Guest, GuestPtr};

/// `EBADF` for every descriptor, which ends the list for a guest that goes through them.
pub(super) fn fd_prestat_get(
    _guest: &mut Guest<'_>,
    _fd: u32,
    _prestat: GuestPtr,
) -> Result<(), Failure> {
    Err(Errno::Badf.into())
}

/// `EBADF`, like [`fd_prestat_get`].
pub(super) fn fd_prestat_dir_name(
    _guest: &mut Guest<'_>,
    _fd: u32,
    _path: GuestPtr,
    _path_len: u32,
) -> Result<(), Failure> {
    Err(Errno::Badf.into())
}
