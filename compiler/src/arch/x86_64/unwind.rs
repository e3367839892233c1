//! `.eh_frame`: how to get from each instruction to the caller's frame.

use crate::CompileError;
use crate::arch::x86_64::prologue::FrameStep;
use crate::artifact::link::Piece;
use cranelift_codegen::isa::TargetIsa;
use gimli::write::{
    Address, CallFrameInstruction, EhFrame, EndianVec, FrameDescriptionEntry, FrameTable,
};
use gimli::{DW_EH_PE_pcrel, DW_EH_PE_sdata4, DwEhPe, LittleEndian, X86_64};

/// Bytes from the frame pointer up to the frame's address (CFA): the saved frame pointer and the
/// return address.
const CFA_FROM_RBP: i32 = 16;

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
        table.add_fde(cie, entry(piece, address));
    }
    let mut section = EhFrame::from(EndianVec::new(LittleEndian));
    table.write_eh_frame(&mut section).map_err(|error| failed(&error.to_string()))?;
    let mut bytes = section.0.into_vec();
    bytes.extend_from_slice(&TERMINATOR);
    Ok(bytes)
}

/// The rules by which a caller's frame and registers are found, from each step of the prologue on.
fn entry(piece: &Piece, address: Address) -> FrameDescriptionEntry {
    let mut entry = FrameDescriptionEntry::new(address, piece.size);
    for (offset, step) in &piece.unwind {
        match *step {
            FrameStep::PushFramePointer => {
                entry.add_instruction(*offset, CallFrameInstruction::CfaOffset(CFA_FROM_RBP));
                let place = CallFrameInstruction::Offset(X86_64::RBP, -CFA_FROM_RBP);
                entry.add_instruction(*offset, place);
            }
            FrameStep::SetFramePointer => {
                entry.add_instruction(*offset, CallFrameInstruction::CfaRegister(X86_64::RBP));
            }
            FrameStep::SaveRegister { dwarf, below_frame_pointer } => {
                let place = -CFA_FROM_RBP - below_frame_pointer;
                entry.add_instruction(*offset, CallFrameInstruction::Offset(dwarf, place));
            }
        }
    }
    entry
}
