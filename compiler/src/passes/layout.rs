//! Keeps loops together.
//!
//! The code generator places the second successor of a branch behind it. If a branch inside a
//! loop has one that leaves it, the loop goes on behind the branch, and what is outside comes
//! later; otherwise each round would jump over it and back.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{Block, Function, Inst, InstBuilder, InstructionData, Value, ValueDef};
use cranelift_codegen::loop_analysis::LoopAnalysis;

pub(super) fn run(func: &mut Function, loops: &LoopAnalysis) {
    let blocks: Vec<Block> = func.layout.blocks().collect();
    for block in blocks {
        let Some(branch) = func.layout.last_inst(block) else { continue };
        if leaves_behind(func, loops, block, branch) {
            turn(func, branch);
        }
    }
}

/// Whether what comes behind `branch` is outside of the loop that its other successor is in.
fn leaves_behind(func: &Function, loops: &LoopAnalysis, block: Block, branch: Inst) -> bool {
    let InstructionData::Brif { blocks, .. } = &func.dfg.insts[branch] else { return false };
    let Some(innermost) = loops.innermost_loop(block) else { return false };
    let [first, second] = blocks.map(|call| call.block(&func.dfg.value_lists));
    let header = loops.loop_header(innermost);
    first != header && loops.is_in_loop(first, innermost) && !loops.is_in_loop(second, innermost)
}

/// Exchanges the successors of a branch, and its condition for the opposite.
fn turn(func: &mut Function, branch: Inst) {
    let InstructionData::Brif { arg, .. } = func.dfg.insts[branch] else { return };
    let opposite = opposite(func, branch, arg);
    if let InstructionData::Brif { arg, blocks, .. } = &mut func.dfg.insts[branch] {
        *arg = opposite;
        blocks.swap(0, 1);
    }
}

/// A value, before `branch`, that is zero where `condition` is not.
fn opposite(func: &mut Function, branch: Inst, condition: Value) -> Value {
    let condition = func.dfg.resolve_aliases(condition);
    let comparison = match func.dfg.value_def(condition) {
        ValueDef::Result(inst, _) => Some(func.dfg.insts[inst]),
        _ => None,
    };
    let mut cursor = FuncCursor::new(func).at_inst(branch);
    cursor.use_srcloc(branch);
    match comparison {
        Some(InstructionData::IntCompare { cond, args: [left, right], .. }) => {
            cursor.ins().icmp(cond.complement(), left, right)
        }
        Some(InstructionData::FloatCompare { cond, args: [left, right], .. }) => {
            cursor.ins().fcmp(cond.complement(), left, right)
        }
        _ => {
            let ty = cursor.func.dfg.value_type(condition);
            let zero = cursor.ins().iconst(ty, 0);
            cursor.ins().icmp(IntCC::Equal, condition, zero)
        }
    }
}
