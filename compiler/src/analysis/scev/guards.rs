//! Guards: affine forms narrowed by the branches on the way to a block, as LLVM's
//! `applyLoopGuards`.
//!
//! A compiler that unrolls or vectorises a loop lets it count to `n & -4`, behind a branch that
//! goes elsewhere if `n` is less than 4. So the interval of a value is narrowed by the comparisons of
//! it, and by the intervals of the operands it is computed from, each narrowed likewise.

use super::{Affine, Atom, Path, ScalarEvolution, UNSIGNED};
use crate::analysis::Interval;
use crate::analysis::condition::{Comparison, narrowed, on_edge};
use crate::analysis::value::is_flag;
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{Block, InstructionData, Opcode, Value, types};

/// Blocks up the dominator tree in which comparisons are looked for.
pub(super) const HIGHEST: usize = 24;

/// Operations from a value down to its operands, one inside the other.
const DEEPEST: usize = 5;

/// An atom whose low bits are cleared, as many as that: `n & -4`, which may also be written with a
/// mask that lacks bits that `n` does not have.
type Rounded = (Atom, u32);

/// The comparisons that hold at a block.
pub(super) struct Guards(Vec<Guard>);

/// `of` plus a constant, compared with another one.
struct Guard {
    of: Rounded,
    plus: i64,
    condition: IntCC,
    limit: i64,
}

impl Guards {
    /// The comparisons of the branches that lead to `block`, the first of them first.
    pub(super) fn at(scev: &mut ScalarEvolution<'_>, block: Block) -> Guards {
        let (mut guards, mut below) = (Vec::new(), block);
        for _ in 0..HIGHEST {
            let Some(above) = scev.flow.domtree.idom(below).filter(|_| scev.spend()) else {
                break;
            };
            // Only an edge that is the only way to `below` says something.
            if scev.flow.only_edge_into(below).is_some() {
                for comparison in comparisons(scev, above, |to| to == below) {
                    guards.extend(Guard::of(scev, comparison));
                }
            }
            below = above;
        }
        guards.reverse();
        Guards(guards)
    }

    /// The interval of a form there.
    pub(super) fn interval(&self, scev: &mut ScalarEvolution<'_>, form: &Affine) -> Interval {
        self.sum(scev, form, DEEPEST)
    }

    fn sum(&self, scev: &mut ScalarEvolution<'_>, form: &Affine, depth: usize) -> Interval {
        let constant = Interval::exactly(form.constant.into());
        form.atoms.iter().fold(constant, |sum, (atom, factor)| {
            sum.plus(self.of_atom(scev, *atom, depth).times(*factor))
        })
    }

    fn of_atom(&self, scev: &mut ScalarEvolution<'_>, atom: Atom, depth: usize) -> Interval {
        let mut interval = scev.of_atom(atom, Path::Architectural);
        // Only multiples of that are possible.
        let mut grain = 1;
        if let Atom::Unknown(value) = atom
            && scev.spend()
        {
            interval = interval.intersection(self.computed(scev, value, depth).unwrap_or(interval));
            grain = 1 << scev.trailing_zeros(value);
        }
        let (of, ahead) = rounded(scev, atom);
        let about = self.0.iter().filter(|guard| guard.of == of);
        let Interval { low, high } =
            about.fold(interval, |interval, guard| guard.narrow(interval, ahead));
        interval.intersection(Interval { low: (low + grain - 1) & -grain, high: high & -grain })
    }

    /// The interval of a zero-extended value, from its operands' there.
    fn computed(
        &self,
        scev: &mut ScalarEvolution<'_>,
        value: Value,
        depth: usize,
    ) -> Option<Interval> {
        let depth = depth.checked_sub(1)?;
        let InstructionData::Binary { opcode, args: [left, right] } = *scev.defining(value)? else {
            return None;
        };
        let of = |scev: &mut ScalarEvolution<'_>, operand| {
            let form = scev.affine(operand);
            Some(self.sum(scev, &form, depth)).filter(|interval| interval.within(UNSIGNED))
        };
        match opcode {
            Opcode::Ushr => {
                let count = scev.constant(right)? & 31;
                let Interval { low, high } = of(scev, left)?;
                Some(Interval { low: low >> count, high: high >> count })
            }
            Opcode::Band => {
                let (mask, operand) = mask(scev, left, right)?;
                let interval = of(scev, operand)?;
                let Interval { low, high } = interval;
                cleared(mask, interval).map(|_| Interval { low: low & mask, high: high & mask })
            }
            _ => None,
        }
    }
}

/// A constant operand as a mask, and the other one.
fn mask(scev: &ScalarEvolution<'_>, left: Value, right: Value) -> Option<(i128, Value)> {
    let (mask, of) = match (scev.constant(left), scev.constant(right)) {
        (_, Some(mask)) => (mask, left),
        (Some(mask), None) => (mask, right),
        (None, None) => return None,
    };
    Some((i128::from(mask) & UNSIGNED.high, of))
}

/// How many bits a mask clears of the numbers of an interval, if these are the lowest ones, so that larger
/// numbers give larger ones. A compiler leaves bits out of a mask that the numbers do not have.
fn cleared(mask: i128, of: Interval) -> Option<u32> {
    // All numbers have the bits that both ends have above the highest one in which they differ.
    let differing = (1 << (i128::BITS - (of.low ^ of.high).leading_zeros())) - 1;
    let kept = (mask | !(of.low | differing)) & UNSIGNED.high;
    let cleared = kept.trailing_zeros();
    (cleared < 32 && kept == UNSIGNED.high & (-1 << cleared)).then_some(cleared)
}

/// The atom that guards of this one are about, and how far this one is ahead of it.
fn rounded(scev: &mut ScalarEvolution<'_>, atom: Atom) -> (Rounded, i64) {
    match atom {
        Atom::Unknown(value) => (with_low_bits(scev, value).unwrap_or((atom, 0)), 0),
        Atom::Induction(param) => {
            let (first, ahead) = first_induction(scev, param).unwrap_or((param, 0));
            ((Atom::Induction(first), 0), ahead)
        }
    }
}

/// The atom that a value is with low bits cleared, if it is.
fn with_low_bits(scev: &mut ScalarEvolution<'_>, value: Value) -> Option<Rounded> {
    let InstructionData::Binary { opcode: Opcode::Band, args: [left, right] } =
        *scev.defining(value)?
    else {
        return None;
    };
    let (mask, of) = mask(scev, left, right)?;
    let form = scev.affine(of);
    let interval = scev.interval(&form, Path::Architectural);
    match (&form.atoms[..], form.constant) {
        ([(atom, 1)], 0) if interval.within(UNSIGNED) => Some((*atom, cleared(mask, interval)?)),
        _ => None,
    }
}

/// The first induction variable of the same loop that goes along with this one, and how far this one
/// is ahead.
fn first_induction(scev: &mut ScalarEvolution<'_>, param: Value) -> Option<(Value, i64)> {
    let induction = scev.induction(param)?;
    let start = scev.affine(induction.start);
    let params = scev.flow.func.dfg.block_params(induction.header);
    params.iter().find_map(|first| {
        if *first == param || !scev.spend() {
            return Some((param, 0));
        }
        let other = scev.induction(*first).filter(|other| other.step == induction.step)?;
        let way = start.clone().plus(&scev.affine(other.start), -1);
        way.atoms.is_empty().then_some((*first, way.constant))
    })
}

impl Guard {
    /// The comparison as one of an atom, if it is.
    fn of(scev: &mut ScalarEvolution<'_>, comparison: Comparison) -> Option<Guard> {
        let Comparison { condition, left, right } = comparison;
        let (condition, left, limit) = match right.map(|right| (scev.constant(right), right)) {
            None => (condition, left, 0),
            Some((Some(limit), _)) => (condition, left, limit),
            Some((None, right)) => (condition.swap_args(), right, scev.constant(left)?),
        };
        let form = scev.affine(left);
        let [(atom, 1)] = form.atoms[..] else { return None };
        let (of, ahead) = rounded(scev, atom);
        Some(Guard { of, plus: form.constant + ahead, condition, limit })
    }

    /// The interval of an atom that is so far ahead of the guard's, narrowed by the guard.
    fn narrow(&self, interval: Interval, ahead: i64) -> Interval {
        let plus = i128::from(self.plus - ahead);
        let compared = interval.plus(Interval::exactly(plus));
        let limit = Interval::exactly(self.limit.into());
        narrowed(self.condition, compared, limit, 32).plus(Interval::exactly(-plus))
    }
}

/// The comparisons of 32-bit values on which the branch at the end of `block` goes to a block that is
/// wanted, if it may go to another one.
pub(super) fn comparisons(
    scev: &ScalarEvolution<'_>,
    block: Block,
    wanted: impl Fn(Block) -> bool,
) -> Vec<Comparison> {
    let func = scev.flow.func;
    let Some(branch) = func.layout.last_inst(block) else { return Vec::new() };
    let mut comparisons = on_edge(func, branch, wanted);
    // Of a flag, there is the comparison that it is the outcome of.
    comparisons.retain(|comparison| {
        func.dfg.value_type(comparison.left) == types::I32 && !is_flag(func, comparison.left)
    });
    comparisons
}
