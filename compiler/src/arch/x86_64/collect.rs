//! Collecting the code that the code generator made, with its relocations, sites and handlers.

use super::prologue;
use crate::code::{Code, Handler, Relocation, Site};
use crate::emit::RecordedSlots;
use crate::emit::trap::trap_code;
use crate::inline::Positions;
use crate::symbol::Symbol;
use crate::{CompileError, Effort};
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::ir::{ExternalName, Function, SourceLoc};
use cranelift_codegen::{CompiledCode, MachExceptionHandler, RelocTarget};
use wfaas_abi::BoundsStats;
use wfaas_abi::continuation::{Extent, FrameArea};

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
        sites: sites(compiled)?,
        handlers: handlers(compiled)?,
        unwind: prologue::read(compiled.code_buffer()),
        positions: Positions::none(),
        stats: BoundsStats::default(),
        locations: Vec::new(),
        text_offsets: Vec::new(),
        effort: Effort::Usual,
        area: None,
        maps: Vec::new(),
    })
}

/// The part of the frame of code that was generated which holds locals and operands.
pub(crate) fn frame_area(
    function: &Function,
    compiled: &CompiledCode,
    slots: RecordedSlots,
) -> Result<FrameArea, CompileError> {
    let layout = compiled.buffer.frame_layout();
    let layout = layout.ok_or_else(|| CompileError::Internal("code without a frame".to_owned()))?;
    let extent = |slot| Extent {
        below_fp: layout.frame_to_fp_offset - layout.stackslots[slot].offset,
        bytes: function.sized_stack_slots[slot].size,
    };
    Ok(FrameArea { locals: extent(slots.locals), operands: extent(slots.operands) })
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

fn sites(compiled: &CompiledCode) -> Result<Vec<Site>, CompileError> {
    let mut sites = Vec::new();
    for trap in compiled.buffer.traps() {
        let unexpected = || CompileError::Internal(format!("unexpected trap: {}", trap.code));
        let code = trap_code(trap.code).ok_or_else(unexpected)?;
        sites.push((trap.offset, Some(code)));
    }
    sites.extend(compiled.buffer.call_sites().map(|call| (call.ret_addr - 1, None)));
    sites.sort_by_key(|(offset, trap)| (*offset, trap.map(|code| code as u8)));
    sites.dedup_by_key(|(offset, _)| *offset);
    let locations = compiled.buffer.get_srclocs_sorted();
    let located = |(offset, trap)| {
        let after = locations.partition_point(|location| location.start <= offset);
        let location = after.checked_sub(1).map(|index| &locations[index]);
        let location = location.filter(|location| offset < location.end);
        Site {
            offset,
            trap,
            location: location.map_or_else(SourceLoc::default, |location| location.loc.as_abs()),
        }
    };
    // What neither faults nor comes from the module is never looked up.
    let is_used = |site: &Site| site.trap.is_some() || !site.location.is_default();
    Ok(sites.into_iter().map(located).filter(is_used).collect())
}

/// Where each range of instructions starts, with its location, which for those between ranges is none.
pub(crate) fn locations(compiled: &CompiledCode) -> Vec<(u32, SourceLoc)> {
    let mut locations = vec![(0, SourceLoc::default())];
    for range in compiled.buffer.get_srclocs_sorted() {
        locations.push((range.start, range.loc.as_abs()));
        locations.push((range.end, SourceLoc::default()));
    }
    locations
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
