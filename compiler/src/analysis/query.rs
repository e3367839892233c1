//! Ranges of values: what instructions can give, whatever their operands are.
//!
//! A value that nothing is known of has the range of its type. Questions are answered by looking
//! back through a bounded number of definitions, so the time for a check does not depend on the
//! function's size.

use super::branch::Facts;
use super::induction;
use super::interval::{Range, binary, most, unary};
use cranelift_codegen::dominator_tree::DominatorTree;
use cranelift_codegen::flowgraph::ControlFlowGraph;
use cranelift_codegen::ir::{
    Block, BlockArg, Function, Inst, InstructionData, Opcode, Type, Value, ValueDef,
};

/// Definitions to look at before giving up.
const MOST_STEPS: usize = 64;

/// Ways into a block whose parameters are looked at.
const MOST_PREDS: usize = 16;

/// Definitions to follow one after the other.
const MOST_DEPTH: usize = 16;

/// What of a 64-bit number that was 32 bits before says all about it.
pub(crate) fn extended_from(func: &Function, value: Value) -> Value {
    let value = func.dfg.resolve_aliases(value);
    match instruction(func, value) {
        Some(InstructionData::Unary { opcode: Opcode::Uextend, arg }) => {
            func.dfg.resolve_aliases(*arg)
        }
        _ => value,
    }
}

/// The instruction whose only result is `value`.
pub(crate) fn instruction(func: &Function, value: Value) -> Option<&InstructionData> {
    match func.dfg.value_def(func.dfg.resolve_aliases(value)) {
        ValueDef::Result(inst, 0) => Some(&func.dfg.insts[inst]),
        _ => None,
    }
}

/// The number that `value` is, if it is a constant.
pub(crate) fn constant(func: &Function, value: Value) -> Option<u64> {
    match instruction(func, value)? {
        InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => {
            Some(imm.bits().cast_unsigned() & most(func.dfg.value_type(value)))
        }
        InstructionData::Unary { opcode: Opcode::Uextend, arg } => constant(func, *arg),
        _ => None,
    }
}

/// What may be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sources {
    /// How values are calculated.
    Values,
    /// Also the comparisons that were made on the way.
    Comparisons,
    /// Also how often loops go round.
    Induction,
}

/// Answers questions about ranges in a function.
pub(crate) struct Ranges<'f> {
    pub(crate) func: &'f Function,
    pub(crate) cfg: &'f ControlFlowGraph,
    pub(crate) domtree: &'f DominatorTree,
}

impl<'f> Ranges<'f> {
    pub(crate) fn new(
        func: &'f Function,
        cfg: &'f ControlFlowGraph,
        domtree: &'f DominatorTree,
    ) -> Ranges<'f> {
        Ranges { func, cfg, domtree }
    }

    /// The largest number that `value` can be where `facts` hold.
    pub(crate) fn highest(&self, value: Value, facts: &Facts, sources: Sources) -> u64 {
        self.at(value, facts, sources).high
    }

    /// The numbers that `value` can be where `facts` hold.
    pub(crate) fn at(&self, value: Value, facts: &Facts, sources: Sources) -> Range {
        let facts = (sources != Sources::Values).then_some(facts);
        let induction = sources == Sources::Induction;
        let mut query = Query { ranges: self, facts, induction, steps: 0, params: Vec::new() };
        query.range(value, 0)
    }

    /// What is passed on for parameter `number` of `block`, and by which branches.
    pub(crate) fn incoming(
        &self,
        block: Block,
        number: usize,
    ) -> impl Iterator<Item = (Inst, Block, Option<Value>)> {
        let dfg = &self.func.dfg;
        self.cfg.pred_iter(block).flat_map(move |pred| {
            let targets = dfg.insts[pred.inst]
                .branch_destination(&dfg.jump_tables, &dfg.exception_tables)
                .iter();
            let calls = targets.filter(move |call| call.block(&dfg.value_lists) == block);
            calls.map(move |call| {
                let arg = call.args(&dfg.value_lists).nth(number);
                let value = arg.and_then(|arg| match arg {
                    BlockArg::Value(value) => Some(dfg.resolve_aliases(value)),
                    _ => None,
                });
                (pred.inst, pred.block, value)
            })
        })
    }
}

/// A question, while it is being answered.
pub(crate) struct Query<'q> {
    pub(crate) ranges: &'q Ranges<'q>,
    facts: Option<&'q Facts>,
    induction: bool,
    /// Definitions and branches looked at so far.
    pub(crate) steps: usize,
    /// Parameters of blocks that the answer is being looked for.
    params: Vec<Value>,
}

impl Query<'_> {
    pub(crate) fn range(&mut self, value: Value, depth: usize) -> Range {
        let func = self.ranges.func;
        let value = func.dfg.resolve_aliases(value);
        let ty = func.dfg.value_type(value);
        let all = Range::of_type(ty);
        self.steps += 1;
        if self.steps > MOST_STEPS || depth > MOST_DEPTH || !ty.is_int() || ty.bits() > 64 {
            return all;
        }
        let range = match func.dfg.value_def(value) {
            ValueDef::Result(inst, 0) => self.of_instruction(inst, ty, depth + 1),
            ValueDef::Param(block, number) => self.of_param(block, number, value, depth + 1),
            _ => all,
        };
        let known = self.facts.and_then(|facts| facts.of(value));
        known.map_or(range, |known| range.intersection(known))
    }

    /// The range of a block's parameter: that of all that is passed on for it. What holds here
    /// need not hold there.
    fn of_param(&mut self, block: Block, number: usize, param: Value, depth: usize) -> Range {
        let all = Range::of_type(self.ranges.func.dfg.value_type(param));
        let entry = self.ranges.func.layout.entry_block() == Some(block);
        let crowded = self.ranges.cfg.pred_iter(block).nth(MOST_PREDS).is_some();
        if entry || crowded || self.params.contains(&param) {
            return all;
        }
        let facts = self.facts.take();
        self.params.push(param);
        let counted = self.induction.then(|| induction::counted(self, block, number, param, depth));
        let range = counted.flatten().unwrap_or_else(|| self.union_of(block, number, all, depth));
        self.params.pop();
        self.facts = facts;
        range
    }

    fn union_of(&mut self, block: Block, number: usize, all: Range, depth: usize) -> Range {
        let mut union: Option<Range> = None;
        for (_, _, value) in self.ranges.incoming(block, number) {
            let range = value.map_or(all, |value| self.range(value, depth));
            union = Some(union.map_or(range, |union| union.union(range)));
            if union == Some(all) {
                break;
            }
        }
        union.unwrap_or(all)
    }

    fn of_instruction(&mut self, inst: Inst, ty: Type, depth: usize) -> Range {
        let all = Range::of_type(ty);
        match self.ranges.func.dfg.insts[inst] {
            InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => {
                Range::exactly(imm.bits().cast_unsigned() & all.high)
            }
            InstructionData::Unary { opcode, arg } => {
                let from = self.ranges.func.dfg.value_type(arg);
                let range = self.range(arg, depth);
                unary(opcode, range, from, ty).unwrap_or(all)
            }
            InstructionData::Binary { opcode, args } => {
                let [left, right] = args.map(|arg| self.range(arg, depth));
                binary(opcode, left, right, ty).unwrap_or(all)
            }
            InstructionData::Ternary {
                opcode: Opcode::Select | Opcode::SelectSpectreGuard,
                args: [_, left, right],
            } => self.range(left, depth).union(self.range(right, depth)),
            InstructionData::IntCompare { .. } | InstructionData::FloatCompare { .. } => {
                Range::up_to(1)
            }
            InstructionData::Load { opcode, .. } => match opcode {
                Opcode::Uload8 => Range::up_to(u64::from(u8::MAX)),
                Opcode::Uload16 => Range::up_to(u64::from(u16::MAX)),
                Opcode::Uload32 => Range::up_to(u64::from(u32::MAX)),
                _ => all,
            },
            _ => all,
        }
    }
}
