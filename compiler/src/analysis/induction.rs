//! Induction variables: parameters of a loop's header to which each round adds the same constant.
//!
//! As a recurrence, written `{start, +, step}` after O. Bachmann, P. S. Wang and E. V. Zima, "Chains of
//! recurrences", 1994; LLVM's `SCEVAddRecExpr`. Here is also the interval that a comparison at
//! the end of each round keeps one in, found without knowing how often the loop goes round.
//!
//! Why that interval is right: the numbers that enter the loop are in it. If the number of a round
//! is, then that round goes on to the next only where the comparison holds, and this, with the
//! interval itself, keeps the next number inside.

use super::condition::{Comparison, on_edge};
use super::range::Query;
use super::value::{distance, most, signed};
use super::{Flow, Incoming, Interval};
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{Block, Value, ValueDef};

/// Constants that a round may add one after the other.
const MOST_SUMS: usize = 12;

/// Blocks to look through from the end of a loop back to its start.
const MOST_BLOCKS: usize = 16;

/// The induction variable `{start, +, step}`.
pub(crate) struct AddRec {
    pub(crate) header: Block,
    /// Values that it enters the loop with, one for each edge from outside.
    pub(crate) starts: Vec<Value>,
    /// Values that rounds pass on, one for each edge from inside.
    pub(crate) nexts: Vec<Incoming>,
    /// Not zero.
    pub(crate) step: i64,
}

impl AddRec {
    /// The induction variable that `param` is, if it is one.
    pub(crate) fn of(flow: Flow<'_>, param: Value) -> Option<AddRec> {
        let ValueDef::Param(header, place) = flow.func.dfg.value_def(param) else { return None };
        let (mut starts, mut nexts) = (Vec::new(), Vec::new());
        let mut step = None;
        for incoming in flow.incoming(header, place) {
            let value = incoming.value?;
            if !flow.domtree.block_dominates(header, incoming.from) {
                starts.push(value);
                continue;
            }
            nexts.push(incoming);
            let this = distance(flow.func, value, param, MOST_SUMS)?;
            if this == 0 || step.is_some_and(|step| step != this) {
                return None;
            }
            step = Some(this);
        }
        Some(AddRec { header, starts, nexts, step: step? })
    }
}

/// The interval of `param`, if it is an induction variable that comparisons keep inside one.
pub(super) fn range(query: &mut Query<'_>, param: Value, depth: usize) -> Option<Interval> {
    let flow = query.flow;
    let variable = AddRec::of(flow, param)?;
    let [Incoming { branch, from, value: Some(next) }] = variable.nexts[..] else { return None };
    let starts = variable.starts.iter().map(|start| query.range(*start, depth));
    let start = starts.reduce(Interval::union)?;
    let ty = flow.func.dfg.value_type(param);
    let step = i128::from(signed(variable.step, ty));
    let next = flow.func.dfg.resolve_aliases(next);
    let counting = Counting { now: param, next, step, start, most: most(ty).into() };
    let mut comparisons = on_edge(flow.func, branch, |target| target == variable.header);
    query.steps += MOST_BLOCKS;
    comparisons.extend(inside(flow, variable.header, from));
    comparisons.into_iter().find_map(|comparison| counting.range(query, comparison, depth))
}

/// The comparisons that hold in every round that gets from `header` to `last`.
fn inside(flow: Flow<'_>, header: Block, last: Block) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    let mut block = last;
    for _ in 0..MOST_BLOCKS {
        if block == header {
            break;
        }
        if let Some(branch) = flow.only_edge_into(block) {
            comparisons.extend(on_edge(flow.func, branch, |target| target == block));
        }
        let Some(above) = flow.domtree.idom(block) else { break };
        block = above;
    }
    comparisons
}

/// An induction variable whose interval is looked for.
struct Counting {
    /// The number in this round, and in the next.
    now: Value,
    next: Value,
    /// At most half of all numbers, up or down.
    step: i128,
    /// The interval it enters the loop with.
    start: Interval,
    /// The largest number of its type.
    most: i128,
}

impl Counting {
    /// The interval, if `comparison` holds whenever there is a next round.
    fn range(
        &self,
        query: &mut Query<'_>,
        comparison: Comparison,
        depth: usize,
    ) -> Option<Interval> {
        let dfg = &query.flow.func.dfg;
        let left = dfg.resolve_aliases(comparison.left);
        let right = comparison.right.map(|right| dfg.resolve_aliases(right));
        let counts = |value: Value| value == self.now || value == self.next;
        let (condition, value, limit) = match right {
            _ if counts(left) => (comparison.condition, left, right),
            Some(right) if counts(right) => (comparison.condition.swap_args(), right, Some(left)),
            _ => return None,
        };
        let limit = limit.map_or(Interval::exactly(0), |limit| query.range(limit, depth));
        let of_next = value == self.next;
        if self.step < 0 {
            self.down_from(condition, of_next, limit)
        } else {
            self.up_to(condition, of_next, limit)
        }
    }

    /// Counting up: the number that is compared is below some other one, or is not that number.
    fn up_to(&self, condition: IntCC, of_next: bool, limit: Interval) -> Option<Interval> {
        let (start, step) = (self.start, self.step);
        let (most, compared) = match condition {
            IntCC::UnsignedLessThan => (self.most, limit.high - 1),
            IntCC::UnsignedLessThanOrEqual => (self.most, limit.high),
            // Not negative at the start, and never after.
            IntCC::SignedLessThan => (self.most >> 1, limit.high - 1),
            IntCC::SignedLessThanOrEqual => (self.most >> 1, limit.high),
            IntCC::NotEqual => {
                let (from, to) = (start.single()?, limit.single()?);
                let hits = to > from && (to - from) % step == 0;
                let high = if of_next { to - step } else { to };
                return hits.then_some(Interval { low: from, high });
            }
            _ => return None,
        };
        if limit.high > most || start.high > most || compared < 0 {
            return None;
        }
        // Without wrapping around, even if the largest number is counted on from.
        let next = if of_next { compared } else { compared + step };
        let high = start.high.max(next);
        let counted_from = if of_next { high } else { compared };
        (counted_from + step <= most).then_some(Interval { low: start.low, high })
    }

    /// Counting down: the number that is compared is above some other one, or is not zero.
    fn down_from(&self, condition: IntCC, of_next: bool, limit: Interval) -> Option<Interval> {
        let (start, step) = (self.start, -self.step);
        let signed_most = self.most >> 1;
        let goes_on = match condition {
            IntCC::NotEqual => {
                let (from, to) = (start.single()?, limit.single()?);
                from > to && (from - to) % step == 0
            }
            // The next one is not negative, and so it is not larger.
            IntCC::SignedGreaterThan | IntCC::SignedGreaterThanOrEqual => {
                let least = limit.low + i128::from(condition == IntCC::SignedGreaterThan);
                let not_negative = limit.high <= signed_most && start.high <= signed_most;
                not_negative && (of_next || least >= step)
            }
            IntCC::UnsignedGreaterThan => !of_next && limit.low + 1 >= step,
            IntCC::UnsignedGreaterThanOrEqual => !of_next && limit.low >= step,
            _ => false,
        };
        goes_on.then_some(Interval::up_to(start.high))
    }
}
