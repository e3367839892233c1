//! Removing bounds checks by proof.
//!
//! The translation emits each check in full and notes it as a [`Check`]. Once a function is
//! complete, and its intermediate code is in SSA form, [`elide`] visits its blocks in the order of
//! dominance and asks of each check, cheapest first, whether
//!
//! * the index is a constant, or a value with a **range** (`query`) that ends below the size the
//!   memory never falls below;
//! * a check of the same index that is at least as strong **dominates** it (`dominated`): memories
//!   never shrink;
//! * a **comparison** that dominates it (`branch`) bounds the index, or the loop in which the index
//!   **counts** (`induction`) does.
//!
//! What is left may do the work of weaker checks that follow it closely (`merged`), or move to before
//! its loop (`hoisted`). Then the proofs are acted upon (`apply`), and what
//! only the checks needed is removed (`sweep`). A check that stays in its place traps exactly where it did; one that
//! was merged traps where nothing but loads and calculations lie before the trap it stands for.

mod apply;
mod dce;
mod dominated;
mod licm;
mod proofs;
mod strengthen;

pub use proofs::Proofs;

use crate::Options;
use crate::analysis::facts::Facts;
use crate::analysis::range::{Ranges, Sources};
use crate::analysis::value::unsigned_constant;
use crate::analysis::{Flow, Interval};
use cranelift_codegen::Context;
use cranelift_codegen::ir::{Block, Function, Inst, Value};
use dominated::Passed;
use std::collections::HashMap;
use wfaas_abi::{BoundsStats, BoundsStrategy, CheckFate};

/// How accesses are kept inside the memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    pub(crate) strategy: BoundsStrategy,
    passes: Proofs,
    verify: bool,
}

impl Policy {
    pub(crate) fn new(options: &Options<'_>) -> Policy {
        let Options { bounds, elide, verify_bounds, .. } = *options;
        Policy { strategy: bounds, passes: elide, verify: verify_bounds }
    }
}

/// A check as it was emitted: that `index + end` is at most a size.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    pub(crate) action: Action,
    /// 64 bits.
    pub(crate) index: Value,
    pub(crate) end: u64,
    pub(crate) bound: Bound,
    /// What the size never falls below.
    pub(crate) least: u64,
    pub(crate) guarded: Option<Guarded>,
    /// What it counts as if it stays.
    pub(crate) kept: CheckFate,
}

/// What a check does about an access outside of the memory.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// It traps. A constant holds `end`; it may be raised to a number.
    Trap { inst: Inst, widen: Option<(Value, u64)> },
    /// The access goes to `clamped`, the smaller one of `start` and `last`.
    Clamp { clamped: Value, start: Value, last: Value },
}

/// Whose size a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Bound {
    /// A memory's.
    Memory(u32),
    /// That of all which is reserved for one.
    Reservation,
}

/// What an access uses in the place of `plain`: the same, but zero for a processor that
/// mispredicts the check.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guarded {
    pub(crate) masked: Value,
    pub(crate) plain: Value,
}

/// A check that a proof makes unnecessary.
#[derive(Debug, Clone, Copy)]
struct Proof {
    fate: CheckFate,
    /// What of a guarded index is as good as the masked one, also if branches are mispredicted.
    unmasked: Option<Value>,
}

/// Removes the checks that proofs make unnecessary from the function just translated. What became
/// of all of them.
pub(crate) fn elide(context: &mut Context, checks: &[Check], policy: Policy) -> BoundsStats {
    let mut stats = BoundsStats::default();
    if checks.is_empty() {
        return stats;
    }
    context.compute_cfg();
    context.compute_domtree();
    let Context { func, cfg, domtree, .. } = context;
    let flow = Flow { func, cfg, domtree };
    let mut proofs = prove(flow, checks, policy.passes);
    if policy.passes.merged() {
        strengthen::merge(func, checks, &mut proofs);
    }
    if policy.passes.hoisted() {
        licm::hoist(context, checks, &mut proofs);
    }
    for (check, proof) in checks.iter().zip(&proofs) {
        stats.add(proof.map_or(check.kept, |proof| proof.fate));
        if let Some(proof) = proof {
            apply::apply(&mut context.func, check, *proof, policy.verify);
        }
    }
    if stats.elided() > 0 {
        dce::sweep(&mut context.func);
    }
    stats
}

/// A step of the walk over the tree of dominators.
enum Step {
    Enter(Block),
    Leave,
}

/// Of each check, the proof that makes it unnecessary, if there is one.
fn prove(flow: Flow<'_>, checks: &[Check], passes: Proofs) -> Vec<Option<Proof>> {
    let Flow { func, domtree, .. } = flow;
    let mut in_block: HashMap<Block, Vec<usize>> = HashMap::new();
    for (index, check) in checks.iter().enumerate() {
        if let Some(block) = func.layout.inst_block(check.inst(func)) {
            in_block.entry(block).or_default().push(index);
        }
    }
    let mut proofs = vec![None; checks.len()];
    let ranges = Ranges::new(flow);
    let (mut facts, mut passed) = (Facts::default(), Passed::default());
    let mut steps: Vec<Step> = func.layout.entry_block().map(Step::Enter).into_iter().collect();
    while let Some(step) = steps.pop() {
        let Step::Enter(block) = step else {
            facts.leave();
            passed.leave();
            continue;
        };
        facts.enter();
        passed.enter();
        if passes.comparisons() {
            facts.assume_edge_into(block, &ranges);
        }
        for index in in_block.remove(&block).unwrap_or_default() {
            let check = &checks[index];
            let proof = by_range(check, &ranges, &facts, passes)
                .or_else(|| passes.dominated().then(|| passed.covers(func, check)).flatten())
                .or_else(|| by_branches(check, &ranges, &facts, passes));
            passed.add(func, check, proof);
            proofs[index] = proof;
        }
        steps.push(Step::Leave);
        steps.extend(domtree.children(block).map(Step::Enter));
    }
    proofs
}

/// A proof that does not rely on branches, so that mispredicting them does not matter either.
fn by_range(check: &Check, ranges: &Ranges<'_>, facts: &Facts, passes: Proofs) -> Option<Proof> {
    let fate = match unsigned_constant(ranges.flow.func, check.index) {
        Some(_) if !passes.constants() => return None,
        Some(_) => CheckFate::Constant,
        None if !passes.ranges() => return None,
        None => CheckFate::Range,
    };
    let range = ranges.at(check.index, facts, Sources::Values);
    let unmasked = check.guarded.map(|guarded| guarded.plain);
    check.holds_in(range).then_some(Proof { fate, unmasked })
}

/// A proof from the branches that were taken on the way.
fn by_branches(check: &Check, ranges: &Ranges<'_>, facts: &Facts, passes: Proofs) -> Option<Proof> {
    let sources = [
        (passes.comparisons(), Sources::Comparisons, CheckFate::Comparison),
        (passes.induction(), Sources::Induction, CheckFate::Induction),
    ];
    let mut proofs = sources
        .into_iter()
        .filter(|(on, ..)| *on)
        .filter(|(_, sources, _)| check.holds_in(ranges.at(check.index, facts, *sources)));
    proofs.next().map(|(_, _, fate)| Proof { fate, unmasked: None })
}

impl Check {
    /// The instruction that has to run for the check to have been made.
    fn inst(&self, func: &Function) -> Inst {
        match self.action {
            Action::Trap { inst, .. } => inst,
            Action::Clamp { clamped, .. } => func.dfg.value_def(clamped).unwrap_inst(),
        }
    }

    /// Whether all indices in `range` are good in a memory of the least size.
    fn holds_in(&self, range: Interval) -> bool {
        range.high + i128::from(self.end) <= i128::from(self.least)
    }
}
