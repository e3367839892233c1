//! Redundant checks: those that an equal or stronger one dominates. An index that was good stays good,
//! since memories never shrink.
//!
//! R. Gupta, "Optimizing Array Bound Checks Using Flow Analysis", 1993, calls such checks available.

use super::check::{Action, Bound, Check, Elision, Guarded};
use crate::analysis::ScopedMap;
use crate::analysis::value::{extended_from, operands, unsigned_constant};
use cranelift_codegen::ir::{Function, Opcode, Value};
use wfaas_abi::CheckFate;

/// Constants that are added one after the other.
const MOST_SUMS: usize = 4;

/// The strongest check of an index that dominates.
#[derive(Debug, Clone, Copy)]
struct Strongest {
    end: u64,
    guarded: Option<Guarded>,
}

/// The checks that dominate the place that is looked at.
#[derive(Debug, Default)]
pub(super) struct Passed(ScopedMap<(Bound, Value), Strongest>);

impl Passed {
    pub(super) fn enter(&mut self) {
        self.0.enter();
    }

    pub(super) fn leave(&mut self) {
        self.0.leave();
    }

    /// Notes a check that has been made. One that was proved by a range says no more than the
    /// range does.
    pub(super) fn add(&mut self, func: &Function, check: &Check, elision: Option<Elision>) {
        let traps = matches!(check.action, Action::Trap { .. });
        if elision.is_some() || !traps {
            return;
        }
        let strongest = Strongest { end: check.end, guarded: check.guarded };
        self.0.insert((check.bound, extended_from(func, check.index)), strongest);
    }

    /// Whether a check that was made is at least as strong as `check`.
    pub(super) fn covers(&self, func: &Function, check: &Check) -> Option<Elision> {
        let strongest = self.strongest(func, check)?;
        let resolve = |value| func.dfg.resolve_aliases(value);
        let same = |theirs: &Guarded| {
            check.guarded.is_some_and(|ours| resolve(ours.plain) == resolve(theirs.plain))
        };
        let unmasked = strongest.guarded.filter(same).map(|guarded| guarded.masked);
        Some(Elision { fate: CheckFate::Dominated, unmasked })
    }

    /// A check of the same index, or of one from which this one is a constant away: if that many
    /// bytes and more are there, the sum has not wrapped around.
    fn strongest(&self, func: &Function, check: &Check) -> Option<Strongest> {
        let (mut index, mut end) = (extended_from(func, check.index), check.end);
        for _ in 0..MOST_SUMS {
            let strongest = self.0.get((check.bound, index));
            if let Some(strongest) = strongest.filter(|strongest| strongest.end >= end) {
                return Some(*strongest);
            }
            let (from, constant) = summands(func, index)?;
            index = extended_from(func, from);
            end = end.checked_add(constant)?;
        }
        None
    }
}

/// A value and a constant whose sum `value` is.
fn summands(func: &Function, value: Value) -> Option<(Value, u64)> {
    let [left, right] = operands(func, value, Opcode::Iadd)?;
    let sum = |value, other| unsigned_constant(func, other).map(|constant| (value, constant));
    sum(left, right).or_else(|| sum(right, left))
}
