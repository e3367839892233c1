//! Byte swapping: one instruction for what reverses the bytes of a number.
//!
//! WebAssembly has no instruction for it, so compilers write it with shifts, rotations and masks, in ways that change from
//! release to release. GCC's pass of this name follows where each byte of a number comes from as well.
//!
//! The origin of a value's bytes is written as a number: its byte `i` has a bit for each byte of the source that is added
//! to byte `i` of the value without carry (exclusive or). The source's own number is [`SOURCE`]. Operations by whole bytes
//! are done to the number as they are done to the value. If a value's number is the reverse of [`SOURCE`], the value is
//! the reversed source, whatever operations made it. A value that is made of another one's bytes is no source of its own.

use crate::analysis::FxHashMap;
use crate::analysis::value::{become_alias, instructions, masked, most, unsigned_constant};
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{Function, Inst, InstBuilder, InstructionData, Opcode, Type, Value};

/// The number of a source: its byte `i` comes from byte `i`.
const SOURCE: u64 = 0x8040_2010_0804_0201;

/// Values, each with the source that it is made of and its number.
type Known = FxHashMap<Value, (Value, u64)>;

/// Replaces what reverses the bytes of a number.
pub(super) fn run(func: &mut Function) {
    if !instructions(func).any(|inst| picks_bytes(func, inst)) {
        return;
    }
    let mut known = Known::default();
    let mut next = func.layout.entry_block();
    while let Some(block) = next {
        next = func.layout.next_block(block);
        let mut next = func.layout.first_inst(block);
        while let Some(inst) = next {
            next = func.layout.next_inst(inst);
            let Some((source, bytes)) = number(func, inst, &known) else { continue };
            let result = func.dfg.first_result(inst);
            if bytes == reversed(func.dfg.value_type(result)) {
                replace(func, inst, source);
            } else {
                known.insert(result, (source, bytes));
            }
        }
    }
}

/// Whether an instruction rotates by bytes, or masks some that are not the lowest ones: bytes in the middle come to
/// their places by one or the other.
fn picks_bytes(func: &Function, inst: Inst) -> bool {
    let InstructionData::Binary { opcode, args: [_, right] } = func.dfg.insts[inst] else {
        return false;
    };
    match opcode {
        Opcode::Rotl | Opcode::Rotr => {
            unsigned_constant(func, right).is_some_and(|count| count % 8 == 0)
        }
        Opcode::Band => masked(func, inst).is_some_and(|(_, mask)| {
            is_of_bytes(mask) && !mask.wrapping_add(1).is_power_of_two() && mask != u64::MAX
        }),
        _ => false,
    }
}

fn is_of_bytes(mask: u64) -> bool {
    mask.to_le_bytes().iter().all(|byte| matches!(byte, 0 | 0xff))
}

/// The number of a source that is reversed.
fn reversed(ty: Type) -> u64 {
    (SOURCE & most(ty)).swap_bytes() >> (64 - ty.bits())
}

fn replace(func: &mut Function, inst: Inst, source: Value) {
    let mut cursor = FuncCursor::new(func).at_inst(inst);
    cursor.use_srcloc(inst);
    let swapped = cursor.ins().bswap(source);
    become_alias(func, inst, swapped);
}

/// The source and the number of an instruction's result, if it moves whole bytes of a source.
fn number(func: &Function, inst: Inst, known: &Known) -> Option<(Value, u64)> {
    let InstructionData::Binary { opcode, args: [left, right] } = func.dfg.insts[inst] else {
        return None;
    };
    let ty = func.dfg.value_type(left);
    if !matches!(ty, I32 | I64) {
        return None;
    }
    let of = |value: Value| {
        let value = func.dfg.resolve_aliases(value);
        known.get(&value).copied().unwrap_or((value, SOURCE & most(ty)))
    };
    match opcode {
        Opcode::Ishl | Opcode::Ushr | Opcode::Rotl | Opcode::Rotr => {
            let count = unsigned_constant(func, right)? % u64::from(ty.bits());
            let (source, number) = of(left);
            (count % 8 == 0).then(|| (source, moved(opcode, number, count as u32, ty)))
        }
        Opcode::Band => {
            let (value, mask) = masked(func, inst)?;
            let (source, number) = of(value);
            is_of_bytes(mask).then_some((source, number & mask))
        }
        Opcode::Bor | Opcode::Bxor | Opcode::Iadd => {
            let ((source, one), (other_source, other)) = (of(left), of(right));
            let mut both = one.to_le_bytes().into_iter().zip(other.to_le_bytes());
            let is_sum = opcode == Opcode::Bxor || both.all(|(a, b)| a == 0 || b == 0);
            (source == other_source && is_sum).then_some((source, one ^ other))
        }
        _ => None,
    }
}

/// The number of a value that is shifted or rotated by so many bits.
fn moved(opcode: Opcode, number: u64, count: u32, ty: Type) -> u64 {
    let narrow = number as u32; // all of it, if the type is
    match (opcode, ty == I32) {
        (Opcode::Ishl, _) => number << count & most(ty),
        (Opcode::Ushr, _) => number >> count,
        (Opcode::Rotl, true) => narrow.rotate_left(count).into(),
        (Opcode::Rotl, false) => number.rotate_left(count),
        (_, true) => narrow.rotate_right(count).into(),
        (_, false) => number.rotate_right(count),
    }
}
