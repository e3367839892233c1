//! Comparisons that hold where a branch goes one way, and their consequences: branch facts.

use super::Interval;
use super::value::{defining, unsigned_constant};
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{Block, Function, Inst, InstructionData, Opcode, Value};

/// Conditions that are taken apart, one inside the other.
const MOST_DEPTH: usize = 8;

/// Comparisons of one branch.
const MOST_COMPARISONS: usize = 8;

/// A comparison of two integers that is known to hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison {
    pub(crate) condition: IntCC,
    pub(crate) left: Value,
    /// `None` is zero.
    pub(crate) right: Option<Value>,
}

/// The comparisons that hold if `branch` goes to a block that is `wanted`, unless it always does.
pub(crate) fn on_edge(
    func: &Function,
    branch: Inst,
    wanted: impl Fn(Block) -> bool,
) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    if let InstructionData::Brif { arg, blocks, .. } = &func.dfg.insts[branch] {
        match blocks.map(|call| wanted(call.block(&func.dfg.value_lists))) {
            [true, false] => take_apart(func, *arg, true, 0, &mut comparisons),
            [false, true] => take_apart(func, *arg, false, 0, &mut comparisons),
            _ => {}
        }
    }
    comparisons
}

/// Adds the comparisons that hold if `value` is not zero, or if it is, as `truth` says.
fn take_apart(
    func: &Function,
    value: Value,
    truth: bool,
    depth: usize,
    comparisons: &mut Vec<Comparison>,
) {
    if depth > MOST_DEPTH || comparisons.len() >= MOST_COMPARISONS {
        return;
    }
    match defining(func, value) {
        Some(InstructionData::Unary { opcode: Opcode::Uextend, arg }) => {
            take_apart(func, *arg, truth, depth + 1, comparisons);
        }
        // Both have a bit in common, or neither has any bit.
        Some(InstructionData::Binary { opcode, args })
            if *opcode == if truth { Opcode::Band } else { Opcode::Bor } =>
        {
            for arg in args {
                take_apart(func, *arg, truth, depth + 1, comparisons);
            }
        }
        Some(InstructionData::IntCompare { cond, args: [left, right], .. }) => {
            let condition = if truth { *cond } else { cond.complement() };
            comparisons.push(Comparison { condition, left: *left, right: Some(*right) });
            let equality = matches!(condition, IntCC::Equal | IntCC::NotEqual);
            if equality && unsigned_constant(func, *right) == Some(0) && is_composed(func, *left) {
                take_apart(func, *left, condition == IntCC::NotEqual, depth + 1, comparisons);
            }
        }
        _ => {
            let condition = if truth { IntCC::NotEqual } else { IntCC::Equal };
            comparisons.push(Comparison { condition, left: value, right: None });
        }
    }
}

/// Whether there may be more to say about a value than whether it is zero.
fn is_composed(func: &Function, value: Value) -> bool {
    match defining(func, value) {
        Some(InstructionData::Unary { opcode, .. }) => *opcode == Opcode::Uextend,
        Some(InstructionData::Binary { opcode, .. }) => {
            matches!(opcode, Opcode::Band | Opcode::Bor)
        }
        Some(InstructionData::IntCompare { .. }) => true,
        _ => false,
    }
}

/// The integers of the interval `own` that compare as `condition` says with one of `other`, as far
/// as that is an interval. They stand for numbers of so many bits, to which they are equal modulo
/// `2^bits`: nothing follows unless both intervals are of the numbers that are compared, without or
/// with a sign.
pub(crate) fn narrowed(condition: IntCC, own: Interval, other: Interval, bits: u32) -> Interval {
    let (unsigned, signed) = (Interval::unsigned(bits), Interval::signed(bits));
    let are = |numbers: Interval| own.within(numbers) && other.within(numbers);
    let not_negative = Interval::up_to(signed.high);
    let (low, high) = (own.low, own.high);
    let implied = match condition {
        IntCC::Equal if are(unsigned) => other,
        IntCC::NotEqual if are(unsigned) && other.single() == Some(low) => {
            Interval { low: low + 1, high }
        }
        IntCC::NotEqual if are(unsigned) && other.single() == Some(high) => {
            Interval { low, high: high - 1 }
        }
        IntCC::UnsignedLessThan if are(unsigned) => Interval { low, high: other.high - 1 },
        IntCC::UnsignedLessThanOrEqual if are(unsigned) => Interval { low, high: other.high },
        IntCC::UnsignedGreaterThan if are(unsigned) => Interval { low: other.low + 1, high },
        IntCC::UnsignedGreaterThanOrEqual if are(unsigned) => Interval { low: other.low, high },
        IntCC::SignedLessThan if are(signed) => Interval { low, high: other.high - 1 },
        IntCC::SignedLessThanOrEqual if are(signed) => Interval { low, high: other.high },
        IntCC::SignedGreaterThan if are(signed) => Interval { low: other.low + 1, high },
        IntCC::SignedGreaterThanOrEqual if are(signed) => Interval { low: other.low, high },
        // More than a number that is not negative, so without a sign the number is the same.
        IntCC::SignedGreaterThan if own.within(unsigned) && other.within(not_negative) => {
            Interval { low: other.low + 1, high: signed.high }
        }
        IntCC::SignedGreaterThanOrEqual if own.within(unsigned) && other.within(not_negative) => {
            Interval { low: other.low, high: signed.high }
        }
        _ => own,
    };
    own.intersection(implied)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All comparisons of all pairs of some bytes, as numbers without and with a sign: a number that
    /// compares so is in the narrowed interval.
    #[test]
    fn numbers_that_compare_so_remain() {
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
        let mut ends: Vec<i128> = numbers.iter().map(|number| i128::from(*number)).collect();
        ends.extend(numbers.iter().map(|number| i128::from(*number as i8)));
        let mut intervals = Vec::new();
        for low in &ends {
            let highs = ends.iter().filter(|high| *high >= low);
            intervals.extend(highs.map(|high| Interval { low: *low, high: *high }));
        }
        let inside =
            |interval: Interval, number: i128| (interval.low..=interval.high).contains(&number);
        for (condition, holds) in conditions {
            for own in &intervals {
                for other in &intervals {
                    let narrowed = narrowed(condition, *own, *other, 8);
                    for a in ends.iter().filter(|a| inside(*own, **a)) {
                        for b in ends.iter().filter(|b| inside(*other, **b)) {
                            let remains = inside(narrowed, *a);
                            assert!(
                                !holds(*a as u8, *b as u8) || remains,
                                "{a} {condition} {b}: {own:?} {other:?} gives {narrowed:?}"
                            );
                        }
                    }
                }
            }
        }
    }
}
