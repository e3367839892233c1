//! Induction-variable widening: 64 bits for parameters of loops that are extended in each round.
//!
//! An index of 32 bits is zero-extended before it is added to BASE. The machine's additions do that
//! by themselves, but nothing is known of the value that a round passes on to the next, so it takes a
//! move for each access. Here such a parameter has 64 bits, the upper half zero, and is extended where
//! it is passed on, which is where it was added up.
//!
//! As LLVM's `WidenIV` in `IndVarSimplify`; but there the variable must not wrap around. Where it is
//! proved that it does not, [`reassociate`](super::reassociate) has widened it already.

use super::reassociate;
use crate::analysis::value::{each_operand, instructions, is_removed};
use cranelift_codegen::Context;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::entity::EntitySet;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{
    Block, Function, Inst, InstBuilder, InstructionData, Opcode, Value, ValueDef,
};
use cranelift_codegen::loop_analysis::LoopAnalysis;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn run(context: &mut Context) {
    let Context { func, cfg, loop_analysis: loops, .. } = context;
    if loops.loops().next().is_none() {
        return;
    }
    let extended = extended(func, loops);
    if extended.is_empty() {
        return;
    }
    let mut aliases = EntitySet::new();
    for (param, extensions) in extended {
        let ValueDef::Param(header, place) = func.dfg.value_def(param) else { continue };
        let mut preds: Vec<Inst> = cfg.pred_iter(header).map(|pred| pred.inst).collect();
        preds.sort();
        preds.dedup();
        let jumps =
            |pred: &Inst| matches!(func.dfg.insts[*pred].opcode(), Opcode::Jump | Opcode::Brif);
        if preds.iter().all(jumps) {
            aliases.insert(param);
            aliases.extend(extensions.iter().map(|extension| func.dfg.first_result(*extension)));
            widen(func, param, &extensions);
            preds.into_iter().for_each(|pred| extend(func, pred, (header, place)));
        }
    }
    resolve(func, &aliases);
}

/// Replaces these aliases wherever they are used: from here on nothing looks for any.
fn resolve(func: &mut Function, aliases: &EntitySet<Value>) {
    for inst in instructions(func) {
        let mut is_user = false;
        each_operand(func, inst, |value| is_user |= aliases.contains(value));
        if is_user && !is_removed(func, inst) {
            let values = func.dfg.inst_values(inst).map(|value| func.dfg.resolve_aliases(value));
            let values: Vec<Value> = values.collect();
            func.dfg.overwrite_inst_values(inst, values.into_iter());
        }
    }
}

/// Parameters of loop headers that are extended in the loop, but not in one inside of it, and all
/// instructions that extend them.
fn extended(func: &Function, loops: &LoopAnalysis) -> BTreeMap<Value, Vec<Inst>> {
    let mut extended: BTreeMap<Value, (Vec<Inst>, bool)> = BTreeMap::new();
    for inst in instructions(func) {
        let InstructionData::Unary { opcode: Opcode::Uextend, arg: param } = func.dfg.insts[inst]
        else {
            continue;
        };
        let Some(block) = func.layout.inst_block(inst) else { continue };
        let ValueDef::Param(header, _) = func.dfg.value_def(param) else { continue };
        let types = [param, func.dfg.first_result(inst)].map(|v| func.dfg.value_type(v));
        if types == [I32, I64] && loops.is_loop_header(header).is_some() {
            let (extensions, is_inside) = extended.entry(param).or_default();
            extensions.push(inst);
            *is_inside |= loops.innermost_loop(block) == loops.innermost_loop(header);
        }
    }
    let inside = extended.into_iter().filter(|(_, (_, is_inside))| *is_inside);
    inside.map(|(param, (extensions, _))| (param, extensions)).collect()
}

fn widen(func: &mut Function, param: Value, extensions: &[Inst]) {
    let ValueDef::Param(header, _) = func.dfg.value_def(param) else { return };
    let wide = func.dfg.replace_block_param(param, I64);
    for extension in extensions {
        let result = func.dfg.first_result(*extension);
        func.dfg.clear_results(*extension);
        func.dfg.change_to_alias(result, wide);
        func.layout.remove_inst(*extension);
    }
    let narrow = FuncCursor::new(func).at_first_insertion_point(header).ins().ireduce(I32, wide);
    func.dfg.change_to_alias(param, narrow);
}

/// Extends the argument that a branch passes on to a parameter.
fn extend(func: &mut Function, branch: Inst, (header, place): (Block, usize)) {
    let dfg = &func.dfg;
    let calls = dfg.insts[branch].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
    let to_header = calls.iter().filter(|call| call.block(&dfg.value_lists) == header);
    let args: BTreeSet<Value> =
        to_header.filter_map(|call| call.args(&dfg.value_lists).nth(place)?.as_value()).collect();
    let mut cursor = FuncCursor::new(func).at_inst(branch);
    cursor.use_srcloc(branch);
    let wide: BTreeMap<Value, Value> =
        args.into_iter().map(|arg| (arg, cursor.ins().uextend(I64, arg))).collect();
    reassociate::pass(func, branch, (header, place), |arg| wide[&arg]);
}
