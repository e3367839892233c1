//! The system calls of this crate, each with the argument why it is sound.

use crate::Error;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{
    Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap, mmap_anonymous, mprotect, munmap,
};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::ptr;

const MAPPING: &str = "mapping an image (limited by vm.max_map_count)";

/// A range of address space that this process reserved and nobody else maps into.
#[derive(Debug)]
pub(crate) struct Reservation {
    start: usize,
    bytes: usize,
}

impl Reservation {
    /// Reserves `bytes` inaccessible bytes at a multiple of `align`.
    pub(crate) fn new(bytes: usize, align: usize) -> io::Result<Self> {
        if let Some(reservation) = Self::below_the_last(bytes, align) {
            return Ok(reservation);
        }
        let padded = bytes + align;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing.
        let start = unsafe {
            mmap_anonymous(ptr::null_mut(), padded, ProtFlags::empty(), reserve_flags())?
        } as usize;
        let aligned = start.next_multiple_of(align);
        let reservation = Reservation { start: aligned, bytes };
        unmap(start, aligned - start);
        unmap(aligned + bytes, start + padded - (aligned + bytes));
        Ok(reservation)
    }

    /// As [`Reservation::new`], where the kernel would put `bytes` bytes: below the last one, if that
    /// was as large and nothing was mapped since. So neither are there gaps as large as the alignment
    /// between reservations, nor is each a mapping of its own.
    fn below_the_last(bytes: usize, align: usize) -> Option<Reservation> {
        // SAFETY: as in `new`.
        let start =
            unsafe { mmap_anonymous(ptr::null_mut(), bytes, ProtFlags::empty(), reserve_flags()) };
        let start = start.ok()? as usize;
        if start.is_multiple_of(align) {
            return Some(Reservation { start, bytes });
        }
        unmap(start, bytes);
        None
    }

    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// The address `at` bytes from the start, after checking that `bytes` from there are inside.
    fn address(&self, at: usize, bytes: usize) -> Result<*mut std::ffi::c_void, Error> {
        if at.checked_add(bytes).is_none_or(|end| end > self.bytes) {
            return Err(Error::OutOfBounds);
        }
        Ok((self.start + at) as *mut std::ffi::c_void)
    }

    /// Maps zeroed, writable memory over a range.
    pub(crate) fn map_zeroed(&mut self, at: usize, bytes: usize) -> Result<(), Error> {
        if bytes == 0 {
            return Ok(());
        }
        let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
        let address = self.address(at, bytes)?;
        // SAFETY: `address` checked that the range is inside this reservation, which is ours, and
        // `&mut self` that nobody holds a reference into it.
        unsafe { mmap_anonymous(address, bytes, ProtFlags::READ | ProtFlags::WRITE, flags) }
            .map_err(Error::os(MAPPING))?;
        Ok(())
    }

    /// Maps a range of a file over a range, privately.
    pub(crate) fn map_file(
        &mut self,
        at: usize,
        bytes: usize,
        file: &File,
        offset: u64,
    ) -> Result<(), Error> {
        let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
        let address = self.address(at, bytes)?;
        // SAFETY: as in `map_zeroed`.
        unsafe { mmap(address, bytes, ProtFlags::READ | ProtFlags::WRITE, flags, file, offset) }
            .map_err(Error::os(MAPPING))?;
        Ok(())
    }

    /// Makes a range inaccessible and forgets its contents.
    pub(crate) fn close(&mut self, at: usize, bytes: usize) -> Result<(), Error> {
        if bytes == 0 {
            return Ok(());
        }
        let address = self.address(at, bytes)?;
        let flags = reserve_flags() | MapFlags::FIXED;
        // SAFETY: as in `map_zeroed`.
        unsafe { mmap_anonymous(address, bytes, ProtFlags::empty(), flags) }
            .map_err(Error::os("unmapping an image"))?;
        Ok(())
    }

    /// Makes a range accessible or inaccessible, keeping its contents.
    pub(crate) fn protect(&mut self, at: usize, bytes: usize, access: Access) -> Result<(), Error> {
        let address = self.address(at, bytes)?;
        protect(address as usize, bytes, access)
            .map_err(Error::os("changing the protection of grown memory"))
    }

    /// Forgets private pages of a range: it reads as the file, or as zeros, again.
    pub(crate) fn discard(&mut self, at: usize, bytes: usize) -> Result<(), Error> {
        let address = self.address(at, bytes)?;
        // SAFETY: as in `map_zeroed`.
        unsafe { madvise(address, bytes, Advice::LinuxDontNeed) }
            .map_err(Error::os("discarding pages"))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        unmap(self.start, self.bytes);
    }
}

/// The accesses that a range allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing.
    None,
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
}

/// Changes the accesses that a range of a slot allows, keeping its contents. Async-signal-safe, and
/// leaves `errno` alone.
pub(crate) fn protect(start: usize, bytes: usize, access: Access) -> io::Result<()> {
    let flags = match access {
        Access::None => MprotectFlags::empty(),
        Access::Read => MprotectFlags::READ,
        Access::Write => MprotectFlags::READ | MprotectFlags::WRITE,
    };
    // SAFETY: the callers own the range and hold no reference into it that needs more access.
    unsafe { mprotect(start as *mut std::ffi::c_void, bytes, flags)? };
    Ok(())
}

/// Makes the pages of a writable range the process's own, as if each had been written to.
pub(crate) fn populate(start: usize, bytes: usize) -> io::Result<()> {
    // SAFETY: contents stay as they are.
    unsafe { madvise(start as *mut std::ffi::c_void, bytes, Advice::LinuxPopulateWrite)? };
    Ok(())
}

fn reserve_flags() -> MapFlags {
    MapFlags::PRIVATE | MapFlags::NORESERVE
}

/// Unmaps a range that was just reserved. It cannot fail but for a shortage of kernel memory, and
/// then the address space stays taken, which harms nobody.
fn unmap(start: usize, bytes: usize) {
    if bytes > 0 {
        // SAFETY: the callers own the range and hold no reference into it.
        let _ = unsafe { munmap(start as *mut std::ffi::c_void, bytes) };
    }
}

/// A whole file, mapped for reading.
#[derive(Debug)]
pub(crate) struct View {
    start: *const u8,
    bytes: usize,
}

// SAFETY: the mapping is read-only and belongs to the view.
unsafe impl Send for View {}

// SAFETY: as above.
unsafe impl Sync for View {}

impl View {
    pub(crate) fn new(file: &File) -> io::Result<View> {
        let bytes = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if bytes == 0 {
            return Ok(View { start: ptr::null(), bytes });
        }
        // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing.
        let start =
            unsafe { mmap(ptr::null_mut(), bytes, ProtFlags::READ, MapFlags::SHARED, file, 0)? };
        Ok(View { start: start.cast(), bytes })
    }

    /// The address of the page at `offset` in the file.
    pub(crate) fn page(&self, offset: u64) -> Option<*const u8> {
        let offset = usize::try_from(offset).ok()?;
        let inside = offset.checked_add(crate::PAGE)? <= self.bytes;
        inside.then(|| self.start.wrapping_add(offset))
    }
}

impl Drop for View {
    fn drop(&mut self) {
        unmap(self.start as usize, self.bytes);
    }
}

/// A new file in memory.
pub(crate) fn memfd(name: &str, bytes: u64) -> io::Result<File> {
    let file = memfd_create(name, MemfdFlags::CLOEXEC)?;
    ftruncate(&file, bytes)?;
    Ok(File::from(file))
}

pub(crate) fn write_all_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    file.write_all_at(bytes, at)
}
