//! Values of intermediate code: their definitions, and those that are constants.

use cranelift_codegen::ir::{
    Block, Function, Inst, InstructionData, Opcode, Type, Value, ValueDef, types,
};

/// The instruction that a value is a result of, aliases resolved.
pub(crate) fn definition(func: &Function, value: Value) -> Option<(Inst, &InstructionData)> {
    match func.dfg.value_def(func.dfg.resolve_aliases(value)) {
        ValueDef::Result(inst, _) => Some((inst, &func.dfg.insts[inst])),
        _ => None,
    }
}

/// The operation and operands that define a value.
pub(crate) fn defining(func: &Function, value: Value) -> Option<&InstructionData> {
    definition(func, value).map(|(_, data)| data)
}

/// Calls `each` for every value that an instruction uses, aliases not resolved: its arguments, and those
/// that a branch passes on. The iterator of the code generator takes ten times as long.
pub(crate) fn each_operand(func: &Function, inst: Inst, mut each: impl FnMut(Value)) {
    let dfg = &func.dfg;
    let data = &dfg.insts[inst];
    data.arguments(&dfg.value_lists).iter().for_each(|value| each(*value));
    if !data.opcode().is_branch() {
        return;
    }
    for target in data.branch_destination(&dfg.jump_tables, &dfg.exception_tables) {
        target.args(&dfg.value_lists).filter_map(|arg| arg.as_value()).for_each(&mut each);
    }
}

/// All instructions that were ever made, removed ones among them: a fraction of the time that the layout takes. A
/// removed branch may share its lists of arguments with another one, so no pass may make one of these longer or
/// shorter in place before the last that looks at instructions so.
pub(crate) fn instructions(func: &Function) -> impl Iterator<Item = Inst> + use<> {
    (0..func.dfg.num_insts() as u32).map(Inst::from_u32)
}

/// Whether an instruction is not in the code any more.
pub(crate) fn is_removed(func: &Function, inst: Inst) -> bool {
    func.layout.inst_block(inst).is_none()
}

/// The operands of a value that `wanted` computes from two.
pub(crate) fn operands(func: &Function, value: Value, wanted: Opcode) -> Option<[Value; 2]> {
    match defining(func, value)? {
        InstructionData::Binary { opcode, args } if *opcode == wanted => Some(*args),
        _ => None,
    }
}

/// The block in which a value is defined, aliases resolved.
pub(crate) fn home(func: &Function, value: Value) -> Option<Block> {
    match func.dfg.value_def(func.dfg.resolve_aliases(value)) {
        ValueDef::Result(inst, _) => func.layout.inst_block(inst),
        ValueDef::Param(block, _) => Some(block),
        ValueDef::Union(..) => None,
    }
}

/// Has a value take the place of the result of an instruction, which is removed.
pub(crate) fn become_alias(func: &mut Function, inst: Inst, value: Value) {
    let result = func.dfg.first_result(inst);
    func.dfg.clear_results(inst);
    func.dfg.change_to_alias(result, value);
    func.layout.remove_inst(inst);
}

/// The number that a value of at most 64 bits is, if it is a constant, with its first bit as the
/// sign.
pub(crate) fn constant(func: &Function, value: Value) -> Option<i64> {
    let ty = func.dfg.value_type(value);
    match defining(func, value)? {
        InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => Some(signed(imm.bits(), ty)),
        InstructionData::Unary { opcode: Opcode::Uextend, arg } => {
            Some(unsigned(constant(func, *arg)?, func.dfg.value_type(*arg)).cast_signed())
        }
        _ => None,
    }
}

/// The same without a sign.
pub(crate) fn unsigned_constant(func: &Function, value: Value) -> Option<u64> {
    constant(func, value).map(|number| unsigned(number, func.dfg.value_type(value)))
}

/// A value and the constant that an instruction masks it with.
pub(crate) fn masked(func: &Function, inst: Inst) -> Option<(Value, u64)> {
    let InstructionData::Binary { opcode: Opcode::Band, args: [left, right] } =
        func.dfg.insts[inst]
    else {
        return None;
    };
    match (unsigned_constant(func, left), unsigned_constant(func, right)) {
        (_, Some(mask)) => Some((left, mask)),
        (Some(mask), _) => Some((right, mask)),
        _ => None,
    }
}

/// The number with the same low bits whose first bit is the sign.
pub(crate) fn signed(number: i64, ty: Type) -> i64 {
    let unused = 64u32.saturating_sub(ty.bits());
    number << unused >> unused
}

fn unsigned(number: i64, ty: Type) -> u64 {
    number.cast_unsigned() & most(ty)
}

/// The largest number of a type of at most 64 bits.
pub(crate) fn most(ty: Type) -> u64 {
    let bits = ty.bits();
    if ty.is_int() && bits < 64 { (1 << bits) - 1 } else { u64::MAX }
}

/// The value that another one is the zero extension of, or itself.
pub(crate) fn extended_from(func: &Function, value: Value) -> Value {
    let value = func.dfg.resolve_aliases(value);
    match defining(func, value) {
        Some(InstructionData::Unary { opcode: Opcode::Uextend, arg }) => {
            func.dfg.resolve_aliases(*arg)
        }
        _ => value,
    }
}

/// Whether a value is the outcome of a comparison of integers, zero-extended to 32 bits.
pub(crate) fn is_flag(func: &Function, value: Value) -> bool {
    let narrow = extended_from(func, value);
    narrow != func.dfg.resolve_aliases(value)
        && func.dfg.value_type(value) == types::I32
        && matches!(defining(func, narrow), Some(InstructionData::IntCompare { .. }))
}

/// The two summands of `value`, a sum modulo its width: a value and a constant.
fn summands(func: &Function, value: Value) -> Option<(Value, i64)> {
    let InstructionData::Binary { opcode, args: [left, right] } = *defining(func, value)? else {
        return None;
    };
    let (from, constant) = match (opcode, constant(func, left), constant(func, right)) {
        (Opcode::Iadd, _, Some(constant)) => (left, constant),
        (Opcode::Iadd, Some(constant), None) => (right, constant),
        (Opcode::Isub, _, Some(constant)) => (left, constant.wrapping_neg()),
        _ => return None,
    };
    Some((func.dfg.resolve_aliases(from), constant))
}

/// The values that `value` is a constant away from, `value` itself first, each with that constant, modulo the width.
fn sums(func: &Function, value: Value) -> impl Iterator<Item = (Value, i64)> {
    let first = Some((func.dfg.resolve_aliases(value), 0i64));
    std::iter::successors(first, move |(base, sum)| {
        let (next, constant) = summands(func, *base)?;
        Some((next, sum.wrapping_add(constant)))
    })
}

/// How much `value` is more than `from`, modulo its width, if that is a sum of at most `depth`
/// constants.
pub(crate) fn distance(func: &Function, value: Value, from: Value, depth: usize) -> Option<i64> {
    let mut near = sums(func, value).take(depth);
    near.find(|(base, _)| *base == from).map(|(_, sum)| sum)
}

/// The last one of [`bases`].
pub(crate) fn base_and_offset(func: &Function, value: Value, depth: usize) -> (Value, u64) {
    bases(func, value, depth).last().unwrap_or((value, 0))
}

/// The values that `value` is a constant away from, `value` itself first, each with that constant, without a sign and modulo the
/// width: up to `depth` constants are added up.
pub(crate) fn bases(
    func: &Function,
    value: Value,
    depth: usize,
) -> impl Iterator<Item = (Value, u64)> {
    let ty = func.dfg.value_type(value);
    sums(func, value).take(depth + 1).map(move |(base, sum)| (base, unsigned(sum, ty)))
}
