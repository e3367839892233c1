//! Machine code, with all that is known about places in it.

use crate::CompileError;
use crate::arch::x86_64::prologue::{self, FrameStep};
use crate::inline::Positions;
use crate::symbol::Symbol;
use crate::target;
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::ir::{ExternalName, Function, SourceLoc};
use cranelift_codegen::{CompiledCode, MachExceptionHandler, RelocTarget};
use std::ops::Range;
use wfaas_abi::{BoundsStats, TrapCode};

/// Machine code of one piece, with offsets from its start.
pub(crate) struct Code {
    pub(crate) symbol: Symbol,
    pub(crate) bytes: Vec<u8>,
    pub(crate) relocations: Vec<Relocation>,
    /// Instructions that may fault, and why.
    pub(crate) traps: Vec<(u32, TrapCode)>,
    /// Ranges of code and the offset in the module they come from, or their position.
    pub(crate) sources: Vec<(Range<u32>, u32)>,
    /// Of the inlined code.
    pub(crate) positions: Positions,
    /// Calls that exceptions may end.
    pub(crate) handlers: Vec<Handler>,
    /// The steps of the prologue, each with the offset behind its instruction.
    pub(crate) unwind: Vec<(u32, FrameStep)>,
    pub(crate) stats: BoundsStats,
}

/// What to do if a call ends with an exception.
pub(crate) struct Handler {
    /// Offset of the call's return address.
    pub(crate) return_offset: u32,
    /// Offset of where to go on.
    pub(crate) handler_offset: u32,
    /// Bytes from the stack pointer up to the frame pointer there.
    pub(crate) frame_bytes: u32,
}

/// Four bytes at `offset` that have to become the distance from there to `target` plus `addend`.
pub(crate) struct Relocation {
    pub(crate) offset: u32,
    pub(crate) target: Symbol,
    pub(crate) addend: i64,
}

impl Code {
    /// What was made of `function`, from which nothing was inlined.
    pub(crate) fn new(
        symbol: Symbol,
        function: &Function,
        compiled: &CompiledCode,
    ) -> Result<Code, CompileError> {
        Ok(Code {
            symbol,
            bytes: compiled.code_buffer().to_vec(),
            relocations: relocations(function, compiled)?,
            traps: traps(compiled)?,
            sources: sources(compiled),
            handlers: handlers(compiled)?,
            unwind: prologue::read(compiled.code_buffer()),
            positions: Positions::none(),
            stats: BoundsStats::default(),
        })
    }
}

fn relocations(
    function: &Function,
    compiled: &CompiledCode,
) -> Result<Vec<Relocation>, CompileError> {
    let names = function.params.user_named_funcs();
    let unexpected =
        |what: String| CompileError::Internal(format!("unexpected relocation: {what}"));
    let mut relocations = Vec::new();
    for reloc in compiled.buffer.relocs() {
        if !matches!(reloc.kind, Reloc::X86CallPCRel4 | Reloc::X86PCRel4) {
            return Err(unexpected(format!("{:?}", reloc.kind)));
        }
        let RelocTarget::ExternalName(ExternalName::User(name)) = &reloc.target else {
            return Err(unexpected(format!("{:?}", reloc.target)));
        };
        let target = Symbol::from_external_name(&names[*name])
            .ok_or_else(|| unexpected(names[*name].to_string()))?;
        relocations.push(Relocation { offset: reloc.offset, target, addend: reloc.addend });
    }
    Ok(relocations)
}

fn traps(compiled: &CompiledCode) -> Result<Vec<(u32, TrapCode)>, CompileError> {
    let traps = compiled.buffer.traps().iter();
    traps
        .map(|trap| match target::trap_code(trap.code) {
            Some(code) => Ok((trap.offset, code)),
            None => Err(CompileError::Internal(format!("unexpected trap: {}", trap.code))),
        })
        .collect()
}

fn handlers(compiled: &CompiledCode) -> Result<Vec<Handler>, CompileError> {
    let unexpected = || CompileError::Internal("unexpected handler of exceptions".to_owned());
    let mut handlers = Vec::new();
    for call in compiled.buffer.call_sites() {
        match (call.exception_handlers, call.frame_offset) {
            ([], _) => {}
            ([MachExceptionHandler::Default(handler)], Some(frame_bytes)) => {
                let (return_offset, handler_offset) = (call.ret_addr, handler.as_offset());
                handlers.push(Handler { return_offset, handler_offset, frame_bytes });
            }
            _ => return Err(unexpected()),
        }
    }
    Ok(handlers)
}

fn sources(compiled: &CompiledCode) -> Vec<(Range<u32>, u32)> {
    let locations = compiled.buffer.get_srclocs_sorted().iter();
    locations
        .map(|location| (location.start..location.end, location.loc.as_abs()))
        .filter(|(_, location)| *location != SourceLoc::default())
        .map(|(range, location)| (range, location.bits()))
        .collect()
}
