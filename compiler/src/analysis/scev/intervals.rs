//! The intervals of affine forms and of their atoms.

use super::{Affine, Atom, DEEPEST, FAR, ScalarEvolution, UNSIGNED};
use crate::analysis::{Interval, transfer};
use cranelift_codegen::ir::{Inst, InstructionData, Opcode, Value, ValueDef, types};

/// Where an induction variable may be if nothing is known of it.
const ANYWHERE: Interval = Interval { low: -(FAR as i128), high: FAR as i128 };

/// How many rounds of a loop a processor runs ahead at most. Each takes an entry at least, a comparison
/// and its jump being one, and the largest processors have about 600 for what is not certain (576 in
/// Intel's Lion Cove, 448 in AMD's Zen 5).
const AHEAD: i64 = 1024;

/// The executions in which an interval holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Path {
    /// The execution that the program sees.
    Architectural,
    /// Any, also one that ran ahead of a branch and is undone: there the interval follows from how
    /// values are computed, not from comparisons. The term is from C. Canella et al., "A Systematic
    /// Evaluation of Transient Execution Attacks and Defenses", 2019.
    Transient,
}

impl ScalarEvolution<'_> {
    /// The interval of a form.
    pub(crate) fn interval(&mut self, form: &Affine, path: Path) -> Interval {
        let constant = Interval::exactly(form.constant.into());
        let (pair, sum) = match self.remainder(form) {
            Some((pair, remainder)) => (Some(pair), constant.plus(remainder)),
            None => (None, constant),
        };
        let places = form.atoms.iter().enumerate();
        let others = places.filter(|(place, _)| pair.is_none_or(|pair| !pair.contains(place)));
        others.fold(sum, |sum, (_, (atom, factor))| {
            sum.plus(self.of_atom(*atom, path).times(*factor))
        })
    }

    /// Whether two atoms of a form are a remainder, as a difference.
    pub(crate) fn is_remainder(&self, form: &Affine) -> bool {
        self.remainder(form).is_some()
    }

    /// The places of two atoms that together are a multiple of a remainder, and the interval of that: `x - x / n * n`,
    /// which a compiler writes that has the quotient.
    fn remainder(&self, form: &Affine) -> Option<([usize; 2], Interval)> {
        let unknown = |atom: Atom| match atom {
            Atom::Unknown(value) => Some(value),
            Atom::Induction(_) => None,
        };
        form.atoms.iter().enumerate().find_map(|(place, (atom, times))| {
            let InstructionData::Binary { opcode: Opcode::Udiv, args: [number, by] } =
                *self.defining(unknown(*atom)?)?
            else {
                return None;
            };
            let (number, by) = (self.resolved(number), self.constant(by).filter(|by| *by > 0)?);
            let mut atoms = form.atoms.iter();
            let other = atoms.position(|(atom, _)| unknown(*atom) == Some(number))?;
            let factor = form.atoms[other].1;
            let cancels = factor.checked_mul(by).and_then(i64::checked_neg) == Some(*times);
            cancels.then(|| ([place, other], Interval::up_to((by - 1).into()).times(factor)))
        })
    }

    pub(super) fn of_atom(&mut self, atom: Atom, path: Path) -> Interval {
        if let Some(known) = self.intervals.get(&(atom, path)) {
            return *known;
        }
        let deepest = self.depth >= DEEPEST;
        self.depth += 1;
        let interval = match atom {
            Atom::Unknown(_) if deepest => UNSIGNED,
            Atom::Induction(_) if deepest => ANYWHERE,
            Atom::Unknown(value) => self.of_unknown(value, path),
            Atom::Induction(param) => self.of_induction(param, path).unwrap_or(ANYWHERE),
        };
        self.depth -= 1;
        if !deepest {
            self.intervals.insert((atom, path), interval);
        }
        interval
    }

    /// The interval of an induction variable: its start, and as many steps as there are rounds but the
    /// first. A processor that runs ahead may have done so from where the program gets, or from a
    /// start that is wrong itself.
    fn of_induction(&mut self, param: Value, path: Path) -> Option<Interval> {
        let induction = self.induction(param)?;
        let start = self.affine(induction.start);
        let further = |from: Interval, rounds: i64| {
            let way = i128::from(rounds.checked_mul(induction.step)?);
            Some(from.plus(Interval { low: way.min(0), high: way.max(0) }))
        };
        let rounds = self.trip_count(induction.inside)? - 1;
        let architectural = further(self.interval(&start, Path::Architectural), rounds)?;
        match path {
            Path::Architectural => Some(architectural),
            Path::Transient => {
                let start = self.interval(&start, Path::Transient);
                further(architectural.union(start), AHEAD)
            }
        }
    }

    /// The interval of a zero-extended value, from the instruction that computes it.
    fn of_unknown(&mut self, value: Value, path: Path) -> Interval {
        match self.flow.func.dfg.value_def(value) {
            ValueDef::Result(inst, 0) if self.is_bounded(inst) => {
                transfer::result(self.flow.func, inst, types::I32, |operand| {
                    self.unsigned(operand, path)
                })
            }
            ValueDef::Param(..) => self.of_param(value, path),
            _ => UNSIGNED,
        }
    }

    /// Whether there is more to say about the result of an instruction than about any number: of
    /// those with two operands, if one is a constant that bounds it.
    fn is_bounded(&self, inst: Inst) -> bool {
        match self.flow.func.dfg.insts[inst] {
            InstructionData::Load { opcode: Opcode::Uload8 | Opcode::Uload16, .. } => true,
            InstructionData::Unary { opcode, .. } => {
                matches!(opcode, Opcode::Uextend | Opcode::Clz | Opcode::Ctz | Opcode::Popcnt)
            }
            InstructionData::Binary { opcode, args: [left, right] } => match opcode {
                Opcode::Urem | Opcode::Udiv | Opcode::Ushr => self.constant(right).is_some(),
                Opcode::Band => [left, right].iter().any(|arg| self.constant(*arg).is_some()),
                _ => false,
            },
            InstructionData::Ternary { opcode, .. } => opcode == Opcode::Select,
            _ => false,
        }
    }

    /// The interval of the zero extension of an operand.
    fn unsigned(&mut self, value: Value, path: Path) -> Interval {
        let (func, value) = (self.flow.func, self.resolved(value));
        let ty = func.dfg.value_type(value);
        if ty != types::I32 {
            let all = Interval::of_type(ty);
            let ValueDef::Result(inst, 0) = func.dfg.value_def(value) else { return all };
            return transfer::result(func, inst, ty, |operand| {
                Interval::of_type(func.dfg.value_type(operand))
            });
        }
        let form = self.affine(value);
        Some(self.interval(&form, path)).filter(|it| it.within(UNSIGNED)).unwrap_or(UNSIGNED)
    }

    /// The interval of a block's parameter, unless a loop passes it on.
    fn of_param(&mut self, param: Value, path: Path) -> Interval {
        let ValueDef::Param(block, place) = self.flow.func.dfg.value_def(param) else {
            return UNSIGNED;
        };
        if self.loops.is_loop_header(block).is_some() {
            return UNSIGNED;
        }
        let values: Option<Vec<Value>> =
            self.flow.incoming(block, place).map(|incoming| incoming.value).collect();
        let intervals = values.into_iter().flatten().map(|value| self.unsigned(value, path));
        intervals.reduce(Interval::union).unwrap_or(UNSIGNED)
    }
}
