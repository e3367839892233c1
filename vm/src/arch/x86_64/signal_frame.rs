//! Registers of interrupted code, as the kernel hands them to a signal handler.

use super::enter::{WayBack, leave};
use super::interrupted::{Interrupted, locate};
use super::save_area::{General, HEADER_BYTES, LEGACY_BYTES, Place, SaveArea, VECTOR_BYTES};
use std::ops::Range;
use std::ptr;
use std::slice;

/// The registers of the code that a signal interrupted. Changes take effect when the handler
/// returns.
pub(crate) struct SignalFrame<'a> {
    registers: &'a mut [i64; 23],
    /// The vector registers, as XSAVE writes them.
    vector: *const u8,
}

/// Place and value of the word that says that a frame has more than the legacy part, and place of the
/// size it has then (`struct _fpx_sw_bytes` of the kernel).
const MAGIC_AT: usize = 464;
const MAGIC: u32 = 0x4650_5853;
const SIZE_AT: usize = 480;

impl SignalFrame<'_> {
    /// # Safety
    /// `context` must be the third argument of a signal handler that is still running.
    pub(crate) unsafe fn of<'a>(context: *mut libc::c_void) -> SignalFrame<'a> {
        // SAFETY: the kernel passes a ucontext_t; it lies on the handler's stack.
        let context = unsafe { &mut (*(context as *mut libc::ucontext_t)).uc_mcontext };
        SignalFrame { registers: &mut context.gregs, vector: context.fpregs.cast() }
    }

    /// The address of the interrupted instruction.
    pub(crate) fn pc(&self) -> usize {
        self.registers[libc::REG_RIP as usize] as usize
    }

    /// The stack pointer.
    pub(crate) fn sp(&self) -> usize {
        self.registers[libc::REG_RSP as usize] as usize
    }

    /// Place of the interrupted guest code.
    pub(crate) fn place(&self) -> Place {
        let fp = self.registers[libc::REG_RBP as usize] as usize;
        Place { pc: self.pc(), interrupted: true, sp: self.sp(), fp }
    }

    /// Copies all registers of guest code, which goes on at `resume_at`, and is at `pc` for
    /// backtraces: `interrupted` there, or stopped when a call of the host returned.
    pub(crate) fn save(&self, area: &mut SaveArea, resume_at: usize, pc: usize, interrupted: bool) {
        let at = |register: i32| self.registers[register as usize] as u64;
        area.general = General {
            rax: at(libc::REG_RAX),
            rbx: at(libc::REG_RBX),
            rcx: at(libc::REG_RCX),
            rdx: at(libc::REG_RDX),
            rsi: at(libc::REG_RSI),
            rdi: at(libc::REG_RDI),
            rbp: at(libc::REG_RBP),
            rsp: at(libc::REG_RSP),
            r8: at(libc::REG_R8),
            r9: at(libc::REG_R9),
            r10: at(libc::REG_R10),
            r11: at(libc::REG_R11),
            r12: at(libc::REG_R12),
            r13: at(libc::REG_R13),
            r14: at(libc::REG_R14),
            r15: at(libc::REG_R15),
            rflags: at(libc::REG_EFL),
        };
        (area.resume_at, area.pc, area.interrupted) = (resume_at, pc, interrupted);
        self.save_vectors(area);
    }

    fn save_vectors(&self, area: &mut SaveArea) {
        let bytes = self.vector_bytes().min(VECTOR_BYTES);
        // SAFETY: the kernel's frame has so many bytes, and the area is another one.
        unsafe { ptr::copy_nonoverlapping(self.vector, area.vector.as_mut_ptr(), bytes) };
        let header = &mut area.vector[LEGACY_BYTES..LEGACY_BYTES + HEADER_BYTES];
        let (present, rest) = header.split_at_mut(size_of::<u64>());
        // Components that are not present are restored as if they had never been used.
        present[1..].fill(0);
        present[0] &= area.components as u8;
        rest.fill(0);
    }

    /// Bytes of the vector registers that the frame has.
    fn vector_bytes(&self) -> usize {
        // SAFETY: the kernel always writes the legacy part, with this word in it.
        let word = |at| unsafe { self.vector.wrapping_add(at).cast::<u32>().read_unaligned() };
        if word(MAGIC_AT) == MAGIC { word(SIZE_AT) as usize } else { LEGACY_BYTES }
    }

    /// Goes on at `pc` instead.
    pub(crate) fn go_on_at(&mut self, pc: usize) {
        self.registers[libc::REG_RIP as usize] = pc as i64;
    }

    /// Makes the handler return into `leave(back, status)`.
    pub(crate) fn leave_by(&mut self, back: &WayBack, status: u64) {
        self.go_on_at(leave as *const () as usize);
        self.registers[libc::REG_RDI as usize] = ptr::from_ref(back) as i64;
        self.registers[libc::REG_RSI as usize] = status as i64;
    }
}

impl Place {
    /// The place of the callers of the interrupted function, which is in the code in `text`.
    ///
    /// # Safety
    /// `text` must be readable, and contain the pc.
    pub(crate) unsafe fn callers(&self, text: Range<usize>) -> Interrupted {
        let (start, pc) = (text.start as *const u8, self.pc);
        // SAFETY: the caller's contract.
        let before = unsafe { slice::from_raw_parts(start, pc - text.start) };
        // SAFETY: as above.
        let code = unsafe { slice::from_raw_parts(pc as *const u8, text.end - pc) };
        locate(before, code, self.sp, self.fp)
    }
}
