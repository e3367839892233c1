//! Checks that came before. An index that was good is good for ever: memories never shrink.

use super::range::extended_from;
use super::scoped::ScopedMap;
use super::{Action, Bound, Check, Guarded, Proof};
use cranelift_codegen::ir::{Function, Value};
use wfaas_abi::CheckFate;

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
    pub(super) fn add(&mut self, func: &Function, check: &Check, proof: Option<Proof>) {
        let traps = matches!(check.action, Action::Trap { .. });
        if proof.is_some() || !traps {
            return;
        }
        let strongest = Strongest { end: check.end, guarded: check.guarded };
        self.0.insert((check.bound, extended_from(func, check.index)), strongest);
    }

    /// Whether a check that was made is at least as strong as `check`.
    pub(super) fn covers(&self, func: &Function, check: &Check) -> Option<Proof> {
        let key = (check.bound, extended_from(func, check.index));
        let strongest = self.0.get(key).filter(|strongest| strongest.end >= check.end)?;
        let resolve = |value| func.dfg.resolve_aliases(value);
        let same = |theirs: &Guarded| {
            check.guarded.is_some_and(|ours| resolve(ours.plain) == resolve(theirs.plain))
        };
        let unmasked = strongest.guarded.filter(same).map(|guarded| guarded.masked);
        Some(Proof { fate: CheckFate::Dominated, unmasked })
    }
}
