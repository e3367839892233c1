//! Rematerialisation of BASE: where the pinned register is read.
//!
//! Each reading of the pinned register is an instruction. Read in one place, addresses in
//! different blocks can be recognised as the same; read in many, no register is taken, and nothing
//! is saved around calls. So it is read once while the code generator rewrites the function, and
//! afterwards where it is best: before a loop without calls, or else in each block that needs it,
//! and again after calls. There, addresses are added up anew too: an addressing mode does that,
//! while one that lived across a call would be saved around it.
//!
//! P. Briggs, K. D. Cooper and L. Torczon, "Rematerialization", 1992.

use crate::analysis::FxHashMap;
use crate::analysis::value::{each_operand, instructions, is_removed};
use cranelift_codegen::Context;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::entity::{EntitySet, SecondaryMap};
use cranelift_codegen::flowgraph::ControlFlowGraph;
use cranelift_codegen::ir::{
    Block, Function, Inst, InstBuilder, InstructionData, Opcode, Value, ValueDef, types,
};
use cranelift_codegen::loop_analysis::{Loop, LoopAnalysis};

/// Replaces all readings by one at the start of the function, and returns it. Functions that change
/// BASE, or do not read it, are left as they are.
pub(super) fn merge(func: &mut Function) -> Option<Inst> {
    let mut readings = Vec::new();
    for inst in instructions(func) {
        let opcode = func.dfg.insts[inst].opcode();
        if !matches!(opcode, Opcode::GetPinnedReg | Opcode::SetPinnedReg) || is_removed(func, inst)
        {
            continue;
        }
        if opcode == Opcode::SetPinnedReg {
            return None;
        }
        readings.push(inst);
    }
    let entry = func.layout.entry_block().filter(|_| !readings.is_empty())?;
    let base =
        FuncCursor::new(func).at_first_insertion_point(entry).ins().get_pinned_reg(types::I64);
    let first = func.dfg.value_def(base).unwrap_inst();
    for reading in readings {
        func.dfg.replace_with_aliases(reading, first);
        func.layout.remove_inst(reading);
    }
    Some(first)
}

/// Where the reading is that serves a block.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// At the end of a block, which is the only one before a loop.
    EndOf(Block),
    /// In the block itself, after so many calls.
    In(Block, usize),
}

/// Replaces the one reading by one in each place where that is best. Functions without calls keep
/// it. There must be no aliases, as behind the code generator's passes.
pub(super) fn spread(context: &mut Context, first: Inst) {
    let base = context.func.dfg.first_result(first);
    let calling = calling_blocks(&context.func);
    if calling.is_empty() {
        return;
    }
    let noisy = noisy_loops(&context.loop_analysis, &calling);
    let mut readings = FxHashMap::default();
    // Where sums with BASE were computed.
    let mut sums: SecondaryMap<Value, Option<Place>> = SecondaryMap::new();
    sums.resize(context.func.dfg.num_values());
    let blocks: Vec<Block> = context.domtree.cfg_rpo().copied().collect();
    for block in blocks {
        let mut place = place(&context.loop_analysis, &context.cfg, block, &noisy);
        let func = &mut context.func;
        let mut next = func.layout.first_inst(block);
        while let Some(user) = next {
            next = func.layout.next_inst(user);
            if let Some((address, index)) = indexed(func, user, base) {
                let elsewhere = sums[address] != Some(place);
                if elsewhere && matches!(place, Place::In(..)) {
                    let reading = *readings.entry(place).or_insert_with(|| read(func, place, user));
                    let sum = FuncCursor::new(func).at_inst(user).ins().iadd(reading, index);
                    replace(func, user, address, sum);
                }
            }
            let opcode = func.dfg.insts[user].opcode();
            if uses(func, user, base) {
                let reading = *readings.entry(place).or_insert_with(|| read(func, place, user));
                replace(func, user, base, reading);
                if opcode == Opcode::Iadd {
                    sums[func.dfg.first_result(user)] = Some(place);
                }
            }
            if let Place::In(_, calls) = &mut place {
                *calls += usize::from(opcode.is_call());
            }
        }
    }
    context.func.layout.remove_inst(first);
}

/// The address of an access, and the term besides BASE, if it is such a sum.
fn indexed(func: &Function, user: Inst, base: Value) -> Option<(Value, Value)> {
    let address = match func.dfg.insts[user] {
        InstructionData::Load { arg, .. } => arg,
        InstructionData::Store { args: [_, address], .. } => address,
        _ => return None,
    };
    let ValueDef::Result(sum, _) = func.dfg.value_def(address) else { return None };
    let InstructionData::Binary { opcode: Opcode::Iadd, args } = func.dfg.insts[sum] else {
        return None;
    };
    let [left, right] = args;
    // A sum that was visited before has its own reading instead of `base`.
    let is_base = |value| value == base || is_reading(func, value);
    match (is_base(left), is_base(right)) {
        (true, false) => Some((address, right)),
        (false, true) => Some((address, left)),
        _ => None,
    }
}

fn is_reading(func: &Function, value: Value) -> bool {
    match func.dfg.value_def(value) {
        ValueDef::Result(inst, _) => func.dfg.insts[inst].opcode() == Opcode::GetPinnedReg,
        _ => false,
    }
}

/// Replaces a value in an instruction.
fn replace(func: &mut Function, inst: Inst, old: Value, new: Value) {
    let dfg = &mut func.dfg;
    let in_place = |value: Value| if value == old { new } else { value };
    if dfg.insts[inst].opcode().is_branch() {
        let values: Vec<Value> = dfg.inst_values(inst).map(in_place).collect();
        dfg.overwrite_inst_values(inst, values.into_iter());
        return;
    }
    dfg.inst_args_mut(inst).iter_mut().for_each(|value| *value = in_place(*value));
}

fn uses(func: &Function, inst: Inst, value: Value) -> bool {
    let mut is_used = false;
    each_operand(func, inst, |used| is_used |= used == value);
    is_used
}

/// Blocks with calls that return. Nothing lives across the others.
fn calling_blocks(func: &Function) -> Vec<Block> {
    let opcode = |inst: Inst| func.dfg.insts[inst].opcode();
    let returns = |block: &Block| {
        func.layout.last_inst(*block).is_some_and(|last| opcode(last) != Opcode::Trap)
    };
    let is_call = |inst: &Inst| {
        use Opcode::{Call, CallIndirect, TryCall, TryCallIndirect};
        matches!(opcode(*inst), Call | CallIndirect | TryCall | TryCallIndirect)
    };
    let calls = instructions(func).filter(is_call);
    let calls = calls.filter_map(|call| func.layout.inst_block(call));
    let mut blocks: Vec<Block> = calls.filter(returns).collect();
    blocks.dedup();
    blocks
}

/// Loops with calls, and those around them.
fn noisy_loops(loops: &LoopAnalysis, calling: &[Block]) -> EntitySet<Loop> {
    let mut noisy = EntitySet::new();
    for block in calling {
        let mut next = loops.innermost_loop(*block);
        while let Some(current) = next.filter(|current| noisy.insert(*current)) {
            next = loops.loop_parent(current);
        }
    }
    noisy
}

/// Where to read BASE for `block`: before the largest loop around it that has no calls.
fn place(
    loops: &LoopAnalysis,
    cfg: &ControlFlowGraph,
    block: Block,
    noisy: &EntitySet<Loop>,
) -> Place {
    let calm = |candidate: Option<Loop>| candidate.filter(|inner| !noisy.contains(*inner));
    let Some(mut largest) = calm(loops.innermost_loop(block)) else { return Place::In(block, 0) };
    while let Some(parent) = calm(loops.loop_parent(largest)) {
        largest = parent;
    }
    let header = loops.loop_header(largest);
    let mut outside = cfg.pred_iter(header).filter(|pred| !loops.is_in_loop(pred.block, largest));
    match (outside.next(), outside.next()) {
        (Some(only), None) => Place::EndOf(only.block),
        _ => Place::In(block, 0),
    }
}

/// Inserts a reading; `user` is the first instruction that needs it.
fn read(func: &mut Function, place: Place, user: Inst) -> Value {
    let before = match place {
        Place::EndOf(block) => func.layout.last_inst(block).expect("blocks end with a branch"),
        Place::In(..) => user,
    };
    FuncCursor::new(func).at_inst(before).ins().get_pinned_reg(types::I64)
}
