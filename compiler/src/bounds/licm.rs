//! Loop-invariant code motion of checks: those of an index that is the same in every round move out of
//! their loop.
//!
//! The check must be made in the first round in any case, and before anything that could be
//! noticed: then making it just before the loop traps if and only if the first round would have
//! trapped, at the same time. The rounds after the first need none, since memories never shrink.
//!
//! "Preheader insertion" of P. Kolte and M. Wolfe, "Elimination of Redundant Array Subscript Range
//! Checks", 1995.

use super::check::{Action, Check, Elision};
use super::strengthen::is_noticed;
use crate::analysis::value::{definition, extended_from, home};
use cranelift_codegen::Context;
use cranelift_codegen::ir::{Block, Function, Inst, InstructionData, Opcode, Value};
use cranelift_codegen::loop_analysis::{Loop, LoopAnalysis};
use std::collections::{HashMap, HashSet};
use wfaas_abi::CheckFate;

/// Blocks to follow from the start of a loop.
const MOST_BLOCKS: usize = 16;

/// Instructions to look through there.
const MOST_INSTRUCTIONS: usize = 256;

/// Calculations to repeat before a loop.
const MOST_DEPTH: usize = 8;

/// Moves checks without a proof to before their loop, where that is possible.
pub(super) fn hoist(context: &mut Context, checks: &[Check], elisions: &mut [Option<Elision>]) {
    let traps: HashSet<Inst> = checks.iter().filter_map(Check::trap).collect();
    for (check, elision) in checks.iter().zip(elisions) {
        let Some(inst) = check.trap().filter(|_| elision.is_none() && check.guarded.is_none())
        else {
            continue;
        };
        let Some((inside, before)) = before_loop(context, inst, &traps) else { continue };
        let loops = &context.loop_analysis;
        let condition = context.func.dfg.inst_args(inst)[0];
        let index = extended_from(&context.func, check.index);
        if !is_repeatable(&context.func, loops, inside, index, Loads::No, 0)
            || !is_repeatable(&context.func, loops, inside, condition, Loads::OfSizes, 0)
        {
            continue;
        }
        let mut preheader =
            Preheader { func: &mut context.func, loops, inside, before, known: HashMap::new() };
        let condition = preheader.value(condition);
        let trap = preheader.instruction(inst);
        context.func.dfg.inst_args_mut(trap)[0] = condition;
        *elision = Some(Elision { fate: CheckFate::Hoisted, unmasked: None });
    }
}

impl Check {
    /// The instruction that traps, if the check does.
    fn trap(&self) -> Option<Inst> {
        match self.action {
            Action::Trap { inst, .. } => Some(inst),
            Action::Clamp { .. } => None,
        }
    }
}

/// The innermost loop around a check and the jump into it, if the check is made in the first round
/// before anything that could be noticed.
fn before_loop(context: &Context, check: Inst, traps: &HashSet<Inst>) -> Option<(Loop, Inst)> {
    let func = &context.func;
    let inside = context.loop_analysis.innermost_loop(func.layout.inst_block(check)?)?;
    let header = context.loop_analysis.loop_header(inside);
    if !comes_first(func, header, check, traps) {
        return None;
    }
    let preds = context.cfg.pred_iter(header);
    let mut outside = preds.filter(|pred| !context.domtree.block_dominates(header, pred.block));
    let (Some(pred), None) = (outside.next(), outside.next()) else { return None };
    let jumps = func.dfg.insts[pred.inst].opcode() == Opcode::Jump;
    (jumps && context.domtree.is_reachable(pred.block)).then_some((inside, pred.inst))
}

/// Whether control gets from the start of `header` to `check` in any case, with nothing that could
/// be noticed on the way.
fn comes_first(func: &Function, header: Block, check: Inst, traps: &HashSet<Inst>) -> bool {
    let (mut block, mut looked_at) = (header, 0);
    for _ in 0..MOST_BLOCKS {
        for inst in func.layout.block_insts(block) {
            if inst == check {
                return true;
            }
            looked_at += 1;
            if looked_at > MOST_INSTRUCTIONS {
                return false;
            }
            let harmless = traps.contains(&inst) || func.dfg.insts[inst].opcode() == Opcode::Jump;
            if !harmless && is_noticed(func, inst) {
                return false;
            }
        }
        let last = func.layout.last_inst(block).expect("blocks end with a branch");
        let InstructionData::Jump { destination, .. } = func.dfg.insts[last] else { return false };
        block = destination.block(&func.dfg.value_lists);
        if block == header {
            return false;
        }
    }
    false
}

/// Which loads may be done again before a loop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loads {
    /// None: the value has to be the same in every round.
    No,
    /// Loads of sizes, which only grow. There are no others in a check.
    OfSizes,
}

/// Whether `value` can be calculated before the loop `inside`.
fn is_repeatable(
    func: &Function,
    loops: &LoopAnalysis,
    inside: Loop,
    value: Value,
    allowed: Loads,
    depth: usize,
) -> bool {
    if is_from_outside(func, loops, inside, value) {
        return true;
    }
    let Some((inst, data)) = definition(func, value).filter(|_| depth < MOST_DEPTH) else {
        return false;
    };
    let opcode = data.opcode();
    let fits = match opcode {
        Opcode::Load | Opcode::AtomicLoad => {
            let notrap = data.memflags_data(&func.dfg).is_some_and(|flags| flags.notrap());
            allowed == Loads::OfSizes && notrap
        }
        _ => !opcode.can_load() && !is_noticed(func, inst),
    };
    let args = func.dfg.inst_args(inst);
    fits && args.iter().all(|arg| is_repeatable(func, loops, inside, *arg, allowed, depth + 1))
}

fn is_from_outside(func: &Function, loops: &LoopAnalysis, inside: Loop, value: Value) -> bool {
    home(func, value).is_some_and(|block| !loops.is_in_loop(block, inside))
}

/// Where calculations are repeated before a loop.
struct Preheader<'c> {
    func: &'c mut Function,
    loops: &'c LoopAnalysis,
    inside: Loop,
    /// The jump into the loop.
    before: Inst,
    known: HashMap<Value, Value>,
}

impl Preheader<'_> {
    /// The value before the loop that equals `value` in the first round.
    fn value(&mut self, value: Value) -> Value {
        let value = self.func.dfg.resolve_aliases(value);
        if is_from_outside(self.func, self.loops, self.inside, value) {
            return value;
        }
        if let Some(known) = self.known.get(&value) {
            return *known;
        }
        let inst = self.func.dfg.value_def(value).unwrap_inst();
        let args = self.func.dfg.inst_args(inst).to_vec();
        let args: Vec<Value> = args.into_iter().map(|arg| self.value(arg)).collect();
        let copy = self.instruction(inst);
        self.func.dfg.inst_args_mut(copy).copy_from_slice(&args);
        let result = self.func.dfg.first_result(copy);
        self.known.insert(value, result);
        result
    }

    /// A copy of `inst` before the loop, with the same operands for now.
    fn instruction(&mut self, inst: Inst) -> Inst {
        let copy = self.func.dfg.clone_inst(inst);
        self.func.layout.insert_inst(copy, self.before);
        let location = self.func.srcloc(inst);
        self.func.set_srcloc(copy, location);
        copy
    }
}
