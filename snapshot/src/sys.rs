//! The system calls of this crate, each with the argument why it is sound.

use crate::Error;
use rustix::fs::{FallocateFlags, MemfdFlags, fallocate, ftruncate, memfd_create};
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

    /// Forgets private pages of a range: it reads as the file, or as zeros, again. In pieces: meanwhile
    /// other threads may change mappings.
    pub(crate) fn discard(&mut self, at: usize, bytes: usize) -> Result<(), Error> {
        (0..bytes)
            .step_by(PIECE)
            .try_for_each(|done| self.discard_at_once(at + done, PIECE.min(bytes - done)))
    }

    /// The same in one system call, for a range with pages here and there.
    pub(crate) fn discard_at_once(&mut self, at: usize, bytes: usize) -> Result<(), Error> {
        let address = self.address(at, bytes)?;
        // SAFETY: as in `map_zeroed`.
        unsafe { madvise(address, bytes, Advice::LinuxDontNeed) }
            .map_err(Error::os("discarding pages"))
    }
}

/// Bytes of memory that are given back in one system call. The kernel holds a lock of the address space
/// meanwhile, for 150 µs of this many, and guests on other threads that grow their memory wait for it.
pub(crate) const PIECE: usize = 4 << 20;

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

/// A range of a file, mapped for reading.
#[derive(Debug)]
pub(crate) struct View {
    start: *const u8,
    /// Offset in the file.
    from: u64,
    bytes: usize,
}

// SAFETY: the mapping is read-only and belongs to the view.
unsafe impl Send for View {}

// SAFETY: as above.
unsafe impl Sync for View {}

impl View {
    /// The `bytes` bytes from `from` on, a multiple of the page.
    pub(crate) fn new(file: &File, from: u64, bytes: u64) -> io::Result<View> {
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        if bytes == 0 {
            return Ok(View { start: ptr::null(), from, bytes });
        }
        // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing.
        let start =
            unsafe { mmap(ptr::null_mut(), bytes, ProtFlags::READ, MapFlags::SHARED, file, from)? };
        Ok(View { start: start.cast(), from, bytes })
    }

    /// A whole file.
    pub(crate) fn of_all(file: &File) -> io::Result<View> {
        View::new(file, 0, file.metadata()?.len())
    }

    /// The bytes at `offset` in the file, which nobody changes as long as the view.
    pub(crate) fn bytes(&self, offset: u64, bytes: usize) -> Option<&[u8]> {
        let at = usize::try_from(offset.checked_sub(self.from)?).ok()?;
        let inside = at.checked_add(bytes)? <= self.bytes;
        // SAFETY: the range is in the mapping, which lives as long as the view. The file is an
        // image's, which is written before it is viewed and never again.
        inside.then(|| unsafe { std::slice::from_raw_parts(self.start.wrapping_add(at), bytes) })
    }
}

impl Drop for View {
    fn drop(&mut self) {
        unmap(self.start as usize, self.bytes);
    }
}

/// A new, empty file in memory.
pub(crate) fn memfd(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC)?))
}

/// Sets a file's size; new bytes are zero and take no memory.
pub(crate) fn resize(file: &File, bytes: u64) -> io::Result<()> {
    Ok(ftruncate(file, bytes)?)
}

/// Makes a range of a file zero, and gives its memory back.
pub(crate) fn punch_hole(file: &File, at: u64, bytes: u64) -> io::Result<()> {
    Ok(fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, bytes)?)
}

pub(crate) fn write_all_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    file.write_all_at(bytes, at)
}
