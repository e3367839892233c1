//! Wide multiplication: one instruction for products of 128 bits.
//!
//! WebAssembly multiplies 64 by 64 bits to 64. Programs that need the other half multiply 32-bit
//! halves, in one of the ways that textbooks have (H. S. Warren, "Hacker's Delight", 2nd edition,
//! section 8-2), and compilers rearrange the sums. The machine has one instruction for it. The name
//! is that of GCC's pass `widening_mul`.
//!
//! The pass looks for a sum with these terms, in any order and among others, where `a` is
//! `a1 * 2^32 + a0`, `b` likewise, and `/` and `%` are by 2^32:
//!
//! ```text
//!  a1 b1 + t / + u /            t = x + (a0 b0) /           u = y + t %
//!  a1 b1 + x / + y / + m /      m = (a0 b0) / + x % + y %
//!  a1 b1 + (t / | c 2^32) + k   t = x + y               c = t < x           k = low < a0 b0
//! ```
//!
//! `x` and `y` are `a1 b0` and `a0 b1`, in either order. In the last line, which is how compiler-rt has
//! it today, `t` wraps around, `c` says whether it does, and `k` whether `a0 b0 + 2^32 t` does, which is the
//! `low` half. Nothing else in there can overflow, so the terms together are the high half of `a * b`,
//! whatever `a` and `b` are. The low half is found too, as a value that is the same modulo 2^64.

use crate::analysis::value::{
    become_alias, defining, definition, extended_from, instructions, operands, unsigned_constant,
};
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64, I128};
use cranelift_codegen::ir::{Function, Inst, InstBuilder, InstructionData, Opcode, Value};
use std::collections::HashMap;

/// How many terms of a sum are looked at, and how many sums one inside the other.
const MOST_TERMS: usize = 12;

/// Terms of the shortest such sum.
const FEWEST_TERMS: usize = 3;

/// How many ways to read the terms of sums are tried in a function.
const MOST_ATTEMPTS: usize = 1 << 16;

/// A half of a 64-bit number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    High(Value),
    Low(Value),
    /// Either half of a constant.
    Constant(u32),
}

/// A factor that halves were taken of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Factor {
    Number(Value),
    Constant(u64),
}

/// Halves of products as they have been made, by the factors.
type Halves = HashMap<[Factor; 2], (Inst, Opcode)>;

/// A product of two halves.
type Product = [Half; 2];

/// A half of a product in a sum, and the other terms.
struct Found {
    factors: [Factor; 2],
    rest: Vec<Value>,
}

/// Replaces sums of products of halves; whether there were any.
pub(super) fn run(func: &mut Function) -> bool {
    if !instructions(func).any(|inst| product_of(func, inst).is_some()) {
        return false;
    }
    let blocks = func.layout.blocks();
    let insts: Vec<Inst> = blocks.flat_map(|block| func.layout.block_insts(block)).collect();
    let mut halves = Halves::new();
    let (mut attempts, mut has_replaced) = (MOST_ATTEMPTS, false);
    for inst in insts {
        if let Some(found) = high(func, inst, &mut attempts) {
            replace(func, &mut halves, inst, Opcode::Umulhi, &found);
        } else if let Some(factors) = low(func, inst) {
            let found = Found { factors, rest: Vec::new() };
            replace(func, &mut halves, inst, Opcode::Imul, &found);
        } else {
            continue;
        }
        has_replaced = true;
    }
    has_replaced
}

/// Replaces the result of an instruction by a half of a product, plus the rest.
fn replace(func: &mut Function, halves: &mut Halves, inst: Inst, half: Opcode, found: &Found) {
    let mut factors = found.factors;
    factors.sort();
    let block = func.layout.inst_block(inst);
    let is_other =
        |(other, of): &(Inst, Opcode)| *of != half && func.layout.inst_block(*other) == block;
    let product = match halves.remove(&factors).filter(is_other) {
        Some((other, _)) => both(func, other, half, factors),
        None => {
            let mut cursor = FuncCursor::new(func).at_inst(inst);
            cursor.use_srcloc(inst);
            let [a, b] = factors.map(|factor| number(&mut cursor, factor));
            let product = match half {
                Opcode::Umulhi => cursor.ins().umulhi(a, b),
                _ => cursor.ins().imul(a, b),
            };
            halves.insert(factors, (cursor.func.dfg.value_def(product).unwrap_inst(), half));
            product
        }
    };
    let mut cursor = FuncCursor::new(func).at_inst(inst);
    cursor.use_srcloc(inst);
    let sum = found.rest.iter().fold(product, |sum, term| cursor.ins().iadd(sum, *term));
    become_alias(func, inst, sum);
}

/// Replaces `other`, which is one half of a product, by an instruction that computes both, and
/// returns the wanted one.
fn both(func: &mut Function, other: Inst, wanted: Opcode, factors: [Factor; 2]) -> Value {
    let mut cursor = FuncCursor::new(func).at_inst(other);
    cursor.use_srcloc(other);
    let [a, b] = factors.map(|factor| {
        let number = number(&mut cursor, factor);
        cursor.ins().uextend(I128, number)
    });
    let product = cursor.ins().imul(a, b);
    let (low, high) = cursor.ins().isplit(product);
    let (wanted, other_half) = match wanted {
        Opcode::Umulhi => (high, low),
        _ => (low, high),
    };
    become_alias(func, other, other_half);
    wanted
}

fn number(cursor: &mut FuncCursor<'_>, factor: Factor) -> Value {
    match factor {
        Factor::Number(value) => value,
        Factor::Constant(constant) => cursor.ins().iconst(I64, constant.cast_signed()),
    }
}

/// The product whose high half the sum at `inst` contains, as far as there are attempts left.
fn high(func: &Function, inst: Inst, attempts: &mut usize) -> Option<Found> {
    if func.dfg.insts[inst].opcode() != Opcode::Iadd {
        return None;
    }
    let terms = terms(func, func.dfg.first_result(inst))?;
    let products = terms.iter().filter_map(|term| Some((*term, product(func, *term)?)));
    let tops: Vec<(Value, Product)> = products.collect();
    if tops.is_empty() || terms.len() < FEWEST_TERMS {
        return None;
    }
    let whole = |term: &Value| match half(func, *term)? {
        Half::High(value) => Some(value),
        _ => None,
    };
    let highs: Vec<(Value, Value)> =
        terms.iter().filter_map(|term| Some((*term, whole(term)?))).collect();
    let joined = terms.iter().filter(|term| operands(func, **term, Opcode::Bor).is_some());
    // Each may be a sum of as many terms.
    *attempts = attempts.checked_sub(joined.clone().count() * MOST_TERMS)?;
    let sums: Vec<(Value, [Product; 2])> =
        joined.filter_map(|term| Some((*term, upper_with_carry(func, *term)?))).collect();
    for (top, upper) in tops {
        *attempts = attempts.checked_sub(sums.len() * terms.len())?;
        if let Some((factors, [sum, carry])) = compared(func, upper, &sums, &terms) {
            let rest = without(&terms, &[Some(top), Some(sum), Some(carry)])?;
            return Some(Found { factors, rest });
        }
        for (first, t) in &highs {
            for (second, u) in highs.iter().filter(|(other, _)| other != first) {
                // Each looks for the third among the others.
                *attempts = attempts.checked_sub(highs.len())?;
                let Some((factors, third)) = carried(func, upper, *t, *u, &highs) else {
                    continue;
                };
                let used = [Some(top), Some(*first), Some(*second), third];
                return Some(Found { factors, rest: without(&terms, &used)? });
            }
        }
    }
    None
}

/// The factors if `t` and `u` are what the module's documentation calls so, or `x` and `y`; then
/// `m /` is the other result, which is among the `highs`, terms and what they are the upper half of.
fn carried(
    func: &Function,
    upper: Product,
    t: Value,
    u: Value,
    highs: &[(Value, Value)],
) -> Option<([Factor; 2], Option<Value>)> {
    if let (Some(x), Some(y)) = (product(func, t), product(func, u)) {
        return highs.iter().find_map(|(term, m)| {
            let halves = [Half::Low(t), Half::Low(u)];
            let lower = rest_of(func, *m, &halves)?;
            Some((factors(upper, lower, x, y)?, Some(*term)))
        });
    }
    let y = rest_of(func, u, &[Half::Low(t)]);
    let [one, other] = terms(func, t)?[..] else { return None };
    [(one, other), (other, one)].into_iter().find_map(|(x, carry)| {
        let Half::High(lower) = half(func, carry)? else { return None };
        let [x, lower] = [product(func, x)?, product(func, lower)?];
        Some((factors(upper, lower, x, y?)?, None))
    })
}

/// The factors of a product as the last line of the module's documentation has it, with its last two terms: one of the
/// `sums`, each a term with the products that it is the [upper half](upper_with_carry) of, and a carry among `terms`.
fn compared(
    func: &Function,
    upper: Product,
    sums: &[(Value, [Product; 2])],
    terms: &[Value],
) -> Option<([Factor; 2], [Value; 2])> {
    sums.iter().find_map(|(sum, [x, y])| {
        terms.iter().find_map(|carry| {
            let [low, lower] = wraps_around(func, *carry)?;
            let factors = factors(upper, product(func, lower)?, *x, *y)?;
            is_product(func, low, factors).then_some((factors, [*sum, *carry]))
        })
    })
}

/// The two products of halves whose sum of 65 bits a value is the upper half of.
fn upper_with_carry(func: &Function, value: Value) -> Option<[Product; 2]> {
    let [left, right] = operands(func, value, Opcode::Bor)?;
    [(left, right), (right, left)].into_iter().find_map(|(shifted, upper)| {
        let carry = operands(func, shifted, Opcode::Ishl).filter(|_| by_32(func, shifted))?[0];
        let Half::High(sum) = half(func, upper)? else { return None };
        let terms = terms(func, sum)?;
        let [of, term] = wraps_around(func, carry)?;
        let [x, y] = terms[..] else { return None };
        let fits = of == sum && terms.contains(&term);
        fits.then_some([product(func, x)?, product(func, y)?])
    })
}

/// A sum and one of its terms, if a value is whether the first is less than the second, zero-extended.
fn wraps_around(func: &Function, value: Value) -> Option<[Value; 2]> {
    let narrow = extended_from(func, extended_from(func, value));
    let InstructionData::IntCompare { cond, args, .. } = *defining(func, narrow)? else {
        return None;
    };
    let [left, right] = args.map(|arg| func.dfg.resolve_aliases(arg));
    match cond {
        IntCC::UnsignedLessThan => Some([left, right]),
        IntCC::UnsignedGreaterThan => Some([right, left]),
        _ => None,
    }
}

/// Whether a value is the low half of the product of these, as it is once it was found.
fn is_product(func: &Function, value: Value, factors: [Factor; 2]) -> bool {
    let Some(args) = operands(func, value, Opcode::Imul) else { return false };
    let [left, right] = args.map(|arg| match unsigned_constant(func, arg) {
        Some(constant) => Factor::Constant(constant),
        None => Factor::Number(func.dfg.resolve_aliases(arg)),
    });
    factors == [left, right] || factors == [right, left]
}

/// The product that `sum` is, besides these halves; or that the one other term is the upper half
/// of, if there are two.
fn rest_of(func: &Function, sum: Value, halves: &[Half]) -> Option<Product> {
    let mut terms = terms(func, sum)?;
    for wanted in halves {
        let place = terms.iter().position(|term| half(func, *term) == Some(*wanted))?;
        terms.remove(place);
    }
    let [last] = terms[..] else { return None };
    match (halves.len(), half(func, last)) {
        (1, _) => product(func, last),
        (_, Some(Half::High(lower))) => product(func, lower),
        _ => None,
    }
}

/// The product whose low half `inst` computes: modulo 2^64, it is `(a0 b0) % + 2^32 s`, where `s` is
/// `x + y + (a0 b0) /`, or `a0 b0 + 2^32 (x + y)`.
fn low(func: &Function, inst: Inst) -> Option<[Factor; 2]> {
    let InstructionData::Binary { opcode, args: [left, right] } = func.dfg.insts[inst] else {
        return None;
    };
    if !matches!(opcode, Opcode::Iadd | Opcode::Bor | Opcode::Bxor) {
        return None;
    }
    [(left, right), (right, left)].into_iter().find_map(|(shifted, plain)| {
        let upper = operands(func, shifted, Opcode::Ishl).filter(|_| by_32(func, shifted))?[0];
        let (lower, carry) = match half(func, plain) {
            Some(Half::Low(lower)) => (lower, Some(Half::High(func.dfg.resolve_aliases(lower)))),
            // Only a sum carries over from there.
            _ if opcode == Opcode::Iadd => (plain, None),
            _ => return None,
        };
        let mut sum = Vec::new();
        add_terms(func, upper, &mut sum, true, MOST_TERMS)?;
        if carry.is_some() {
            let place = sum.iter().position(|term| half(func, *term) == carry)?;
            sum.remove(place);
        }
        let [x, y] = sum[..] else { return None };
        let [x, y, lower] = [x, y, lower].map(|value| product(func, value));
        let (x, y, lower) = (x?, y?, lower?);
        // `a1 b1` does not matter here, so it may be that of any factors that the others fit.
        let uppers = [[x[0], y[0]], [x[0], y[1]], [x[1], y[0]], [x[1], y[1]]];
        uppers.into_iter().find_map(|upper| factors(upper, lower, x, y))
    })
}

/// The factors of these products of halves: `a1 b1`, `a0 b0`, and the two of different halves.
fn factors(upper: Product, lower: Product, x: Product, y: Product) -> Option<[Factor; 2]> {
    let [a1, b1] = upper;
    let orders = [[lower[0], lower[1]], [lower[1], lower[0]]];
    orders.into_iter().find_map(|[a0, b0]| {
        let same = |one: Product, other: [Half; 2]| one == other || one == [other[1], other[0]];
        let (across, back) = ([a1, b0], [a0, b1]);
        let fits = same(x, across) && same(y, back) || same(x, back) && same(y, across);
        fits.then_some([joined(a1, a0)?, joined(b1, b0)?])
    })
}

/// The number of these two halves.
fn joined(high: Half, low: Half) -> Option<Factor> {
    match (high, low) {
        (Half::High(high), Half::Low(low)) if high == low => Some(Factor::Number(high)),
        (Half::Constant(high), Half::Constant(low)) => {
            Some(Factor::Constant(u64::from(high) << 32 | u64::from(low)))
        }
        _ => None,
    }
}

/// The product of two halves that a value is.
fn product(func: &Function, value: Value) -> Option<Product> {
    product_of(func, definition(func, value)?.0)
}

fn product_of(func: &Function, inst: Inst) -> Option<Product> {
    match func.dfg.insts[inst] {
        InstructionData::Binary { opcode: Opcode::Imul, args: [left, right] } => {
            Some([half(func, left)?, half(func, right)?])
        }
        _ => None,
    }
}

/// The half that a value is, zero-extended.
fn half(func: &Function, value: Value) -> Option<Half> {
    let resolved = |value: Value| func.dfg.resolve_aliases(value);
    if func.dfg.value_type(value) != I64 {
        return None;
    }
    if let Some(constant) = unsigned_constant(func, value) {
        return u32::try_from(constant).ok().map(Half::Constant);
    }
    match *defining(func, value)? {
        InstructionData::Binary { opcode: Opcode::Ushr, args: [of, _] } if by_32(func, value) => {
            Some(Half::High(resolved(of)))
        }
        InstructionData::Binary { opcode: Opcode::Band, args: [left, right] } => {
            let all = Some(u64::from(u32::MAX));
            match (unsigned_constant(func, left), unsigned_constant(func, right)) {
                (_, mask) if mask == all => Some(Half::Low(resolved(left))),
                (mask, _) if mask == all => Some(Half::Low(resolved(right))),
                _ => None,
            }
        }
        InstructionData::Unary { opcode: Opcode::Uextend, arg } => match *defining(func, arg)? {
            InstructionData::Unary { opcode: Opcode::Ireduce, arg: of }
                if func.dfg.value_type(arg) == I32 && func.dfg.value_type(of) == I64 =>
            {
                Some(Half::Low(resolved(of)))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Whether a value is shifted by 32 bits.
fn by_32(func: &Function, shift: Value) -> bool {
    match defining(func, shift) {
        Some(InstructionData::Binary { args: [of, count], .. }) => {
            func.dfg.value_type(*of) == I64 && unsigned_constant(func, *count) == Some(32)
        }
        _ => false,
    }
}

/// The terms of a sum; none if there are too many.
fn terms(func: &Function, sum: Value) -> Option<Vec<Value>> {
    let mut terms = Vec::new();
    add_terms(func, sum, &mut terms, false, MOST_TERMS)?;
    Some(terms)
}

/// Adds the terms of a sum to `terms`; if its upper half does not matter, those of which something
/// is the lower half instead of that. None if there are too many, or too far down.
fn add_terms(
    func: &Function,
    sum: Value,
    terms: &mut Vec<Value>,
    modulo: bool,
    depth: usize,
) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    if let Some([left, right]) = operands(func, sum, Opcode::Iadd) {
        add_terms(func, left, terms, modulo, depth)?;
        return add_terms(func, right, terms, modulo, depth);
    }
    match half(func, sum).filter(|_| modulo) {
        Some(Half::Low(of)) => return add_terms(func, of, terms, modulo, depth),
        _ => terms.push(func.dfg.resolve_aliases(sum)),
    }
    (terms.len() <= MOST_TERMS).then_some(())
}

/// The terms but these.
fn without(terms: &[Value], used: &[Option<Value>]) -> Option<Vec<Value>> {
    let mut rest = terms.to_vec();
    for used in used.iter().flatten() {
        rest.remove(rest.iter().position(|term| term == used)?);
    }
    Some(rest)
}
