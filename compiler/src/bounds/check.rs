//! Checks as they were emitted, and why one may be left out.

use crate::analysis::Interval;
use crate::front::index::MemoryIndex;
use cranelift_codegen::ir::{Function, Inst, Value};
use wfaas_abi::CheckFate;

/// A check as it was emitted: that `index + end` is at most a size.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    pub(crate) action: Action,
    /// 64 bits.
    pub(crate) index: Value,
    pub(crate) end: u64,
    pub(crate) bound: Bound,
    /// The least that the size can be.
    pub(crate) least: u64,
    pub(crate) guarded: Option<Guarded>,
    /// The fate that it is counted by if it stays.
    pub(crate) kept: CheckFate,
}

/// The answer of a check to an access outside of the memory.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// It traps. A constant holds `end`; it may be raised to a number.
    Trap { inst: Inst, widen: Option<(Value, u64)> },
    /// The access goes to `clamped`, the smaller one of `start` and `last`.
    Clamp { clamped: Value, start: Value, last: Value },
}

/// The size that a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Bound {
    /// The size of a memory.
    Memory(MemoryIndex),
    /// The size of the reservation for one.
    Reservation,
}

/// An index that an access uses in the place of `plain`: the same, but zero for a processor that
/// mispredicts the check.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guarded {
    pub(crate) masked: Value,
    pub(crate) plain: Value,
}

/// Why a check may be left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elision {
    pub(super) fate: CheckFate,
    /// The value that is as good as a masked index, also if branches are mispredicted.
    pub(super) unmasked: Option<Value>,
}

impl Check {
    /// The instruction that has to run for the check to have been made.
    pub(super) fn inst(&self, func: &Function) -> Inst {
        match self.action {
            Action::Trap { inst, .. } => inst,
            Action::Clamp { clamped, .. } => func.dfg.value_def(clamped).unwrap_inst(),
        }
    }

    /// Whether all indices in `range` are good in a memory of the least size.
    pub(super) fn holds_in(&self, range: Interval) -> bool {
        range.high + i128::from(self.end) <= i128::from(self.least)
    }
}
