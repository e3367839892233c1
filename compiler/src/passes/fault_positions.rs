//! Positions of faults: instructions that the code generator may fold a load into get the load's position.
//!
//! A load becomes an operand of the instruction that uses it, if nothing with an effect is between the two, and then faults at
//! that one's position: with another offset in a backtrace, and, where the load was inlined, as another function. A user that cannot fault
//! itself needs no position of its own.

use cranelift_codegen::ir::{Block, Function, Inst, InstructionData, SourceLoc, Value};

/// A load that nothing with an effect is behind yet.
struct Load {
    position: SourceLoc,
    address: Value,
    offset: i32,
}

/// Gives users of loads the position that a fault has to be at.
pub(super) fn run(func: &mut Function) {
    let mut values = Vec::new();
    let mut next = func.layout.entry_block();
    while let Some(block) = next {
        next = func.layout.next_block(block);
        visit(func, block, &mut values);
    }
}

/// Goes through a block; `values` are the result of the last load, and what was computed from it.
fn visit(func: &mut Function, block: Block, values: &mut Vec<Value>) {
    let mut last: Option<Load> = None;
    let mut next = func.layout.first_inst(block);
    while let Some(inst) = next {
        next = func.layout.next_inst(inst);
        if let Some(load) = &last
            && takes(func, inst, load, values)
        {
            func.set_srcloc(inst, load.position);
            values.extend(func.dfg.inst_results(inst));
        }
        let opcode = func.dfg.insts[inst].opcode();
        if opcode.can_load() || opcode.can_store() || opcode.can_trap() || opcode.is_call() {
            values.clear();
            last = load(func, inst);
            values.extend(last.as_ref().map(|_| func.dfg.first_result(inst)));
        }
    }
}

/// A load that can fault.
fn load(func: &Function, inst: Inst) -> Option<Load> {
    let InstructionData::Load { arg, flags, offset, .. } = func.dfg.insts[inst] else {
        return None;
    };
    func.dfg.mem_flags[flags].trap_code()?;
    Some(Load { position: func.srcloc(inst), address: arg, offset: offset.into() })
}

/// Whether an instruction behind a load may have it as an operand, and has no fault of its own.
fn takes(func: &Function, inst: Inst, load: &Load, values: &[Value]) -> bool {
    if !func.dfg.inst_args(inst).iter().any(|value| values.contains(value)) {
        return false;
    }
    match func.dfg.insts[inst] {
        // What is stored where it was loaded from: the load faults first, and then the store does not.
        InstructionData::Store { args: [value, address], offset, .. } => {
            values.contains(&value) && (address, i32::from(offset)) == (load.address, load.offset)
        }
        ref data => {
            let opcode = data.opcode();
            !opcode.can_trap() && !opcode.can_load() && !opcode.is_call()
        }
    }
}
