//! The effort that a function is worth: the code generator has parts that take time with the square
//! of a function's size, for some functions. Their work is estimated, and a function for which it
//! is more than a constant for each instruction or block is left to parts that take linear time.

use crate::Effort;
use crate::analysis::value::each_operand;
use crate::arch::x86_64::isa::Generators;
use cranelift_codegen::Context;
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::{Block, Function, Inst, Opcode, Value};
use cranelift_codegen::loop_analysis::{Loop, LoopAnalysis};
use cranelift_codegen::packed_option::PackedOption;
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

/// The same where all instructions together have few: libraries that were inlined into one function have
/// up to 340, and take half of the time with registers that are allocated well.
const MOST_ALIVE_OF_FEW: u64 = 512;

/// How many are few, whatever the size.
const FEW_ALIVE: u64 = 1 << 23;

/// Values alive at the start of a block for each instruction of the function, on average: the
/// allocator that takes one pass looks at them there. At most 120 in PHP, CPython and esbuild.
const MOST_ENTERING: u64 = 128;

/// Values that branches pass on to blocks, for each instruction of the function, on average: with
/// more, the allocator that compares values is too slow, or any. At most 2 in PHP, CPython and
/// esbuild.
const MOST_PASSED_EACH: usize = 4;
const MOST_PASSED_AT_ALL: usize = 16;

/// Parameters and results of a function: all of them are alive at once.
const MOST_IN_SIGNATURE: usize = 64;

/// Empty blocks before a block, on average: the map of blocks goes back over all of them.
const MOST_EMPTY: u64 = 1 << 11;

/// Loops in one another.
const MOST_NESTED: usize = 64;

/// The effort for a function that was just translated.
pub(super) fn before(context: &Context, isas: &Generators) -> Effort {
    let passed = passed(&context.func);
    let each = passed / (context.func.dfg.num_insts() + SMALL);
    if each > MOST_PASSED_AT_ALL {
        return Effort::Frame;
    }
    if isas.usual.flags().opt_level() == OptLevel::None || is_deep(context) {
        return Effort::Least;
    }
    let signature = &context.func.signature;
    if context.func.dfg.num_blocks() > MOST_BLOCKS
        || passed > MOST_PASSED
        || each > MOST_PASSED_EACH
        || signature.params.len() + signature.returns.len() > MOST_IN_SIGNATURE
    {
        Effort::Linear
    } else {
        Effort::Usual
    }
}

/// The effort for an optimised function, on which that much was spent.
pub(super) fn after(context: &mut Context, effort: Effort) -> Effort {
    let crowd = crowd(context);
    if crowd == Crowd::AtBlocks {
        return Effort::Frame;
    }
    if effort == Effort::Least {
        return effort;
    }
    let linear = effort == Effort::Linear || crowd == Crowd::Everywhere;
    match (linear, is_hollow(context)) {
        (false, false) => Effort::Usual,
        (false, true) => Effort::Unmapped,
        (true, false) => Effort::Linear,
        (true, true) => Effort::Least,
    }
}

/// Whether blocks lie deep in the tree of dominators.
fn is_deep(context: &Context) -> bool {
    if context.func.dfg.num_blocks() <= SMALL {
        return false;
    }
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
    // The walk takes one and a half times the square of this at most.
    let switches = function.dfg.jump_tables.values().map(|table| table.all_branches().len());
    let landings = function.dfg.exception_tables.values().map(|table| table.all_branches().len());
    if function.dfg.num_blocks() + switches.chain(landings).sum::<usize>() <= SMALL {
        return false;
    }
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
#[derive(Clone, Copy, PartialEq, Eq)]
enum Crowd {
    No,
    /// Too many for the allocator that compares them.
    Everywhere,
    /// Too many to be looked at once a block.
    AtBlocks,
}

/// A place in the order of a function's code, or a distance there.
#[derive(Clone, Copy, Default)]
struct Place {
    instructions: u64,
    blocks: u64,
}

fn crowd(context: &mut Context) -> Crowd {
    if context.func.dfg.num_insts() <= SMALL {
        return Crowd::No;
    }
    if !context.loop_analysis.is_valid() {
        context.compute_loop_analysis();
    }
    let (function, loops) = (&context.func, &context.loop_analysis);
    let mut places: SecondaryMap<Block, Place> = SecondaryMap::new();
    let mut ends: SecondaryMap<Loop, Place> = SecondaryMap::new();
    let (mut place, mut deep) = (Place::default(), false);
    for block in context.domtree.cfg_rpo() {
        places[*block] = place;
        place.instructions += function.layout.block_insts(*block).count() as u64;
        place.blocks += 1;
        deep |= enclosing(loops, *block).nth(MOST_NESTED).is_some();
        for outer in enclosing(loops, *block).take(MOST_NESTED) {
            ends[outer] = place;
        }
    }
    let alive = alive(context, &places, &ends);
    let few = FEW_ALIVE.min(MOST_ALIVE_OF_FEW * place.instructions);
    let most_alive = few.max(MOST_ALIVE * place.instructions);
    if alive.blocks > MOST_ENTERING * place.instructions {
        Crowd::AtBlocks
    } else if deep || alive.instructions > most_alive {
        Crowd::Everywhere
    } else {
        Crowd::No
    }
}

/// A value that is not computed anew wherever it is used.
#[derive(Clone, Copy, Default)]
struct Life {
    /// The block that it is defined in.
    home: PackedOption<Block>,
    /// Its definition, or the last of its uses so far.
    since: Place,
}

/// Instructions that all values together are alive at, and blocks that they are alive at the start
/// of, about. There must be no aliases, as behind the code generator's passes.
fn alive(
    context: &Context,
    places: &SecondaryMap<Block, Place>,
    ends: &SecondaryMap<Loop, Place>,
) -> Place {
    let (function, loops) = (&context.func, &context.loop_analysis);
    let mut lives: SecondaryMap<Value, Life> = SecondaryMap::new();
    lives.resize(function.dfg.num_values());
    let mut total = Place::default();
    for block in context.domtree.cfg_rpo() {
        let (home, mut place) = (PackedOption::from(*block), places[*block]);
        for param in function.dfg.block_params(*block) {
            lives[*param] = Life { home, since: place };
        }
        for inst in function.layout.block_insts(*block) {
            each_operand(function, inst, |value| {
                let life = &mut lives[value];
                let Some(home) = life.home.expand() else { return };
                // A value from before a loop is alive to the loop's end.
                let left = |around: &Loop| !loops.is_in_loop(home, *around);
                let around = enclosing(loops, *block).take(MOST_NESTED);
                let end = around.take_while(left).last().map_or(place, |outer| ends[outer]);
                total.instructions += end.instructions.saturating_sub(life.since.instructions);
                total.blocks += end.blocks.saturating_sub(life.since.blocks);
                life.since = end.max(life.since);
            });
            if !is_constant(function, inst) {
                for result in function.dfg.inst_results(inst) {
                    lives[*result] = Life { home, since: place };
                }
            }
            place.instructions += 1;
        }
    }
    total
}

impl Place {
    /// The later one.
    fn max(self, other: Place) -> Place {
        if self.instructions < other.instructions { other } else { self }
    }
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
    let last = layout.blocks().filter_map(|block| layout.last_inst(block));
    let targets = last.flat_map(|instruction| {
        dfg.insts[instruction].branch_destination(&dfg.jump_tables, &dfg.exception_tables)
    });
    targets.map(|target| target.len(&dfg.value_lists)).sum()
}
