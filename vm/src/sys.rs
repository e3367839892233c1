//! System calls: everything this crate asks of the kernel, beside files and threads through the
//! standard library. No other file of the crate makes one.

mod threads;

use corosensei::stack::{DefaultStack, Stack};
use memmap2::{Mmap, MmapOptions};
use std::fs::File;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr;

pub(crate) use threads::{ThreadClock, barrier_everywhere, be_prompt, prepare_barriers, thread_id};

/// A signal handler, as `sigaction(2)` has it with `SA_SIGINFO`.
pub(crate) type Handler = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);

/// What a process did with a signal before.
pub(crate) struct Disposition(libc::sigaction);

/// The present disposition of a signal.
///
/// # Errors
/// What the kernel says.
pub(crate) fn disposition(signal: i32) -> io::Result<Disposition> {
    let mut present = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: asks for the present handler without changing it.
    if unsafe { libc::sigaction(signal, ptr::null(), present.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it was written.
    Ok(Disposition(unsafe { present.assume_init() }))
}

/// Gives a signal back to the handler it had before. Async-signal-safe.
pub(crate) fn restore(signal: i32, previous: &Disposition) {
    // SAFETY: restores a handler that the process had installed.
    unsafe { libc::sigaction(signal, &previous.0, ptr::null_mut()) };
}

/// Installs a handler, which runs on the thread's signal stack. `nested` lets the same signal
/// arrive while the handler runs.
///
/// # Safety
/// The handler must be async-signal-safe.
///
/// # Errors
/// What the kernel says.
pub(crate) unsafe fn handle(signal: i32, handler: Handler, nested: bool) -> io::Result<()> {
    // SAFETY: all zeros is a valid sigaction: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    let nested = if nested { libc::SA_NODEFER } else { 0 };
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | nested;
    // SAFETY: the caller vouches for the handler.
    if unsafe { libc::sigaction(signal, &action, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

const SIGNAL_STACK_BYTES: usize = 64 << 10;

/// The stack on which signal handlers of a thread run: they work too while a guest's is used up.
pub(crate) struct SignalStack(Vec<u8>);

impl SignalStack {
    /// Makes it the present thread's.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn install() -> io::Result<SignalStack> {
        let mut memory = Vec::with_capacity(SIGNAL_STACK_BYTES);
        let stack = libc::stack_t {
            ss_sp: memory.as_mut_ptr() as *mut libc::c_void,
            ss_flags: 0,
            ss_size: SIGNAL_STACK_BYTES,
        };
        // SAFETY: the memory lives until `drop` has taken it out of use again.
        if unsafe { libc::sigaltstack(&stack, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(SignalStack(memory))
    }
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        debug_assert!(self.0.capacity() >= SIGNAL_STACK_BYTES);
        let none = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        // SAFETY: the thread ends, without a stack for handlers: the one from before ours may be
        // gone already (the standard library frees its own before thread-locals are dropped).
        unsafe { libc::sigaltstack(&none, ptr::null_mut()) };
    }
}

/// Runs a part of a signal handler without a trace in `errno`, which the interrupted code may be
/// about to read.
pub(crate) fn keeping_errno(run: impl FnOnce()) {
    // SAFETY: `errno` is this thread's own.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let saved = unsafe { *errno };
    run();
    // SAFETY: as above.
    unsafe { *errno = saved };
}

/// The signal that tells a thread to look whether a call is due.
pub(crate) fn due_signal() -> i32 {
    libc::SIGRTMIN() + 9
}

/// Sends a thread of this process the [`due_signal`]; nothing happens if the thread is gone.
pub(crate) fn signal_due(thread: i32) {
    let process = std::process::id();
    if thread != 0 {
        // SAFETY: sends a signal this process handles to one of its own threads; a stale id is
        // refused by the kernel, since the process id is checked too.
        unsafe { libc::syscall(libc::SYS_tgkill, process, thread, due_signal()) };
    }
}

/// Memory for a stack, with a guard at its low end; unmapped when it is dropped.
pub(crate) struct StackMemory(DefaultStack);

impl std::fmt::Debug for StackMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StackMemory({:#x}..{:#x})", self.low(), self.top())
    }
}

impl StackMemory {
    /// Memory of `bytes` bytes, of which the lowest `guard` are inaccessible.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn new(bytes: usize, guard: usize) -> io::Result<StackMemory> {
        let memory = DefaultStack::new(bytes)?;
        let low = memory.limit().get();
        // SAFETY: the range is the low end of the new stack, which nobody uses yet.
        unsafe { region::protect(low as *const u8, guard, region::Protection::NONE) }
            .map_err(io::Error::other)?;
        Ok(StackMemory(memory))
    }

    /// The lowest address, where the guard begins.
    pub(crate) fn low(&self) -> usize {
        self.0.limit().get()
    }

    /// The end.
    pub(crate) fn top(&self) -> usize {
        self.0.base().get()
    }

    /// Gives the pages of a range back, which is zeros then. It is only advice: nothing is said if
    /// the kernel does not follow it.
    pub(crate) fn discard(&mut self, range: Range<usize>) {
        assert!(range.start >= self.low() && range.end <= self.top(), "inside the stack");
        let start = range.start as *mut std::ffi::c_void;
        // SAFETY: the range is inside this memory, which is exclusively ours.
        let _ =
            unsafe { rustix::mm::madvise(start, range.len(), rustix::mm::Advice::LinuxDontNeed) };
    }
}

/// A file in memory with these bytes.
///
/// # Errors
/// What the kernel says.
pub(crate) fn file_in_memory(name: &str, bytes: &[u8]) -> io::Result<File> {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::memfd_create(name, flags)?);
    file.write_all(bytes)?;
    Ok(file)
}

/// Maps a whole file, read-only.
///
/// # Safety
/// Nobody may change the file as long as the mapping.
///
/// # Errors
/// What the kernel says.
pub(crate) unsafe fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the caller's contract.
    unsafe { Mmap::map(file) }
}

/// Maps a part of a file for execution.
///
/// # Safety
/// As [`map`].
///
/// # Errors
/// What the kernel says.
pub(crate) unsafe fn map_code(file: &File, offset: u64, bytes: usize) -> io::Result<Mmap> {
    let mut options = MmapOptions::new();
    // SAFETY: the caller's contract.
    unsafe { options.offset(offset).len(bytes).map_exec(file) }
}

/// Bytes of memory that this machine has.
pub(crate) fn memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(info.mem_unit.into())
}

/// Whether the kernel says that there is nothing left of something: memory, descriptors, threads
/// and locked memory (both `EAGAIN`), or room on a disk.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    use libc::{EAGAIN, EDQUOT, EMFILE, ENFILE, ENOMEM, ENOSPC};
    let code = error.raw_os_error();
    code.is_some_and(|code| [EAGAIN, EDQUOT, EMFILE, ENFILE, ENOMEM, ENOSPC].contains(&code))
}

/// Gives the free pages of the process's allocator back to the kernel.
pub(crate) fn trim_allocator() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the allocator's own function, which locks what it looks at.
    unsafe {
        libc::malloc_trim(0)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_out_of_something_or_fails() {
        let said = |code| is_exhausted(&io::Error::from_raw_os_error(code));
        assert!([libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::EAGAIN].into_iter().all(said));
        assert!(![libc::EIO, libc::EPERM, libc::ENOENT, libc::EINVAL].into_iter().any(said));
        assert!(!is_exhausted(&io::ErrorKind::UnexpectedEof.into()));
    }
}
