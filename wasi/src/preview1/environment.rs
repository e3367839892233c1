//! `args_*` and `environ_*`: arrays of C strings, handed over in two calls.

use super::errno::{Errno, Failure};
use super::guest::{self, Guest, GuestPtr};
use crate::context::HasWasi;

pub(super) fn args_sizes_get(
    guest: &mut Guest<'_>,
    count: GuestPtr,
    bytes: GuestPtr,
) -> Result<(), Failure> {
    let strings = args(guest.data());
    write_sizes(guest, &strings, count, bytes)
}

pub(super) fn args_get(
    guest: &mut Guest<'_>,
    argv: GuestPtr,
    buf: GuestPtr,
) -> Result<(), Failure> {
    let strings = args(guest.data());
    write_strings(guest, &strings, argv, buf)
}

pub(super) fn environ_sizes_get(
    guest: &mut Guest<'_>,
    count: GuestPtr,
    bytes: GuestPtr,
) -> Result<(), Failure> {
    let strings = variables(guest.data());
    write_sizes(guest, &strings, count, bytes)
}

pub(super) fn environ_get(
    guest: &mut Guest<'_>,
    environ: GuestPtr,
    buf: GuestPtr,
) -> Result<(), Failure> {
    let strings = variables(guest.data());
    write_strings(guest, &strings, environ, buf)
}

/// The arguments as C strings.
fn args(data: &mut dyn HasWasi) -> Vec<Vec<u8>> {
    data.wasi().environment().args().iter().map(|arg| c_string(&[arg])).collect()
}

/// The variables as C strings, `name=value`. Those of the call come first and hide others of the
/// same name: no name is there twice.
fn variables(data: &mut dyn HasWasi) -> Vec<Vec<u8>> {
    let mut strings: Vec<Vec<u8>> = Vec::new();
    let mut add = |name: &str, value: &str| {
        let start = [name.as_bytes(), b"="].concat();
        if !strings.iter().any(|other| other.starts_with(&start)) {
            strings.push(c_string(&[name, "=", value]));
        }
    };
    data.variables(&mut add);
    data.wasi().environment().env().for_each(|(name, value)| add(name, value));
    strings
}

fn c_string(parts: &[&str]) -> Vec<u8> {
    let mut bytes = parts.concat().into_bytes();
    bytes.push(0);
    bytes
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
