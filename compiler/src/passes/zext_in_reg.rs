//! Zero extension within a register: masks of the low 8, 16 or 32 bits as one move.
//!
//! An instruction with two operands masks a copy, which is a move before it; a mask of 32 bits is no immediate, so it is
//! loaded, too. A move that extends the low part of a register does the same by itself. (LLVM's `getZeroExtendInReg`, from
//! the other side: there a move becomes a mask where a machine has none.)
//!
//! A mask stays where it does more than that: a comparison with zero is one instruction with it, and so is masking a number in
//! memory; and who extends a number by itself need not do so behind a mask.

use crate::analysis::value::{
    constant, defining, home, instructions, is_removed, masked, operands,
};
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::entity::EntitySet;
use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{Function, Inst, InstBuilder, InstructionData, Opcode, Type, Value};

/// There must be no aliases, as behind the code generator's passes.
pub(super) fn run(func: &mut Function) {
    let masks: Vec<Mask> = instructions(func)
        .filter_map(|inst| Mask::of(func, inst))
        .filter(|mask| !is_removed(func, mask.inst))
        .collect();
    if masks.is_empty() {
        return;
    }
    let mut results = EntitySet::new();
    results.extend(masks.iter().map(|mask| func.dfg.first_result(mask.inst)));
    let uses = Uses::of(func, &results);
    for mask in masks {
        if !uses.kept.contains(func.dfg.first_result(mask.inst)) {
            mask.extend(func, &uses);
        }
    }
}

/// A mask of the low part of a value.
struct Mask {
    inst: Inst,
    of: Value,
    part: Type,
}

impl Mask {
    fn of(func: &Function, inst: Inst) -> Option<Mask> {
        let (of, mask) = masked(func, inst)?;
        let part = match mask {
            0xff => I8,
            0xffff => I16,
            0xffff_ffff => I32,
            _ => return None,
        };
        let ty = func.dfg.value_type(of);
        (matches!(ty, I32 | I64) && part.bits() < ty.bits()).then_some(Mask { inst, of, part })
    }

    /// Makes it an extension, and what extends it an extension of the same part.
    fn extend(&self, func: &mut Function, uses: &Uses) {
        let mut cursor = FuncCursor::new(func).at_inst(self.inst);
        cursor.use_srcloc(self.inst);
        let part = cursor.ins().ireduce(self.part, self.of);
        let result = func.dfg.first_result(self.inst);
        let first = uses.extended.partition_point(|(of, _)| *of < result);
        let of_result = uses.extended[first..].iter().take_while(|(of, _)| *of == result);
        for inst in of_result.map(|(_, inst)| *inst).chain([self.inst]) {
            func.dfg.insts[inst] = InstructionData::Unary { opcode: Opcode::Uextend, arg: part };
        }
    }
}

/// What is done with the results of masks.
#[derive(Default)]
struct Uses {
    /// Those for which a mask is better.
    kept: EntitySet<Value>,
    /// The instructions of its block that zero-extend one, each with it, in order.
    extended: Vec<(Value, Inst)>,
}

impl Uses {
    fn of(func: &Function, masks: &EntitySet<Value>) -> Uses {
        let mut uses = Uses::default();
        for inst in instructions(func) {
            uses.add(func, masks, inst);
        }
        uses.extended.sort_unstable();
        uses
    }

    /// Adds those by an instruction, which may have been removed: then a mask stays for no reason.
    fn add(&mut self, func: &Function, masks: &EntitySet<Value>, inst: Inst) {
        let is_mask = |value: &Value| masks.contains(*value);
        match func.dfg.insts[inst] {
            InstructionData::IntCompare { args: [left, right], .. } => {
                let compared = [(left, right), (right, left)]
                    .into_iter()
                    .filter(|(value, other)| is_mask(value) && constant(func, *other) == Some(0));
                self.kept.extend(compared.map(|(value, _)| value));
            }
            InstructionData::Unary { opcode: Opcode::Uextend, arg } if is_mask(&arg) => {
                // Further away, the whole number would have to be there as well.
                match func.layout.inst_block(inst) == home(func, arg) {
                    true => self.extended.push((arg, inst)),
                    false => _ = self.kept.insert(arg),
                }
            }
            InstructionData::Store { args: [value, _], .. } if is_mask(&value) => {
                if operands(func, value, Opcode::Band).is_some_and(|args| is_load(func, args)) {
                    self.kept.insert(value);
                }
            }
            InstructionData::Brif { arg: value, .. }
            | InstructionData::CondTrap { arg: value, .. }
            | InstructionData::Ternary { opcode: Opcode::Select, args: [value, ..] }
            | InstructionData::BranchTable { arg: value, .. }
            | InstructionData::Unary { opcode: Opcode::FcvtFromUint, arg: value }
                if is_mask(&value) =>
            {
                self.kept.insert(value);
            }
            _ => {}
        }
    }
}

fn is_load(func: &Function, values: [Value; 2]) -> bool {
    let is_load = |value| matches!(defining(func, value), Some(InstructionData::Load { .. }));
    values.into_iter().any(is_load)
}
