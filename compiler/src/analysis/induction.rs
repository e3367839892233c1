//! Indices that count: parameters of a loop's header to which each round adds a constant, with a
//! comparison that ends the loop.
//!
//! Why the range found is right: it holds for what enters the loop. If it holds for a round's
//! number, then that round goes on to the next only where the comparison holds, and this, with the
//! range itself, keeps the next number inside.

use super::branch::{Comparison, on_edge};
use super::interval::{Range, most};
use super::query::{Query, Ranges, constant, instruction};
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{Block, Inst, InstructionData, Opcode, Value};

/// Blocks to look through from the end of a loop back to its start.
const MOST_BLOCKS: usize = 16;

/// A number that counts.
struct Counter {
    /// In this round, and in the next.
    now: Value,
    next: Value,
    /// What is added, less than half of all numbers; or subtracted, if `down`.
    step: u64,
    down: bool,
    /// What it enters the loop with.
    start: Range,
    most: u64,
}

/// The range of parameter `number` of `block`, if it counts.
pub(crate) fn counted(
    query: &mut Query<'_>,
    block: Block,
    number: usize,
    param: Value,
    depth: usize,
) -> Option<Range> {
    let ranges = query.ranges;
    let (mut start, mut back): (Option<Range>, Option<(Inst, Block, Value)>) = (None, None);
    for (inst, pred, value) in ranges.incoming(block, number) {
        let value = value?;
        if !ranges.domtree.block_dominates(block, pred) {
            let range = query.range(value, depth);
            start = Some(start.map_or(range, |start| start.union(range)));
        } else if back.replace((inst, pred, value)).is_some() {
            return None;
        }
    }
    let (inst, pred, next) = back?;
    let (step, down) = step(ranges, param, next)?;
    let most = most(ranges.func.dfg.value_type(param));
    let counter = Counter { now: param, next, step, down, start: start?, most };
    let mut comparisons = on_edge(ranges.func, inst, block);
    query.steps += MOST_BLOCKS;
    comparisons.extend(inside(ranges, block, pred));
    comparisons.into_iter().find_map(|comparison| counter.range(query, comparison, depth))
}

/// What `next` is more, or less, than `param`.
fn step(ranges: &Ranges<'_>, param: Value, next: Value) -> Option<(u64, bool)> {
    let Some(InstructionData::Binary { opcode, args }) = instruction(ranges.func, next) else {
        return None;
    };
    let [left, right] = args.map(|arg| ranges.func.dfg.resolve_aliases(arg));
    let most = most(ranges.func.dfg.value_type(param));
    let other = match opcode {
        Opcode::Iadd if right == param => left,
        Opcode::Iadd | Opcode::Isub if left == param => right,
        _ => return None,
    };
    let constant = constant(ranges.func, other).filter(|constant| *constant != 0)?;
    let negated = constant.wrapping_neg() & most;
    let (up, down) = match opcode {
        Opcode::Isub => (negated, constant),
        _ => (constant, negated),
    };
    Some(if up <= most >> 1 { (up, false) } else { (down, true) })
}

/// The comparisons that hold in every round that gets from `header` to `last`.
fn inside(ranges: &Ranges<'_>, header: Block, last: Block) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    let mut block = last;
    for _ in 0..MOST_BLOCKS {
        if block == header {
            break;
        }
        let mut preds = ranges.cfg.pred_iter(block);
        if let (Some(pred), None) = (preds.next(), preds.next()) {
            comparisons.extend(on_edge(ranges.func, pred.inst, block));
        }
        let Some(above) = ranges.domtree.idom(block) else { break };
        block = above;
    }
    comparisons
}

impl Counter {
    /// The range, if `comparison` holds whenever there is a next round.
    fn range(&self, query: &mut Query<'_>, comparison: Comparison, depth: usize) -> Option<Range> {
        let dfg = &query.ranges.func.dfg;
        let (left, right) =
            (dfg.resolve_aliases(comparison.left), dfg.resolve_aliases(comparison.right));
        let (condition, value, limit) = if left == self.now || left == self.next {
            (comparison.condition, left, right)
        } else if right == self.now || right == self.next {
            (comparison.condition.swap_args(), right, left)
        } else {
            return None;
        };
        let limit = query.range(limit, depth);
        let of_next = value == self.next;
        if self.down {
            self.down_from(condition, of_next, limit)
        } else {
            self.up_to(condition, of_next, limit)
        }
    }

    /// Counting up: what is compared is below some number, or is not that number.
    fn up_to(&self, condition: IntCC, of_next: bool, limit: Range) -> Option<Range> {
        let (start, step) = (self.start, self.step);
        let (most, compared) = match condition {
            IntCC::UnsignedLessThan => (self.most, limit.high.checked_sub(1)?),
            IntCC::UnsignedLessThanOrEqual => (self.most, limit.high),
            // Not negative at the start, and never after.
            IntCC::SignedLessThan => (self.most >> 1, limit.high.checked_sub(1)?),
            IntCC::SignedLessThanOrEqual => (self.most >> 1, limit.high),
            IntCC::NotEqual => {
                let (from, to) = (start.low, limit.low);
                let hits = start.high == from && limit.high == to && to > from;
                let last = to.checked_sub(step)?;
                return (hits && (to - from).is_multiple_of(step))
                    .then_some(Range { low: from, high: if of_next { last } else { to } });
            }
            _ => return None,
        };
        if limit.high > most || start.high > most {
            return None;
        }
        // Without wrapping around, even if the largest number is counted on from.
        let next = if of_next { compared } else { compared.checked_add(step)? };
        let high = start.high.max(next);
        let counted_from = if of_next { high } else { compared };
        let fits = counted_from.checked_add(step).is_some_and(|sum| sum <= most);
        fits.then_some(Range { low: start.low, high })
    }

    /// Counting down: what is compared is above some number, or is not zero.
    fn down_from(&self, condition: IntCC, of_next: bool, limit: Range) -> Option<Range> {
        let (start, step) = (self.start, self.step);
        let signed_most = self.most >> 1;
        let goes_on = match condition {
            IntCC::NotEqual => {
                let exact = start.low == start.high && limit.low == limit.high;
                exact && start.low > limit.low && (start.low - limit.low).is_multiple_of(step)
            }
            // The next one is not negative, and so it is not larger.
            IntCC::SignedGreaterThan | IntCC::SignedGreaterThanOrEqual => {
                let least =
                    limit.low.saturating_add(u64::from(condition == IntCC::SignedGreaterThan));
                let not_negative = limit.high <= signed_most && start.high <= signed_most;
                not_negative && (of_next || least >= step)
            }
            IntCC::UnsignedGreaterThan => !of_next && limit.low.saturating_add(1) >= step,
            IntCC::UnsignedGreaterThanOrEqual => !of_next && limit.low >= step,
            _ => false,
        };
        goes_on.then_some(Range::up_to(start.high))
    }
}
