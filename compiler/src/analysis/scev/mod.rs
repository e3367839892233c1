//! What 32-bit numbers are, exactly.
//!
//! WebAssembly computes addresses modulo 2^32. Where a computation does not wrap around, it can be
//! done with 64 bits in any order, and an addressing mode can do part of it. This finds the *linear
//! form* of a number: a constant, plus *atoms* times constants, in integers without limits, equal
//! to the number modulo 2^32; and the range it is in. If the range is within 0 and 2^32, the form
//! is the number.
//!
//! Atoms are *counters*, parameters of a loop's header that change by a constant in each round,
//! and anything else, which is zero-extended. How far a counter gets follows from the number of
//! *rounds*, and that from the comparisons that leave the loop.
//!
//! A processor runs ahead of these comparisons, on paths that turn out to be wrong; there, a counter
//! gets further. How far is a second range of each form, for what must hold [everywhere](Path).

mod counter;
mod form;
mod guards;
mod low_bits;
mod range;
mod rounds;

pub(crate) use counter::Counter;
pub(crate) use form::{Atom, Linear, Range, UNSIGNED};
pub(crate) use range::Path;

use crate::analysis::value as values;
use cranelift_codegen::dominator_tree::DominatorTree;
use cranelift_codegen::flowgraph::ControlFlowGraph;
use cranelift_codegen::ir::{Block, Function, Inst, InstructionData, Opcode, Value, types};
use cranelift_codegen::loop_analysis::{Loop, LoopAnalysis};
use std::collections::HashMap;

/// Forms whose range goes beyond are given up: no sum or product here is near overflowing.
const FAR: i64 = 1 << 44;

/// How many operations a form may consist of, one inside the other.
const DEEPEST: usize = 12;

/// How much of a function is looked at for what branches say, in steps: what they say about a number
/// depends on the place, so it is found again for each loop.
const MOST_EFFORT: usize = 1 << 16;

/// How many atoms a form may have.
const MOST_ATOMS: usize = 4;

/// What is known about the numbers of a function.
pub(crate) struct Numbers<'f> {
    pub(crate) func: &'f Function,
    pub(crate) cfg: &'f ControlFlowGraph,
    pub(crate) domtree: &'f DominatorTree,
    pub(crate) loops: &'f LoopAnalysis,
    forms: HashMap<Value, Linear>,
    ranges: HashMap<(Atom, Path), Range>,
    counters: HashMap<Value, Option<Counter>>,
    /// The most that a loop's header is reached, each time the loop is entered.
    rounds: HashMap<Loop, Option<i64>>,
    depth: usize,
    /// How much may still be looked at for what branches say.
    effort: usize,
}

impl<'f> Numbers<'f> {
    pub(crate) fn new(
        func: &'f Function,
        cfg: &'f ControlFlowGraph,
        domtree: &'f DominatorTree,
        loops: &'f LoopAnalysis,
    ) -> Self {
        let (forms, ranges, counters, rounds) = Default::default();
        Numbers {
            func,
            cfg,
            domtree,
            loops,
            forms,
            ranges,
            counters,
            rounds,
            depth: 0,
            effort: MOST_EFFORT,
        }
    }

    /// Takes a step of those that a function may take; false if there are none left.
    pub(crate) fn spend(&mut self) -> bool {
        self.effort = self.effort.saturating_sub(1);
        self.effort > 0
    }

    pub(crate) fn resolved(&self, value: Value) -> Value {
        self.func.dfg.resolve_aliases(value)
    }

    /// The instruction that defines a value.
    pub(crate) fn definition(&self, value: Value) -> Option<(Inst, &'f InstructionData)> {
        values::definition(self.func, value)
    }

    /// A 32-bit constant; those from 2^31 on count as negative.
    pub(crate) fn constant(&self, value: Value) -> Option<i64> {
        if self.func.dfg.value_type(value) != types::I32 {
            return None;
        }
        match self.definition(value)?.1 {
            InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => {
                Some(i64::from(imm.bits() as i32))
            }
            _ => None,
        }
    }

    /// The linear form of a 32-bit number.
    pub(crate) fn linear(&mut self, value: Value) -> Linear {
        let value = self.resolved(value);
        if let Some(known) = self.forms.get(&value) {
            return known.clone();
        }
        if self.depth >= DEEPEST {
            return Linear::atom(Atom::Number(value));
        }
        self.depth += 1;
        let form = self.expanded(value).filter(|form| {
            let range = self.range(form, Path::Right);
            // Not only to be of use: what is expanded differently for being too deep has the range of
            // all numbers, so a form that rests on the other one ends here.
            let narrow = range.most - range.least < UNSIGNED.most;
            narrow && form.atoms.len() <= MOST_ATOMS
        });
        self.depth -= 1;
        let form = form.unwrap_or_else(|| Linear::atom(Atom::Number(value)));
        self.forms.insert(value, form.clone());
        form
    }

    /// The linear form as the value's definition has it.
    fn expanded(&mut self, value: Value) -> Option<Linear> {
        if let Some(constant) = self.constant(value) {
            return Some(Linear::constant(constant));
        }
        let Some((_, definition)) = self.definition(value) else {
            let counter = self.counter(value)?;
            self.rounds(counter.inside)?;
            return Some(Linear::atom(Atom::Counter(value)));
        };
        let InstructionData::Binary { opcode, args: [left, right] } = *definition else {
            return None;
        };
        let form = match opcode {
            Opcode::Iadd => self.linear(left).plus(&self.linear(right), 1),
            Opcode::Isub => self.linear(left).plus(&self.linear(right), -1),
            Opcode::Imul => {
                let (factor, other) = match (self.constant(left), self.constant(right)) {
                    (_, Some(factor)) => (factor, left),
                    (Some(factor), None) => (factor, right),
                    (None, None) => return None,
                };
                Linear::constant(0).plus(&self.linear(other), factor)
            }
            Opcode::Ishl => {
                let count = self.constant(right).filter(|count| (0..32).contains(count))?;
                Linear::constant(0).plus(&self.linear(left), 1 << count)
            }
            _ => return None,
        };
        self.is_near(&form).then_some(form)
    }

    /// Whether the form's parts are far from overflowing.
    fn is_near(&mut self, form: &Linear) -> bool {
        let near = |number: i64| (-FAR..=FAR).contains(&number);
        near(form.constant)
            && form.atoms.iter().all(|(atom, factor)| {
                let range = self.range_of(*atom, Path::Right).times(*factor);
                near(*factor) && near(range.least) && near(range.most)
            })
    }

    /// The arguments for a block's parameter, from the predecessors that `wanted` says; none if
    /// one is the result of a call.
    pub(crate) fn arguments(
        &self,
        block: Block,
        index: usize,
        wanted: impl Fn(Block) -> bool,
    ) -> Option<Vec<Value>> {
        let dfg = &self.func.dfg;
        let mut values = Vec::new();
        for pred in self.cfg.pred_iter(block).filter(|pred| wanted(pred.block)) {
            let calls =
                dfg.insts[pred.inst].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
            for call in calls.iter().filter(|call| call.block(&dfg.value_lists) == block) {
                values.push(call.args(&dfg.value_lists).nth(index)?.as_value()?);
            }
        }
        Some(values)
    }
}
