//! The prologue of a function, read from its machine code.
//!
//! ```text
//! push rbp
//! mov rbp, rsp
//! [touching the pages of a large frame, with rsp moved down and back up]
//! [sub rsp, D; mov rbp, rsp; copying the return address and the saved rbp down by D,
//!  where tail calls need more room for arguments than the function was given]
//! [sub rsp, N]
//! mov [rsp + ..], rbx      each register that a callee has to keep and the function uses
//! ```
//!
//! The code generator (`gen_prologue_frame_setup`, `gen_clobber_save` in its x64 ABI) keeps its own
//! notes of these steps to itself, so they are read from the instructions, which cannot disagree with
//! what runs.

use gimli::{Register, X86_64};
use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Register as Machine};

/// A step of the prologue that the way back to the caller depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameStep {
    /// `push rbp`
    PushFramePointer,
    /// `mov rbp, rsp`
    SetFramePointer,
    /// A callee-saved register was stored.
    SaveRegister {
        /// Its number in DWARF.
        dwarf: Register,
        /// Bytes from where the frame pointer points down to where the register is.
        below_frame_pointer: i32,
    },
}

/// The registers of System V that a callee keeps, but for the frame pointer, and for `r15`, which is
/// BASE in all guest code: the thunks that set it save it by themselves.
const CALLEE_SAVED: [(Machine, Register); 4] = [
    (Machine::RBX, X86_64::RBX),
    (Machine::R12, X86_64::R12),
    (Machine::R13, X86_64::R13),
    (Machine::R14, X86_64::R14),
];

/// The steps of the prologue that `code` begins with, each with the offset behind its instruction;
/// none if the function has no frame.
pub(crate) fn read(code: &[u8]) -> Vec<(u32, FrameStep)> {
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    let mut next = |expected: fn(&Instruction) -> bool| {
        decoder.decode_out(&mut instruction);
        expected(&instruction).then_some(instruction.next_ip32())
    };
    let Some(pushed) = next(|it| it.code() == Code::Push_r64 && it.op0_register() == Machine::RBP)
    else {
        return Vec::new();
    };
    let mut steps = vec![(pushed, FrameStep::PushFramePointer)];
    if let Some(set) = next(sets_frame_pointer) {
        steps.push((set, FrameStep::SetFramePointer));
        saved_registers(&mut decoder, &mut steps);
    }
    steps
}

/// Adds the registers that are saved. A store of a callee-saved register saves it if nothing was
/// written to any of them before, so the body's own stores are never taken for one.
fn saved_registers(decoder: &mut Decoder<'_>, steps: &mut Vec<(u32, FrameStep)>) {
    let mut instruction = Instruction::default();
    // Bytes from the stack pointer up to the frame pointer, behind the last `sub rsp, N`.
    let mut depth = 0;
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        if let Some(bytes) = allocated(&instruction) {
            depth = bytes;
        } else if let Some((dwarf, displacement)) = stored(&instruction) {
            let below_frame_pointer = depth - displacement;
            let step = FrameStep::SaveRegister { dwarf, below_frame_pointer };
            steps.push((instruction.next_ip32(), step));
        } else if ends(&instruction) {
            return;
        }
    }
}

/// `mov rbp, rsp`
fn sets_frame_pointer(instruction: &Instruction) -> bool {
    matches!(instruction.code(), Code::Mov_rm64_r64 | Code::Mov_r64_rm64)
        && instruction.op0_register() == Machine::RBP
        && instruction.op1_register() == Machine::RSP
}

/// The number of `sub rsp, N`.
fn allocated(instruction: &Instruction) -> Option<i32> {
    let subtracts = matches!(instruction.code(), Code::Sub_rm64_imm8 | Code::Sub_rm64_imm32);
    let allocates = subtracts && instruction.op0_register() == Machine::RSP;
    allocates.then(|| instruction.immediate(1) as i32) // sign-extended from 32 bits or fewer
}

/// The register and displacement of `mov [rsp + displacement], register`, for a callee-saved one.
fn stored(instruction: &Instruction) -> Option<(Register, i32)> {
    let stores = instruction.code() == Code::Mov_rm64_r64
        && instruction.memory_base() == Machine::RSP
        && instruction.memory_index() == Machine::None;
    let found = CALLEE_SAVED.iter().find(|(machine, _)| *machine == instruction.op1_register());
    let (_, dwarf) = found.filter(|_| stores)?;
    Some((*dwarf, instruction.memory_displacement64() as i32)) // sign-extended from 32 bits
}

/// Whether the prologue is over: an instruction leads elsewhere than back into the touching of pages,
/// or writes to a callee-saved register.
fn ends(instruction: &Instruction) -> bool {
    let target = instruction.op0_register().full_register();
    match instruction.flow_control() {
        FlowControl::Next => CALLEE_SAVED.iter().any(|(machine, _)| *machine == target),
        FlowControl::ConditionalBranch => instruction.near_branch_target() >= instruction.ip(),
        _ => true,
    }
}
