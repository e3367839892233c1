//! How often a loop goes round at most.
//!
//! A loop that counts towards a limit and leaves when the counter is there, or past it, cannot go
//! round more often than there are steps between. Only comparisons that every round meets once
//! count; what else leaves the loop makes it shorter.

use super::guards::{Condition, Guards, HIGHEST, SIGNED, leading};
use super::{Linear, Numbers, Range, UNSIGNED};
use crate::analysis::value::home;
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{Block, InstructionData, Opcode, Value};
use cranelift_codegen::loop_analysis::Loop;

/// How many operations inside of a loop its limit may be computed with.
const DEEPEST: usize = 4;

/// The most that the header of `inside` is reached, each time the loop is entered.
pub(super) fn most(numbers: &mut Numbers<'_>, inside: Loop) -> Option<i64> {
    let header = numbers.loops.loop_header(inside);
    let latches: Vec<Block> = numbers
        .cfg
        .pred_iter(header)
        .map(|pred| pred.block)
        .filter(|block| numbers.loops.is_in_loop(*block, inside))
        .collect();
    // Whatever every round meets dominates the latches: it is between one of them and the header.
    let mut block = *latches.first()?;
    let mut most: Option<i64> = None;
    let loops = numbers.loops;
    let stays = |target| loops.is_in_loop(target, inside);
    for _ in 0..HIGHEST {
        let domtree = numbers.domtree;
        let meets = numbers.loops.innermost_loop(block) == Some(inside)
            && latches.iter().all(|latch| domtree.block_dominates(block, *latch));
        if let Some(condition) = leading(numbers, block, stays).filter(|_| meets) {
            let rounds = until(numbers, inside, header, condition);
            most = [most, rounds].into_iter().flatten().min();
        }
        if block == header {
            break;
        }
        block = domtree.idom(block)?;
    }
    most.filter(|rounds| *rounds <= UNSIGNED.most)
}

/// How often the header is reached at most if the loop is left as soon as `condition` does not
/// hold.
fn until(
    numbers: &mut Numbers<'_>,
    inside: Loop,
    header: Block,
    condition: Condition,
) -> Option<i64> {
    let Condition { code, left, right } = unwrapped(numbers, condition);
    let straight = counted(numbers, inside, header, left).map(|counted| (code, counted, right));
    let (code, (param, ahead), limit) = match (straight, right) {
        (Some(straight), _) => straight,
        (None, Some(right)) => {
            let counted = counted(numbers, inside, header, right)?;
            (code.swap_args(), counted, Some(left))
        }
        (None, None) => return None,
    };
    let guards = Guards::at(numbers, header);
    let limit = match limit {
        Some(limit) if is_inside(numbers, limit, inside, DEEPEST) => return None,
        Some(limit) => numbers.linear(limit),
        None => Linear::constant(0),
    };
    let range = guards.range(numbers, &limit);
    let counter = numbers.counter(param)?;
    let mut start = numbers.linear(counter.start);
    start.constant += ahead;
    let from = guards.range(numbers, &start);
    if code == IntCC::NotEqual {
        let power = counter.step.abs();
        let meets = power == 1
            || limit.atoms.is_empty() && start.atoms.is_empty() && {
                (limit.constant - start.constant) % power == 0
            }
            || power.count_ones() == 1
                && numbers.is_multiple(&start, power)
                && numbers.is_multiple(&limit, power);
        return meets.then(|| steps_to(from, range, counter.step)).flatten();
    }
    steps_past(from, range, counter.step, code)
}

/// `i + 1 >= i` for what it means: that `i + 1` is not zero.
fn unwrapped(numbers: &Numbers<'_>, condition: Condition) -> Condition {
    let Condition { code, left, right: Some(right) } = condition else { return condition };
    let (next, old) = match code {
        IntCC::UnsignedGreaterThanOrEqual => (left, right),
        IntCC::UnsignedLessThanOrEqual => (right, left),
        _ => return condition,
    };
    if numbers.beyond(next, numbers.resolved(old)) == Some(1) {
        return Condition { code: IntCC::NotEqual, left: next, right: None };
    }
    condition
}

/// A counter of this loop and how far `value` is ahead of it.
fn counted(
    numbers: &mut Numbers<'_>,
    inside: Loop,
    header: Block,
    value: Value,
) -> Option<(Value, i64)> {
    let params = numbers.func.dfg.block_params(header);
    params.iter().find_map(|param| {
        let ahead = numbers.beyond(value, *param)?;
        numbers.counter(*param).filter(|counter| counter.inside == inside)?;
        Some((*param, ahead))
    })
}

/// Whether a value may be another one in each round, as far as `depth` operations tell.
fn is_inside(numbers: &Numbers<'_>, value: Value, inside: Loop, depth: usize) -> bool {
    let outside = |value: Value| {
        let block = home(numbers.func, value);
        block.is_some_and(|block| !numbers.loops.is_in_loop(block, inside))
    };
    // Compilers compute a limit where they compare with it.
    match numbers.definition(value) {
        Some((_, InstructionData::UnaryImm { opcode: Opcode::Iconst, .. })) => false,
        Some((_, InstructionData::Binary { opcode, args: [left, right] }))
            if depth > 0 && !opcode.can_trap() && !outside(value) =>
        {
            let is_inside = |value: Value| is_inside(numbers, value, inside, depth - 1);
            is_inside(*left) || is_inside(*right)
        }
        _ => !outside(value),
    }
}

/// How often the header is reached if the loop is left when the counter is equal to the limit,
/// which it does not miss.
fn steps_to(from: Range, limit: Range, step: i64) -> Option<i64> {
    if step > 0 {
        (limit.least >= from.most).then(|| limit.most.saturating_sub(from.least) / step + 1)
    } else {
        (from.least >= limit.most).then(|| from.most.saturating_sub(limit.least) / -step + 1)
    }
}

/// How often the header is reached if the loop is left when the counter is at or past the limit,
/// provided that it gets there without wrapping around.
fn steps_past(from: Range, limit: Range, step: i64, code: IntCC) -> Option<i64> {
    use IntCC::{
        SignedGreaterThan, SignedGreaterThanOrEqual, SignedLessThan, SignedLessThanOrEqual,
        UnsignedGreaterThan, UnsignedGreaterThanOrEqual, UnsignedLessThan, UnsignedLessThanOrEqual,
    };
    let (window, up, inclusive) = match code {
        SignedLessThan => (SIGNED, true, 0),
        SignedLessThanOrEqual => (SIGNED, true, 1),
        SignedGreaterThan => (SIGNED, false, 0),
        SignedGreaterThanOrEqual => (SIGNED, false, 1),
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
        let end = limit.most + inclusive;
        (end - from.least, (end - 1 + step).max(from.most))
    } else {
        let end = limit.least - inclusive;
        (from.most - end, (end + 1 + step).min(from.least))
    };
    let fits = Range { least: furthest, most: furthest }.within(window);
    let step = step.abs();
    fits.then(|| (way.max(0) + step - 1) / step + 1)
}
