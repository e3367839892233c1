//! Trip counts: how often a loop goes round at most, as LLVM's `getConstantMaxBackedgeTakenCount`.
//!
//! A loop that counts towards a limit and leaves when the induction variable is there, or past it,
//! cannot go round more often than there are steps between. Only comparisons that every round meets
//! once count; other ways out make the loop shorter.

use super::guards::{Guards, HIGHEST, comparisons};
use super::{Affine, ScalarEvolution, UNSIGNED};
use crate::analysis::Interval;
use crate::analysis::condition::Comparison;
use crate::analysis::value::home;
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{Block, InstructionData, Opcode, Value};
use cranelift_codegen::loop_analysis::Loop;

/// Operations inside of a loop that its limit may be computed with, one inside the other.
const DEEPEST: usize = 4;

/// The most that the header of `inside` is reached, each time the loop is entered.
pub(super) fn most(scev: &mut ScalarEvolution<'_>, inside: Loop) -> Option<i64> {
    let (loops, domtree) = (scev.loops, scev.flow.domtree);
    let header = loops.loop_header(inside);
    let stays = |target| loops.is_in_loop(target, inside);
    let preds = scev.flow.cfg.pred_iter(header).map(|pred| pred.block);
    let latches: Vec<Block> = preds.filter(|block| stays(*block)).collect();
    // Whatever every round meets dominates the latches: it is between one of them and the header.
    let mut block = *latches.first()?;
    let mut most: Option<i64> = None;
    for _ in 0..HIGHEST {
        let meets = loops.innermost_loop(block) == Some(inside)
            && latches.iter().all(|latch| domtree.block_dominates(block, *latch));
        if meets {
            for comparison in comparisons(scev, block, stays) {
                let rounds = until(scev, inside, header, comparison);
                most = [most, rounds].into_iter().flatten().min();
            }
        }
        if block == header {
            break;
        }
        block = domtree.idom(block)?;
    }
    most.filter(|rounds| i128::from(*rounds) <= UNSIGNED.high)
}

/// How often the header is reached at most if the loop is left as soon as `comparison` does not hold.
fn until(
    scev: &mut ScalarEvolution<'_>,
    inside: Loop,
    header: Block,
    comparison: Comparison,
) -> Option<i64> {
    let Comparison { condition, left, right } = unwrapped(scev, comparison);
    let straight = counted(scev, inside, header, left).map(|counted| (condition, counted, right));
    let (condition, (param, ahead), limit) = match (straight, right) {
        (Some(straight), _) => straight,
        (None, Some(right)) => {
            let counted = counted(scev, inside, header, right)?;
            (condition.swap_args(), counted, Some(left))
        }
        (None, None) => return None,
    };
    let guards = Guards::at(scev, header);
    let limit = match limit {
        Some(limit) if is_inside(scev, limit, inside, DEEPEST) => return None,
        Some(limit) => scev.affine(limit),
        None => Affine::constant(0),
    };
    let to = guards.interval(scev, &limit);
    let induction = scev.induction(param)?;
    let mut start = scev.affine(induction.start);
    start.constant += ahead;
    let from = guards.interval(scev, &start);
    let rounds = if condition == IntCC::NotEqual {
        let meets = meets(scev, &start, &limit, induction.step);
        meets.then(|| steps_to(from, to, induction.step.into())).flatten()
    } else {
        steps_past(from, to, induction.step.into(), condition)
    };
    i64::try_from(rounds?).ok()
}

/// Whether steps from `start` do not step over `limit`.
fn meets(scev: &mut ScalarEvolution<'_>, start: &Affine, limit: &Affine, step: i64) -> bool {
    let power = step.abs();
    let constant = limit.atoms.is_empty() && start.atoms.is_empty();
    power == 1
        || constant && (limit.constant - start.constant) % power == 0
        || power.count_ones() == 1
            && scev.is_multiple(start, power)
            && scev.is_multiple(limit, power)
}

/// `i + 1 >= i` by its meaning: that `i + 1` is not zero.
fn unwrapped(scev: &ScalarEvolution<'_>, comparison: Comparison) -> Comparison {
    let Comparison { condition, left, right: Some(right) } = comparison else { return comparison };
    let (next, old) = match condition {
        IntCC::UnsignedGreaterThanOrEqual => (left, right),
        IntCC::UnsignedLessThanOrEqual => (right, left),
        _ => return comparison,
    };
    if scev.distance(next, scev.resolved(old)) == Some(1) {
        return Comparison { condition: IntCC::NotEqual, left: next, right: None };
    }
    comparison
}

/// An induction variable of this loop and how far `value` is ahead of it.
fn counted(
    scev: &mut ScalarEvolution<'_>,
    inside: Loop,
    header: Block,
    value: Value,
) -> Option<(Value, i64)> {
    let params = scev.flow.func.dfg.block_params(header);
    params.iter().find_map(|param| {
        let ahead = scev.distance(value, *param)?;
        scev.induction(*param).filter(|induction| induction.inside == inside)?;
        Some((*param, ahead))
    })
}

/// Whether a value may be another one in each round, as far as `depth` operations tell.
fn is_inside(scev: &ScalarEvolution<'_>, value: Value, inside: Loop, depth: usize) -> bool {
    let outside = |value: Value| {
        let block = home(scev.flow.func, value);
        block.is_some_and(|block| !scev.loops.is_in_loop(block, inside))
    };
    // Compilers compute a limit where they compare with it.
    match scev.defining(value) {
        Some(InstructionData::UnaryImm { opcode: Opcode::Iconst, .. }) => false,
        Some(InstructionData::Binary { opcode, args: [left, right] })
            if depth > 0 && !opcode.can_trap() && !outside(value) =>
        {
            [left, right].iter().any(|value| is_inside(scev, **value, inside, depth - 1))
        }
        _ => !outside(value),
    }
}

/// How often the header is reached if the loop is left when the induction variable is equal to the
/// limit, which it does not miss.
fn steps_to(from: Interval, limit: Interval, step: i128) -> Option<i128> {
    if step > 0 {
        (limit.low >= from.high).then(|| (limit.high - from.low) / step + 1)
    } else {
        (from.low >= limit.high).then(|| (from.high - limit.low) / -step + 1)
    }
}

/// How often the header is reached if the loop is left when the induction variable is at or past the
/// limit, provided that it gets there without wrapping around.
fn steps_past(from: Interval, limit: Interval, step: i128, condition: IntCC) -> Option<i128> {
    use IntCC::{
        SignedGreaterThan, SignedGreaterThanOrEqual, SignedLessThan, SignedLessThanOrEqual,
        UnsignedGreaterThan, UnsignedGreaterThanOrEqual, UnsignedLessThan, UnsignedLessThanOrEqual,
    };
    let signed = Interval::signed(32);
    let (window, up, inclusive) = match condition {
        SignedLessThan => (signed, true, 0),
        SignedLessThanOrEqual => (signed, true, 1),
        SignedGreaterThan => (signed, false, 0),
        SignedGreaterThanOrEqual => (signed, false, 1),
        UnsignedLessThan => (UNSIGNED, true, 0),
        UnsignedLessThanOrEqual => (UNSIGNED, true, 1),
        UnsignedGreaterThan => (UNSIGNED, false, 0),
        UnsignedGreaterThanOrEqual => (UNSIGNED, false, 1),
        _ => return None,
    };
    if !from.within(window) || !limit.within(window) || up != (step > 0) {
        return None;
    }
    // The first number that leaves, and the furthest there can be.
    let (way, furthest) = if up {
        let end = limit.high + inclusive;
        (end - from.low, (end - 1 + step).max(from.high))
    } else {
        let end = limit.low - inclusive;
        (from.high - end, (end + 1 + step).min(from.low))
    };
    let fits = Interval::exactly(furthest).within(window);
    let step = step.abs();
    fits.then(|| (way.max(0) + step - 1) / step + 1)
}
