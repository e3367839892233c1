//! Guest memory as the host reaches it. What the guest calls a pointer is an allegation: it has
//! its own type, and becomes bytes only here, after a check.

use super::Guest;
use super::errno::Errno;
use crate::state::HostState;
use std::ops::Range;
use wfaas_vm::Memory;

/// An address the guest gave. Nothing about it has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GuestPtr(u32);

/// A range the guest gave. Nothing about it has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GuestSlice {
    ptr: GuestPtr,
    len: u32,
}

impl From<u32> for GuestPtr {
    fn from(address: u32) -> GuestPtr {
        GuestPtr(address)
    }
}

impl GuestPtr {
    /// The address `bytes` further on.
    pub(super) fn add(self, bytes: u32) -> Result<GuestPtr, Errno> {
        self.0.checked_add(bytes).map(GuestPtr).ok_or(Errno::Fault)
    }

    /// The address of element `index` of an array of elements of `size` bytes.
    pub(super) fn element(self, index: u32, size: u32) -> Result<GuestPtr, Errno> {
        self.add(index.checked_mul(size).ok_or(Errno::Fault)?)
    }

    /// The range of `len` bytes from here.
    pub(super) fn slice(self, len: u32) -> GuestSlice {
        GuestSlice { ptr: self, len }
    }

    /// The address as a number, to hand back to the guest.
    pub(super) fn to_bits(self) -> u32 {
        self.0
    }
}

impl GuestSlice {
    /// Bytes.
    pub(super) fn len(self) -> u32 {
        self.len
    }

    /// The range of indices, if it lies in a memory of `size` bytes.
    fn check(self, size: usize) -> Result<Range<usize>, Errno> {
        let start = self.ptr.0 as usize;
        let end = start.checked_add(self.len as usize).ok_or(Errno::Fault)?;
        if end <= size { Ok(start..end) } else { Err(Errno::Fault) }
    }
}

fn memory(guest: &mut Guest<'_>) -> Result<Memory, Errno> {
    guest.memory().ok_or(Errno::Fault)
}

/// The bytes of `slice`, to read.
pub(super) fn bytes<'a>(guest: &'a mut Guest<'_>, slice: GuestSlice) -> Result<&'a [u8], Errno> {
    let memory = memory(guest)?;
    let data = memory.data(&*guest);
    let range = slice.check(data.len())?;
    Ok(&data[range])
}

/// The bytes of `slice`, to write.
pub(super) fn bytes_mut<'a>(
    guest: &'a mut Guest<'_>,
    slice: GuestSlice,
) -> Result<&'a mut [u8], Errno> {
    let memory = memory(guest)?;
    let data = memory.data_mut(guest);
    let range = slice.check(data.len())?;
    Ok(&mut data[range])
}

/// The bytes of `slice`, to write, and the host state.
pub(super) fn bytes_and_state<'a>(
    guest: &'a mut Guest<'_>,
    slice: GuestSlice,
) -> Result<(&'a mut [u8], &'a mut HostState), Errno> {
    let memory = memory(guest)?;
    let (data, state) = guest.memory_and_data(memory);
    let range = slice.check(data.len())?;
    Ok((&mut data[range], state))
}

/// Copies `from` to `at`.
pub(super) fn write(guest: &mut Guest<'_>, at: GuestPtr, from: &[u8]) -> Result<(), Errno> {
    let len = u32::try_from(from.len()).map_err(|_| Errno::Fault)?;
    bytes_mut(guest, at.slice(len))?.copy_from_slice(from);
    Ok(())
}

/// Writes a 32-bit number at `at`.
pub(super) fn write_u32(guest: &mut Guest<'_>, at: GuestPtr, value: u32) -> Result<(), Errno> {
    write(guest, at, &value.to_le_bytes())
}

/// Writes a 64-bit number at `at`.
pub(super) fn write_u64(guest: &mut Guest<'_>, at: GuestPtr, value: u64) -> Result<(), Errno> {
    write(guest, at, &value.to_le_bytes())
}

/// A record of `N` bytes at `at`.
pub(super) fn record<const N: usize>(
    guest: &mut Guest<'_>,
    at: GuestPtr,
) -> Result<[u8; N], Errno> {
    let mut record = [0; N];
    record.copy_from_slice(bytes(guest, at.slice(N as u32))?);
    Ok(record)
}

/// The little-endian `u32` at `at` in a record.
///
/// # Panics
/// If the record is shorter.
pub(super) fn u32_at(record: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(record[at..at + 4].try_into().expect("four bytes"))
}

/// The little-endian `u64` at `at` in a record.
///
/// # Panics
/// If the record is shorter.
pub(super) fn u64_at(record: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(record[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_good_up_to_the_last_byte() {
        let slice = |ptr: u32, len| GuestPtr::from(ptr).slice(len);
        assert_eq!(slice(0, 65536).check(65536), Ok(0..65536));
        assert_eq!(slice(65536, 0).check(65536), Ok(65536..65536));
        assert_eq!(slice(65535, 2).check(65536), Err(Errno::Fault));
        assert_eq!(slice(u32::MAX, u32::MAX).check(65536), Err(Errno::Fault));
        assert_eq!(slice(65537, 0).check(65536), Err(Errno::Fault));
    }

    #[test]
    fn pointer_arithmetic_does_not_wrap() {
        let last = GuestPtr::from(u32::MAX);
        assert_eq!(last.add(1), Err(Errno::Fault));
        assert_eq!(GuestPtr::from(0).element(u32::MAX, 8), Err(Errno::Fault));
        assert_eq!(GuestPtr::from(8).element(3, 4), Ok(GuestPtr::from(20)));
    }
}
