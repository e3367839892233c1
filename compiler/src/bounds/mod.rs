//! Bounds-check elimination: removing bounds checks by proof.
//!
//! The translation emits each check in full and notes it as a [`Check`]. Once a function is
//! complete, and its intermediate code is in SSA form, [`elide`] looks for proofs, cheapest first
//! ([`prove`]):
//!
//! * the index is a constant, or a value with a [range](crate::analysis::range) that ends below the
//!   size the memory never falls below;
//! * a check that is at least as strong [dominates](dominated) it, of the same index or one a constant away: memories never
//!   shrink;
//! * a comparison that dominates it bounds the index, or the loop in which the index counts does
//!   ([`analysis`](crate::analysis)).
//!
//! A check that is left may be [strengthened](strengthen) to do the work of weaker ones that follow it
//! closely, or move to before its loop ([`licm`]). Then the proofs are [acted upon](apply), and code
//! that only the checks needed is removed ([`dce`]). A check that stays in its place traps exactly
//! where it did; one that was strengthened traps where nothing but loads and calculations lie before
//! the trap it stands for.
//!
//! R. Gupta, "Optimizing Array Bound Checks Using Flow Analysis", 1993; P. Kolte and M. Wolfe,
//! "Elimination of Redundant Array Subscript Range Checks", 1995; R. Bodík, R. Gupta and V. Sarkar,
//! "ABCD: Eliminating Array Bounds Checks on Demand", 2000.

mod apply;
mod check;
mod dce;
mod dominated;
mod licm;
mod prove;
mod strengthen;

pub(crate) use check::{Action, Bound, Check, Guarded};
pub(crate) use dce::remove_unused;

use crate::Options;
use crate::switches::{Proof, Proofs};
use cranelift_codegen::Context;
use wfaas_abi::{BoundsStats, BoundsStrategy};

/// How accesses are kept inside the memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    pub(crate) strategy: BoundsStrategy,
    proofs: Proofs,
    verify: bool,
}

impl Policy {
    pub(crate) fn new(options: &Options<'_>) -> Policy {
        let Options { bounds, elide, verify_bounds, .. } = *options;
        Policy { strategy: bounds, proofs: elide, verify: verify_bounds }
    }
}

/// Removes the checks that proofs make unnecessary from the function just translated, and counts the
/// fates of all of them.
pub(crate) fn elide(context: &mut Context, checks: &[Check], policy: Policy) -> BoundsStats {
    let mut stats = BoundsStats::default();
    if checks.is_empty() {
        return stats;
    }
    context.compute_cfg();
    context.compute_domtree();
    context.compute_loop_analysis();
    let mut elisions = prove::prove(context, checks, policy.proofs);
    if policy.proofs.contains(Proof::Merged) {
        strengthen::merge(&mut context.func, checks, &mut elisions);
    }
    if policy.proofs.contains(Proof::Hoisted) {
        licm::hoist(context, checks, &mut elisions);
    }
    for (check, elision) in checks.iter().zip(&elisions) {
        stats.add(elision.map_or(check.kept, |elision| elision.fate));
        if let Some(elision) = elision {
            apply::apply(&mut context.func, check, *elision, policy.verify);
        }
    }
    if stats.elided() > 0 {
        dce::remove_unused(&mut context.func);
    }
    stats
}

/// Keeps all checks of the function just translated, and counts them.
pub(crate) fn keep(checks: &[Check]) -> BoundsStats {
    let mut stats = BoundsStats::default();
    checks.iter().for_each(|check| stats.add(check.kept));
    stats
}
