//! `.eh_frame`: how to get from each instruction to the caller's frame.

use crate::CompileError;
use crate::link::Piece;
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::isa::unwind::UnwindInst;
use gimli::write::{
    Address, CallFrameInstruction, EhFrame, EndianVec, FrameDescriptionEntry, FrameTable,
};
use gimli::{DW_EH_PE_pcrel, DW_EH_PE_sdata4, DwEhPe, LittleEndian, Register, X86_64};

/// Ends the section.
const TERMINATOR: [u8; 4] = [0; 4];

/// The contents of `.eh_frame`, which will be `distance` bytes after the text.
pub(crate) fn eh_frame(
    isa: &dyn TargetIsa,
    pieces: &[Piece],
    distance: u64,
) -> Result<Vec<u8>, CompileError> {
    let failed = |message: &str| CompileError::Internal(format!(".eh_frame: {message}"));
    let mut cie = isa.create_systemv_cie().ok_or_else(|| failed("no CIE"))?;
    // Relative, so that no load-time relocation is needed.
    cie.fde_address_encoding = DwEhPe(DW_EH_PE_pcrel.0 | DW_EH_PE_sdata4.0);
    let mut table = FrameTable::default();
    let cie = table.add_cie(cie);
    for piece in pieces {
        let address = Address::Constant(u64::from(piece.offset).wrapping_sub(distance));
        table.add_fde(cie, entry(isa, piece, address)?);
    }
    let mut section = EhFrame::from(EndianVec::new(LittleEndian));
    table.write_eh_frame(&mut section).map_err(|error| failed(&error.to_string()))?;
    let mut bytes = section.0.into_vec();
    bytes.extend_from_slice(&TERMINATOR);
    Ok(bytes)
}

/// What the prologue of a piece does to the frame, step by step.
fn entry(
    isa: &dyn TargetIsa,
    piece: &Piece,
    address: Address,
) -> Result<FrameDescriptionEntry, CompileError> {
    let failed = |message: String| CompileError::Internal(format!(".eh_frame: {message}"));
    let mut entry = FrameDescriptionEntry::new(address, piece.size);
    // From the frame's address down to where the frame pointer points, and to where registers are saved.
    let (mut above, mut depth) = (0, 0);
    for (offset, step) in &piece.unwind {
        match step {
            UnwindInst::PushFrameRegs { offset_upward_to_caller_sp: pushed } => {
                above = *pushed;
                let pushed = pushed.cast_signed();
                entry.add_instruction(*offset, CallFrameInstruction::CfaOffset(pushed));
                entry.add_instruction(*offset, CallFrameInstruction::Offset(X86_64::RBP, -pushed));
            }
            // Upwards it is further where tail calls need more room for arguments: return address
            // and frame pointer are moved down there, and with them what counts as the frame's address.
            UnwindInst::DefineNewFrame { offset_downward_to_clobbers, .. } => {
                depth = above + offset_downward_to_clobbers;
                entry.add_instruction(*offset, CallFrameInstruction::CfaRegister(X86_64::RBP));
            }
            UnwindInst::SaveReg { clobber_offset, reg } => {
                let number = isa.map_regalloc_reg_to_dwarf((*reg).into());
                let register = Register(number.map_err(|error| failed(error.to_string()))?);
                let place = clobber_offset.cast_signed() - depth.cast_signed();
                entry.add_instruction(*offset, CallFrameInstruction::Offset(register, place));
            }
            // The frame pointer says where the frame is, whatever is below it.
            UnwindInst::StackAlloc { .. } => {}
            other => return Err(failed(format!("{other:?} in a prologue"))),
        }
    }
    Ok(entry)
}
