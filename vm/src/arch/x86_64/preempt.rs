//! Going on in preempted guest code, and the landings at which it is preempted when a call of the
//! host returns.
//!
//! ```text
//!   host stack of the resuming thread            save area of the call
//!   | ... caller of `resume_preempted`      |    | XSAVE area, general registers |
//!   | rbp, mxcsr                            |
//!   | return to `resume_preempted`          |
//!   | rbp rbx r12 r13 r14 r15 pad           | <- WayBack::host_sp
//!   | ss rsp rflags cs rip, for `iretq`     |
//! ```
//!
//! Nothing is written to the guest's stack, which may be full, and the stack pointer is never anywhere
//! but on a stack: `iretq` sets it together with flags and pc.
//!
//! A guest that is to be preempted when the host returns to it gets there through a *landing*: an
//! instruction that faults, so that the handler finds all registers as if guest code had been
//! interrupted behind the call.

use super::enter::WayBack;
use super::save_area::{General, SaveArea};
use std::arch::naked_asm;
use std::mem::offset_of;

/// Bytes of the instruction that faults.
const FAULT_BYTES: usize = 2;

/// Resumes preempted guest code. Returns the status with which it is left, as `enter` does.
///
/// # Safety
/// `back` must be of an entry that was preempted, and stay where it is until this returns; nobody
/// else may resume it. `area` must hold its registers, and live until guest code runs.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn resume_preempted(back: *mut WayBack, area: *const SaveArea) -> u64 {
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
        "mov eax, [rsi + {components}]",
        "xor edx, edx",
        "test eax, eax",
        "jz 3f",
        "xrstor64 [rsi + {vector}]",
        "jmp 4f",
        "3:",
        "fxrstor64 [rsi + {vector}]",
        "4:",
        "mov eax, ss",
        "push rax",
        "push qword ptr [rsi + {general} + {rsp}]",
        "push qword ptr [rsi + {general} + {rflags}]",
        "mov eax, cs",
        "push rax",
        "push qword ptr [rsi + {resume_at}]",
        "mov rax, [rsi + {general} + {rax}]",
        "mov rbx, [rsi + {general} + {rbx}]",
        "mov rcx, [rsi + {general} + {rcx}]",
        "mov rdx, [rsi + {general} + {rdx}]",
        "mov rdi, [rsi + {general} + {rdi}]",
        "mov rbp, [rsi + {general} + {rbp}]",
        "mov r8, [rsi + {general} + {r8}]",
        "mov r9, [rsi + {general} + {r9}]",
        "mov r10, [rsi + {general} + {r10}]",
        "mov r11, [rsi + {general} + {r11}]",
        "mov r12, [rsi + {general} + {r12}]",
        "mov r13, [rsi + {general} + {r13}]",
        "mov r14, [rsi + {general} + {r14}]",
        "mov r15, [rsi + {general} + {r15}]",
        "mov rsi, [rsi + {general} + {rsi}]",
        "iretq",
        host_sp = const offset_of!(WayBack, host_sp),
        vector = const offset_of!(SaveArea, vector),
        components = const offset_of!(SaveArea, components),
        resume_at = const offset_of!(SaveArea, resume_at),
        general = const offset_of!(SaveArea, general),
        rax = const offset_of!(General, rax),
        rbx = const offset_of!(General, rbx),
        rcx = const offset_of!(General, rcx),
        rdx = const offset_of!(General, rdx),
        rsi = const offset_of!(General, rsi),
        rdi = const offset_of!(General, rdi),
        rbp = const offset_of!(General, rbp),
        rsp = const offset_of!(General, rsp),
        r8 = const offset_of!(General, r8),
        r9 = const offset_of!(General, r9),
        r10 = const offset_of!(General, r10),
        r11 = const offset_of!(General, r11),
        r12 = const offset_of!(General, r12),
        r13 = const offset_of!(General, r13),
        r14 = const offset_of!(General, r14),
        r15 = const offset_of!(General, r15),
        rflags = const offset_of!(General, rflags),
    )
}

/// A place to which a call of the host returns instead of to guest code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PreemptLanding {
    address: usize,
    /// Whether the host is called once more when the guest goes on.
    calls_again: bool,
}

impl PreemptLanding {
    /// No landing.
    pub(crate) const NONE: PreemptLanding = PreemptLanding { address: 0, calls_again: false };

    /// The landing of a guest that goes on behind the call.
    pub(crate) fn behind() -> PreemptLanding {
        PreemptLanding { address: land as *const () as usize, calls_again: false }
    }

    /// The landing of a guest that calls the host again first.
    pub(crate) fn again<H: ContinuedHostcall>() -> PreemptLanding {
        PreemptLanding { address: land_and_call::<H> as *const () as usize, calls_again: true }
    }

    /// Its address.
    pub(crate) fn address(self) -> usize {
        self.address
    }

    /// Whether the host is called once more when the guest goes on.
    pub(crate) fn calls_again(self) -> bool {
        self.calls_again
    }

    /// The address at which a guest goes on that landed here instead of at `target`.
    pub(crate) fn resume_at(self, target: usize) -> usize {
        if self.calls_again { self.address + FAULT_BYTES } else { target }
    }
}

/// # Safety
/// Must be returned to, with the address of the landing noted in the innermost entry.
#[unsafe(naked)]
unsafe extern "C" fn land() {
    naked_asm!("ud2")
}

/// The rest of a hostcall that was stopped in the middle.
pub(crate) trait ContinuedHostcall {
    /// Goes on with the hostcall; its result. `frame` is the frame of its caller: saved frame pointer,
    /// and room for the return address.
    extern "C" fn go_on(frame: *mut [usize; 2]) -> u64;
}

/// # Safety
/// As [`land`]; by a hostcall without arguments on the stack.
#[unsafe(naked)]
unsafe extern "C" fn land_and_call<H: ContinuedHostcall>() {
    naked_asm!(
        "ud2", // `FAULT_BYTES`
        "sub rsp, 8",
        "push rbp",
        "mov rbp, rsp",
        "mov rdi, rsp",
        "call {go_on}",
        "pop rbp",
        "ret",
        go_on = sym H::go_on,
    )
}
