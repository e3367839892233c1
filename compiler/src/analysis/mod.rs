//! Analysis of values: the numbers that they can be, for the proofs of
//! [`bounds`](crate::bounds) and the [`passes`](crate::passes) alike.
//!
//! * [`value`]: definitions and constants;
//! * [`interval`]: integers from a lowest to a highest one, and operations on them;
//! * [`transfer`]: the interval of an instruction's result, from those of its operands;
//! * [`condition`]: comparisons that hold where a branch goes one way, and their consequences;
//! * [`induction`]: induction variables, `{start, +, step}`;
//! * [`range`]: the interval of a value of any width at a place in the function, with the
//!   [`facts`] that branches on the way to it have established;
//! * [`scev`]: scalar evolution, the 32-bit values that are affine in induction variables, and how
//!   often loops go round.
//!
//! The last two answer questions, and rest on the others. A question of `range` looks at a bounded
//! number of definitions and remembers nothing; `scev` remembers forms and intervals for a whole
//! function.

pub(crate) mod condition;
pub(crate) mod facts;
pub(crate) mod induction;
pub(crate) mod interval;
pub(crate) mod range;
pub(crate) mod scev;
mod scoped;
mod transfer;
pub(crate) mod value;

pub(crate) use interval::Interval;
pub(crate) use scoped::ScopedMap;

use cranelift_codegen::dominator_tree::DominatorTree;
use cranelift_codegen::flowgraph::ControlFlowGraph;
use cranelift_codegen::ir::{Block, Function, Inst, Value};
use std::collections::HashMap;

/// A map by the entities of a function, whose numbers no module can choose freely: a few instructions make a hash.
pub(crate) type FxHashMap<K, V> = HashMap<K, V, rustc_hash::FxBuildHasher>;

/// A function and the flow of control in it.
#[derive(Clone, Copy)]
pub(crate) struct Flow<'f> {
    pub(crate) func: &'f Function,
    pub(crate) cfg: &'f ControlFlowGraph,
    pub(crate) domtree: &'f DominatorTree,
}

/// An argument for a block's parameter.
#[derive(Clone, Copy)]
pub(crate) struct Incoming {
    /// The branch that passes it on, and the block which that branch ends.
    pub(crate) branch: Inst,
    pub(crate) from: Block,
    /// The argument as it is written there; `None` for the result of a call.
    pub(crate) value: Option<Value>,
}

impl<'f> Flow<'f> {
    /// The arguments for parameter `place` of `block`, one for each edge.
    pub(crate) fn incoming(self, block: Block, place: usize) -> impl Iterator<Item = Incoming> {
        let dfg = &self.func.dfg;
        self.cfg.pred_iter(block).flat_map(move |pred| {
            let (branch, from) = (pred.inst, pred.block);
            let targets =
                dfg.insts[branch].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
            let calls = targets.iter().filter(move |call| call.block(&dfg.value_lists) == block);
            calls.map(move |call| {
                let value = call.args(&dfg.value_lists).nth(place).and_then(|arg| arg.as_value());
                Incoming { branch, from, value }
            })
        })
    }

    /// The only edge into a block, if there is no other one: the branch at its start.
    pub(crate) fn only_edge_into(self, block: Block) -> Option<Inst> {
        let mut preds = self.cfg.pred_iter(block);
        match (preds.next(), preds.next()) {
            (Some(only), None) => Some(only.inst),
            _ => None,
        }
    }
}
