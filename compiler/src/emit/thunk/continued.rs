//! Pieces around the frames of a program that waits.

use super::cells;
use crate::continuation::{HEADER_BYTES, IN_IMPORT, Plan};
use crate::emit::builder::{CodeBuilder, Region};
use crate::emit::signature::POINTER;
use crate::emit::{RecordedSlots, recorded_slots};
use crate::front::index::FuncIndex;
use crate::symbol::Symbol;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, SourceLoc, Value};
use std::mem::offset_of;
use wfaas_abi::context::HostContext;
use wfaas_abi::types::{CELL_BYTES, cells_of};

/// An import where frames are recorded, or that has a stack map: keeps the arguments in its frame while its thunk runs.
pub(crate) fn recorded_import(
    code: &mut CodeBuilder<'_>,
    func: FuncIndex,
    arguments: &[Value],
) -> RecordedSlots {
    let slots = recorded_slots(code);
    let params = code.module.func_type(func).params();
    let bytes = cells_of(params) * CELL_BYTES;
    code.blocks().func.sized_stack_slots[slots.locals].size = bytes as u32;
    let address = code.ins().stack_addr(POINTER, slots.locals, 0);
    for ((_, offset), argument) in cells(params).zip(arguments) {
        code.ins().store(MemFlagsData::new().with_notrap(), *argument, address, offset);
    }
    // A call without a location is no site.
    code.blocks().set_srcloc(SourceLoc::new(IN_IMPORT));
    let call = code.call(Symbol::Thunk(func), arguments);
    let results = code.results(call);
    code.ins().return_(&results);
    slots
}

/// The twin of an import: calls it again, with the arguments in the record.
pub(crate) fn repeat(code: &mut CodeBuilder<'_>, func: FuncIndex, record: Value) {
    let (flags, module) = (code.trusted(Region::Cells), code.module);
    let load = |(ty, offset)| code.ins().load(ty, flags, record, HEADER_BYTES as i32 + offset);
    let arguments: Vec<Value> = cells(module.func_type(func).params()).map(load).collect();
    code.return_call(Symbol::Func(func), &arguments);
}

/// Continues the program: calls the twin of its outermost frame. One that was captured again has other records.
pub(crate) fn resume(code: &mut CodeBuilder<'_>, plan: &Plan) {
    let records = code.function(Symbol::Records);
    let record = code.ins().func_addr(POINTER, records);
    if !plan.is_mapped {
        return code.return_call(Symbol::Twin(plan.outermost), &[record]);
    }
    let others = code.host_load(offset_of!(HostContext, records));
    let null = code.iconst(0);
    let has_others = code.different(others, null);
    let record = code.ins().select(has_others, others, record);
    let address = code_of_record(code, record);
    let results = Symbol::Twin(plan.outermost).signature(code.module);
    let signature = code.import_signature(results);
    code.ins().return_call_indirect(signature, address, &[record]);
}

/// The address of the code that goes on with a record.
pub(crate) fn code_of_record(code: &mut CodeBuilder<'_>, record: Value) -> Value {
    let flags = code.trusted(Region::Cells);
    let offset = code.ins().load(I32, flags, record, 0);
    let offset = code.ins().uextend(I64, offset);
    let text = code.text();
    code.ins().iadd(text, offset)
}
