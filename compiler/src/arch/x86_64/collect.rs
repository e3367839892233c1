//! Collecting the code that the code generator made, with its relocations, traps, handlers and sources.

use super::prologue;
use crate::CompileError;
use crate::code::{Code, Handler, Relocation};
use crate::emit::trap::trap_code;
use crate::inline::Positions;
use crate::symbol::Symbol;
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::ir::{ExternalName, Function, SourceLoc};
use cranelift_codegen::{CompiledCode, MachExceptionHandler, RelocTarget};
use std::ops::Range;
use wfaas_abi::{BoundsStats, TrapCode};

/// The code that was generated for `function`, from which nothing was inlined.
pub(crate) fn collect(
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
        .map(|trap| match trap_code(trap.code) {
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
