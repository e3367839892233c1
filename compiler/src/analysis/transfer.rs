//! Transfer functions: the interval of an instruction's result from the intervals of its operands.
//! A result holds on any path, however mispredicted, as long as the operands' intervals do.

use super::Interval;
use super::interval::{binary, unary};
use cranelift_codegen::ir::{Function, Inst, InstructionData, Opcode, Type, Value};

/// The unsigned numbers that the first result of `inst` can be, an integer of type `ty` with at most 64 bits;
/// `operand` tells those of its operands.
pub(super) fn result(
    func: &Function,
    inst: Inst,
    ty: Type,
    mut operand: impl FnMut(Value) -> Interval,
) -> Interval {
    let all = Interval::of_type(ty);
    match func.dfg.insts[inst] {
        InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => {
            Interval::exactly(i128::from(imm.bits().cast_unsigned()) & all.high)
        }
        InstructionData::Unary { opcode, arg } => {
            let from = func.dfg.value_type(arg);
            unary(opcode, operand(arg), from, ty).unwrap_or(all)
        }
        InstructionData::Binary { opcode, args } => {
            let [left, right] = args.map(operand);
            binary(opcode, left, right, (ty, all)).unwrap_or(all)
        }
        InstructionData::Ternary {
            opcode: Opcode::Select | Opcode::SelectSpectreGuard,
            args: [_, left, right],
        } => operand(left).union(operand(right)),
        InstructionData::IntCompare { .. } | InstructionData::FloatCompare { .. } => {
            Interval::up_to(1)
        }
        InstructionData::Load { opcode, .. } => match opcode {
            Opcode::Uload8 => Interval::up_to(u8::MAX.into()),
            Opcode::Uload16 => Interval::up_to(u16::MAX.into()),
            Opcode::Uload32 => Interval::up_to(u32::MAX.into()),
            _ => all,
        },
        _ => all,
    }
}
