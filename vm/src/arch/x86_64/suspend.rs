//! Suspending guest code and resuming it, perhaps on another thread.
//!
//! ```text
//!   host stack of the resuming thread      guest stack, suspended
//!   | ... caller of `resume`       |       | guest functions ...                        |
//!   | return to `resume`           |       | stub or thunk                              |
//!   | rbp rbx r12 r13 r14 r15 pad  |       | `wait_*`: one cell or four, for the result |
//!   |   ^ WayBack::host_sp         |       | return to `wait_*`                         |
//!                                          | rbp rbx r12 r13 r14 r15 mxcsr              |
//!                                          |   ^ WayBack::guest_sp                      |
//! ```
//!
//! Compiled code calls a `wait_*` stub, which calls the host. The host either returns null, and the
//! stub returns to compiled code with the result in the cell; or a [`WayBack`], and the stub switches
//! to the host's stack. Until somebody resumes it, the guest's stack then holds frames of compiled
//! code and of these stubs, and no address of a thread. Whoever resumes writes the result first.
//!
//! The control bits of MXCSR are the guest's: a thread that resumes it may have others, and gets its
//! own back however guest code is left. The x87 unit is not used by guests.

use super::enter::{SUSPENDED, WayBack};
use std::arch::naked_asm;
use std::mem::offset_of;

/// A place in guest code to go on at, and the registers that it expects.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Landing {
    pub(crate) pc: usize,
    pub(crate) sp: usize,
    pub(crate) fp: usize,
    pub(crate) exception: u64,
    pub(crate) tag: u64,
    pub(crate) base: usize,
}

/// The record that an async host function's `env` points to, as far as the stubs know it.
#[repr(C)]
pub(crate) struct WaitEnv {
    /// Begins the host function with its arguments in the cells, where it leaves its results, now
    /// or before the guest is resumed. Returns null, or the way back of a guest that is to be
    /// suspended.
    pub(crate) begin: extern "C" fn(*const (), *mut (), *mut u64) -> *const WayBack,
}

/// An async host function as compiled code calls it, with its arguments in registers.
///
/// # Safety
/// Must be called by compiled code; `env` must be the address of a [`WaitEnv`].
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn wait_with_registers(
    env: *const (),
    instance: *mut (),
    a0: u64,
    a1: u64,
    a2: u64,
    a3: u64,
) -> u64 {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "sub rsp, 32",
        "mov [rsp], rdx",
        "mov [rsp + 8], rcx",
        "mov [rsp + 16], r8",
        "mov [rsp + 24], r9",
        "mov rdx, rsp",
        "call [rdi + {begin}]",
        "test rax, rax",
        "jz 2f",
        "mov rdi, rax",
        "call {suspend}",
        "2:",
        "mov rax, [rsp]",
        "leave",
        "ret",
        begin = const offset_of!(WaitEnv, begin),
        suspend = sym suspend,
    )
}

/// An async host function as compiled code calls it, with its arguments in an array.
///
/// # Safety
/// As [`wait_with_registers`].
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn wait_with_array(
    env: *const (),
    instance: *mut (),
    cells: *mut u64,
) {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "call [rdi + {begin}]",
        "test rax, rax",
        "jz 2f",
        "mov rdi, rax",
        "call {suspend}",
        "2:",
        "leave",
        "ret",
        begin = const offset_of!(WaitEnv, begin),
        suspend = sym suspend,
    )
}

/// A hostcall with four arguments after the instance that may wait.
pub(crate) trait WaitHostcall {
    /// As [`WaitEnv::begin`], with a cell for the result.
    extern "C" fn begin(
        instance: *mut (),
        a0: u64,
        a1: u64,
        a2: u64,
        a3: u64,
        result: *mut u64,
    ) -> *const WayBack;
}

/// The entry of a hostcall that may wait.
///
/// # Safety
/// Must be called by compiled code, as the hostcall.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn wait_hostcall<H: WaitHostcall>(
    instance: *mut (),
    a0: u64,
    a1: u64,
    a2: u64,
    a3: u64,
) -> u64 {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "sub rsp, 16",
        "mov r9, rsp",
        "call {begin}",
        "test rax, rax",
        "jz 2f",
        "mov rdi, rax",
        "call {suspend}",
        "2:",
        "mov rax, [rsp]",
        "leave",
        "ret",
        begin = sym H::begin,
        suspend = sym suspend,
    )
}

/// Saves the registers that compiled code expects to be preserved, and returns [`SUSPENDED`] from
/// whatever filled `back`. Returns itself when it is resumed.
///
/// # Safety
/// Must be called by one of the stubs above; `back` must be the way back of the innermost entry on
/// this thread.
#[unsafe(naked)]
unsafe extern "C" fn suspend(back: *const WayBack) {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "stmxcsr [rsp]",
        "mov [rdi + {guest_sp}], rsp",
        "mov rsp, [rdi + {host_sp}]",
        "mov eax, {suspended}",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        guest_sp = const offset_of!(WayBack, guest_sp),
        host_sp = const offset_of!(WayBack, host_sp),
        suspended = const SUSPENDED,
    )
}

/// Resumes guest code that was suspended: in the stub that waited, or at `landing` if that is not
/// null. Returns the status with which guest code is left, as `enter` does.
///
/// # Safety
/// `back` must be of an entry that is suspended, and stay where it is until this returns; nobody
/// else may resume it. The result must be where the stub finds it; or `landing` a handler in a
/// frame of that entry, with the BASE of its instance.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn resume_suspended(
    back: *mut WayBack,
    landing: *const Landing,
) -> u64 {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "sub rsp, 16",
        "stmxcsr [rsp]",
        "call 2f",
        "ldmxcsr [rsp]",
        "leave",
        "ret",
        "2:",
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "mov [rdi + {host_sp}], rsp",
        "mov rax, [rdi + {guest_sp}]",
        "ldmxcsr [rax]",
        "test rsi, rsi",
        "jnz 3f",
        "lea rsp, [rax + 8]",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        "3:",
        "mov rsp, [rsi + {sp}]",
        "mov rbp, [rsi + {fp}]",
        "mov rax, [rsi + {exception}]",
        "mov rdx, [rsi + {tag}]",
        "mov r15, [rsi + {base}]",
        "jmp [rsi + {pc}]",
        host_sp = const offset_of!(WayBack, host_sp),
        guest_sp = const offset_of!(WayBack, guest_sp),
        pc = const offset_of!(Landing, pc),
        sp = const offset_of!(Landing, sp),
        fp = const offset_of!(Landing, fp),
        exception = const offset_of!(Landing, exception),
        tag = const offset_of!(Landing, tag),
        base = const offset_of!(Landing, base),
    )
}
