//! Instruction scheduling in source order: pure instructions go back to where the program has them.
//!
//! The code generator's e-graph keeps pure instructions out of the layout, and puts each before its
//! first use that has an effect, while loads stay where they were. So all values that a block loads
//! are alive at once before the first of them is used: they are spilled, and no load is next to the
//! instruction that could have it as an operand. The compiler that made the module has ordered its
//! instructions for few registers already. (LLVM's scheduler of the same name, `source` in
//! `ScheduleDAGRRList.cpp`, does this for the same reason.)
//!
//! Instructions with effects, and loads, keep their order among themselves. An instruction that the
//! code generator has made, or moved from another block, comes right before its first user.

use crate::analysis::value::each_operand;
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::{Block, Function, Inst, Opcode, Value, ValueDef};

/// The places of instructions before the code generator's passes: block and number.
pub(super) type Source = SecondaryMap<Inst, Option<(Block, u32)>>;

/// A number behind all of the program's.
const LAST: u32 = u32::MAX;

/// Notes the order of all instructions.
pub(super) fn note(func: &Function) -> Source {
    let mut source = Source::new();
    source.resize(func.dfg.num_insts());
    let mut number = 0;
    for block in func.layout.blocks() {
        for inst in func.layout.block_insts(block) {
            source[inst] = Some((block, number));
            number += 1;
        }
    }
    source
}

/// Brings the instructions of each block into that order.
pub(super) fn restore(func: &mut Function, source: &Source) {
    let mut ranks = SecondaryMap::with_default(LAST);
    ranks.resize(func.dfg.num_insts());
    let mut order: Vec<(u32, Inst)> = Vec::new();
    let blocks: Vec<Block> = func.layout.blocks().collect();
    for block in blocks {
        match look_at(func, source, block) {
            Order::Own => continue,
            Order::Changed => {
                for inst in func.layout.block_insts(block) {
                    ranks[inst] = source[inst].map_or(LAST, |(_, number)| number);
                }
            }
            Order::Mixed => rank_up(func, source, &mut ranks, block),
        }
        order.clear();
        rank_down(func, &mut ranks, block, &mut order);
        if order.is_sorted_by_key(|(rank, _)| *rank) {
            continue;
        }
        // Instructions of one rank stay in order, so that operands come first.
        order.sort_by_key(|(rank, _)| *rank);
        let before = func.layout.block_insts(block);
        let moved = before.zip(&order).take_while(|(old, (_, new))| old == new).count();
        for (_, inst) in &order[moved..] {
            func.layout.remove_inst(*inst);
            func.layout.append_inst(*inst, block);
        }
    }
}

/// The order of a block.
enum Order {
    /// The program's.
    Own,
    /// Another one, of the program's instructions.
    Changed,
    /// There are instructions that are not the program's, or of other blocks.
    Mixed,
}

fn look_at(func: &Function, source: &Source, block: Block) -> Order {
    let (mut order, mut last) = (Order::Own, None);
    for inst in func.layout.block_insts(block) {
        match source[inst] {
            Some((home, _)) if home != block => return Order::Mixed,
            None => return Order::Mixed,
            Some((_, number)) if last >= Some(number) => order = Order::Changed,
            Some((_, number)) => last = Some(number),
        }
    }
    order
}

/// Ranks the instructions of a block from its end on: by the program, or by the first user.
fn rank_up(func: &Function, source: &Source, ranks: &mut SecondaryMap<Inst, u32>, block: Block) {
    let mut next = func.layout.last_inst(block);
    while let Some(inst) = next {
        next = func.layout.prev_inst(inst);
        if let Some((_, number)) = source[inst].filter(|(home, _)| *home == block) {
            ranks[inst] = number;
        }
        let rank = ranks[inst];
        each_operand(func, inst, |value| {
            let Some(operand) = definition(func, block, value) else { return };
            let known = source[operand].is_some_and(|(home, _)| home == block);
            if !known {
                ranks[operand] = ranks[operand].min(rank);
            }
        });
    }
}

/// Raises ranks from the start of a block on, so that none is below those of its operands, nor one
/// with an effect below those of others before it.
fn rank_down(
    func: &Function,
    ranks: &mut SecondaryMap<Inst, u32>,
    block: Block,
    order: &mut Vec<(u32, Inst)>,
) {
    let mut effects = 0;
    for inst in func.layout.block_insts(block) {
        let opcode = func.dfg.insts[inst].opcode();
        let mut rank = ranks[inst];
        if opcode.is_terminator() {
            rank = LAST;
        } else {
            for value in func.dfg.inst_args(inst) {
                let operand = definition(func, block, *value);
                rank = rank.max(operand.map_or(0, |operand| ranks[operand]));
            }
            if is_ordered(opcode) {
                rank = rank.max(effects);
                effects = rank;
            }
        }
        ranks[inst] = rank;
        order.push((rank, inst));
    }
}

/// Whether an instruction keeps its place among others of this kind.
fn is_ordered(opcode: Opcode) -> bool {
    opcode.is_call()
        || opcode.is_branch()
        || opcode.can_load()
        || opcode.can_store()
        || opcode.can_trap()
        || opcode.other_side_effects()
}

/// The instruction that defines a value, if it is in the same block.
fn definition(func: &Function, block: Block, value: Value) -> Option<Inst> {
    match func.dfg.value_def(value) {
        ValueDef::Result(inst, _) => (func.layout.inst_block(inst) == Some(block)).then_some(inst),
        _ => None,
    }
}
