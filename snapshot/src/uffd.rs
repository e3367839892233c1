//! The `ioctl`s of userfaultfd this crate needs (Linux `userfaultfd(2)`, `ioctl_userfaultfd(2)`).

use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};
use rustix::mm::{UserfaultfdFlags, userfaultfd};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

const GROUP: u8 = 0xaa;
const API_VERSION: u64 = 0xaa;
/// Write-protect faults, delivered as SIGBUS, for shared memory files, and for pages that are not
/// there yet.
const FEATURES: u64 = 1 | 1 << 7 | 1 << 12 | 1 << 13;
const REGISTER_MODE_MISSING: u64 = 1;
const REGISTER_MODE_WP: u64 = 2;
const WRITEPROTECT_MODE_WP: u64 = 1;

#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
struct Register {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

#[repr(C)]
struct Copy {
    start: u64,
    from: u64,
    len: u64,
    mode: u64,
    copied: i64,
}

#[repr(C)]
struct WriteProtect {
    start: u64,
    len: u64,
    mode: u64,
}

const API: Opcode = opcode::read_write::<Api>(GROUP, 0x3f);
const REGISTER: Opcode = opcode::read_write::<Register>(GROUP, 0x00);
const COPY: Opcode = opcode::read_write::<Copy>(GROUP, 0x03);
const WRITEPROTECT: Opcode = opcode::read_write::<WriteProtect>(GROUP, 0x06);

/// The process's descriptor.
///
/// # Errors
/// [`Missing`].
pub(crate) fn descriptor() -> Result<&'static OwnedFd, Missing> {
    static DESCRIPTOR: OnceLock<Result<OwnedFd, Missing>> = OnceLock::new();
    DESCRIPTOR.get_or_init(open).as_ref().map_err(|missing| *missing)
}

/// The part of userfaultfd that this kernel lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// The system call: the kernel was built without it.
    #[error("the kernel does not have it")]
    SystemCall,
    /// The permission to make it: a filter of system calls, as containers have them.
    #[error("not permitted")]
    Permission,
    /// Write protection with SIGBUS, of pages that are not there yet: Linux before 6.4.
    #[error("available, but without write protection in SIGBUS mode")]
    Features,
    /// Something else, usually file descriptors.
    #[error("cannot be used: {0}")]
    Other(io::ErrorKind),
}

/// A new descriptor.
///
/// # Errors
/// [`Missing`].
pub(crate) fn open() -> Result<OwnedFd, Missing> {
    // Only faults of user code: no privilege is needed then. The kernel itself must not write to
    // a protected page; see `Slot::make_writable`.
    let user_mode_only = UserfaultfdFlags::from_bits_retain(1);
    // SAFETY: a new descriptor, which is not used for anything yet.
    let descriptor = unsafe { userfaultfd(UserfaultfdFlags::CLOEXEC | user_mode_only) };
    let descriptor = descriptor.map_err(|error| match error {
        Errno::NOSYS => Missing::SystemCall,
        Errno::PERM | Errno::ACCESS => Missing::Permission,
        // The flag for user mode came later than the call.
        Errno::INVAL => Missing::Features,
        error => Missing::Other(error.kind()),
    })?;
    let mut api = Api { api: API_VERSION, features: FEATURES, ioctls: 0 };
    // SAFETY: the opcode goes with the type.
    let request = unsafe { Updater::<API, Api>::new(&mut api) };
    // SAFETY: the handshake changes only the descriptor.
    unsafe { ioctl(&descriptor, request) }.map_err(|_| Missing::Features)?;
    Ok(descriptor)
}

/// Makes writes to protected pages in a range of this process's mappings known to the descriptor.
pub(crate) fn register(descriptor: &OwnedFd, start: usize, len: usize) -> io::Result<()> {
    register_as(descriptor, start, len, REGISTER_MODE_WP)
}

/// Makes accesses to pages that are not there yet known to the descriptor.
pub(crate) fn register_missing(descriptor: &OwnedFd, start: usize, len: usize) -> io::Result<()> {
    register_as(descriptor, start, len, REGISTER_MODE_MISSING)
}

fn register_as(descriptor: &OwnedFd, start: usize, len: usize, mode: u64) -> io::Result<()> {
    let (start, len) = (start as u64, len as u64);
    let mut register = Register { start, len, mode, ioctls: 0 };
    // SAFETY: the opcode goes with the type.
    let request = unsafe { Updater::<REGISTER, Register>::new(&mut register) };
    // SAFETY: the range is the caller's; its contents stay as they are.
    unsafe { ioctl(descriptor, request)? };
    Ok(())
}

/// Protects a registered range from writes, or lifts that. Async-signal-safe.
pub(crate) fn protect(
    descriptor: &OwnedFd,
    start: usize,
    len: usize,
    protect: bool,
) -> io::Result<()> {
    let mode = if protect { WRITEPROTECT_MODE_WP } else { 0 };
    let mut range = WriteProtect { start: start as u64, len: len as u64, mode };
    // SAFETY: the opcode goes with the type.
    let request = unsafe { Updater::<WRITEPROTECT, WriteProtect>::new(&mut range) };
    // SAFETY: the range is the caller's; its contents stay as they are.
    unsafe { ioctl(descriptor, request)? };
    Ok(())
}

/// Provides pages at `start`, in a range registered for that, none of which is there. They can be
/// written to without a fault. Async-signal-safe.
pub(crate) fn copy(descriptor: &OwnedFd, start: usize, pages: &[u8]) -> io::Result<()> {
    copy_range(descriptor, start, pages).1
}

/// As [`copy`], up to the first page that is there already: the bytes provided.
pub(crate) fn copy_while_missing(descriptor: &OwnedFd, start: usize, pages: &[u8]) -> usize {
    // Negative numbers are errors.
    usize::try_from(copy_range(descriptor, start, pages).0).unwrap_or(0)
}

/// The bytes provided, or an error's number; and the result.
fn copy_range(descriptor: &OwnedFd, start: usize, pages: &[u8]) -> (i64, io::Result<()>) {
    let (start, from, len) = (start as u64, pages.as_ptr() as u64, pages.len() as u64);
    let mut range = Copy { start, from, len, mode: 0, copied: 0 };
    // SAFETY: the opcode goes with the type.
    let request = unsafe { Updater::<COPY, Copy>::new(&mut range) };
    // SAFETY: the range is the caller's; only pages that are not there are changed.
    let result = unsafe { ioctl(descriptor, request) };
    (range.copied, result.map_err(io::Error::from))
}
