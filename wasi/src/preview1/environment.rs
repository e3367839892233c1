//! `args_*` and `environ_*`: arrays of C strings, handed over in two calls.

use super::errno::{Errno, Failure};
use super::guest::{self, Guest, GuestPtr};
use crate::context::HasWasi;
use std::collections::HashSet;
use wfaas_vm::checkpoint::Learned;

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
    guest.wasi().sources.learned.add(Learned::ARGUMENTS);
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
    guest.wasi().sources.learned.add(Learned::VARIABLES);
    write_strings(guest, &strings, environ, buf)
}

/// C strings, one after the other.
#[derive(Default)]
struct Strings {
    bytes: Vec<u8>,
    /// Where each begins.
    starts: Vec<u32>,
}

impl Strings {
    fn push(&mut self, parts: &[&str]) {
        self.starts.push(self.bytes.len() as u32); // environments are far smaller than 4 GiB
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part.as_bytes()));
        self.bytes.push(0);
    }
}

fn args(data: &mut dyn HasWasi) -> Strings {
    let mut strings = Strings::default();
    data.wasi().environment().args().iter().for_each(|arg| strings.push(&[arg]));
    strings
}

/// The variables, `name=value`. Those of the call come first and hide others of the same name: no name
/// is there twice.
fn variables(data: &mut dyn HasWasi) -> Strings {
    let (mut strings, mut names) = (Strings::default(), HashSet::new());
    data.variables(&mut |name, value| {
        if names.insert(name.to_owned()) {
            strings.push(&[name, "=", value]);
        }
    });
    for (name, value) in data.wasi().environment().env() {
        if !names.contains(name) {
            strings.push(&[name, "=", value]);
        }
    }
    strings
}

fn write_sizes(
    guest: &mut Guest<'_>,
    strings: &Strings,
    count: GuestPtr,
    bytes: GuestPtr,
) -> Result<(), Failure> {
    let number = |count: usize| u32::try_from(count).map_err(|_| Errno::Overflow);
    guest::write_u32(guest, count, number(strings.starts.len())?)?;
    guest::write_u32(guest, bytes, number(strings.bytes.len())?)?;
    Ok(())
}

/// Writes the strings from `buf` on, and their addresses from `pointers` on.
fn write_strings(
    guest: &mut Guest<'_>,
    strings: &Strings,
    pointers: GuestPtr,
    buf: GuestPtr,
) -> Result<(), Failure> {
    let mut addresses = Vec::with_capacity(4 * strings.starts.len());
    for start in &strings.starts {
        addresses.extend(buf.add(*start)?.to_bits().to_le_bytes());
    }
    guest::write(guest, pointers, &addresses)?;
    Ok(guest::write(guest, buf, &strings.bytes)?)
}
