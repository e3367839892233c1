//! `.eh_frame`: how to get from each instruction to the caller's frame.

use crate::CompileError;
use crate::link::Piece;
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::isa::unwind::UnwindInfo;
use gimli::write::{Address, EhFrame, EndianVec, FrameTable};
use gimli::{DW_EH_PE_pcrel, DW_EH_PE_sdata4, DwEhPe, LittleEndian};

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
        let UnwindInfo::SystemV(unwind) = &piece.unwind else {
            return Err(failed("unwind information of another system"));
        };
        let address = u64::from(piece.offset).wrapping_sub(distance);
        table.add_fde(cie, unwind.to_fde(Address::Constant(address)));
    }
    let mut section = EhFrame::from(EndianVec::new(LittleEndian));
    table.write_eh_frame(&mut section).map_err(|error| failed(&error.to_string()))?;
    let mut bytes = section.0.into_vec();
    bytes.extend_from_slice(&TERMINATOR);
    Ok(bytes)
}
