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

use super::rounds;
use cranelift_codegen::dominator_tree::DominatorTree;
use cranelift_codegen::flowgraph::ControlFlowGraph;
use cranelift_codegen::ir::{
    Block, Function, Inst, InstructionData, Opcode, Value, ValueDef, types,
};
use cranelift_codegen::loop_analysis::{Loop, LoopAnalysis};
use std::collections::HashMap;

/// Numbers from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) least: i64,
    pub(super) most: i64,
}

/// All 32-bit numbers.
pub(super) const UNSIGNED: Range = Range { least: 0, most: u32::MAX as i64 };

/// Forms whose range goes beyond are given up: no sum or product here is near overflowing.
const FAR: i64 = 1 << 44;

/// Where a counter may be if nobody knows.
const ANYWHERE: Range = Range { least: -FAR, most: FAR };

/// How many rounds of a loop a processor runs ahead at most. Each takes an entry at least, a comparison
/// and its jump being one, and the largest processors have about 600 for what is not certain (576 in
/// Intel's Lion Cove, 448 in AMD's Zen 5).
const AHEAD: i64 = 1024;

/// How many operations a form may consist of, one inside the other.
const DEEPEST: usize = 12;

/// How many values passed on to a parameter are looked at for their low bits, and how often one of
/// them may be a parameter itself.
const MOST_PASSED: usize = 4;

/// How many loops a counter may be nested in whose low bits are looked at.
const MOST_NESTED: usize = 2;

/// How much of a function is looked at for what branches say, in steps: what they say about a number
/// depends on the place, so it is found again for each loop.
const MOST_EFFORT: usize = 1 << 16;

/// How many atoms a form may have.
const MOST_ATOMS: usize = 4;

impl Range {
    pub(super) fn within(self, outer: Range) -> bool {
        outer.least <= self.least && self.most <= outer.most
    }

    // What saturates is too far to be of use, so it does not matter where it ends.

    pub(super) fn plus(self, other: Range) -> Range {
        let least = self.least.saturating_add(other.least);
        Range { least, most: self.most.saturating_add(other.most) }
    }

    pub(super) fn times(self, factor: i64) -> Range {
        let (one, other) = (self.least.saturating_mul(factor), self.most.saturating_mul(factor));
        Range { least: one.min(other), most: one.max(other) }
    }

    /// What is in both, or all of this one if nothing is.
    pub(super) fn and(self, other: Range) -> Range {
        let both = Range { least: self.least.max(other.least), most: self.most.min(other.most) };
        if both.least > both.most { self } else { both }
    }

    fn or(self, other: Range) -> Range {
        Range { least: self.least.min(other.least), most: self.most.max(other.most) }
    }
}

/// A constant plus atoms times factors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Linear {
    pub(super) constant: i64,
    pub(super) atoms: Vec<(Atom, i64)>,
}

/// What a linear form is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Atom {
    /// A counter, by its parameter.
    Counter(Value),
    /// The zero extension of a number.
    Number(Value),
}

/// Where a range holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Path {
    /// Where the program gets.
    Right,
    /// Wherever the processor gets ahead of its branches: what counts there is how values are
    /// computed, not what has been compared.
    Any,
}

/// A parameter of a loop's header that changes by the same in each round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counter {
    pub(super) header: Block,
    pub(super) inside: Loop,
    pub(super) start: Value,
    pub(super) step: i64,
}

impl Linear {
    pub(super) fn constant(constant: i64) -> Linear {
        Linear { constant, atoms: Vec::new() }
    }

    fn atom(atom: Atom) -> Linear {
        Linear { constant: 0, atoms: vec![(atom, 1)] }
    }

    pub(super) fn plus(mut self, other: &Linear, factor: i64) -> Linear {
        let scaled = |number: i64| number.saturating_mul(factor);
        self.constant = self.constant.saturating_add(scaled(other.constant));
        for (atom, times) in &other.atoms {
            match self.atoms.iter_mut().find(|(known, _)| known == atom) {
                Some((_, sum)) => *sum = sum.saturating_add(scaled(*times)),
                None => self.atoms.push((*atom, scaled(*times))),
            }
        }
        self.atoms.retain(|(_, factor)| *factor != 0);
        self
    }
}

/// What is known about the numbers of a function.
pub(super) struct Numbers<'f> {
    pub(super) func: &'f Function,
    pub(super) cfg: &'f ControlFlowGraph,
    pub(super) domtree: &'f DominatorTree,
    pub(super) loops: &'f LoopAnalysis,
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
    pub(super) fn new(
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
    pub(super) fn spend(&mut self) -> bool {
        self.effort = self.effort.saturating_sub(1);
        self.effort > 0
    }

    pub(super) fn resolved(&self, value: Value) -> Value {
        self.func.dfg.resolve_aliases(value)
    }

    /// The instruction that defines a value.
    pub(super) fn definition(&self, value: Value) -> Option<(Inst, &'f InstructionData)> {
        match self.func.dfg.value_def(self.resolved(value)) {
            ValueDef::Result(inst, _) => Some((inst, &self.func.dfg.insts[inst])),
            _ => None,
        }
    }

    /// The block in which a value is defined.
    pub(super) fn block_of(&self, value: Value) -> Option<Block> {
        match self.func.dfg.value_def(self.resolved(value)) {
            ValueDef::Result(inst, _) => self.func.layout.inst_block(inst),
            ValueDef::Param(block, _) => Some(block),
            ValueDef::Union(..) => None,
        }
    }

    /// A 32-bit constant; those from 2^31 on count as negative.
    pub(super) fn constant(&self, value: Value) -> Option<i64> {
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
    pub(super) fn linear(&mut self, value: Value) -> Linear {
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

    /// What a form can be.
    pub(super) fn range(&mut self, form: &Linear, path: Path) -> Range {
        let constant = Range { least: form.constant, most: form.constant };
        form.atoms.iter().fold(constant, |sum, (atom, factor)| {
            sum.plus(self.range_of(*atom, path).times(*factor))
        })
    }

    fn range_of(&mut self, atom: Atom, path: Path) -> Range {
        if let Some(known) = self.ranges.get(&(atom, path)) {
            return *known;
        }
        let deepest = self.depth >= DEEPEST;
        self.depth += 1;
        let range = match atom {
            Atom::Number(_) if deepest => UNSIGNED,
            Atom::Counter(_) if deepest => ANYWHERE,
            Atom::Number(value) => self.number(value, path),
            Atom::Counter(param) => self.counted(param, path).unwrap_or(ANYWHERE),
        };
        self.depth -= 1;
        if !deepest {
            self.ranges.insert((atom, path), range);
        }
        range
    }

    /// What a counter can be: its start, and as many steps as there are rounds but the first. A
    /// processor that runs ahead may have done so from where the program gets, or from a start that
    /// is wrong itself.
    fn counted(&mut self, param: Value, path: Path) -> Option<Range> {
        let counter = self.counter(param)?;
        let start = self.linear(counter.start);
        let further = |range: Range, rounds: i64| {
            let way = rounds.checked_mul(counter.step)?;
            Some(range.plus(Range { least: way.min(0), most: way.max(0) }))
        };
        let rounds = self.rounds(counter.inside)? - 1;
        let right = further(self.range(&start, Path::Right), rounds)?;
        match path {
            Path::Right => Some(right),
            Path::Any => further(right.or(self.range(&start, Path::Any)), AHEAD),
        }
    }

    /// What the zero extension of a number can be, from the instruction that makes it.
    fn number(&mut self, value: Value, path: Path) -> Range {
        let Some((_, definition)) = self.definition(value) else { return self.passed(value, path) };
        let up_to = |most: i64| Range { least: 0, most };
        match *definition {
            InstructionData::Load { opcode: Opcode::Uload8, .. } => up_to(0xff),
            InstructionData::Load { opcode: Opcode::Uload16, .. } => up_to(0xffff),
            InstructionData::Unary { opcode: Opcode::Uextend, arg } => {
                match self.func.dfg.value_type(arg) {
                    // A comparison's outcome.
                    types::I8 => up_to(if self.is_flag(arg) { 1 } else { 0xff }),
                    types::I16 => up_to(0xffff),
                    _ => UNSIGNED,
                }
            }
            InstructionData::Unary {
                opcode: Opcode::Clz | Opcode::Ctz | Opcode::Popcnt, ..
            } => up_to(32),
            InstructionData::Binary { opcode, args: [left, right] } => {
                self.binary(opcode, left, right, path).unwrap_or(UNSIGNED)
            }
            InstructionData::Ternary { opcode: Opcode::Select, args: [_, left, right] } => {
                self.either(&[left, right], path)
            }
            _ => UNSIGNED,
        }
    }

    fn is_flag(&self, value: Value) -> bool {
        let definition = self.definition(value);
        matches!(
            definition,
            Some((_, InstructionData::IntCompare { .. } | InstructionData::FloatCompare { .. }))
        )
    }

    fn binary(&mut self, opcode: Opcode, left: Value, right: Value, path: Path) -> Option<Range> {
        let constant = self.constant(right).or_else(|| match opcode {
            Opcode::Band => self.constant(left),
            _ => None,
        })?;
        let unsigned = constant & i64::from(u32::MAX);
        let most = match opcode {
            // One may be negative, of which nothing is known but what the other says.
            Opcode::Band => unsigned.min(self.unsigned(left, path).most),
            Opcode::Urem => unsigned - 1,
            Opcode::Udiv => self.unsigned(left, path).most.checked_div(unsigned)?,
            Opcode::Ushr => self.unsigned(left, path).most >> (unsigned & 31),
            _ => return None,
        };
        (most >= 0).then_some(Range { least: 0, most })
    }

    /// What the zero extension of a value can be.
    fn unsigned(&mut self, value: Value, path: Path) -> Range {
        let form = self.linear(value);
        Some(self.range(&form, path)).filter(|range| range.within(UNSIGNED)).unwrap_or(UNSIGNED)
    }

    /// What the zero extension of one of these can be.
    fn either(&mut self, values: &[Value], path: Path) -> Range {
        let ranges = values.iter().map(|value| self.unsigned(*value, path));
        ranges.reduce(Range::or).unwrap_or(UNSIGNED)
    }

    /// What the zero extension of a block's parameter can be, unless a loop passes it on.
    fn passed(&mut self, param: Value, path: Path) -> Range {
        let ValueDef::Param(block, index) = self.func.dfg.value_def(param) else { return UNSIGNED };
        if self.loops.is_loop_header(block).is_some() {
            return UNSIGNED;
        }
        match self.arguments(block, index, |_| true) {
            Some(values) if !values.is_empty() => self.either(&values, path),
            _ => UNSIGNED,
        }
    }

    /// The arguments for a block's parameter, from the predecessors that `wanted` says; none if
    /// one is the result of a call.
    pub(super) fn arguments(
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

    /// The counter that a value is, if it is one.
    pub(super) fn counter(&mut self, param: Value) -> Option<Counter> {
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
    pub(super) fn beyond(&self, value: Value, param: Value) -> Option<i64> {
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

    fn rounds(&mut self, inside: Loop) -> Option<i64> {
        if let Some(known) = self.rounds.get(&inside) {
            return *known;
        }
        // Nothing is known while it is being found out.
        self.rounds.insert(inside, None);
        let rounds = rounds::most(self, inside);
        self.rounds.insert(inside, rounds);
        rounds
    }

    /// Whether a number is a multiple of a power of two.
    pub(super) fn is_multiple(&mut self, form: &Linear, power: i64) -> bool {
        self.is_multiple_within(form, power, MOST_NESTED)
    }

    fn is_multiple_within(&mut self, form: &Linear, power: i64, nested: usize) -> bool {
        form.constant % power == 0
            && form.atoms.iter().all(|(atom, factor)| match atom {
                Atom::Number(value) => {
                    let bits = self.trailing_zeros(*value);
                    factor.saturating_mul(1 << bits) % power == 0
                }
                Atom::Counter(param) => {
                    factor % power == 0 || self.counts_by(*param, power, nested)
                }
            })
    }

    /// Whether a counter is always a multiple of a power of two.
    fn counts_by(&mut self, param: Value, power: i64, nested: usize) -> bool {
        let (Some(counter), Some(nested)) = (self.counter(param), nested.checked_sub(1)) else {
            return false;
        };
        let start = self.linear(counter.start);
        counter.step % power == 0 && self.is_multiple_within(&start, power, nested)
    }

    /// How many low bits of a number are zero.
    pub(super) fn trailing_zeros(&self, value: Value) -> u32 {
        self.trailing_zeros_within(value, MOST_PASSED)
    }

    fn trailing_zeros_within(&self, value: Value, depth: usize) -> u32 {
        if let Some(constant) = self.constant(value) {
            return constant.trailing_zeros().min(31);
        }
        match self.definition(value) {
            Some((_, InstructionData::Binary { opcode: Opcode::Band, args: [left, right] })) => {
                let mask = self.constant(*right).or_else(|| self.constant(*left));
                mask.map_or(0, |mask| mask.trailing_zeros().min(31))
            }
            Some((_, InstructionData::Binary { opcode: Opcode::Ishl, args: [_, right] })) => {
                self.constant(*right).map_or(0, |count| (count & 31) as u32)
            }
            Some(_) => 0,
            None => self.trailing_zeros_passed(value, depth).unwrap_or(0),
        }
    }

    /// How many low bits are zero of all that is passed on to a block's parameter.
    fn trailing_zeros_passed(&self, param: Value, depth: usize) -> Option<u32> {
        let depth = depth.checked_sub(1)?;
        let ValueDef::Param(block, index) = self.func.dfg.value_def(self.resolved(param)) else {
            return None;
        };
        if self.cfg.pred_iter(block).take(MOST_PASSED + 1).count() > MOST_PASSED {
            return None;
        }
        let values = self.arguments(block, index, |_| true)?;
        let few = values.len() <= MOST_PASSED;
        let zeros = values.iter().map(|value| self.trailing_zeros_within(*value, depth));
        if few { zeros.min() } else { None }
    }
}
