//! Intervals of integers, and operations on machine numbers in them.
//!
//! An interval is of integers without limits. As the interval of a value it is of its unsigned
//! numbers, unless its user says otherwise. R. E. Moore, "Interval Analysis", 1966; LLVM has it as
//! `ConstantRange`.

use super::value::most;
use cranelift_codegen::ir::{Opcode, Type};

/// Integers from the lowest to the highest, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) low: i128,
    pub(crate) high: i128,
}

impl Interval {
    pub(crate) const fn exactly(number: i128) -> Interval {
        Interval { low: number, high: number }
    }

    pub(crate) const fn up_to(high: i128) -> Interval {
        Interval { low: 0, high }
    }

    /// All unsigned numbers of so many bits, 64 at most.
    pub(crate) const fn unsigned(bits: u32) -> Interval {
        Interval::up_to((1 << bits) - 1)
    }

    /// All signed numbers of so many bits, 64 at most.
    pub(crate) const fn signed(bits: u32) -> Interval {
        Interval { low: -(1 << (bits - 1)), high: (1 << (bits - 1)) - 1 }
    }

    /// All unsigned numbers of a type.
    pub(crate) fn of_type(ty: Type) -> Interval {
        Interval::up_to(most(ty).into())
    }

    /// The number, if there is only one.
    pub(crate) fn single(self) -> Option<i128> {
        (self.low == self.high).then_some(self.low)
    }

    pub(crate) fn within(self, outer: Interval) -> bool {
        outer.low <= self.low && self.high <= outer.high
    }

    pub(crate) fn union(self, other: Interval) -> Interval {
        Interval { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// The integers in both; all of `self` if there are none, since no control gets there.
    pub(crate) fn intersection(self, other: Interval) -> Interval {
        let (low, high) = (self.low.max(other.low), self.high.min(other.high));
        if low <= high { Interval { low, high } } else { self }
    }

    // Sums and products that saturate are too far to be of use, so it does not matter where they end.

    pub(crate) fn plus(self, other: Interval) -> Interval {
        let low = self.low.saturating_add(other.low);
        Interval { low, high: self.high.saturating_add(other.high) }
    }

    pub(crate) fn times(self, factor: i64) -> Interval {
        let [one, other] = [self.low, self.high].map(|end| end.saturating_mul(factor.into()));
        Interval { low: one.min(other), high: one.max(other) }
    }
}

/// The interval of an operation from a number of one type to one of another, if that says anything.
pub(super) fn unary(opcode: Opcode, range: Interval, from: Type, to: Type) -> Option<Interval> {
    match opcode {
        Opcode::Uextend => Some(range),
        Opcode::Sextend => (range.high <= i128::from(most(from) >> 1)).then_some(range),
        Opcode::Ireduce => (range.high <= most(to).into()).then_some(range),
        Opcode::Clz | Opcode::Ctz | Opcode::Popcnt => Some(Interval::up_to(from.bits().into())),
        _ => None,
    }
}

/// The interval of an operation on numbers of type `ty`, which `all` has, if that says anything.
pub(super) fn binary(
    opcode: Opcode,
    left: Interval,
    right: Interval,
    (ty, all): (Type, Interval),
) -> Option<Interval> {
    let fits = |low: Option<i128>, high: Option<i128>| {
        Some(Interval { low: low?, high: high? }).filter(|range| range.within(all))
    };
    match opcode {
        Opcode::Iadd => add(left, right, all),
        Opcode::Isub => fits(Some(left.low - right.high), Some(left.high - right.low)),
        Opcode::Imul => fits(left.low.checked_mul(right.low), left.high.checked_mul(right.high)),
        Opcode::Band => Some(Interval::up_to(left.high.min(right.high))),
        Opcode::Bor => {
            Some(Interval { low: left.low.max(right.low), high: ones(left.high | right.high) })
        }
        Opcode::Bxor => Some(Interval::up_to(ones(left.high | right.high))),
        Opcode::Ishl => {
            let by = shift(right, ty)?;
            fits(Some(left.low << by), left.high.checked_mul(1 << by))
        }
        Opcode::Ushr => Some(shifted_right(left, right, ty)),
        Opcode::Sshr if left.high <= all.high >> 1 => Some(shifted_right(left, right, ty)),
        Opcode::Udiv if right.low > 0 => {
            Some(Interval { low: left.low / right.high, high: left.high / right.low })
        }
        Opcode::Udiv => Some(Interval::up_to(left.high)),
        Opcode::Urem => Some(Interval::up_to(left.high.min((right.high - 1).max(0)))),
        Opcode::Umin => {
            Some(Interval { low: left.low.min(right.low), high: left.high.min(right.high) })
        }
        Opcode::Umax => {
            Some(Interval { low: left.low.max(right.low), high: left.high.max(right.high) })
        }
        _ => None,
    }
}

/// Sums that all wrap around, or none.
fn add(left: Interval, right: Interval, all: Interval) -> Option<Interval> {
    let sum = left.plus(right);
    let wrapped = sum.plus(Interval::exactly(-1 - all.high));
    [sum, wrapped].into_iter().find(|sum| sum.within(all))
}

/// The smallest number of the form 2^n - 1 that is not smaller.
fn ones(number: i128) -> i128 {
    i128::MAX.checked_shr(number.leading_zeros() - 1).unwrap_or(0)
}

/// The bits that a constant count shifts by: it counts modulo the width.
fn shift(count: Interval, ty: Type) -> Option<u32> {
    count.single().map(|count| (count % i128::from(ty.bits())) as u32)
}

fn shifted_right(number: Interval, count: Interval, ty: Type) -> Interval {
    match shift(count, ty) {
        Some(by) => Interval { low: number.low >> by, high: number.high >> by },
        None => Interval::up_to(number.high),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cranelift_codegen::ir::types::{I8, I32, I64};

    fn of(ty: Type) -> (Type, Interval) {
        (ty, Interval::of_type(ty))
    }

    /// Every operation on every pair of ranges of small numbers contains the results.
    #[test]
    fn ranges_contain_the_results() {
        let shl = |a: u8, b: u8| a.wrapping_shl(b.into());
        let shr = |a: u8, b: u8| a.wrapping_shr(b.into());
        let sshr = |a: u8, b: u8| (a as i8).wrapping_shr(b.into()) as u8;
        type Operation = fn(u8, u8) -> u8;
        let operations: [(Opcode, Operation); 12] = [
            (Opcode::Iadd, u8::wrapping_add),
            (Opcode::Isub, u8::wrapping_sub),
            (Opcode::Imul, u8::wrapping_mul),
            (Opcode::Band, |a, b| a & b),
            (Opcode::Bor, |a, b| a | b),
            (Opcode::Bxor, |a, b| a ^ b),
            (Opcode::Ishl, shl),
            (Opcode::Ushr, shr),
            (Opcode::Sshr, sshr),
            (Opcode::Udiv, |a, b| a.checked_div(b).unwrap_or(0)),
            (Opcode::Urem, |a, b| a.checked_rem(b).unwrap_or(0)),
            (Opcode::Umin, |a, b| a.min(b)),
        ];
        let ends = [0u8, 1, 3, 7, 8, 100, 127, 128, 200, 254, 255];
        let ranges: Vec<(u8, u8)> = ends
            .iter()
            .flat_map(|low| ends.iter().map(move |high| (*low, *high)))
            .filter(|(low, high)| low <= high)
            .collect();
        let wide = |(low, high): (u8, u8)| Interval { low: low.into(), high: high.into() };
        for (opcode, operation) in operations {
            for left in &ranges {
                for right in &ranges {
                    let Some(range) = binary(opcode, wide(*left), wide(*right), of(I8)) else {
                        continue;
                    };
                    for a in (left.0..=left.1).step_by(5).chain([left.1]) {
                        for b in (right.0..=right.1).step_by(5).chain([right.1]) {
                            if b == 0 && matches!(opcode, Opcode::Udiv | Opcode::Urem) {
                                continue; // traps
                            }
                            let result = i128::from(operation(a, b));
                            let inside = (range.low..=range.high).contains(&result);
                            assert!(inside, "{opcode} {a} {b}: {result} is not in {range:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn widths_matter() {
        let all = Interval::of_type(I32);
        assert_eq!(binary(Opcode::Iadd, all, Interval::exactly(1), of(I32)), None);
        assert_eq!(
            binary(Opcode::Iadd, all, Interval::exactly(1), of(I64)),
            Some(Interval { low: 1, high: 1 << 32 })
        );
        let minus_one = Interval::exactly(u32::MAX.into());
        let positive = Interval { low: 1, high: 9 };
        assert_eq!(binary(Opcode::Iadd, positive, minus_one, of(I32)), Some(Interval::up_to(8)));
        assert_eq!(unary(Opcode::Sextend, Interval::up_to(128), I8, I32), None);
        assert_eq!(
            unary(Opcode::Sextend, Interval::up_to(127), I8, I32),
            Some(Interval::up_to(127))
        );
        assert_eq!(unary(Opcode::Ireduce, Interval::up_to(256), I32, I8), None);
        assert_eq!(
            unary(Opcode::Ireduce, Interval::up_to(255), I32, I8),
            Some(Interval::up_to(255))
        );
        assert_eq!(ones(0), 0);
        assert_eq!(ones(5), 7);
        assert_eq!(ones(u64::MAX.into()), u64::MAX.into());
        assert_eq!(ones(1), 1);
    }
}
