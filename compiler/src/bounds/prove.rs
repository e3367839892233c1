//! The walk over a function that looks for proofs.

use super::check::{Check, Elision};
use super::dominated::Passed;
use crate::analysis::facts::Facts;
use crate::analysis::range::{Ranges, Sources};
use crate::analysis::scev::{Path, ScalarEvolution, UNSIGNED};
use crate::analysis::value::{extended_from, unsigned_constant};
use crate::analysis::{Flow, Interval};
use crate::switches::{Proof, Proofs};
use cranelift_codegen::Context;
use cranelift_codegen::ir::{Block, types};
use std::collections::HashMap;
use wfaas_abi::CheckFate;

/// A step of the walk over the tree of dominators.
enum Step {
    Enter(Block),
    Leave,
}

/// For each check, why it is unnecessary, if there is a proof of that.
pub(super) fn prove(context: &Context, checks: &[Check], proofs: Proofs) -> Vec<Option<Elision>> {
    let func = &context.func;
    let mut in_block: HashMap<Block, Vec<usize>> = HashMap::new();
    for (index, check) in checks.iter().enumerate() {
        if let Some(block) = func.layout.inst_block(check.inst(func)) {
            in_block.entry(block).or_default().push(index);
        }
    }
    let mut elisions = vec![None; checks.len()];
    let mut prover = Prover::new(context, proofs);
    let mut steps: Vec<Step> = func.layout.entry_block().map(Step::Enter).into_iter().collect();
    while let Some(step) = steps.pop() {
        let Step::Enter(block) = step else {
            prover.leave();
            continue;
        };
        prover.enter(block);
        for index in in_block.remove(&block).unwrap_or_default() {
            elisions[index] = prover.look_at(&checks[index]);
        }
        steps.push(Step::Leave);
        steps.extend(context.domtree.children(block).map(Step::Enter));
    }
    elisions
}

/// The state of the walk.
struct Prover<'f> {
    ranges: Ranges<'f>,
    scev: ScalarEvolution<'f>,
    facts: Facts,
    passed: Passed,
    proofs: Proofs,
    has_loops: bool,
}

impl<'f> Prover<'f> {
    fn new(context: &'f Context, proofs: Proofs) -> Prover<'f> {
        let Context { func, cfg, domtree, loop_analysis, .. } = context;
        let flow = Flow { func, cfg, domtree };
        Prover {
            ranges: Ranges::new(flow),
            scev: ScalarEvolution::new(flow, loop_analysis),
            facts: Facts::default(),
            passed: Passed::default(),
            proofs,
            has_loops: loop_analysis.loops().next().is_some(),
        }
    }

    fn enter(&mut self, block: Block) {
        self.facts.enter();
        self.passed.enter();
        if self.proofs.contains(Proof::Comparisons) {
            self.facts.assume_edge_into(block, &self.ranges);
        }
    }

    fn leave(&mut self) {
        self.facts.leave();
        self.passed.leave();
    }

    /// Why a check is unnecessary, the checks that dominate it having been looked at.
    fn look_at(&mut self, check: &Check) -> Option<Elision> {
        let func = self.ranges.flow.func;
        let dominated = self.proofs.contains(Proof::Dominated);
        let elision = self
            .by_range(check)
            .or_else(|| dominated.then(|| self.dominated(check)).flatten())
            .or_else(|| self.by_comparisons(check))
            .or_else(|| self.by_induction(check));
        self.passed.add(func, check, elision);
        elision
    }

    /// A proof from a check that dominates this one.
    fn dominated(&self, check: &Check) -> Option<Elision> {
        let zeros = |value| self.scev.trailing_zeros(value);
        self.passed.covers(self.ranges.flow.func, check, zeros)
    }

    /// A proof that does not rely on branches, so that mispredicting them does not matter either.
    fn by_range(&self, check: &Check) -> Option<Elision> {
        let constant = unsigned_constant(self.ranges.flow.func, check.index).is_some();
        let (proof, fate) = match constant {
            true => (Proof::Constants, CheckFate::Constant),
            false => (Proof::Ranges, CheckFate::Range),
        };
        if !self.proofs.contains(proof) {
            return None;
        }
        let range = self.ranges.at(check.index, &self.facts, Sources::Values);
        let unmasked = check.guarded.map(|guarded| guarded.plain);
        check.holds_in(range).then_some(Elision { fate, unmasked })
    }

    /// A proof from the branches that were taken on the way.
    fn by_comparisons(&self, check: &Check) -> Option<Elision> {
        if self.facts.is_empty() || !self.proofs.contains(Proof::Comparisons) {
            return None;
        }
        let range = self.ranges.at(check.index, &self.facts, Sources::Comparisons);
        let elision = Elision { fate: CheckFate::Comparison, unmasked: None };
        check.holds_in(range).then_some(elision)
    }

    /// A proof from the loops that the index counts in.
    fn by_induction(&mut self, check: &Check) -> Option<Elision> {
        if !self.has_loops || !self.proofs.contains(Proof::Induction) {
            return None;
        }
        let range = self.ranges.at(check.index, &self.facts, Sources::Induction);
        let holds =
            check.holds_in(range) || self.evolution(check).is_some_and(|it| check.holds_in(it));
        holds.then_some(Elision { fate: CheckFate::Induction, unmasked: None })
    }

    /// The interval of an index of 32 bits by its scalar evolution, if its form is the index.
    fn evolution(&mut self, check: &Check) -> Option<Interval> {
        let func = self.ranges.flow.func;
        let index = extended_from(func, check.index);
        if func.dfg.value_type(index) != types::I32 {
            return None;
        }
        let form = self.scev.affine(index);
        let interval = self.scev.interval(&form, Path::Architectural);
        interval.within(UNSIGNED).then_some(interval)
    }
}
