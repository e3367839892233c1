//! Jump threading: a branch to a block that only jumps on goes to where that jump goes.
//!
//! The code generator does that itself, in time that grows with the square of such blocks in a
//! row, as the ends of nested blocks are. So this is for functions with many of them only.

use cranelift_codegen::Context;
use cranelift_codegen::entity::{EntitySet, SecondaryMap};
use cranelift_codegen::ir::{Block, BlockArg, Inst, Opcode};
use cranelift_codegen::packed_option::PackedOption;

/// Jumps from a block that only jumps to the last of such, on average over all blocks.
const MOST_JUMPS: u64 = 16;

/// Functions with fewer blocks are left alone.
const SMALL: usize = 1 << 10;

/// Where a block that only jumps leads in the end.
#[derive(Clone, Copy, Default)]
struct End {
    block: PackedOption<Block>,
    jumps: u64,
}

/// Whether branches were changed: the flow of control must be computed anew then.
pub(super) fn run(context: &mut Context) -> bool {
    let blocks = context.func.dfg.num_blocks();
    if blocks <= SMALL {
        return false;
    }
    let (mut ends, mut jumps): (SecondaryMap<Block, End>, u64) = (SecondaryMap::new(), 0);
    // Jumps forward lead to blocks that were visited already; those back are left.
    for block in context.domtree.cfg_postorder() {
        let Some(next) = next(context, *block) else { continue };
        let after = ends[next];
        let last = after.block.expand().unwrap_or(next);
        let end = End { block: last.into(), jumps: after.jumps + 1 };
        jumps += end.jumps;
        ends[*block] = end;
    }
    if jumps <= MOST_JUMPS * blocks as u64 {
        return false;
    }
    let layout = &context.func.layout;
    // Blocks that jump in a circle end in one of them.
    let mut kept = EntitySet::<Block>::new();
    kept.extend(layout.blocks().filter_map(|block| ends[block].block.expand()));
    let is_kept = |block: Block| kept.contains(block) || layout.entry_block() == Some(block);
    let is_passed = |block: &Block| ends[*block].block.is_some() && !is_kept(*block);
    let (passed, others): (Vec<Block>, Vec<Block>) = layout.blocks().partition(is_passed);
    let branches: Vec<Inst> = others.iter().filter_map(|block| layout.last_inst(*block)).collect();
    for branch in branches {
        let dfg = &mut context.func.dfg;
        let lists = &mut dfg.value_lists;
        let targets = dfg.insts[branch]
            .branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables);
        for target in targets {
            if let Some(end) = ends[target.block(lists)].block.expand() {
                target.set_block(end, lists);
            }
        }
    }
    passed.iter().for_each(|block| remove(context, *block));
    true
}

/// Removes a block that nothing leads to any more. The code generator would take each out of the list of
/// its successor's predecessors, one after the other, and those may be as many.
fn remove(context: &mut Context, block: Block) {
    let layout = &mut context.func.layout;
    while let Some(inst) = layout.first_inst(block) {
        layout.remove_inst(inst);
    }
    layout.remove_block(block);
}

/// The block that `block` does nothing but jump to, with its own parameters as arguments.
fn next(context: &Context, block: Block) -> Option<Block> {
    let (dfg, layout) = (&context.func.dfg, &context.func.layout);
    let jump = layout.first_inst(block).filter(|first| layout.last_inst(block) == Some(*first))?;
    if dfg.insts[jump].opcode() != Opcode::Jump {
        return None;
    }
    let [target] = dfg.insts[jump].branch_destination(&dfg.jump_tables, &dfg.exception_tables)
    else {
        return None;
    };
    let next = target.block(&dfg.value_lists);
    let params = dfg.block_params(block);
    let passed = target.args(&dfg.value_lists);
    let same = passed.eq(params.iter().map(|param| BlockArg::Value(*param)));
    // Its parameters may be used after it, if there is no way around.
    let is_on_all_ways = context.domtree.idom(next) == Some(block);
    (next != block && same && (params.is_empty() || !is_on_all_ways)).then_some(next)
}
