//! What the branches on the way to a block say about numbers.
//!
//! A compiler that unrolls or vectorises a loop lets it count to `n & -4`, behind a branch that
//! goes elsewhere if `n` is less than 4. So a number's range is narrowed by what it has been compared
//! with, and by the ranges of what it is computed from, each narrowed likewise.

use super::{Atom, Linear, Numbers, Path, Range, UNSIGNED};
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{Block, InstructionData, Opcode, Value, types};

/// All 32-bit numbers, if the first bit is a sign.
pub(super) const SIGNED: Range = Range { least: i32::MIN as i64, most: i32::MAX as i64 };

/// How far up the dominator tree conditions are looked for.
pub(super) const HIGHEST: usize = 24;

/// How many operations are looked through from a number to what it is computed from.
const DEEPEST: usize = 5;

/// A condition that holds: the comparison of two 32-bit numbers.
#[derive(Clone, Copy)]
pub(super) struct Condition {
    pub(super) code: IntCC,
    pub(super) left: Value,
    /// None is zero.
    pub(super) right: Option<Value>,
}

/// An atom whose low bits are cleared, as many as that: `n & -4`, which may also be written with a
/// mask that lacks bits that `n` does not have.
type Rounded = (Atom, u32);

/// What is known at a block.
pub(super) struct Guards(Vec<Guard>);

/// `of` plus a constant, compared with another one.
struct Guard {
    of: Rounded,
    plus: i64,
    code: IntCC,
    limit: i64,
}

impl Guards {
    /// What the branches say that lead to `block`, the first of them first.
    pub(super) fn at(numbers: &mut Numbers<'_>, block: Block) -> Guards {
        let (mut guards, mut below) = (Vec::new(), block);
        for _ in 0..HIGHEST {
            let Some(above) = numbers.domtree.idom(below).filter(|_| numbers.spend()) else {
                break;
            };
            // Only an edge that is the only way to `below` says something.
            let mut preds = numbers.cfg.pred_iter(below);
            let only = preds.next().is_some() && preds.next().is_none();
            if let Some(condition) = leading(numbers, above, |to| to == below).filter(|_| only) {
                guards.extend(guard(numbers, condition));
            }
            below = above;
        }
        guards.reverse();
        Guards(guards)
    }

    /// What a form can be there.
    pub(super) fn range(&self, numbers: &mut Numbers<'_>, form: &Linear) -> Range {
        self.sum(numbers, form, DEEPEST)
    }

    fn sum(&self, numbers: &mut Numbers<'_>, form: &Linear, depth: usize) -> Range {
        let constant = Range { least: form.constant, most: form.constant };
        form.atoms.iter().fold(constant, |sum, (atom, factor)| {
            sum.plus(self.narrowed(numbers, *atom, depth).times(*factor))
        })
    }

    fn narrowed(&self, numbers: &mut Numbers<'_>, atom: Atom, depth: usize) -> Range {
        let alone = Linear { constant: 0, atoms: vec![(atom, 1)] };
        let mut range = numbers.range(&alone, Path::Right);
        // Only multiples of that are possible.
        let mut grain = 1;
        if let Atom::Number(value) = atom
            && numbers.spend()
        {
            range = range.and(self.computed(numbers, value, depth).unwrap_or(range));
            grain = 1 << numbers.trailing_zeros(value);
        }
        let (of, ahead) = rounded(numbers, atom);
        let about = self.0.iter().filter(|guard| guard.of == of);
        let Range { least, most } = about.fold(range, |range, guard| guard.narrow(range, ahead));
        range.and(Range { least: (least + grain - 1) & -grain, most: most & -grain })
    }

    /// What the zero extension of a number can be, by what it is computed from.
    fn computed(&self, numbers: &mut Numbers<'_>, value: Value, depth: usize) -> Option<Range> {
        let depth = depth.checked_sub(1)?;
        let InstructionData::Binary { opcode, args: [left, right] } = *numbers.definition(value)?.1
        else {
            return None;
        };
        let form = |numbers: &mut Numbers<'_>, of| {
            let form = numbers.linear(of);
            Some(self.sum(numbers, &form, depth)).filter(|range| range.within(UNSIGNED))
        };
        let each = |range: Range, change: &dyn Fn(i64) -> i64| Range {
            least: change(range.least),
            most: change(range.most),
        };
        match opcode {
            Opcode::Ushr => {
                let count = numbers.constant(right)? & 31;
                Some(each(form(numbers, left)?, &|number| number >> count))
            }
            Opcode::Band => {
                let (mask, of) = mask(numbers, left, right)?;
                let range = form(numbers, of)?;
                cleared(mask, range.most).map(|_| each(range, &|number| number & mask))
            }
            _ => None,
        }
    }
}

/// A constant operand as a mask, and the other one.
fn mask(numbers: &Numbers<'_>, left: Value, right: Value) -> Option<(i64, Value)> {
    let (mask, of) = match (numbers.constant(left), numbers.constant(right)) {
        (_, Some(mask)) => (mask, left),
        (Some(mask), None) => (mask, right),
        (None, None) => return None,
    };
    Some((mask & UNSIGNED.most, of))
}

/// How many bits a mask clears of numbers up to `most`, if these are the lowest ones, so that
/// larger numbers give larger ones.
fn cleared(mask: i64, most: i64) -> Option<u32> {
    let filled = mask | (mask - 1);
    let is_lowest = mask != 0 && (filled + 1).count_ones() == 1 && most <= filled;
    is_lowest.then(|| mask.trailing_zeros())
}

/// The atom that something is known of if it is known of this one, and how far this one is ahead.
fn rounded(numbers: &mut Numbers<'_>, atom: Atom) -> (Rounded, i64) {
    match atom {
        Atom::Number(value) => (with_low_bits(numbers, value).unwrap_or((atom, 0)), 0),
        Atom::Counter(param) => {
            let (first, ahead) = first_counter(numbers, param).unwrap_or((param, 0));
            ((Atom::Counter(first), 0), ahead)
        }
    }
}

/// The atom that a number is with low bits cleared, if it is.
fn with_low_bits(numbers: &mut Numbers<'_>, value: Value) -> Option<Rounded> {
    let InstructionData::Binary { opcode: Opcode::Band, args: [left, right] } =
        *numbers.definition(value)?.1
    else {
        return None;
    };
    let (mask, of) = mask(numbers, left, right)?;
    let form = numbers.linear(of);
    let range = Some(numbers.range(&form, Path::Right)).filter(|range| range.within(UNSIGNED))?;
    match (&form.atoms[..], form.constant) {
        ([(atom, 1)], 0) => Some((*atom, cleared(mask, range.most)?)),
        _ => None,
    }
}

/// The first counter of the same loop that goes along with this one, and how far this one is ahead.
fn first_counter(numbers: &mut Numbers<'_>, param: Value) -> Option<(Value, i64)> {
    let counter = numbers.counter(param)?;
    let start = numbers.linear(counter.start);
    let params = numbers.func.dfg.block_params(counter.header);
    params.iter().find_map(|first| {
        if *first == param || !numbers.spend() {
            return Some((param, 0));
        }
        let other = numbers.counter(*first).filter(|other| other.step == counter.step)?;
        let way = start.clone().plus(&numbers.linear(other.start), -1);
        way.atoms.is_empty().then_some((*first, way.constant))
    })
}

impl Guard {
    /// What is left of the range of an atom that is so far ahead of the one of which this is known.
    fn narrow(&self, range: Range, ahead: i64) -> Range {
        let window = match self.code {
            IntCC::SignedLessThan
            | IntCC::SignedGreaterThan
            | IntCC::SignedLessThanOrEqual
            | IntCC::SignedGreaterThanOrEqual => SIGNED,
            _ => UNSIGNED,
        };
        let plus = self.plus - ahead;
        let compared = range.plus(Range { least: plus, most: plus });
        // Otherwise the form and the number may differ.
        if !compared.within(window) || self.limit < 0 {
            return range;
        }
        let Range { mut least, mut most } = compared;
        let limit = self.limit;
        match self.code {
            IntCC::Equal => (least, most) = (least.max(limit), most.min(limit)),
            IntCC::NotEqual if limit == least => least += 1,
            IntCC::NotEqual if limit == most => most -= 1,
            IntCC::UnsignedLessThan | IntCC::SignedLessThan => most = most.min(limit - 1),
            IntCC::UnsignedLessThanOrEqual | IntCC::SignedLessThanOrEqual => most = most.min(limit),
            IntCC::UnsignedGreaterThan | IntCC::SignedGreaterThan => least = least.max(limit + 1),
            IntCC::UnsignedGreaterThanOrEqual | IntCC::SignedGreaterThanOrEqual => {
                least = least.max(limit);
            }
            _ => {}
        }
        // A contradiction: control does not get there.
        if least > most { range } else { Range { least: least - plus, most: most - plus } }
    }
}

/// The condition as one about an atom, if it is.
fn guard(numbers: &mut Numbers<'_>, condition: Condition) -> Option<Guard> {
    let Condition { code, left, right } = condition;
    let (code, left, limit) = match right.map(|right| (numbers.constant(right), right)) {
        None => (code, left, 0),
        Some((Some(limit), _)) => (code, left, limit),
        Some((None, right)) => (code.swap_args(), right, numbers.constant(left)?),
    };
    let form = numbers.linear(left);
    let [(atom, 1)] = form.atoms[..] else { return None };
    let (of, ahead) = rounded(numbers, atom);
    Some(Guard { of, plus: form.constant + ahead, code, limit })
}

/// The condition on which the branch at the end of `block` goes to a block that is wanted, if it may
/// go to another one.
pub(super) fn leading(
    numbers: &Numbers<'_>,
    block: Block,
    wanted: impl Fn(Block) -> bool,
) -> Option<Condition> {
    let last = numbers.func.layout.last_inst(block)?;
    let InstructionData::Brif { arg, blocks, .. } = &numbers.func.dfg.insts[last] else {
        return None;
    };
    match blocks.map(|call| wanted(call.block(&numbers.func.dfg.value_lists))) {
        [true, false] => condition(numbers, *arg, true),
        [false, true] => condition(numbers, *arg, false),
        _ => None,
    }
}

/// The comparison that holds if `value` is not zero, or if it is.
fn condition(numbers: &Numbers<'_>, value: Value, holds: bool) -> Option<Condition> {
    let (mut value, mut holds) = (numbers.resolved(value), holds);
    for _ in 0..8 {
        match numbers.definition(value) {
            Some((_, InstructionData::Unary { opcode: Opcode::Uextend, arg })) => {
                value = numbers.resolved(*arg);
            }
            Some((_, InstructionData::IntCompare { cond, args: [left, right], .. })) => {
                if numbers.func.dfg.value_type(*left) != types::I32 {
                    return None;
                }
                let tests_flag = is_flag(numbers, *left) && numbers.constant(*right) == Some(0);
                match cond {
                    IntCC::Equal if tests_flag => holds = !holds,
                    IntCC::NotEqual if tests_flag => {}
                    _ => {
                        let code = if holds { *cond } else { cond.complement() };
                        return Some(Condition { code, left: *left, right: Some(*right) });
                    }
                }
                value = numbers.resolved(*left);
            }
            _ => break,
        }
    }
    let code = if holds { IntCC::NotEqual } else { IntCC::Equal };
    let is_number = numbers.func.dfg.value_type(value) == types::I32;
    is_number.then_some(Condition { code, left: value, right: None })
}

/// Whether a 32-bit number is the outcome of a comparison.
fn is_flag(numbers: &Numbers<'_>, value: Value) -> bool {
    let Some((_, InstructionData::Unary { opcode: Opcode::Uextend, arg })) =
        numbers.definition(value)
    else {
        return false;
    };
    matches!(numbers.definition(*arg), Some((_, InstructionData::IntCompare { .. })))
}
