//! Zero extension within a register: masks of the low 8, 16 or 32 bits as one move.
//!
//! An instruction with two operands masks a copy, which is a move before it; a mask of 32 bits is no immediate, so it is loaded,
//! too. A move that extends the low part of a register does the same by itself. (LLVM's `getZeroExtendInReg`, from the other side:
//! there a move becomes a mask where a machine has none.)
//!
//! A mask that is only compared with zero stays: the machine has an instruction for both.

use crate::analysis::value::{constant, instructions, is_removed, unsigned_constant};
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::entity::EntitySet;
use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{Function, Inst, InstBuilder, InstructionData, Opcode, Type, Value};

/// There must be no aliases, as behind the code generator's passes.
pub(super) fn run(func: &mut Function) {
    let masks: Vec<Mask> = instructions(func)
        .filter(|inst| !is_removed(func, *inst))
        .filter_map(|inst| Mask::of(func, inst))
        .collect();
    if masks.is_empty() {
        return;
    }
    let mut results = EntitySet::new();
    results.extend(masks.iter().map(|mask| func.dfg.first_result(mask.inst)));
    let uses = Uses::of(func, &results);
    for mask in masks {
        if !uses.tested.contains(func.dfg.first_result(mask.inst)) {
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
        let InstructionData::Binary { opcode: Opcode::Band, args: [left, right] } =
            func.dfg.insts[inst]
        else {
            return None;
        };
        let (of, mask) = match (unsigned_constant(func, left), unsigned_constant(func, right)) {
            (None, Some(mask)) => (left, mask),
            (Some(mask), None) => (right, mask),
            _ => return None,
        };
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
    /// Something asks whether they are zero.
    tested: EntitySet<Value>,
    /// The instructions that zero-extend one, each with it, in order.
    extended: Vec<(Value, Inst)>,
}

impl Uses {
    fn of(func: &Function, masks: &EntitySet<Value>) -> Uses {
        let Uses { mut tested, mut extended } = Uses::default();
        for inst in instructions(func) {
            match func.dfg.insts[inst] {
                InstructionData::IntCompare { args: [left, right], .. } => {
                    for (value, other) in [(left, right), (right, left)] {
                        if masks.contains(value) && constant(func, other) == Some(0) {
                            tested.insert(value);
                        }
                    }
                }
                InstructionData::Brif { arg: value, .. }
                | InstructionData::CondTrap { arg: value, .. }
                | InstructionData::Ternary { opcode: Opcode::Select, args: [value, ..] }
                    if masks.contains(value) =>
                {
                    tested.insert(value);
                }
                InstructionData::Unary { opcode: Opcode::Uextend, arg } if masks.contains(arg) => {
                    extended.push((arg, inst));
                }
                _ => {}
            }
        }
        extended.sort_unstable();
        Uses { tested, extended }
    }
}
