//! Ranges of numbers, and what operations make of them. All numbers are unsigned.

use cranelift_codegen::ir::{Opcode, Type};

/// The numbers a value can be, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) low: u64,
    pub(crate) high: u64,
}

impl Range {
    pub(crate) fn exactly(number: u64) -> Range {
        Range { low: number, high: number }
    }

    pub(crate) fn up_to(high: u64) -> Range {
        Range { low: 0, high }
    }

    /// All numbers of a type.
    pub(crate) fn of_type(ty: Type) -> Range {
        Range::up_to(most(ty))
    }

    pub(crate) fn union(self, other: Range) -> Range {
        Range { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// What is in both; `self` if nothing is, since no control gets there.
    pub(crate) fn intersection(self, other: Range) -> Range {
        let (low, high) = (self.low.max(other.low), self.high.min(other.high));
        if low <= high { Range { low, high } } else { self }
    }
}

/// The largest number of a type of at most 64 bits.
pub(crate) fn most(ty: Type) -> u64 {
    let bits = ty.bits();
    if ty.is_int() && bits < 64 { (1 << bits) - 1 } else { u64::MAX }
}

/// The range of an operation from a number of one type to one of another, if that says anything.
pub(crate) fn unary(opcode: Opcode, range: Range, from: Type, to: Type) -> Option<Range> {
    match opcode {
        Opcode::Uextend => Some(range),
        Opcode::Sextend => (range.high <= most(from) >> 1).then_some(range),
        Opcode::Ireduce => (range.high <= most(to)).then_some(range),
        Opcode::Clz | Opcode::Ctz | Opcode::Popcnt => Some(Range::up_to(u64::from(from.bits()))),
        _ => None,
    }
}

/// The range of an operation on numbers of type `ty`, if that says anything.
pub(crate) fn binary(opcode: Opcode, left: Range, right: Range, ty: Type) -> Option<Range> {
    let fits = |low: Option<u64>, high: Option<u64>| {
        let high = high.filter(|high| *high <= most(ty))?;
        Some(Range { low: low?, high })
    };
    match opcode {
        Opcode::Iadd => add(left, right, ty),
        Opcode::Isub => fits(left.low.checked_sub(right.high), left.high.checked_sub(right.low)),
        Opcode::Imul => fits(left.low.checked_mul(right.low), left.high.checked_mul(right.high)),
        Opcode::Band => Some(Range::up_to(left.high.min(right.high))),
        Opcode::Bor => {
            Some(Range { low: left.low.max(right.low), high: ones(left.high | right.high) })
        }
        Opcode::Bxor => Some(Range::up_to(ones(left.high | right.high))),
        Opcode::Ishl => {
            let by = shift(right, ty)?;
            let high = u64::try_from(u128::from(left.high) << by).ok();
            fits(Some(left.low.wrapping_shl(by)), high)
        }
        Opcode::Ushr => Some(shifted_right(left, right, ty)),
        Opcode::Sshr if left.high <= most(ty) >> 1 => Some(shifted_right(left, right, ty)),
        Opcode::Udiv if right.low > 0 => {
            Some(Range { low: left.low / right.high, high: left.high / right.low })
        }
        Opcode::Udiv => Some(Range::up_to(left.high)),
        Opcode::Urem => Some(Range::up_to(left.high.min(right.high.saturating_sub(1)))),
        Opcode::Umin => {
            Some(Range { low: left.low.min(right.low), high: left.high.min(right.high) })
        }
        Opcode::Umax => {
            Some(Range { low: left.low.max(right.low), high: left.high.max(right.high) })
        }
        _ => None,
    }
}

/// Sums that all wrap around, or none.
fn add(left: Range, right: Range, ty: Type) -> Option<Range> {
    let modulus = u128::from(most(ty)) + 1;
    let low = u128::from(left.low) + u128::from(right.low);
    let high = u128::from(left.high) + u128::from(right.high);
    let range = |low: u128, high: u128| Range { low: low as u64, high: high as u64 };
    if high < modulus {
        Some(range(low, high))
    } else if low >= modulus {
        Some(range(low - modulus, high - modulus))
    } else {
        None
    }
}

/// The smallest number of the form 2^n - 1 that is not smaller.
fn ones(number: u64) -> u64 {
    u64::MAX.checked_shr(number.leading_zeros()).unwrap_or(0)
}

/// The bits that a constant count shifts by: it counts modulo the width.
fn shift(count: Range, ty: Type) -> Option<u32> {
    (count.low == count.high).then(|| (count.low % u64::from(ty.bits())) as u32)
}

fn shifted_right(number: Range, count: Range, ty: Type) -> Range {
    match shift(count, ty) {
        Some(by) => Range { low: number.low >> by, high: number.high >> by },
        None => Range::up_to(number.high),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cranelift_codegen::ir::types::{I8, I32, I64};

    /// Every operation on every pair of ranges of small numbers contains what it gives.
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
        let wide = |(low, high): (u8, u8)| Range { low: low.into(), high: high.into() };
        for (opcode, operation) in operations {
            for left in &ranges {
                for right in &ranges {
                    let Some(range) = binary(opcode, wide(*left), wide(*right), I8) else {
                        continue;
                    };
                    for a in (left.0..=left.1).step_by(5).chain([left.1]) {
                        for b in (right.0..=right.1).step_by(5).chain([right.1]) {
                            if b == 0 && matches!(opcode, Opcode::Udiv | Opcode::Urem) {
                                continue; // traps
                            }
                            let result = u64::from(operation(a, b));
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
        let all = Range::of_type(I32);
        assert_eq!(binary(Opcode::Iadd, all, Range::exactly(1), I32), None);
        assert_eq!(
            binary(Opcode::Iadd, all, Range::exactly(1), I64),
            Some(Range { low: 1, high: 1 << 32 })
        );
        let minus_one = Range::exactly(u64::from(u32::MAX));
        let positive = Range { low: 1, high: 9 };
        assert_eq!(binary(Opcode::Iadd, positive, minus_one, I32), Some(Range::up_to(8)));
        assert_eq!(unary(Opcode::Sextend, Range::up_to(128), I8, I32), None);
        assert_eq!(unary(Opcode::Sextend, Range::up_to(127), I8, I32), Some(Range::up_to(127)));
        assert_eq!(unary(Opcode::Ireduce, Range::up_to(256), I32, I8), None);
        assert_eq!(unary(Opcode::Ireduce, Range::up_to(255), I32, I8), Some(Range::up_to(255)));
        assert_eq!(ones(0), 0);
        assert_eq!(ones(5), 7);
        assert_eq!(ones(u64::MAX), u64::MAX);
    }
}
