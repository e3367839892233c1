//! Merging of blocks: copies of products become part of the blocks that called them.
//!
//! The code generator begins a block where a copy begins, and one where it returns to. Those that only one jump
//! leads to are appended to the block with that jump, as LLVM's `MergeBlockIntoPredecessor` does. The allocator of
//! registers notes the living values for each block, and arithmetic of large numbers has many values and hundreds of copies of the function for
//! products of 128 bits: it takes an eighth less time to compile.
//!
//! Copies of other functions keep their blocks. Where the jumps of an interpreter fall matters more than anything that
//! merging brings.

use cranelift_codegen::entity::{EntityRef, EntitySet, SecondaryMap};
use cranelift_codegen::ir::{Block, Function, InstructionData, Opcode, Value, types};
use std::ops::Range;

/// Blocks of a function with one way through it: the last one only returns.
const STRAIGHT: usize = 2;

/// The fewest copies in a function: where there are few, as where numbers of 128 bits are printed, nothing is gained.
const FEWEST_COPIES: usize = 32;

/// Whether a function has a product of 128 bits, and one way through it.
pub(super) fn is_product(func: &Function) -> bool {
    if func.dfg.num_blocks() > STRAIGHT {
        return false;
    }
    let mut insts = func.layout.blocks().flat_map(|block| func.layout.block_insts(block));
    insts.any(|inst| match func.dfg.insts[inst].opcode() {
        Opcode::Imul => func.dfg.value_type(func.dfg.first_result(inst)) == types::I128,
        opcode => opcode == Opcode::Umulhi,
    })
}

/// Appends these blocks of copies to others, where that is possible.
pub(super) fn run(func: &mut Function, copies: Vec<Range<usize>>) {
    if copies.len() < FEWEST_COPIES {
        return;
    }
    let mut blocks = EntitySet::new();
    blocks.extend(copies.into_iter().flatten().map(Block::new));
    let ways = ways(func);
    let mut next = func.layout.entry_block();
    while let Some(block) = next {
        while let Some(behind) = only_successor(func, block)
            && blocks.contains(behind)
            && behind != block
            && ways[behind] == 1
            && func.layout.is_cold(behind) == func.layout.is_cold(block)
        {
            append(func, block, behind);
        }
        next = func.layout.next_block(block);
    }
}

/// How many ways lead to each block.
fn ways(func: &Function) -> SecondaryMap<Block, u32> {
    let dfg = &func.dfg;
    let mut ways = SecondaryMap::with_default(0);
    ways.resize(dfg.num_blocks());
    for last in func.layout.blocks().filter_map(|block| func.layout.last_inst(block)) {
        for target in dfg.insts[last].branch_destination(&dfg.jump_tables, &dfg.exception_tables) {
            ways[target.block(&dfg.value_lists)] += 1;
        }
    }
    ways
}

/// The block that another one ends with a jump to.
fn only_successor(func: &Function, block: Block) -> Option<Block> {
    match func.dfg.insts[func.layout.last_inst(block)?] {
        InstructionData::Jump { destination, .. } => Some(destination.block(&func.dfg.value_lists)),
        _ => None,
    }
}

/// Puts the instructions of `behind` in the place of the jump to it.
fn append(func: &mut Function, block: Block, behind: Block) {
    let Some(jump) = func.layout.last_inst(block) else { return };
    let args: Vec<Value> = func.dfg.inst_values(jump).collect();
    func.layout.remove_inst(jump);
    let params = func.dfg.detach_block_params(behind);
    for (place, arg) in args.into_iter().enumerate() {
        if let Some(param) = params.get(place, &func.dfg.value_lists) {
            func.dfg.change_to_alias(param, arg);
        }
    }
    while let Some(inst) = func.layout.first_inst(behind) {
        func.layout.remove_inst(inst);
        func.layout.append_inst(inst, block);
    }
    func.layout.remove_block(behind);
}
