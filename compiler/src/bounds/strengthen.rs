//! Strengthened checks, which do the work of weaker ones that follow: of the same index, in the same
//! block, with nothing before them that could be noticed if the trap came earlier.
//!
//! "Check strengthening" of R. Gupta, "Optimizing Array Bound Checks Using Flow Analysis", 1993.

use super::check::{Action, Check, Elision};
use crate::analysis::value::extended_from;
use crate::emit::trap::clif_trap;
use cranelift_codegen::ir::{Function, Inst, InstructionData, Opcode, Value};
use std::collections::HashMap;
use wfaas_abi::{CheckFate, TrapCode};

/// Instructions to look through after a check.
const WINDOW: usize = 128;

/// Raises checks without a proof to the strongest of those that follow, which get one.
pub(super) fn merge(func: &mut Function, checks: &[Check], elisions: &mut [Option<Elision>]) {
    let mut by_inst: HashMap<Inst, usize> = HashMap::new();
    for (index, check) in checks.iter().enumerate() {
        if let Action::Trap { inst, .. } = check.action {
            by_inst.insert(inst, index);
        }
    }
    for (index, check) in checks.iter().enumerate() {
        let Action::Trap { inst, widen: Some((constant, most)) } = check.action else { continue };
        if elisions[index].is_some() {
            continue;
        }
        let mut end = check.end;
        for follower in followers(func, inst, &by_inst) {
            let other = &checks[follower];
            let same = other.bound == check.bound
                && extended_from(func, other.index) == extended_from(func, check.index);
            if same && elisions[follower].is_none() && other.end <= most && other.guarded.is_none()
            {
                end = end.max(other.end);
                elisions[follower] = Some(Elision { fate: CheckFate::Merged, unmasked: None });
            }
        }
        if end > check.end {
            set_constant(func, constant, end);
        }
    }
}

/// The checks after `inst` that are reached without anything that could be noticed.
fn followers(func: &Function, inst: Inst, by_inst: &HashMap<Inst, usize>) -> Vec<usize> {
    let mut found = Vec::new();
    let mut next = func.layout.next_inst(inst);
    for _ in 0..WINDOW {
        let Some(inst) = next else { break };
        match by_inst.get(&inst) {
            Some(index) => found.push(*index),
            None if is_noticed(func, inst) => break,
            None => {}
        }
        next = func.layout.next_inst(inst);
    }
    found
}

/// Whether running `inst`, or not, makes a difference to anybody if a trap follows.
pub(super) fn is_noticed(func: &Function, inst: Inst) -> bool {
    let data = &func.dfg.insts[inst];
    let opcode = data.opcode();
    if opcode == Opcode::GetPinnedReg {
        return false; // the address BASE, which function bodies never change
    }
    let loads = opcode.can_load()
        && !opcode.can_store()
        && !opcode.is_call()
        && !opcode.other_side_effects();
    if loads {
        // It traps for the same reason as the checks, if it does.
        let out_of_bounds = clif_trap(TrapCode::MemoryOutOfBounds);
        let code = data.memflags_data(&func.dfg).map(|flags| flags.trap_code());
        return !code.is_some_and(|code| code.is_none_or(|code| code == out_of_bounds));
    }
    opcode.is_call()
        || opcode.can_store()
        || opcode.can_trap()
        || opcode.is_terminator()
        || opcode.other_side_effects()
}

fn set_constant(func: &mut Function, constant: Value, number: u64) {
    let inst = func.dfg.value_def(constant).unwrap_inst();
    let opcode = func.dfg.insts[inst].opcode();
    let imm = number.cast_signed().into();
    func.dfg.insts[inst] = InstructionData::UnaryImm { opcode, imm };
}
