//! Linear-function test replacement: compares a loop's induction variable after the step.
//!
//! The code generator rewrites `i + 1 == n` to `i == n - 1` if n is constant. At the end of a loop
//! that keeps the old `i` alive beside the new one: they need two registers, a move and a second jump
//! for each round. Where addresses are counted with 64 bits, it adds to both the variable and its
//! lower half, which is all that is compared. This turns such comparisons to the variable that is
//! passed on.
//!
//! F. E. Allen, J. Cocke and K. Kennedy, "Reduction of Operator Strength", 1981; LLVM has it in
//! `IndVarSimplify` (`linearFunctionTestReplace`).

use crate::analysis::value::{constant, defining, operands, signed};
use cranelift_codegen::Context;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::immediates::Imm64;
use cranelift_codegen::ir::{
    Block, Function, Inst, InstBuilder, InstructionData, Opcode, Type, Value,
};

/// A comparison at the end of a block, for equality, as it can become.
struct Comparison {
    branch: Inst,
    condition: IntCC,
    counted: Value,
    /// The type that is compared: the counter's, or its lower half's.
    ty: Type,
    limit: i64,
}

pub(super) fn run(context: &mut Context) {
    let Context { func, loop_analysis: loops, .. } = context;
    let blocks = func.layout.blocks().filter(|block| loops.innermost_loop(*block).is_some());
    let comparisons: Vec<Comparison> = blocks.filter_map(|block| comparison(func, block)).collect();
    for Comparison { branch, condition, counted, ty, limit } in comparisons {
        let is_half = func.dfg.value_type(counted) != ty;
        let mut cursor = FuncCursor::new(func).at_inst(branch);
        cursor.use_srcloc(branch);
        let limit = Imm64::new(limit).zero_extend_from_width(ty.bits());
        let limit = cursor.ins().iconst(ty, limit);
        let counted = if is_half { cursor.ins().ireduce(ty, counted) } else { counted };
        let flag = cursor.ins().icmp(condition, counted, limit);
        cursor.func.dfg.inst_args_mut(branch)[0] = flag;
    }
}

/// The comparison that `block` ends with, if it is of a counter before it was counted on and the
/// block passes on the counter afterwards. There must be no aliases, as behind the code generator's passes.
fn comparison(func: &Function, block: Block) -> Option<Comparison> {
    let dfg = &func.dfg;
    let branch = func.layout.last_inst(block)?;
    let InstructionData::Brif { arg, blocks, .. } = &dfg.insts[branch] else { return None };
    let (cond, left, right) = match defining(func, *arg) {
        Some(InstructionData::IntCompare { cond, args: [left, right], .. }) => {
            (*cond, *left, Some(*right))
        }
        // The number itself, which says that it is not zero.
        _ => (IntCC::NotEqual, *arg, None),
    };
    let ty = dfg.value_type(left);
    let carries = right.is_some_and(|right| step(func, left, right) == Some(1));
    let limit = right.map_or(Some(0), |right| constant(func, right));
    let right = right.map(|right| whole(func, right));
    let (base, ahead) = ahead(func, left);
    let passed = blocks.iter().flat_map(|call| call.args(&dfg.value_lists));
    passed.filter_map(|passed| passed.as_value()).find_map(|counted| {
        let (condition, limit) = match cond {
            IntCC::Equal | IntCC::NotEqual if counted != left => {
                let further = step(func, counted, base)?.wrapping_sub(ahead);
                (cond, signed(limit?.wrapping_add(further), ty))
            }
            // `i + 1 < i`, unsigned, is a way to say that it has become zero.
            _ if !carries || step(func, counted, right?) != Some(1) => return None,
            IntCC::UnsignedLessThan => (IntCC::Equal, 0),
            IntCC::UnsignedGreaterThanOrEqual => (IntCC::NotEqual, 0),
            _ => return None,
        };
        // Larger ones need a register of their own.
        i32::try_from(limit).ok()?;
        Some(Comparison { branch, condition, counted, ty, limit })
    })
}

/// The value that a number is ahead of, and by which constant; half of a wider one counts as that.
fn ahead(func: &Function, value: Value) -> (Value, i64) {
    if let Some([left, right]) = operands(func, value, Opcode::Iadd)
        && let Some(constant) = constant(func, right)
    {
        return (whole(func, left), constant);
    }
    (whole(func, value), 0)
}

/// The value that another one is the lower half of, or itself.
fn whole(func: &Function, value: Value) -> Value {
    match defining(func, value) {
        Some(InstructionData::Unary { opcode: Opcode::Ireduce, arg }) => *arg,
        _ => value,
    }
}

/// How much `counted` is larger than `old`, if it is that plus a constant.
fn step(func: &Function, counted: Value, old: Value) -> Option<i64> {
    let [left, right] = operands(func, counted, Opcode::Iadd)?;
    match (left == old, right == old) {
        (true, false) => constant(func, right),
        (false, true) => constant(func, left),
        _ => None,
    }
}
