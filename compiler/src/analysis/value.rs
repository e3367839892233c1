//! Where values of intermediate code come from.

use cranelift_codegen::ir::{Block, Function, Inst, InstructionData, Value, ValueDef};

/// The instruction that a value is a result of, aliases resolved.
pub(crate) fn definition(func: &Function, value: Value) -> Option<(Inst, &InstructionData)> {
    match func.dfg.value_def(func.dfg.resolve_aliases(value)) {
        ValueDef::Result(inst, _) => Some((inst, &func.dfg.insts[inst])),
        _ => None,
    }
}

/// What defines a value, without which instruction that is.
pub(crate) fn defining(func: &Function, value: Value) -> Option<&InstructionData> {
    definition(func, value).map(|(_, data)| data)
}

/// The block in which a value is defined, aliases resolved.
pub(crate) fn home(func: &Function, value: Value) -> Option<Block> {
    match func.dfg.value_def(func.dfg.resolve_aliases(value)) {
        ValueDef::Result(inst, _) => func.layout.inst_block(inst),
        ValueDef::Param(block, _) => Some(block),
        ValueDef::Union(..) => None,
    }
}
