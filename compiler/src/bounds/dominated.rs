//! Redundant checks: those that another one dominates which is at least as strong. An index that was good stays
//! good, since memories never shrink.
//!
//! The other check may be of an index that is a constant away. Be `a` the index that it has found good, so that
//! `a + end` is at most the size, and no size is above `2^32`:
//!
//! * `a + d` ends inside if it ends no further behind `a` than `end`; then the sum has not wrapped around either;
//! * `a - d` ends inside if it ends there, and does not wrap around if `a` is at least `d`. The fields of a
//!   structure are an example, where the last field is read first: `a` is a multiple of the alignment plus a
//!   constant, and so at least the remainder of that constant.
//!
//! R. Gupta, "Optimizing Array Bound Checks Using Flow Analysis", 1993, calls such checks available.

use super::check::{Action, Bound, Check, Elision, Guarded};
use crate::analysis::ScopedMap;
use crate::analysis::value::{bases, extended_from, most};
use cranelift_codegen::ir::{Function, Value};
use smallvec::SmallVec;
use wfaas_abi::CheckFate;

/// Constants that are added one after the other.
const MOST_SUMS: usize = 4;

/// Checks that are remembered of indices a constant away from one value.
const MOST_CHECKS: usize = 4;

/// A check that has been made, of the index that is `offset` more than some value, modulo its width.
#[derive(Debug, Clone, Copy)]
struct Made {
    offset: u64,
    end: u64,
    guarded: Option<Guarded>,
}

impl Made {
    /// Whether another index, `offset` more than the same value, ends inside too. The value is below `most + 1`
    /// and has so many low bits that are zero.
    fn covers(&self, offset: u64, end: u64, most: u64, zeros: u32) -> bool {
        let ahead = offset.wrapping_sub(self.offset) & most;
        let behind = self.offset.wrapping_sub(offset) & most;
        let least = self.offset & ((1 << zeros) - 1);
        ahead.checked_add(end).is_some_and(|end| end <= self.end)
            || behind <= least && end <= self.end.saturating_add(behind)
    }
}

/// The checks that dominate the place that is looked at.
#[derive(Debug, Default)]
pub(super) struct Passed(ScopedMap<(Bound, Value), SmallVec<[Made; MOST_CHECKS]>>);

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
        // The next one of a long chain of sums gets to some of the same values, not to the last one.
        for base in bases(func, extended_from(func, check.index), MOST_SUMS) {
            self.note(check, base);
        }
    }

    /// Notes a check of an index that is so much more than a value; if there are too many of such, the oldest of the weakest goes.
    fn note(&mut self, check: &Check, (value, offset): (Value, u64)) {
        let key = (check.bound, value);
        let mut made = self.0.get(key).cloned().unwrap_or_default();
        made.retain(|made| made.offset != offset);
        if made.len() == MOST_CHECKS
            && let Some((weakest, _)) = made.iter().enumerate().rev().min_by_key(|(_, it)| it.end)
        {
            made.remove(weakest);
        }
        made.insert(0, Made { offset, end: check.end, guarded: check.guarded });
        self.0.insert(key, made);
    }

    /// Whether a check that was made is at least as strong as `check`; `zeros` tells how many low bits of a value
    /// are zero.
    pub(super) fn covers(
        &self,
        func: &Function,
        check: &Check,
        zeros: impl Fn(Value) -> u32,
    ) -> Option<Elision> {
        let strong = bases(func, extended_from(func, check.index), MOST_SUMS).find_map(|base| {
            let (value, offset) = base;
            let made = self.0.get((check.bound, value))?;
            let (most, zeros) = (most(func.dfg.value_type(value)), zeros(value));
            made.iter().find(|made| made.covers(offset, check.end, most, zeros))
        })?;
        let resolve = |value| func.dfg.resolve_aliases(value);
        let same = |theirs: &Guarded| {
            check.guarded.is_some_and(|ours| resolve(ours.plain) == resolve(theirs.plain))
        };
        let unmasked = strong.guarded.filter(same).map(|guarded| guarded.masked);
        Some(Elision { fate: CheckFate::Dominated, unmasked })
    }
}

#[cfg(test)]
mod tests {
    use super::Made;

    /// All numbers of a byte as the value, and all memories up to its width.
    #[test]
    fn covered_indices_end_inside() {
        let offsets = [0, 1, 2, 3, 4, 7, 8, 100, 128, 251, 252, 255];
        let ends = [1, 2, 4, 8, 100];
        let mut covered_pairs = [0; 4];
        for (zeros, (from, to)) in
            (0..4).flat_map(|zeros| pairs(&offsets).into_iter().map(move |pair| (zeros, pair)))
        {
            for (end, other) in pairs(&ends) {
                let made = Made { offset: from, end, guarded: None };
                if !made.covers(to, other, 255, zeros) {
                    continue;
                }
                covered_pairs[zeros as usize] += 1;
                for value in (0..256).step_by(1 << zeros) {
                    let [checked, covered] = [from, to].map(|offset| (value + offset) % 256);
                    let fits = checked + end > 256 || covered + other <= checked + end;
                    assert!(fits, "{value}: {from} to {end} of {zeros} covers {to} to {other}");
                }
            }
        }
        // Each bit that is known to be zero tells more.
        assert!(covered_pairs[0] > 0 && covered_pairs.is_sorted_by(|less, more| less < more));
    }

    fn pairs(numbers: &[u64]) -> Vec<(u64, u64)> {
        numbers.iter().flat_map(|one| numbers.iter().map(|other| (*one, *other))).collect()
    }
}
