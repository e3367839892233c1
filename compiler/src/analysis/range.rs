//! Ranges: the interval of a value at a place, from the instructions that compute it, the facts that
//! hold there, and the loops in which it counts.
//!
//! A value that nothing is known of has the range of its type. Questions are answered by looking
//! back through a bounded number of definitions, so the time for a check does not depend on the
//! function's size. W. H. Harrison, "Compiler Analysis of the Value Ranges for Variables", 1977; on
//! demand as LLVM's `LazyValueInfo`.

use super::facts::Facts;
use super::{Flow, Interval, induction, transfer};
use cranelift_codegen::ir::{Block, Value, ValueDef};

/// Definitions to look at before giving up.
const MOST_STEPS: usize = 64;

/// Ways into a block whose parameters are looked at.
const MOST_PREDS: usize = 16;

/// Definitions to follow one after the other.
const MOST_DEPTH: usize = 16;

/// The knowledge that a range may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sources {
    /// How values are calculated.
    Values,
    /// Also the comparisons that were made on the way.
    Comparisons,
    /// Also how often loops go round.
    Induction,
}

/// Answers questions about ranges in a function.
pub(crate) struct Ranges<'f> {
    pub(crate) flow: Flow<'f>,
}

impl<'f> Ranges<'f> {
    pub(crate) fn new(flow: Flow<'f>) -> Ranges<'f> {
        Ranges { flow }
    }

    /// The numbers that `value` can be where `facts` hold.
    pub(crate) fn at(&self, value: Value, facts: &Facts, sources: Sources) -> Interval {
        let facts = (sources != Sources::Values).then_some(facts);
        let induction = sources == Sources::Induction;
        let mut query = Query { flow: self.flow, facts, induction, steps: 0, params: Vec::new() };
        query.range(value, 0)
    }
}

/// A question, while it is being answered.
pub(super) struct Query<'q> {
    pub(super) flow: Flow<'q>,
    facts: Option<&'q Facts>,
    induction: bool,
    /// Definitions and branches looked at so far.
    pub(super) steps: usize,
    /// Parameters of blocks that the answer is being looked for.
    params: Vec<Value>,
}

impl Query<'_> {
    pub(super) fn range(&mut self, value: Value, depth: usize) -> Interval {
        let func = self.flow.func;
        let value = func.dfg.resolve_aliases(value);
        let ty = func.dfg.value_type(value);
        let all = Interval::of_type(ty);
        self.steps += 1;
        if self.steps > MOST_STEPS || depth > MOST_DEPTH || !ty.is_int() || ty.bits() > 64 {
            return all;
        }
        let range = match func.dfg.value_def(value) {
            ValueDef::Result(inst, 0) => {
                transfer::result(func, inst, ty, |operand| self.range(operand, depth + 1))
            }
            ValueDef::Param(block, place) => self.of_param(block, place, value, depth + 1),
            _ => all,
        };
        let Some(facts) = self.facts else { return range };
        let known = [facts.of(value), facts.of_sum(func, value)].into_iter().flatten();
        known.fold(range, Interval::intersection)
    }

    /// The range of a block's parameter: the union of those of all its arguments. What holds here
    /// need not hold there.
    fn of_param(&mut self, block: Block, place: usize, param: Value, depth: usize) -> Interval {
        let all = Interval::of_type(self.flow.func.dfg.value_type(param));
        let entry = self.flow.func.layout.entry_block() == Some(block);
        let crowded = self.flow.cfg.pred_iter(block).nth(MOST_PREDS).is_some();
        if entry || crowded || self.params.contains(&param) {
            return all;
        }
        let facts = self.facts.take();
        self.params.push(param);
        let counted = self.induction.then(|| induction::range(self, param, depth)).flatten();
        let range = counted.unwrap_or_else(|| self.union_of(block, place, all, depth));
        self.params.pop();
        self.facts = facts;
        range
    }

    fn union_of(&mut self, block: Block, place: usize, all: Interval, depth: usize) -> Interval {
        let mut union: Option<Interval> = None;
        for incoming in self.flow.incoming(block, place) {
            let range = incoming.value.map_or(all, |value| self.range(value, depth));
            union = Some(union.map_or(range, |union| union.union(range)));
            if union == Some(all) {
                break;
            }
        }
        union.unwrap_or(all)
    }
}
