//! Loop unrolling: makes small loops of one block two rounds long.
//!
//! The second round starts from the values of the first one, so the code generator adds once for both;
//! and a value that is needed before and after its step does not have to be moved for the next round.
//! Each round keeps its own condition.
//!
//! J. J. Dongarra and A. R. Hinds, "Unrolling Loops in FORTRAN", 1979; with its exits kept, as LLVM's
//! runtime unrolling without a remainder.

use crate::analysis::FxHashMap;
use crate::analysis::value::{each_operand, home, instructions};
use cranelift_codegen::Context;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::{
    Block, BlockArg, BlockCall, Function, Inst, InstBuilder, InstructionData, SourceLoc, Value,
};
use cranelift_codegen::loop_analysis::LoopAnalysis;
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// Instructions of a loop inside of another one, and variables that it changes.
const MOST_INSTRUCTIONS: usize = 64;

/// The same for a loop by itself: such a one is run less often, and if it is large, a compiler has unrolled it before.
const MOST_BY_ITSELF: usize = 32;

/// Instructions that a function may grow by.
const MOST_COPIED: usize = 2000;

/// A loop of one block.
struct Looping {
    block: Block,
    /// Which of the two targets of its branch is the block itself.
    again: usize,
    /// The values that are used behind the loop.
    used: Vec<Value>,
    /// Where the rounds meet that leave the loop. It has a parameter for each of them.
    end: Block,
}

impl Looping {
    /// The parameter of the end that a value of the loop is behind it.
    fn behind(&mut self, func: &mut Function, value: Value) -> Value {
        if let Some(place) = self.used.iter().position(|used| *used == value) {
            return func.dfg.block_params(self.end)[place];
        }
        self.used.push(value);
        let ty = func.dfg.value_type(value);
        func.dfg.append_block_param(self.end, ty)
    }
}

/// Whether there were any.
pub(super) fn run(context: &mut Context) -> bool {
    let Context { func, loop_analysis, .. } = &mut *context;
    let mut loops = loops(func, loop_analysis);
    if loops.is_empty() {
        return false;
    }
    loops.keys().for_each(|block| resolve_aliases(func, *block));
    leave_by_ends(func, &mut loops);
    for looping in loops.values_mut() {
        unroll(func, looping);
    }
    context.flowgraph();
    true
}

/// The loops to be unrolled, without the values used behind them.
fn loops(func: &mut Function, analysis: &LoopAnalysis) -> BTreeMap<Block, Looping> {
    let mut found = BTreeMap::new();
    let mut budget = MOST_COPIED;
    let blocks: Vec<Block> = func.layout.blocks().collect();
    for block in blocks {
        let Some(again) = again(func, block) else { continue };
        let insts = || func.layout.block_insts(block);
        let most = match analysis.loop_level(block).level() {
            ..2 => MOST_BY_ITSELF.min(budget),
            _ => MOST_INSTRUCTIONS.min(budget),
        };
        let size = insts().take(most + 1).count();
        let larger = size.max(func.dfg.num_block_params(block)) > most;
        if larger || func.layout.is_cold(block) || insts().any(|inst| is_call(func, inst)) {
            continue;
        }
        budget -= size;
        let end = func.dfg.make_block();
        found.insert(block, Looping { block, again, used: Vec::new(), end });
    }
    found
}

/// Resolves the aliases in a loop: its rounds are copied by the names of their values.
fn resolve_aliases(func: &mut Function, block: Block) {
    let mut next = func.layout.first_inst(block);
    while let Some(inst) = next {
        next = func.layout.next_inst(inst);
        let values = func.dfg.inst_values(inst).map(|value| func.dfg.resolve_aliases(value));
        let values: SmallVec<[Value; 8]> = values.collect();
        func.dfg.overwrite_inst_values(inst, values.into_iter());
    }
}

fn is_call(func: &Function, inst: Inst) -> bool {
    func.dfg.insts[inst].opcode().is_call()
}

/// Which way the branch of a block goes back to itself, if the other way does not.
fn again(func: &Function, block: Block) -> Option<usize> {
    let InstructionData::Brif { blocks, .. } = &func.dfg.insts[func.layout.last_inst(block)?]
    else {
        return None;
    };
    match blocks.map(|call| call.block(&func.dfg.value_lists) == block) {
        [true, false] => Some(0),
        [false, true] => Some(1),
        _ => None,
    }
}

/// Makes each use of a loop's values behind it one of a parameter of its end.
fn leave_by_ends(func: &mut Function, loops: &mut BTreeMap<Block, Looping>) {
    for (inst, block) in uses_behind(func, loops) {
        let values = func.dfg.inst_values(inst).map(|value| func.dfg.resolve_aliases(value));
        let values: Vec<Value> = values.collect();
        let values = values.into_iter().map(|value| {
            let home = home(func, value).filter(|home| *home != block);
            match home.and_then(|home| loops.get_mut(&home)) {
                Some(looping) => looping.behind(func, value),
                None => value,
            }
        });
        let values: Vec<Value> = values.collect();
        func.dfg.overwrite_inst_values(inst, values.into_iter());
    }
}

/// The instructions, each with its block, that use a value of another block which is one of these loops.
fn uses_behind(func: &Function, loops: &BTreeMap<Block, Looping>) -> Vec<(Inst, Block)> {
    let mut of_loops: SecondaryMap<Value, bool> = SecondaryMap::new();
    of_loops.resize(func.dfg.num_values());
    for block in loops.keys() {
        let results = func.layout.block_insts(*block).map(|inst| func.dfg.inst_results(inst));
        for values in results.chain([func.dfg.block_params(*block)]) {
            values.iter().for_each(|value| of_loops[*value] = true);
        }
    }
    let behind = instructions(func).filter_map(|inst| {
        let mut is_user = false;
        let of_loop = |value| of_loops[func.dfg.resolve_aliases(value)];
        each_operand(func, inst, |value| is_user |= of_loop(value));
        let block = func.layout.inst_block(inst).filter(|_| is_user)?;
        let mut is_behind = false;
        each_operand(func, inst, |value| {
            is_behind |= of_loop(value) && home(func, value) != Some(block);
        });
        is_behind.then_some((inst, block))
    });
    behind.collect()
}

/// Puts a second round behind the first one, and the end behind both.
fn unroll(func: &mut Function, looping: &mut Looping) {
    let (block, again) = (looping.block, looping.again);
    let first = func.layout.last_inst(block).expect("a branch");
    let InstructionData::Brif { blocks, .. } = func.dfg.insts[first] else { return };
    func.layout.insert_block_after(looping.end, block);
    leave(func, looping, blocks[1 - again]);
    let (second, values) = copy(func, block, blocks[again]);
    let last = func.layout.last_inst(second).expect("a branch");
    let InstructionData::Brif { blocks, .. } = func.dfg.insts[last] else { return };
    let of_first: Vec<BlockArg> = looping.used.iter().copied().map(BlockArg::Value).collect();
    let of_second: Vec<BlockArg> =
        looping.used.iter().map(|value| BlockArg::Value(values[value])).collect();
    let lists = &mut func.dfg.value_lists;
    let on = [BlockCall::new(second, [], lists), blocks[again]];
    let out = [of_first, of_second].map(|args| BlockCall::new(looping.end, args, lists));
    for ((branch, on), out) in [first, last].into_iter().zip(on).zip(out) {
        if let InstructionData::Brif { blocks, .. } = &mut func.dfg.insts[branch] {
            blocks[again] = on;
            blocks[1 - again] = out;
        }
    }
}

/// Makes the end of a loop jump to where the loop went.
fn leave(func: &mut Function, looping: &mut Looping, leave: BlockCall) {
    let mut args: Vec<BlockArg> = leave.args(&func.dfg.value_lists).collect();
    for arg in &mut args {
        let Some(value) = arg.as_value().map(|value| func.dfg.resolve_aliases(value)) else {
            continue;
        };
        if home(func, value) == Some(looping.block) {
            *arg = BlockArg::Value(looping.behind(func, value));
        }
    }
    let target = leave.block(&func.dfg.value_lists);
    FuncCursor::new(func).at_bottom(looping.end).ins().jump(target, &args);
}

/// Copies a round behind itself. Returns the values of the second round by those of the first.
fn copy(func: &mut Function, block: Block, back: BlockCall) -> (Block, FxHashMap<Value, Value>) {
    let params = func.dfg.block_params(block).iter().copied();
    let args = back.args(&func.dfg.value_lists).filter_map(|arg| arg.as_value());
    let mut values: FxHashMap<Value, Value> = params.zip(args).collect();
    let second = func.dfg.make_block();
    func.layout.insert_block_after(second, block);
    let insts: Vec<Inst> = func.layout.block_insts(block).collect();
    for inst in insts {
        let copy = func.dfg.clone_inst(inst);
        func.layout.append_inst(copy, second);
        let location = func.srcloc(inst);
        if location != SourceLoc::default() {
            func.set_srcloc(copy, location);
        }
        func.dfg.map_inst_values(copy, |value| values.get(&value).copied().unwrap_or(value));
        let results = func.dfg.inst_results(inst).iter().zip(func.dfg.inst_results(copy));
        values.extend(results.map(|(old, new)| (*old, *new)));
    }
    (second, values)
}
