//! Scalar evolution: the 32-bit values of a function as affine forms of induction variables.
//!
//! WebAssembly computes addresses modulo 2^32. Where a computation does not wrap around, it can be
//! done with 64 bits in any order, and an addressing mode can do part of it. So a value is given an
//! [affine form](Affine), which is equal to it modulo 2^32, and an interval that the form is in. If
//! that is within 0 and 2^32, the form *is* the value.
//!
//! The atoms of forms are induction variables, and any other value, zero-extended. How far an
//! induction variable gets follows from the [trip count](trip_count) of its loop, and that from the
//! comparisons that leave the loop.
//!
//! A processor runs ahead of these comparisons, on paths that turn out to be wrong; there, an
//! induction variable gets further. So a form has a second interval, for proofs that must
//! hold on [such paths too](Path).
//!
//! R. A. van Engelen, "Efficient Symbolic Analysis for Optimizing Compilers", 2001; S. Pop, A. Cohen
//! and G.-A. Silber, "Induction Variable Analysis with Delayed Abstractions", 2005; LLVM's
//! `ScalarEvolution`.

mod affine;
mod guards;
mod intervals;
mod known_bits;
mod trip_count;

pub(crate) use affine::{Affine, Atom};
pub(crate) use intervals::Path;

use super::induction::AddRec;
use super::value::{constant, defining, distance, operands};
use super::{Flow, FxHashMap, Interval};
use cranelift_codegen::ir::{Block, InstructionData, Opcode, Value, ValueDef, types};
use cranelift_codegen::loop_analysis::{Loop, LoopAnalysis};

/// All 32-bit numbers, without a sign.
pub(crate) const UNSIGNED: Interval = Interval::unsigned(32);

/// Forms whose interval goes beyond are given up: no sum or product here is near overflowing.
const FAR: i64 = 1 << 44;

/// Operations of a form, one inside the other.
const DEEPEST: usize = 12;

/// Steps that may be taken to evaluate guards, for a whole function: they depend on the place, so they
/// are evaluated again for each loop.
const MOST_EFFORT: usize = 1 << 16;

/// Atoms of a form.
const MOST_ATOMS: usize = 4;

/// An induction variable of a loop with only one way in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Induction {
    pub(crate) header: Block,
    pub(crate) inside: Loop,
    pub(crate) start: Value,
    pub(crate) step: i64,
}

/// The scalar evolution of a function.
pub(crate) struct ScalarEvolution<'f> {
    pub(crate) flow: Flow<'f>,
    pub(crate) loops: &'f LoopAnalysis,
    forms: FxHashMap<Value, Affine>,
    intervals: FxHashMap<(Atom, Path), Interval>,
    inductions: FxHashMap<Value, Option<Induction>>,
    /// For each loop, how often its header is reached at most each time the loop is entered.
    trip_counts: FxHashMap<Loop, Option<i64>>,
    depth: usize,
    /// Steps left to evaluate guards.
    effort: usize,
}

impl<'f> ScalarEvolution<'f> {
    pub(crate) fn new(flow: Flow<'f>, loops: &'f LoopAnalysis) -> Self {
        ScalarEvolution {
            flow,
            loops,
            forms: FxHashMap::default(),
            intervals: FxHashMap::default(),
            inductions: FxHashMap::default(),
            trip_counts: FxHashMap::default(),
            depth: 0,
            effort: MOST_EFFORT,
        }
    }

    /// Takes a step of those that a function may take; false if there are none left.
    fn spend(&mut self) -> bool {
        self.effort = self.effort.saturating_sub(1);
        self.effort > 0
    }

    pub(crate) fn resolved(&self, value: Value) -> Value {
        self.flow.func.dfg.resolve_aliases(value)
    }

    /// The operation and operands that define a value.
    pub(crate) fn defining(&self, value: Value) -> Option<&'f InstructionData> {
        defining(self.flow.func, value)
    }

    /// A 32-bit constant, with its first bit as the sign.
    fn constant(&self, value: Value) -> Option<i64> {
        let is_number = self.flow.func.dfg.value_type(value) == types::I32;
        constant(self.flow.func, value).filter(|_| is_number)
    }

    /// How much a 32-bit value is more than another one, modulo 2^32, if that is a constant.
    fn distance(&self, value: Value, from: Value) -> Option<i64> {
        let is_number = self.flow.func.dfg.value_type(value) == types::I32;
        is_number.then(|| distance(self.flow.func, value, from, DEEPEST)).flatten()
    }

    /// The affine form of a 32-bit value.
    pub(crate) fn affine(&mut self, value: Value) -> Affine {
        let value = self.resolved(value);
        if self.is_opaque(value) {
            return Affine::atom(Atom::Unknown(value));
        }
        if let Some(known) = self.forms.get(&value) {
            return known.clone();
        }
        if self.depth >= DEEPEST {
            return Affine::atom(Atom::Unknown(value));
        }
        self.depth += 1;
        let form = self.expanded(value).filter(|form| {
            let interval = self.interval(form, Path::Architectural);
            // Not only to be of use: a value that is expanded differently for being too deep has the
            // interval of all numbers, so a form that rests on the other one ends here.
            let narrow = interval.high - interval.low < UNSIGNED.high;
            narrow && form.atoms.len() <= MOST_ATOMS
        });
        self.depth -= 1;
        let form = form.unwrap_or_else(|| Affine::atom(Atom::Unknown(value)));
        self.forms.insert(value, form.clone());
        form
    }

    /// Whether a value is the result of an instruction that no form looks into, as a load.
    fn is_opaque(&self, value: Value) -> bool {
        self.defining(value).is_some_and(|definition| {
            !matches!(definition.opcode(), Opcode::Uextend)
                && !matches!(
                    definition,
                    InstructionData::Binary { .. } | InstructionData::UnaryImm { .. }
                )
        })
    }

    /// The affine form as the value's definition has it.
    fn expanded(&mut self, value: Value) -> Option<Affine> {
        if let Some(constant) = self.constant(value) {
            return Some(Affine::constant(constant));
        }
        let Some(definition) = self.defining(value) else {
            let induction = self.induction(value)?;
            self.trip_count(induction.inside)?;
            return Some(Affine::atom(Atom::Induction(value)));
        };
        let InstructionData::Binary { opcode, args: [left, right] } = *definition else {
            return None;
        };
        let form = match opcode {
            Opcode::Iadd => self.affine(left).plus(&self.affine(right), 1),
            Opcode::Isub if self.is_quotient(left) || self.is_quotient(right) => {
                self.product(left).plus(&self.product(right), -1)
            }
            Opcode::Isub => self.affine(left).plus(&self.affine(right), -1),
            Opcode::Imul => {
                let (factor, other) = match (self.constant(left), self.constant(right)) {
                    (_, Some(factor)) => (factor, left),
                    (Some(factor), None) => (factor, right),
                    (None, None) => return None,
                };
                Affine::constant(0).plus(&self.affine(other), factor)
            }
            Opcode::Ishl => {
                let count = self.constant(right).filter(|count| (0..32).contains(count))?;
                Affine::constant(0).plus(&self.affine(left), 1 << count)
            }
            _ => return None,
        };
        self.is_near(&form).then_some(form)
    }

    /// Whether a value is a quotient times a constant: of a remainder as a difference, an operand.
    fn is_quotient(&self, value: Value) -> bool {
        let by_constant = |value, wanted| {
            let [left, right] = operands(self.flow.func, value, wanted)?;
            self.constant(right).map(|_| left)
        };
        by_constant(value, Opcode::Imul).is_some_and(|it| by_constant(it, Opcode::Udiv).is_some())
    }

    /// The form of an operand of such a difference, which is of no use without the other one.
    fn product(&mut self, value: Value) -> Affine {
        match self.defining(value).map(InstructionData::opcode) {
            Some(Opcode::Imul | Opcode::Ishl) => self.expanded(value),
            _ => None,
        }
        .unwrap_or_else(|| self.affine(value))
    }

    /// Whether the form's parts are far from overflowing.
    fn is_near(&mut self, form: &Affine) -> bool {
        let near = Interval { low: i128::from(-FAR), high: i128::from(FAR) };
        Interval::exactly(form.constant.into()).within(near)
            && form.atoms.iter().all(|(atom, factor)| {
                let interval = self.of_atom(*atom, Path::Architectural).times(*factor);
                Interval::exactly((*factor).into()).within(near) && interval.within(near)
            })
    }

    /// The induction variable that a parameter of 32 bits is, if it is one that starts with one value.
    pub(crate) fn induction(&mut self, param: Value) -> Option<Induction> {
        let param = self.resolved(param);
        if let Some(known) = self.inductions.get(&param) {
            return *known;
        }
        let induction = self.find_induction(param);
        self.inductions.insert(param, induction);
        induction
    }

    fn find_induction(&self, param: Value) -> Option<Induction> {
        let dfg = &self.flow.func.dfg;
        let ValueDef::Param(header, _) = dfg.value_def(param) else { return None };
        let inside = self.loops.is_loop_header(header)?;
        if dfg.value_type(param) != types::I32 {
            return None;
        }
        let AddRec { starts, step, .. } = AddRec::of(self.flow, param)?;
        let [start] = starts[..] else { return None };
        (step.abs() < FAR).then_some(Induction { header, inside, start, step })
    }

    /// How often a loop's header is reached at most, each time the loop is entered.
    fn trip_count(&mut self, inside: Loop) -> Option<i64> {
        if let Some(known) = self.trip_counts.get(&inside) {
            return *known;
        }
        // Nothing is known while it is being found out.
        self.trip_counts.insert(inside, None);
        let count = trip_count::most(self, inside);
        self.trip_counts.insert(inside, count);
        count
    }
}
