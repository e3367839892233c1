//! Entering and leaving guest code. (`suspend` has the other assembly that there is.)
//!
//! ```text
//!   host stack                          guest stack
//!   | ... caller of `enter`       |     |                              | <- stack top
//!   | rbp rbx r12 r13 r14 r15 pad | <-- | return to `enter`            |
//!   |   ^ WayBack::host_sp        |     | array trampoline             |
//!                                       | guest functions ...          |
//!                                       | stub, hostcall, host code    |
//! ```
//!
//! The guest's stack holds no address of the host's stack: `enter` finds its way back through the
//! [`WayBack`], which belongs to the call, and the chain of frame pointers ends with zero. A
//! suspended call therefore returns to the thread that resumed it last.
//!
//! `leave` gives up everything on the guest stack and returns from `enter` with a status: the
//! frames given up are compiled code's, which own nothing, and the last frame of a hostcall, which
//! has dropped everything it owned.

use std::arch::naked_asm;

/// The way back from guest code to the host.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WayBack {
    /// Stack pointer of the host, to return to. Written when guest code is entered or resumed.
    pub(super) host_sp: usize,
    /// Stack pointer of the guest, if it is suspended. Written by `suspend`.
    pub(super) guest_sp: usize,
}

impl WayBack {
    /// No way back: nothing was entered.
    pub(crate) const NONE: WayBack = WayBack { host_sp: 0, guest_sp: 0 };

    /// The host's stack pointer when it entered or resumed guest code.
    pub(crate) fn host_sp(&self) -> usize {
        self.host_sp
    }

    /// The guest's stack pointer when it was suspended; its registers are above it.
    pub(crate) fn guest_sp(&self) -> usize {
        self.guest_sp
    }
}

/// Status of [`enter`]: the function returned.
pub(crate) const FINISHED: u64 = 0;
/// Status of [`enter`]: guest code was left by a hostcall or a host function.
pub(crate) const LEFT: u64 = 1;
/// Status of [`enter`]: guest code was left by the signal handler.
pub(crate) const FAULTED: u64 = 2;
/// Status of [`enter`]: guest code was switched away from, and can be resumed.
pub(crate) const SUSPENDED: u64 = 3;
/// Status of [`enter`]: guest code was preempted by the signal handler, and can be resumed.
pub(crate) const PREEMPTED: u64 = 4;

/// Calls `trampoline(code, cells)` on the stack below `stack_top` (or below the current
/// stack pointer if that is zero) with BASE set to `base`.
///
/// # Safety
/// `trampoline` must be the array trampoline of the type of `code`, which must be compiled code
/// of a live module; `base` the BASE of an instance of it; `cells` an array with room for
/// parameters and results; `stack_top` zero or a multiple of 16 in an unused stack; `back` must
/// stay where it is until this returns.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn enter(
    code: usize,
    cells: *mut u64,
    base: usize,
    trampoline: usize,
    stack_top: usize,
    back: *mut WayBack,
) -> u64 {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "xor ebp, ebp", // the end of the guest's chain of frames
        "mov [r9], rsp",
        "mov rbx, r9", // the guest's functions preserve it
        "mov r15, rdx",
        "test r8, r8",
        "cmovz r8, rsp",
        "mov rsp, r8",
        "call rcx",
        "mov rsp, [rbx]",
        "xor eax, eax",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// Returns from whatever filled `back`, [`enter`] or a resumption, with `status`.
///
/// # Safety
/// It must be under way on this thread, and no frame since may still own anything.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn leave(back: *const WayBack, status: u64) -> ! {
    naked_asm!(
        "mov rsp, [rdi]",
        "mov rax, rsi",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// Goes on at `pc` in guest code with these stack and frame pointers, BASE set to `base`, and an
/// exception and its tag where a handler expects them.
///
/// # Safety
/// `pc`, `sp` and `fp` must belong to a handler of a call under way in guest code of this thread,
/// `base` to the handler's instance, and no frame since may still own anything.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn resume(
    pc: usize,
    sp: usize,
    fp: usize,
    exception: u64,
    tag: u64,
    base: usize,
) -> ! {
    naked_asm!(
        "mov rsp, rsi",
        "mov rbp, rdx",
        "mov rax, rcx",
        "mov rdx, r8",
        "mov r15, r9",
        "jmp rdi",
    )
}

/// The registers that a function must preserve: callers may have left values in them.
#[inline(always)]
pub(crate) fn preserved_registers() -> [u64; 5] {
    let mut registers = [0u64; 5];
    // SAFETY: stores the registers into the array, and changes nothing else.
    unsafe {
        std::arch::asm!(
            "mov [{0}], rbx",
            "mov [{0} + 8], r12",
            "mov [{0} + 16], r13",
            "mov [{0} + 24], r14",
            "mov [{0} + 32], rbp",
            in(reg) registers.as_mut_ptr(),
            options(nostack, preserves_flags),
        );
    }
    registers
}
