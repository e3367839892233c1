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
use cranelift_codegen::ir::{Block, Function, Inst, Opcode, Value};

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

/// Brings the instructions of each block into the order of the source. There must be no aliases, as behind the code
/// generator's passes.
pub(super) fn restore(func: &mut Function, source: &Source) {
    let mut order = Order::default();
    order.places.resize(func.dfg.num_values());
    let mut next = func.layout.entry_block();
    while let Some(block) = next {
        next = func.layout.next_block(block);
        if func.layout.first_inst(block) == func.layout.last_inst(block) {
            continue;
        }
        match order.look_at(func, source, block) {
            Kind::Own => continue,
            Kind::Changed => {}
            Kind::Mixed => order.rank_up(func),
        }
        order.rank_down(func);
        if order.insts.is_sorted_by_key(|ranked| ranked.rank) {
            continue;
        }
        // Instructions of one rank stay in order, so that operands come first.
        order.insts.sort_by_key(|ranked| ranked.rank);
        let before = func.layout.block_insts(block);
        let moved = before.zip(&order.insts).take_while(|(old, new)| *old == new.inst).count();
        for ranked in &order.insts[moved..] {
            func.layout.remove_inst(ranked.inst);
            func.layout.append_inst(ranked.inst, block);
        }
    }
}

/// The order of a block's instructions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The program's.
    Own,
    /// Another one, of the program's instructions.
    Changed,
    /// There are instructions that are not the program's, or of other blocks.
    Mixed,
}

/// An instruction of a block.
struct Ranked {
    rank: u32,
    inst: Inst,
    /// Whether the program has it in this block.
    is_own: bool,
}

/// The instructions of a block.
#[derive(Default)]
struct Order {
    insts: Vec<Ranked>,
    /// For each value, the number of the block that defines it, and the place of the defining instruction there.
    places: SecondaryMap<Value, (u32, u32)>,
    /// The number of this block: more than all before.
    block: u32,
}

impl Order {
    /// Takes the instructions of a block, ranked by the program if it has them there.
    fn look_at(&mut self, func: &Function, source: &Source, block: Block) -> Kind {
        self.block += 1;
        self.insts.clear();
        let (mut kind, mut last) = (Kind::Own, None);
        for inst in func.layout.block_insts(block) {
            for result in func.dfg.inst_results(inst) {
                self.places[*result] = (self.block, self.insts.len() as u32);
            }
            let number = source[inst].and_then(|(home, number)| (home == block).then_some(number));
            if number.is_none() {
                kind = Kind::Mixed;
            } else if kind == Kind::Own && last >= number {
                kind = Kind::Changed;
            }
            last = number;
            let (rank, is_own) = (number.unwrap_or(LAST), number.is_some());
            self.insts.push(Ranked { rank, inst, is_own });
        }
        kind
    }

    /// The place of the instruction that defines a value, if it is in this block.
    fn place(&self, value: Value) -> Option<usize> {
        let (block, place) = self.places[value];
        (block == self.block).then_some(place as usize)
    }

    /// Ranks the instructions that the program does not have there by their first users, from the block's end on.
    fn rank_up(&mut self, func: &Function) {
        for user in (0..self.insts.len()).rev() {
            let Ranked { rank, inst, .. } = self.insts[user];
            each_operand(func, inst, |value| {
                if let Some(place) = self.place(value)
                    && !self.insts[place].is_own
                {
                    self.insts[place].rank = self.insts[place].rank.min(rank);
                }
            });
        }
    }

    /// Raises ranks from the start of the block on: an instruction's rank is not below its operands', and that of one
    /// with an effect not below any earlier effect's.
    fn rank_down(&mut self, func: &Function) {
        let mut effects = 0;
        for place in 0..self.insts.len() {
            let Ranked { mut rank, inst, .. } = self.insts[place];
            let data = &func.dfg.insts[inst];
            let opcode = data.opcode();
            if opcode.is_terminator() {
                rank = LAST;
            } else {
                for value in data.arguments(&func.dfg.value_lists) {
                    let operand = self.place(*value);
                    rank = rank.max(operand.map_or(0, |operand| self.insts[operand].rank));
                }
                if is_ordered(opcode) {
                    rank = rank.max(effects);
                    effects = rank;
                }
            }
            self.insts[place].rank = rank;
        }
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
