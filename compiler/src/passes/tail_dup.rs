//! Tail duplication of returns: returns instead of jumps to a return.
//!
//! All ways out of a function meet in its last block. From a block that has nothing left to do but
//! to jump there, the function returns at once: the instructions that restore registers are there
//! twice, but a call takes one jump less.
//!
//! F. Mueller and D. B. Whalley, "Avoiding Unconditional Jumps by Code Replication", 1992; LLVM's
//! `TailDuplication`, here for blocks that only return.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{Block, Function, Inst, InstBuilder, InstructionData, Opcode, Value};
use std::collections::BTreeMap;

/// How many jumps to one return become returns: each is some tens of bytes long.
const MOST: usize = 4;

/// Most values of a return: each is looked for among the parameters of its block.
const MOST_VALUES: usize = 64;

pub(super) fn run(func: &mut Function) {
    if func.signature.returns.len() > MOST_VALUES {
        return;
    }
    let mut jumps: BTreeMap<Block, Vec<Inst>> = BTreeMap::new();
    for block in func.layout.blocks() {
        let Some(last) = func.layout.last_inst(block) else { continue };
        let InstructionData::Jump { destination, .. } = &func.dfg.insts[last] else { continue };
        let target = destination.block(&func.dfg.value_lists);
        if returned(func, target).is_some() {
            jumps.entry(target).or_default().push(last);
        }
    }
    jumps.retain(|_, jumps| jumps.len() <= MOST);
    for (target, jumps) in &jumps {
        for jump in jumps {
            return_at(func, *jump, *target);
        }
    }
}

/// The values that a block returns, if it does nothing else.
fn returned(func: &Function, block: Block) -> Option<&[Value]> {
    let only = func.layout.first_inst(block)?;
    (func.dfg.insts[only].opcode() == Opcode::Return).then(|| func.dfg.inst_args(only))
}

/// Replaces a jump to a block that returns.
fn return_at(func: &mut Function, jump: Inst, target: Block) {
    let dfg = &func.dfg;
    let calls = dfg.insts[jump].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
    let args: Option<Vec<Value>> =
        calls[0].args(&dfg.value_lists).map(|arg| arg.as_value()).collect();
    let (Some(args), Some(values)) = (args, returned(func, target)) else { return };
    let params = dfg.block_params(target);
    let given = |value: &Value| {
        let value = dfg.resolve_aliases(*value);
        params.iter().position(|param| *param == value).map_or(value, |place| args[place])
    };
    let values: Vec<Value> = values.iter().map(given).collect();
    let mut cursor = FuncCursor::new(func).at_inst(jump);
    cursor.use_srcloc(jump);
    cursor.ins().return_(&values);
    cursor.remove_inst();
}
