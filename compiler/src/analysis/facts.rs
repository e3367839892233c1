//! Facts: intervals of values in a block, from the comparisons of the branches on the way to it.

use super::condition::{Comparison, narrowed, on_edge};
use super::range::{Ranges, Sources};
use super::{Interval, ScopedMap};
use cranelift_codegen::ir::condcodes::CondCode;
use cranelift_codegen::ir::{Block, Value};

/// Intervals of values in a block and all it dominates.
#[derive(Debug, Default)]
pub(crate) struct Facts(ScopedMap<Value, Interval>);

impl Facts {
    pub(crate) fn enter(&mut self) {
        self.0.enter();
    }

    pub(crate) fn leave(&mut self) {
        self.0.leave();
    }

    /// Whether nothing is known here but the ranges of values.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The interval of a value, whose aliases are resolved.
    pub(super) fn of(&self, value: Value) -> Option<Interval> {
        self.0.get(value).copied()
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
                self.0.insert(func.dfg.resolve_aliases(value), narrowed);
            }
        }
    }
}
