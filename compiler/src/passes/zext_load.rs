//! Loads with extension: a 32-bit number that is loaded, and used as an index too, is kept once.
//!
//! An index is extended to 64 bits. Where the number itself is used as well, both are alive, in two
//! registers. The machine's load of 32 bits clears the other half anyway, so the extended number is
//! loaded, and the number is its low half, which takes no instruction. (LLVM does this in
//! `CodeGenPrepare`, as `optimizeLoadExt`.)

use crate::analysis::value::become_alias;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{Function, Inst, InstBuilder, InstructionData, Opcode, Value};

/// The uses of a value that was loaded.
#[derive(Clone, Copy, Default)]
struct Uses {
    extensions: u32,
    others: u32,
}

pub(super) fn run(func: &mut Function) {
    let uses = uses(func);
    let mut replaced = SecondaryMap::new();
    for inst in loads(func) {
        let value = func.dfg.first_result(inst);
        let Uses { extensions, others } = uses[value];
        if extensions > 0 && others > 0 {
            let (number, extended) = load_extended(func, inst);
            replaced[number] = Some(extended);
        }
    }
    for inst in insts(func) {
        let extended = operand_of_extension(func, inst).and_then(|value| replaced[value]);
        if let Some(extended) = extended {
            become_alias(func, inst, extended);
        }
    }
}

/// Loads the number extended: its low half, which takes the place of what was loaded, and all of it.
fn load_extended(func: &mut Function, inst: Inst) -> (Value, Value) {
    let InstructionData::Load { arg, flags, offset, .. } = func.dfg.insts[inst] else {
        unreachable!("it is a load")
    };
    let flags = func.dfg.mem_flags[flags];
    let mut cursor = FuncCursor::new(func).at_inst(inst);
    cursor.use_srcloc(inst);
    let extended = cursor.ins().uload32(flags, arg, offset);
    let number = cursor.ins().ireduce(I32, extended);
    become_alias(func, inst, number);
    (number, extended)
}

fn uses(func: &Function) -> SecondaryMap<Value, Uses> {
    let mut uses: SecondaryMap<Value, Uses> = SecondaryMap::new();
    for block in func.layout.blocks() {
        for inst in func.layout.block_insts(block) {
            let extends = operand_of_extension(func, inst).is_some();
            for value in func.dfg.inst_values(inst) {
                let uses = &mut uses[func.dfg.resolve_aliases(value)];
                let count = if extends { &mut uses.extensions } else { &mut uses.others };
                *count += 1;
            }
        }
    }
    uses
}

/// The number that an instruction extends to 64 bits without a sign.
fn operand_of_extension(func: &Function, inst: Inst) -> Option<Value> {
    let InstructionData::Unary { opcode: Opcode::Uextend, arg } = func.dfg.insts[inst] else {
        return None;
    };
    let wide = func.dfg.value_type(func.dfg.first_result(inst)) == I64;
    (wide && func.dfg.value_type(arg) == I32).then(|| func.dfg.resolve_aliases(arg))
}

/// The loads of 32-bit numbers.
fn loads(func: &Function) -> Vec<Inst> {
    let is_load = |inst: &Inst| {
        func.dfg.insts[*inst].opcode() == Opcode::Load
            && func.dfg.value_type(func.dfg.first_result(*inst)) == I32
    };
    insts(func).into_iter().filter(is_load).collect()
}

fn insts(func: &Function) -> Vec<Inst> {
    func.layout.blocks().flat_map(|block| func.layout.block_insts(block)).collect()
}
