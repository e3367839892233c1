//! What the branches say that were taken on the way to a block.

use super::interval::{Range, most};
use super::query::{Ranges, Sources, instruction};
use super::scoped::ScopedMap;
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{Block, Function, Inst, InstructionData, Opcode, Value};

/// Conditions that are taken apart, one inside the other.
const MOST_DEPTH: usize = 8;

/// Comparisons of one branch.
const MOST_COMPARISONS: usize = 8;

/// A comparison that is known to hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison {
    pub(crate) condition: IntCC,
    pub(crate) left: Value,
    pub(crate) right: Value,
}

/// Ranges of values in a block, from the comparisons on the way to it.
#[derive(Debug, Default)]
pub(crate) struct Facts(ScopedMap<Value, Range>);

impl Facts {
    pub(crate) fn enter(&mut self) {
        self.0.enter();
    }

    pub(crate) fn leave(&mut self) {
        self.0.leave();
    }

    /// The range of a value, whose aliases are resolved.
    pub(crate) fn of(&self, value: Value) -> Option<Range> {
        self.0.get(value).copied()
    }

    /// Notes what holds if control gets to `block`, should there be only one way to it.
    pub(crate) fn assume_edge_into(&mut self, block: Block, ranges: &Ranges<'_>) {
        let mut preds = ranges.cfg.pred_iter(block);
        let (Some(pred), None) = (preds.next(), preds.next()) else { return };
        for comparison in on_edge(ranges.func, pred.inst, block) {
            self.assume(comparison, ranges);
        }
    }

    fn assume(&mut self, comparison: Comparison, ranges: &Ranges<'_>) {
        let Comparison { condition, left, right } = comparison;
        let [left_range, right_range] =
            [left, right].map(|value| ranges.at(value, self, Sources::Comparisons));
        let signed_most = most(ranges.func.dfg.value_type(left)) >> 1;
        for (value, range, condition, other) in [
            (left, left_range, condition, right_range),
            (right, right_range, condition.swap_args(), left_range),
        ] {
            let narrowed = range.intersection(implied(condition, range, other, signed_most));
            if narrowed != range {
                self.0.insert(ranges.func.dfg.resolve_aliases(value), narrowed);
            }
        }
    }
}

/// The numbers a value of range `own` can be if it compares as `condition` says with one of range
/// `other`. `signed_most` is the largest number that is not negative.
fn implied(condition: IntCC, own: Range, other: Range, signed_most: u64) -> Range {
    let all = Range::up_to(u64::MAX);
    let not_negative = own.high <= signed_most && other.high <= signed_most;
    match condition {
        IntCC::Equal => other,
        IntCC::NotEqual if other.low == other.high && other.low == own.low => {
            Range { low: own.low.saturating_add(1), high: u64::MAX }
        }
        IntCC::NotEqual if other.low == other.high && other.low == own.high => {
            Range::up_to(own.high.saturating_sub(1))
        }
        IntCC::UnsignedLessThan => Range::up_to(other.high.saturating_sub(1)),
        IntCC::UnsignedLessThanOrEqual => Range::up_to(other.high),
        IntCC::UnsignedGreaterThan => Range { low: other.low.saturating_add(1), high: u64::MAX },
        IntCC::UnsignedGreaterThanOrEqual => Range { low: other.low, high: u64::MAX },
        IntCC::SignedLessThan if not_negative => Range::up_to(other.high.saturating_sub(1)),
        IntCC::SignedLessThanOrEqual if not_negative => Range::up_to(other.high),
        // At least some number that is not negative.
        IntCC::SignedGreaterThan if other.high < signed_most => {
            Range { low: other.low + 1, high: signed_most }
        }
        IntCC::SignedGreaterThanOrEqual if other.high <= signed_most => {
            Range { low: other.low, high: signed_most }
        }
        _ => all,
    }
}

/// The comparisons that hold if the branch `inst` goes to `target`.
pub(crate) fn on_edge(func: &Function, inst: Inst, target: Block) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    if let InstructionData::Brif { arg, blocks, .. } = &func.dfg.insts[inst] {
        let [then, otherwise] = blocks.map(|call| call.block(&func.dfg.value_lists));
        if then != otherwise {
            take_apart(func, *arg, then == target, 0, &mut comparisons);
        }
    }
    comparisons
}

/// Adds the comparisons that hold if `condition` is `truth`.
fn take_apart(
    func: &Function,
    condition: Value,
    truth: bool,
    depth: usize,
    comparisons: &mut Vec<Comparison>,
) {
    if depth > MOST_DEPTH || comparisons.len() >= MOST_COMPARISONS {
        return;
    }
    match instruction(func, condition) {
        Some(InstructionData::Unary { opcode: Opcode::Uextend, arg }) => {
            take_apart(func, *arg, truth, depth + 1, comparisons);
        }
        // Both have a bit in common.
        Some(InstructionData::Binary { opcode: Opcode::Band, args }) if truth => {
            for arg in args {
                take_apart(func, *arg, truth, depth + 1, comparisons);
            }
        }
        // Neither has any bit.
        Some(InstructionData::Binary { opcode: Opcode::Bor, args }) if !truth => {
            for arg in args {
                take_apart(func, *arg, truth, depth + 1, comparisons);
            }
        }
        Some(InstructionData::IntCompare { cond, args: [left, right], .. }) => {
            let cond = if truth { *cond } else { cond.complement() };
            let (left, right) = (*left, *right);
            comparisons.push(Comparison { condition: cond, left, right });
            let zero = matches!(
                instruction(func, right),
                Some(InstructionData::UnaryImm { opcode: Opcode::Iconst, imm }) if imm.bits() == 0
            );
            if zero && matches!(cond, IntCC::Equal | IntCC::NotEqual) {
                take_apart(func, left, cond == IntCC::NotEqual, depth + 1, comparisons);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All comparisons of all pairs of some bytes: what holds is implied.
    #[test]
    fn what_holds_is_implied() {
        let numbers = [0u8, 1, 2, 126, 127, 128, 129, 254, 255];
        type Holds = fn(u8, u8) -> bool;
        let conditions: [(IntCC, Holds); 10] = [
            (IntCC::Equal, |a, b| a == b),
            (IntCC::NotEqual, |a, b| a != b),
            (IntCC::UnsignedLessThan, |a, b| a < b),
            (IntCC::UnsignedLessThanOrEqual, |a, b| a <= b),
            (IntCC::UnsignedGreaterThan, |a, b| a > b),
            (IntCC::UnsignedGreaterThanOrEqual, |a, b| a >= b),
            (IntCC::SignedLessThan, |a, b| (a as i8) < b as i8),
            (IntCC::SignedLessThanOrEqual, |a, b| a as i8 <= b as i8),
            (IntCC::SignedGreaterThan, |a, b| a as i8 > b as i8),
            (IntCC::SignedGreaterThanOrEqual, |a, b| a as i8 >= b as i8),
        ];
        let mut ranges = Vec::new();
        for low in numbers {
            let highs = numbers.iter().filter(|high| **high >= low);
            ranges.extend(highs.map(|high| (low, *high)));
        }
        let wide = |(low, high): (u8, u8)| Range { low: low.into(), high: high.into() };
        let inside = |number: u8, range: (u8, u8)| (range.0..=range.1).contains(&number);
        for (condition, holds) in conditions {
            for own in &ranges {
                for other in &ranges {
                    let range = implied(condition, wide(*own), wide(*other), 127);
                    for a in numbers.iter().filter(|a| inside(**a, *own)) {
                        for b in numbers.iter().filter(|b| inside(**b, *other)) {
                            let there = (range.low..=range.high).contains(&u64::from(*a));
                            assert!(!holds(*a, *b) || there, "{a} {condition} {b}: {range:?}");
                        }
                    }
                }
            }
        }
    }
}
