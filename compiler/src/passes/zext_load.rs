//! Loads with extension: a 32-bit number that is loaded, and used as an index too, is kept once.
//!
//! An index is extended to 64 bits. Where the number itself is used as well, both are alive, in two
//! registers. The machine's load of 32 bits clears the other half anyway, so the extended number is
//! loaded, and the number is its low half, which takes no instruction. (LLVM does this in
//! `CodeGenPrepare`, as `optimizeLoadExt`.)

use crate::analysis::value::{become_alias, each_operand, instructions, is_removed};
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::entity::{EntitySet, SecondaryMap};
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{
    Function, Inst, InstBuilder, InstructionData, Opcode, Value, ValueDef,
};

/// The extensions of 32-bit numbers that are loaded.
#[derive(Default)]
struct Candidates {
    extensions: Vec<Inst>,
    /// The loads, each once, and their numbers.
    loads: Vec<Inst>,
    loaded: EntitySet<Value>,
}

pub(super) fn run(func: &mut Function) {
    let candidates = candidates(func);
    if candidates.loads.is_empty() {
        return;
    }
    let used = used_otherwise(func, &candidates.loaded);
    let mut replaced = SecondaryMap::new();
    replaced.resize(func.dfg.num_values());
    for inst in candidates.loads {
        if used.contains(func.dfg.first_result(inst)) {
            let (number, extended) = load_extended(func, inst);
            replaced[number] = Some(extended);
        }
    }
    for inst in candidates.extensions {
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

fn candidates(func: &Function) -> Candidates {
    let mut candidates = Candidates::default();
    for inst in instructions(func) {
        if func.dfg.insts[inst].opcode() != Opcode::Uextend || is_removed(func, inst) {
            continue;
        }
        let Some(number) = operand_of_extension(func, inst) else { continue };
        let ValueDef::Result(load, _) = func.dfg.value_def(number) else { continue };
        if func.dfg.insts[load].opcode() != Opcode::Load {
            continue;
        }
        candidates.extensions.push(inst);
        if candidates.loaded.insert(number) {
            candidates.loads.push(load);
        }
    }
    candidates
}

/// The loaded numbers that other instructions than extensions use too.
fn used_otherwise(func: &Function, loaded: &EntitySet<Value>) -> EntitySet<Value> {
    let mut used = EntitySet::new();
    for inst in instructions(func) {
        let is_extension = func.dfg.insts[inst].opcode() == Opcode::Uextend
            && operand_of_extension(func, inst).is_some();
        if is_extension {
            continue;
        }
        each_operand(func, inst, |value| {
            let value = func.dfg.resolve_aliases(value);
            if loaded.contains(value) && !is_removed(func, inst) {
                used.insert(value);
            }
        });
    }
    used
}

/// The number that an instruction extends to 64 bits without a sign.
fn operand_of_extension(func: &Function, inst: Inst) -> Option<Value> {
    let InstructionData::Unary { opcode: Opcode::Uextend, arg } = func.dfg.insts[inst] else {
        return None;
    };
    let wide = func.dfg.value_type(*func.dfg.inst_results(inst).first()?) == I64;
    (wide && func.dfg.value_type(arg) == I32).then(|| func.dfg.resolve_aliases(arg))
}
