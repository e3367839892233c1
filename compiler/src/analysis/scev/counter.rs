//! Counters, and how often their loops go round.

use super::{DEEPEST, FAR, Numbers, rounds};
use cranelift_codegen::ir::{Block, InstructionData, Opcode, Value, ValueDef};
use cranelift_codegen::loop_analysis::Loop;

/// A parameter of a loop's header that changes by the same in each round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counter {
    pub(crate) header: Block,
    pub(crate) inside: Loop,
    pub(crate) start: Value,
    pub(crate) step: i64,
}

impl Numbers<'_> {
    /// The counter that a value is, if it is one.
    pub(crate) fn counter(&mut self, param: Value) -> Option<Counter> {
        let param = self.resolved(param);
        if let Some(known) = self.counters.get(&param) {
            return *known;
        }
        let counter = self.find_counter(param);
        self.counters.insert(param, counter);
        counter
    }

    fn find_counter(&self, param: Value) -> Option<Counter> {
        let ValueDef::Param(header, index) = self.func.dfg.value_def(param) else { return None };
        let inside = self.loops.is_loop_header(header)?;
        let is_inside = |block| self.loops.is_in_loop(block, inside);
        let starts = self.arguments(header, index, |block| !is_inside(block))?;
        let [start] = *starts else { return None };
        let nexts = self.arguments(header, index, is_inside)?;
        let mut steps = nexts.iter().map(|next| self.beyond(*next, param));
        let step = steps.next()??;
        let same = step != 0 && step.abs() < FAR && steps.all(|other| other == Some(step));
        same.then_some(Counter { header, inside, start, step })
    }

    /// How much `value` is more than `param`, if that is a constant.
    pub(crate) fn beyond(&self, value: Value, param: Value) -> Option<i64> {
        let (mut value, mut sum) = (self.resolved(value), 0);
        for _ in 0..DEEPEST {
            if value == param {
                return Some(sum);
            }
            let (_, InstructionData::Binary { opcode, args: [left, right] }) =
                self.definition(value)?
            else {
                return None;
            };
            let (next, change) = match (opcode, self.constant(*left), self.constant(*right)) {
                (Opcode::Iadd, _, Some(constant)) => (left, constant),
                (Opcode::Iadd, Some(constant), None) => (right, constant),
                (Opcode::Isub, _, Some(constant)) => (left, -constant),
                _ => return None,
            };
            (value, sum) = (self.resolved(*next), sum + change);
        }
        None
    }

    pub(super) fn rounds(&mut self, inside: Loop) -> Option<i64> {
        if let Some(known) = self.rounds.get(&inside) {
            return *known;
        }
        // Nothing is known while it is being found out.
        self.rounds.insert(inside, None);
        let rounds = rounds::most(self, inside);
        self.rounds.insert(inside, rounds);
        rounds
    }
}
