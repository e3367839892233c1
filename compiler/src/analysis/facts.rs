//! Facts: intervals of values in a block, from the comparisons of the branches on the way to it.
//!
//! A comparison of a sum, as of the end of an access with a length, is about its summands as well: `i + 4` below a
//! limit is not `i` below it, since `i + 4` may have wrapped around, but `i + 4 + c` is in an interval.

use super::condition::{Comparison, narrowed, on_edge};
use super::range::{Ranges, Sources};
use super::value::base_and_offset;
use super::{Interval, ScopedMap};
use cranelift_codegen::ir::condcodes::CondCode;
use cranelift_codegen::ir::{Block, Function, Value};

/// Constants of a sum that are added one after the other.
const MOST_SUMS: usize = 4;

/// Intervals of values in a block and all it dominates.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    values: ScopedMap<Value, Interval>,
    /// Intervals of sums: by a value, the constant that is added to it modulo its width, and that sum's interval.
    sums: ScopedMap<Value, (u64, Interval)>,
}

impl Facts {
    pub(crate) fn enter(&mut self) {
        self.values.enter();
        self.sums.enter();
    }

    pub(crate) fn leave(&mut self) {
        self.values.leave();
        self.sums.leave();
    }

    /// Whether nothing is known here but the ranges of values.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The interval of a value, whose aliases are resolved.
    pub(super) fn of(&self, value: Value) -> Option<Interval> {
        self.values.get(value).copied()
    }

    /// The interval of a value that is a constant away from a sum of which something is known.
    pub(super) fn of_sum(&self, func: &Function, value: Value) -> Option<Interval> {
        if self.sums.is_empty() {
            return None;
        }
        let (base, offset) = base_and_offset(func, value, MOST_SUMS);
        let (known, interval) = self.sums.get(base)?;
        let all = Interval::of_type(func.dfg.value_type(base));
        let apart = i128::from(offset) - i128::from(*known);
        // Equal modulo the width, and the only such interval of numbers that do not wrap around.
        let ways = [apart, apart + all.high + 1, apart - all.high - 1];
        let shifted = ways.map(|way| interval.plus(Interval::exactly(way)));
        shifted.into_iter().find(|shifted| shifted.within(all))
    }

    /// Notes the comparisons that hold if control gets to `block`, should there be only one way to it.
    pub(crate) fn assume_edge_into(&mut self, block: Block, ranges: &Ranges<'_>) {
        let Some(branch) = ranges.flow.only_edge_into(block) else { return };
        for comparison in on_edge(ranges.flow.func, branch, |target| target == block) {
            self.assume(comparison, ranges);
        }
    }

    fn assume(&mut self, comparison: Comparison, ranges: &Ranges<'_>) {
        let Comparison { condition, left, right } = comparison;
        let func = ranges.flow.func;
        let ty = func.dfg.value_type(left);
        if !ty.is_int() || ty.bits() > 64 {
            return;
        }
        let at = |value: Value| ranges.at(value, self, Sources::Comparisons);
        let (own, other) = (at(left), right.map_or(Interval::exactly(0), at));
        let sides =
            [(Some(left), own, condition, other), (right, other, condition.swap_args(), own)];
        for (value, own, condition, other) in sides {
            let narrowed = narrowed(condition, own, other, ty.bits());
            if let Some(value) = value.filter(|_| narrowed != own) {
                let value = func.dfg.resolve_aliases(value);
                let (base, offset) = base_and_offset(func, value, MOST_SUMS);
                self.values.insert(value, narrowed);
                let width = |interval: &Interval| interval.high - interval.low;
                let known = self.sums.get(base).map(|(_, known)| width(known));
                if base != value && known.is_none_or(|known| width(&narrowed) <= known) {
                    self.sums.insert(base, (offset, narrowed));
                }
            }
        }
    }
}
