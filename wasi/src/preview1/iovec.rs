//! Buffers of a read or a write: an array of iovecs, each an address and a length.

use super::errno::Errno;
use super::guest::{self, Guest, GuestPtr, GuestSlice};

/// Most buffers of one read or write, as with Linux's `readv`.
const MAX_IOVECS: u32 = 1024;

/// Bytes of an iovec: address and length.
const IOVEC_BYTES: u32 = 8;

/// Buffers, checked to lie in the guest's memory as it was then.
pub(super) struct Iovecs {
    slices: Vec<GuestSlice>,
    total: u32,
}

impl Iovecs {
    /// Reads the array. The buffers together are at most 4 GiB: their sum has to fit the result.
    pub(super) fn read(guest: &mut Guest<'_>, iovs: GuestPtr, count: u32) -> Result<Iovecs, Errno> {
        if count > MAX_IOVECS {
            return Err(Errno::Inval);
        }
        let array = guest::bytes(guest, iovs.slice(count * IOVEC_BYTES))?;
        let slices: Vec<GuestSlice> = array
            .as_chunks::<{ IOVEC_BYTES as usize }>()
            .0
            .iter()
            .map(|iovec| GuestPtr::from(guest::u32_at(iovec, 0)).slice(guest::u32_at(iovec, 4)))
            .collect();
        let total: u64 = slices.iter().map(|slice| u64::from(slice.len())).sum();
        let total = u32::try_from(total).map_err(|_| Errno::Inval)?;
        for slice in &slices {
            guest::bytes(guest, *slice)?;
        }
        Ok(Iovecs { slices, total })
    }

    /// Bytes of all buffers.
    pub(super) fn total(&self) -> u32 {
        self.total
    }

    /// The buffers.
    pub(super) fn slices(&self) -> &[GuestSlice] {
        &self.slices
    }

    /// The parts of the buffers that hold the `len` bytes from `start` on.
    pub(super) fn range(
        &self,
        start: u32,
        len: u32,
    ) -> impl Iterator<Item = Result<GuestSlice, Errno>> + '_ {
        let end = start + len.min(self.total - start);
        let mut before = 0;
        self.slices.iter().filter_map(move |slice| {
            let first = before;
            before += slice.len(); // `read` has checked the sum
            let from = start.max(first);
            let to = end.min(before);
            (from < to).then(|| slice.part(from - first, to - from))
        })
    }

    /// Copies the `len` bytes from `start` on out of the guest's memory.
    pub(super) fn gather(
        &self,
        guest: &mut Guest<'_>,
        start: u32,
        len: u32,
    ) -> Result<Vec<u8>, Errno> {
        let mut gathered = Vec::with_capacity(len as usize);
        for part in self.range(start, len) {
            gathered.extend_from_slice(guest::bytes(guest, part?)?);
        }
        Ok(gathered)
    }

    /// Copies `bytes` into the guest's memory, from byte `start` of the buffers on.
    pub(super) fn scatter(
        &self,
        guest: &mut Guest<'_>,
        start: u32,
        mut bytes: &[u8],
    ) -> Result<(), Errno> {
        for part in self.range(start, bytes.len() as u32) {
            let part = part?;
            let (these, rest) = bytes.split_at(part.len() as usize);
            guest::bytes_mut(guest, part)?.copy_from_slice(these);
            bytes = rest;
        }
        Ok(())
    }
}
