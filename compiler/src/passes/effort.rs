//! The effort that a function is worth: the code generator has parts that take time with the square
//! of a function's size, for some functions. Their work is estimated, and a function for which it
//! is more than a constant for each instruction or block is left to parts that take linear time.

use crate::arch::x86_64::isa::Generators;
use cranelift_codegen::Context;
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::{Block, Function, Inst, Opcode, ValueDef};
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::loop_analysis::{Loop, LoopAnalysis};
use cranelift_codegen::settings::OptLevel;

/// Blocks of a function whose registers are allocated well: that takes time in proportion to the
/// square of their number, some seconds for so many.
const MOST_BLOCKS: usize = 1 << 16;

/// Values that the branches of such a function may pass on to blocks.
const MOST_PASSED: usize = 1 << 17;

/// Functions with fewer blocks and instructions are not looked at.
const SMALL: usize = 1 << 10;

/// Dominators of the block of an instruction, on average: common subexpressions are looked for
/// in all of them.
const MOST_DOMINATORS: u64 = 1 << 10;

/// Values alive at an instruction, on average: the allocator compares each with all others.
const MOST_ALIVE: u64 = 64;

/// Empty blocks before a block, on average: the map of blocks goes back over all of them.
const MOST_EMPTY: u64 = 1 << 11;

/// Loops in one another.
const MOST_NESTED: usize = 64;

/// The effort before registers are allocated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// All passes.
    Usual,
    /// The code generator's own passes, and one for registers.
    Linear,
    /// No passes.
    Least,
}

/// The effort for a function that was just translated.
pub(super) fn before(context: &mut Context, isas: &Generators) -> Effort {
    if isas.usual.flags().opt_level() == OptLevel::None || is_deep(context) {
        return Effort::Least;
    }
    let function = &context.func;
    if function.dfg.num_blocks() > MOST_BLOCKS || passed(function) > MOST_PASSED {
        Effort::Linear
    } else {
        Effort::Usual
    }
}

/// The code generator for an optimised function.
pub(super) fn after<'i>(
    context: &Context,
    isas: &'i Generators,
    effort: Effort,
) -> &'i dyn TargetIsa {
    match (effort == Effort::Linear || is_crowded(context), is_hollow(context)) {
        (false, false) => &*isas.usual,
        (false, true) => &*isas.unmapped,
        (true, false) => &*isas.linear,
        (true, true) => &*isas.least,
    }
}

/// Whether blocks lie deep in the tree of dominators.
fn is_deep(context: &mut Context) -> bool {
    if context.func.dfg.num_blocks() <= SMALL {
        return false;
    }
    context.flowgraph();
    let (function, tree) = (&context.func, &context.domtree);
    let mut depths: SecondaryMap<Block, u64> = SecondaryMap::new();
    let (mut instructions, mut dominators) = (0, 0);
    for block in tree.cfg_rpo() {
        let depth = tree.idom(*block).map_or(0, |dominator| depths[dominator] + 1);
        depths[*block] = depth;
        let here = function.layout.block_insts(*block).count() as u64;
        instructions += here;
        dominators += depth * here;
    }
    dominators > MOST_DOMINATORS * instructions
}

/// Whether there are many empty blocks in a row. An edge from a block with many successors to
/// one with many predecessors has a block of its own.
fn is_hollow(context: &Context) -> bool {
    let function = &context.func;
    let (mut blocks, mut walked, mut row) = (0, 0, 0);
    for block in context.domtree.cfg_rpo() {
        let Some(last) = function.layout.last_inst(*block) else { continue };
        let is_jump = function.dfg.insts[last].opcode() == Opcode::Jump;
        let pure = |inst| {
            let opcode = function.dfg.insts[inst].opcode();
            inst == last
                || !(opcode.other_side_effects() || opcode.can_load() || opcode.can_store())
        };
        blocks += 1;
        row += 1;
        if !is_jump || !function.layout.block_insts(*block).all(pure) {
            row = 0;
        }
        let dfg = &function.dfg;
        let targets = dfg.insts[last]
            .branch_destination(&dfg.jump_tables, &dfg.exception_tables)
            .len() as u64;
        if targets > 2 {
            blocks += targets;
            walked += targets * targets / 2;
            row += targets;
        }
        walked += row;
    }
    walked > MOST_EMPTY * (blocks + SMALL as u64)
}

/// Whether many values are alive at once.
fn is_crowded(context: &Context) -> bool {
    let function = &context.func;
    if function.dfg.num_insts() <= SMALL {
        return false;
    }
    let loops = &context.loop_analysis;
    let mut places: SecondaryMap<Block, u64> = SecondaryMap::new();
    let mut ends: SecondaryMap<Loop, u64> = SecondaryMap::new();
    let mut instructions = 0;
    for block in context.domtree.cfg_rpo() {
        places[*block] = instructions;
        instructions += function.layout.block_insts(*block).count() as u64;
        let around = enclosing(loops, *block);
        for (count, outer) in around.enumerate() {
            if count > MOST_NESTED {
                return true;
            }
            ends[outer] = instructions;
        }
    }
    alive(context, &places, &ends) > MOST_ALIVE * instructions
}

/// Instructions that all values together are alive at, about.
fn alive(
    context: &Context,
    places: &SecondaryMap<Block, u64>,
    ends: &SecondaryMap<Loop, u64>,
) -> u64 {
    let (function, loops) = (&context.func, &context.loop_analysis);
    let mut numbers: SecondaryMap<Inst, u64> = SecondaryMap::new();
    let mut last = SecondaryMap::new();
    let mut total = 0;
    for block in context.domtree.cfg_rpo() {
        for (inst, number) in function.layout.block_insts(*block).zip(places[*block]..) {
            numbers[inst] = number;
            for value in function.dfg.inst_values(inst) {
                let (home, start) = match function.dfg.value_def(value) {
                    ValueDef::Result(def, _) if !is_constant(function, def) => {
                        let home = function.layout.inst_block(def);
                        (home.unwrap_or(*block), numbers[def])
                    }
                    ValueDef::Param(home, _) => (home, places[home]),
                    _ => continue,
                };
                // A value from before a loop is alive to the loop's end.
                let left = |around: &Loop| !loops.is_in_loop(home, *around);
                let outermost = enclosing(loops, *block).take_while(left).last();
                let end = outermost.map_or(number, |outermost| ends[outermost]);
                let before: &mut u64 = &mut last[value];
                let since = start.max(*before);
                total += end.saturating_sub(since);
                *before = end.max(*before);
            }
        }
    }
    total
}

/// Whether it is computed anew wherever it is used.
fn is_constant(function: &Function, inst: Inst) -> bool {
    use Opcode::{F32const, F64const, GetPinnedReg, Iconst};
    matches!(function.dfg.insts[inst].opcode(), Iconst | F32const | F64const | GetPinnedReg)
}

/// The loops around a block, innermost first.
fn enclosing(loops: &LoopAnalysis, block: Block) -> impl Iterator<Item = Loop> {
    std::iter::successors(loops.innermost_loop(block), |inner| loops.loop_parent(*inner))
}

/// How many values all branches together pass on to blocks.
fn passed(function: &Function) -> usize {
    let (dfg, layout) = (&function.dfg, &function.layout);
    let instructions = layout.blocks().flat_map(|block| layout.block_insts(block));
    let targets = instructions.flat_map(|instruction| {
        dfg.insts[instruction].branch_destination(&dfg.jump_tables, &dfg.exception_tables)
    });
    targets.map(|target| target.len(&dfg.value_lists)).sum()
}
