//! `args_*` and `environ_*`: arrays of C strings, handed over in two calls.

use super::Guest;
use super::errno::{Errno, Failure};
use super::guest::{self, GuestPtr};

pub(super) fn args_sizes_get(
    guest: &mut Guest<'_>,
    count: GuestPtr,
    bytes: GuestPtr,
) -> Result<(), Failure> {
    let strings = guest.data().args();
    write_sizes(guest, &strings, count, bytes)
}

pub(super) fn args_get(
    guest: &mut Guest<'_>,
    argv: GuestPtr,
    buf: GuestPtr,
) -> Result<(), Failure> {
    let strings = guest.data().args();
    write_strings(guest, &strings, argv, buf)
}

pub(super) fn environ_sizes_get(
    guest: &mut Guest<'_>,
    count: GuestPtr,
    bytes: GuestPtr,
) -> Result<(), Failure> {
    let strings = guest.data().env();
    write_sizes(guest, &strings, count, bytes)
}

pub(super) fn environ_get(
    guest: &mut Guest<'_>,
    environ: GuestPtr,
    buf: GuestPtr,
) -> Result<(), Failure> {
    let strings = guest.data().env();
    write_strings(guest, &strings, environ, buf)
}

fn write_sizes(
    guest: &mut Guest<'_>,
    strings: &[Vec<u8>],
    count: GuestPtr,
    bytes: GuestPtr,
) -> Result<(), Failure> {
    let number = |count: usize| u32::try_from(count).map_err(|_| Errno::Overflow);
    let total = strings.iter().map(Vec::len).sum();
    guest::write_u32(guest, count, number(strings.len())?)?;
    guest::write_u32(guest, bytes, number(total)?)?;
    Ok(())
}

/// Writes the strings one after the other from `buf` on, and their addresses from `pointers` on.
fn write_strings(
    guest: &mut Guest<'_>,
    strings: &[Vec<u8>],
    pointers: GuestPtr,
    buf: GuestPtr,
) -> Result<(), Failure> {
    let mut at = buf;
    for (index, string) in strings.iter().enumerate() {
        guest::write_u32(guest, pointers.element(index as u32, 4)?, at.to_bits())?;
        guest::write(guest, at, string)?;
        at = at.add(string.len() as u32)?;
    }
    Ok(())
}
