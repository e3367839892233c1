//! Acting upon proofs.

use super::check::{Action, Check, Elision};
use crate::emit::trap::clif_trap;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Function, InstBuilder, InstructionData, Value};
use wfaas_abi::TrapCode;

/// Removes a check, or makes an assertion of it.
pub(super) fn apply(func: &mut Function, check: &Check, elision: Elision, verify: bool) {
    match check.action {
        Action::Trap { inst, .. } if verify => {
            if let InstructionData::CondTrap { code, .. } = &mut func.dfg.insts[inst] {
                *code = clif_trap(TrapCode::ElidedCheckFailed);
            }
        }
        Action::Trap { inst, .. } => {
            func.layout.remove_inst(inst);
        }
        Action::Clamp { clamped, start, last } => {
            if verify {
                assert_below(func, clamped, start, last);
            }
            replace(func, clamped, start);
        }
    }
    if let (Some(guarded), Some(unmasked)) = (check.guarded, elision.unmasked) {
        replace(func, guarded.masked, unmasked);
    }
}

/// Raises a trap where `clamped` is calculated, unless `start` is at most `last`.
fn assert_below(func: &mut Function, clamped: Value, start: Value, last: Value) {
    let inst = func.dfg.value_def(clamped).unwrap_inst();
    let location = func.srcloc(inst);
    let mut cursor = FuncCursor::new(func).at_inst(inst).with_srcloc(location);
    let beyond = cursor.ins().icmp(IntCC::UnsignedGreaterThan, start, last);
    cursor.ins().trapnz(beyond, clif_trap(TrapCode::ElidedCheckFailed));
}

/// Removes the instruction that calculates `value`; `by` takes its place everywhere.
fn replace(func: &mut Function, value: Value, by: Value) {
    let inst = func.dfg.value_def(value).unwrap_inst();
    func.dfg.clear_results(inst);
    func.dfg.change_to_alias(value, by);
    func.layout.remove_inst(inst);
}
