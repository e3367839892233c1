//! Entering and leaving guest code: the only assembly there is.
//!
//! ```text
//!   host stack                          guest stack
//!   | ... caller of `enter`       |     |                              | <- stack top
//!   | rbp rbx r12 r13 r14 r15 pad | <-- | return to `enter`            |
//!   |   ^ Activation::host_sp     |     | array trampoline             |
//!                                       | guest functions ...          |
//!                                       | stub, hostcall, host code    |
//! ```
//!
//! `leave` gives up everything on the guest stack and returns from `enter` with a status: the
//! frames given up are compiled code's, which own nothing, and the last frame of a hostcall, which
//! has dropped what it owned.

use crate::store::StoreInner;
use std::arch::naked_asm;

/// A call of guest code under way. Lives on the host stack of its caller.
#[repr(C)]
pub(crate) struct Activation {
    /// Stack pointer inside `enter`, to return to. Written by `enter`.
    pub(crate) host_sp: usize,
    /// The call on this thread that this one is nested in, or null.
    pub(crate) previous: *const Activation,
    /// The store whose guest runs.
    pub(crate) store: *mut StoreInner,
    /// `exit_fp` of the call in the same store that this one is nested in.
    pub(crate) outer_exit_fp: u64,
}

/// What [`enter`] returns.
pub(crate) const FINISHED: u64 = 0;
/// Guest code was left; [`StoreInner::pending`](crate::store::StoreInner) says why.
pub(crate) const LEFT: u64 = 1;
/// Guest code was left by the signal handler; the store's fault record says why.
pub(crate) const FAULTED: u64 = 2;

/// Calls `trampoline(code, cells)` on the stack that ends at `stack_top` (or below the current
/// stack pointer if that is zero) with BASE set to `base`.
///
/// # Safety
/// `trampoline` must be the array trampoline of the type of `code`, which must be compiled code
/// of a live module; `base` the BASE of an instance of it; `cells` an array with room for
/// parameters and results; `stack_top` zero or the 16-aligned top of an unused stack.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn enter(
    code: usize,
    cells: *mut u64,
    base: usize,
    trampoline: usize,
    stack_top: usize,
    activation: *mut Activation,
) -> u64 {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "mov [r9], rsp",
        "mov rbx, rsp", // the guest's functions preserve it
        "mov r15, rdx",
        "test r8, r8",
        "cmovz r8, rsp",
        "mov rsp, r8",
        "call rcx",
        "mov rsp, rbx",
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

/// Returns from the `enter` that filled `activation`, with `status`.
///
/// # Safety
/// That `enter` must be under way on this thread, and no frame since may still own anything.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn leave(activation: *const Activation, status: u64) -> ! {
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
/// `pc`, `sp` and `fp` must be those of a handler of a call under way in guest code of this
/// thread, `base` that of the handler's instance, and no frame since may still own anything.
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

impl Activation {
    /// The call that this one is nested in.
    pub(crate) fn previous(&self) -> Option<&Activation> {
        // SAFETY: calls under way are alive, on the stacks of their callers, and those that a call
        // is nested in for longer.
        unsafe { self.previous.as_ref() }
    }

    /// The [`GuestStack::id`](crate::stack::GuestStack::id) of the stack it runs on.
    pub(crate) fn stack_id(&self) -> u64 {
        // SAFETY: a call under way keeps its store alive, and this thread is the one that uses it.
        unsafe { (*self.store).stack.id() }
    }

    /// Frame pointer of `enter`: the end of the guest's chain of frames.
    pub(crate) fn entry_fp(&self) -> usize {
        // `enter` pushed five registers and eight bytes below the saved frame pointer.
        self.host_sp + 6 * 8
    }
}
