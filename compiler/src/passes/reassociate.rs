//! Reassociation of addresses, with 64 bits.
//!
//! An access to memory adds BASE and the zero extension of a 32-bit index. Where the index has an
//! [affine form](crate::analysis::scev) that does not wrap around, the parts of the form are added to
//! BASE instead, those that change least first: the code generator hoists parts that do not change out
//! of a loop, the constant goes into the instruction, and arrays that are walked together share the
//! rest. Induction variables that are needed become 64 bits wide.
//!
//! The form is in integers without limits, so it is the address only if its interval is within 32
//! bits. This keeps accesses inside the memory, so nothing else is ever rewritten.
//!
//! A processor that mispredicts the end of a loop counts on for as many rounds as it has room for.
//! An index of 32 bits wraps around there; a wide one goes on into the guard behind the memory,
//! if upwards, and into the instance's state and the host's pointers, if downwards. So an access is
//! rewritten only if it stays between the start of the memory and the end of the guard on
//! [any path](Path::Transient).
//!
//! P. Briggs and K. D. Cooper, "Effective Partial Redundancy Elimination", 1994, has the ranks by how
//! deep in loops a value changes; LLVM's `Reassociate`, `SeparateConstOffsetFromGEP` and `WidenIV`.

use crate::analysis::scev::{Affine, Atom, Induction, Path, ScalarEvolution, UNSIGNED};
use crate::analysis::value::{home, instructions, is_removed};
use crate::analysis::{Flow, Interval};
use cranelift_codegen::Context;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::immediates::Offset32;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{
    Block, BlockArg, Function, Inst, InstBuilder, InstructionData, Opcode, Value, ValueDef,
};
use std::collections::{BTreeMap, HashMap};
use wfaas_abi::layout::{GUARD, MEMORY_RESERVATION, PAGE};

/// The most that index and offset of an access may add up to, even where that is not certain yet:
/// behind it there is still room for the widest access in the guard.
const MOST: i64 = (MEMORY_RESERVATION + GUARD - PAGE) as i64;

/// An access to rewrite.
struct Access {
    inst: Inst,
    base: Value,
    index: Affine,
    offset: i32,
}

/// An induction variable to widen.
struct Wide {
    induction: Induction,
    /// Its place among the parameters of the header.
    place: usize,
    start: Affine,
    /// Values that rounds pass on, as they are written there and without aliases.
    nexts: Vec<(Value, Value)>,
    /// The predecessors of the header, and whether they are inside of the loop.
    edges: Vec<(Inst, bool)>,
    /// The 64-bit parameter.
    param: Value,
}

/// Rewrites addresses; whether there were any.
pub(super) fn run(context: &mut Context) -> bool {
    let Context { func, cfg, domtree, loop_analysis: loops, .. } = context;
    let mut scev = ScalarEvolution::new(Flow { func, cfg, domtree }, loops);
    let mut accesses = Vec::new();
    let mut wide = BTreeMap::new();
    for inst in instructions(func) {
        if let Some(mut access) = access(&mut scev, inst) {
            let level = |atom: &Atom| {
                home(func, atom.value()).map_or(0, |block| loops.loop_level(block).level())
            };
            // What an addressing mode can scale comes last.
            access.index.atoms.sort_by_key(|(atom, factor)| (level(atom), *factor != 1));
            need(&mut scev, &access.index, &mut wide);
            accesses.push(access);
        }
    }
    let has_accesses = !accesses.is_empty();
    widen(func, &mut wide);
    for Access { inst, base, index, offset } in accesses {
        let mut cursor = FuncCursor::new(func).at_inst(inst);
        cursor.use_srcloc(inst);
        let new = sum(&mut cursor, Some(base), &index, &wide).unwrap_or(base);
        match &mut func.dfg.insts[inst] {
            InstructionData::Load { arg: address, offset: old, .. }
            | InstructionData::Store { args: [_, address], offset: old, .. } => {
                (*address, *old) = (new, Offset32::new(offset));
            }
            _ => {}
        }
    }
    has_accesses
}

/// The access that an instruction is, if its address can be rewritten to advantage.
fn access(scev: &mut ScalarEvolution<'_>, inst: Inst) -> Option<Access> {
    let (address, offset) = match scev.flow.func.dfg.insts[inst] {
        InstructionData::Load { arg, offset, .. } => (arg, offset),
        InstructionData::Store { args: [_, address], offset, .. } => (address, offset),
        _ => return None,
    };
    if is_removed(scev.flow.func, inst) {
        return None;
    }
    let InstructionData::Binary { opcode: Opcode::Iadd, args: [left, right] } =
        *scev.defining(address)?
    else {
        return None;
    };
    let (base, index) = match (extended(scev, left), extended(scev, right)) {
        (None, Some(index)) => (left, index),
        (Some(index), None) => (right, index),
        _ => return None,
    };
    if is_unbounded(scev, index) {
        return None;
    }
    let index = scev.affine(index);
    if let ([(Atom::Unknown(_), 1)], 0) = (&index.atoms[..], index.constant) {
        return None;
    }
    // A remainder is one number, and would become two products.
    if scev.is_remainder(&index) {
        return None;
    }
    let offset = i64::from(i32::from(offset));
    let reach = Interval::up_to((MOST - offset).into());
    let stays = scev.interval(&index, Path::Architectural).within(UNSIGNED)
        && scev.interval(&index, Path::Transient).within(reach);
    if !stays {
        return None;
    }
    let offset = offset + index.constant;
    Some(Access { inst, base, index, offset: i32::try_from(offset).ok()? })
}

/// Whether an index is a number of which nothing can be known, or a sum or product with one: such a form has no
/// interval of use. Most have not, and this takes a fraction of the time to find that out.
fn is_unbounded(scev: &ScalarEvolution<'_>, index: Value) -> bool {
    let func = scev.flow.func;
    let is_unknown = |value: Value| match func.dfg.value_def(value) {
        ValueDef::Result(inst, _) => {
            use Opcode::{Call, CallIndirect, Load};
            matches!(func.dfg.insts[inst].opcode(), Load | Call | CallIndirect)
        }
        ValueDef::Param(block, _) => func.layout.entry_block() == Some(block),
        ValueDef::Union(..) => false,
    };
    match scev.defining(index) {
        Some(InstructionData::Binary { opcode, args }) => {
            use Opcode::{Iadd, Imul, Ishl, Isub};
            matches!(opcode, Iadd | Imul | Ishl | Isub) && args.iter().any(|arg| is_unknown(*arg))
        }
        _ => is_unknown(index),
    }
}

/// The 32-bit number that a value is the zero extension of.
fn extended(scev: &ScalarEvolution<'_>, value: Value) -> Option<Value> {
    match *scev.defining(value)? {
        InstructionData::Unary { opcode: Opcode::Uextend, arg }
            if scev.flow.func.dfg.value_type(arg) == I32 =>
        {
            Some(scev.resolved(arg))
        }
        _ => None,
    }
}

/// Adds the induction variables of a form, and those that they start from, to those that are widened.
fn need(scev: &mut ScalarEvolution<'_>, form: &Affine, wide: &mut BTreeMap<Value, Wide>) {
    let mut forms = vec![form.clone()];
    while let Some(form) = forms.pop() {
        for (atom, _) in form.atoms {
            let Atom::Induction(param) = atom else { continue };
            if wide.contains_key(&param) {
                continue;
            }
            let induction = scev.induction(param).expect("atoms of that kind are");
            let start = scev.affine(induction.start);
            forms.push(start.clone());
            let inside = |block: Block| scev.loops.is_in_loop(block, induction.inside);
            let ValueDef::Param(_, place) = scev.flow.func.dfg.value_def(param) else { continue };
            let incoming = scev.flow.incoming(induction.header, place);
            let nexts = incoming.filter(|incoming| inside(incoming.from));
            let nexts = nexts.filter_map(|incoming| incoming.value);
            let nexts = nexts.map(|next| (next, scev.resolved(next))).collect();
            let preds = scev.flow.cfg.pred_iter(induction.header);
            let edges = preds.map(|pred| (pred.inst, inside(pred.block))).collect();
            wide.insert(param, Wide { induction, place, start, nexts, edges, param });
        }
    }
}

/// Makes induction variables 64 bits wide.
fn widen(func: &mut Function, wide: &mut BTreeMap<Value, Wide>) {
    for (param, wide) in wide.iter_mut() {
        wide.param = func.dfg.replace_block_param(*param, I64);
        let mut cursor = FuncCursor::new(func).at_first_insertion_point(wide.induction.header);
        let narrow = cursor.ins().ireduce(I32, wide.param);
        func.dfg.change_to_alias(*param, narrow);
    }
    for this in wide.values() {
        let advance = |(written, next): &(Value, Value)| (*written, advance(func, this, *next));
        let nexts: HashMap<Value, Value> = this.nexts.iter().map(advance).collect();
        for (branch, inside) in &this.edges {
            let mut cursor = FuncCursor::new(func).at_inst(*branch);
            cursor.use_srcloc(*branch);
            let start = (!inside).then(|| sum_with_constant(&mut cursor, &this.start, wide));
            pass(func, *branch, (this.induction.header, this.place), |old| {
                start.unwrap_or_else(|| nexts[&old])
            });
        }
    }
}

/// The wide variable one step further, before the instruction that computes the narrow one, which
/// becomes its lower half.
fn advance(func: &mut Function, wide: &Wide, next: Value) -> Value {
    let inst = func.dfg.value_def(next).unwrap_inst();
    if let InstructionData::Unary { opcode: Opcode::Ireduce, arg } = func.dfg.insts[inst] {
        // Another edge passes it on as well.
        return arg;
    }
    let mut cursor = FuncCursor::new(func).at_inst(inst);
    cursor.use_srcloc(inst);
    let further = cursor.ins().iadd_imm_s(wide.param, wide.induction.step);
    func.dfg.insts[inst] = InstructionData::Unary { opcode: Opcode::Ireduce, arg: further };
    further
}

/// Changes the argument for the parameter at `place` in all edges from `branch` to `header`.
pub(super) fn pass(
    func: &mut Function,
    branch: Inst,
    (header, place): (Block, usize),
    new: impl Fn(Value) -> Value,
) {
    let dfg = &mut func.dfg;
    let lists = &mut dfg.value_lists;
    let calls =
        dfg.insts[branch].branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables);
    for call in calls {
        if call.block(lists) != header {
            continue;
        }
        let mut next = 0;
        call.update_args(lists, |arg| {
            next += 1;
            match arg.as_value() {
                Some(old) if next == place + 1 => BlockArg::Value(new(old)),
                _ => arg,
            }
        });
    }
}

/// The sum of a form's atoms, and of `base`, with 64 bits; None if there is nothing to add up.
fn sum(
    cursor: &mut FuncCursor<'_>,
    base: Option<Value>,
    form: &Affine,
    wide: &BTreeMap<Value, Wide>,
) -> Option<Value> {
    let mut sum = base;
    for (atom, factor) in &form.atoms {
        let value = match atom {
            Atom::Induction(param) => wide[param].param,
            Atom::Unknown(value) => cursor.ins().uextend(I64, *value),
        };
        let term = match factor {
            1 => value,
            factor if *factor > 0 && factor.count_ones() == 1 => {
                cursor.ins().ishl_imm_u(value, i64::from(factor.trailing_zeros()))
            }
            factor => cursor.ins().imul_imm_s(value, *factor),
        };
        sum = Some(match sum {
            Some(sum) => cursor.ins().iadd(sum, term),
            None => term,
        });
    }
    sum
}

/// The whole form with 64 bits.
fn sum_with_constant(
    cursor: &mut FuncCursor<'_>,
    form: &Affine,
    wide: &BTreeMap<Value, Wide>,
) -> Value {
    match sum(cursor, None, form, wide) {
        Some(sum) if form.constant == 0 => sum,
        Some(sum) => cursor.ins().iadd_imm_s(sum, form.constant),
        None => cursor.ins().iconst(I64, form.constant),
    }
}
