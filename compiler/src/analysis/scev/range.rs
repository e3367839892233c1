//! The ranges that numbers are in.

use super::{Atom, DEEPEST, FAR, Linear, Numbers, Range, UNSIGNED};
use cranelift_codegen::ir::{InstructionData, Opcode, Value, ValueDef, types};

/// Where a counter may be if nobody knows.
const ANYWHERE: Range = Range { least: -FAR, most: FAR };

/// How many rounds of a loop a processor runs ahead at most. Each takes an entry at least, a comparison
/// and its jump being one, and the largest processors have about 600 for what is not certain (576 in
/// Intel's Lion Cove, 448 in AMD's Zen 5).
const AHEAD: i64 = 1024;

/// Where a range holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Path {
    /// Where the program gets.
    Right,
    /// Wherever the processor gets ahead of its branches: what counts there is how values are
    /// computed, not what has been compared.
    Any,
}

impl Numbers<'_> {
    /// What a form can be.
    pub(crate) fn range(&mut self, form: &Linear, path: Path) -> Range {
        let constant = Range { least: form.constant, most: form.constant };
        form.atoms.iter().fold(constant, |sum, (atom, factor)| {
            sum.plus(self.range_of(*atom, path).times(*factor))
        })
    }

    pub(super) fn range_of(&mut self, atom: Atom, path: Path) -> Range {
        if let Some(known) = self.ranges.get(&(atom, path)) {
            return *known;
        }
        let deepest = self.depth >= DEEPEST;
        self.depth += 1;
        let range = match atom {
            Atom::Number(_) if deepest => UNSIGNED,
            Atom::Counter(_) if deepest => ANYWHERE,
            Atom::Number(value) => self.number(value, path),
            Atom::Counter(param) => self.counted(param, path).unwrap_or(ANYWHERE),
        };
        self.depth -= 1;
        if !deepest {
            self.ranges.insert((atom, path), range);
        }
        range
    }

    /// What a counter can be: its start, and as many steps as there are rounds but the first. A
    /// processor that runs ahead may have done so from where the program gets, or from a start that
    /// is wrong itself.
    fn counted(&mut self, param: Value, path: Path) -> Option<Range> {
        let counter = self.counter(param)?;
        let start = self.linear(counter.start);
        let further = |range: Range, rounds: i64| {
            let way = rounds.checked_mul(counter.step)?;
            Some(range.plus(Range { least: way.min(0), most: way.max(0) }))
        };
        let rounds = self.rounds(counter.inside)? - 1;
        let right = further(self.range(&start, Path::Right), rounds)?;
        match path {
            Path::Right => Some(right),
            Path::Any => further(right.or(self.range(&start, Path::Any)), AHEAD),
        }
    }

    /// What the zero extension of a number can be, from the instruction that makes it.
    fn number(&mut self, value: Value, path: Path) -> Range {
        let Some((_, definition)) = self.definition(value) else { return self.passed(value, path) };
        let up_to = |most: i64| Range { least: 0, most };
        match *definition {
            InstructionData::Load { opcode: Opcode::Uload8, .. } => up_to(0xff),
            InstructionData::Load { opcode: Opcode::Uload16, .. } => up_to(0xffff),
            InstructionData::Unary { opcode: Opcode::Uextend, arg } => {
                match self.func.dfg.value_type(arg) {
                    // A comparison's outcome.
                    types::I8 => up_to(if self.is_flag(arg) { 1 } else { 0xff }),
                    types::I16 => up_to(0xffff),
                    _ => UNSIGNED,
                }
            }
            InstructionData::Unary {
                opcode: Opcode::Clz | Opcode::Ctz | Opcode::Popcnt, ..
            } => up_to(32),
            InstructionData::Binary { opcode, args: [left, right] } => {
                self.binary(opcode, left, right, path).unwrap_or(UNSIGNED)
            }
            InstructionData::Ternary { opcode: Opcode::Select, args: [_, left, right] } => {
                self.either(&[left, right], path)
            }
            _ => UNSIGNED,
        }
    }

    fn is_flag(&self, value: Value) -> bool {
        let definition = self.definition(value);
        matches!(
            definition,
            Some((_, InstructionData::IntCompare { .. } | InstructionData::FloatCompare { .. }))
        )
    }

    fn binary(&mut self, opcode: Opcode, left: Value, right: Value, path: Path) -> Option<Range> {
        let constant = self.constant(right).or_else(|| match opcode {
            Opcode::Band => self.constant(left),
            _ => None,
        })?;
        let unsigned = constant & i64::from(u32::MAX);
        let most = match opcode {
            // One may be negative, of which nothing is known but what the other says.
            Opcode::Band => unsigned.min(self.unsigned(left, path).most),
            Opcode::Urem => unsigned - 1,
            Opcode::Udiv => self.unsigned(left, path).most.checked_div(unsigned)?,
            Opcode::Ushr => self.unsigned(left, path).most >> (unsigned & 31),
            _ => return None,
        };
        (most >= 0).then_some(Range { least: 0, most })
    }

    /// What the zero extension of a value can be.
    fn unsigned(&mut self, value: Value, path: Path) -> Range {
        let form = self.linear(value);
        Some(self.range(&form, path)).filter(|range| range.within(UNSIGNED)).unwrap_or(UNSIGNED)
    }

    /// What the zero extension of one of these can be.
    fn either(&mut self, values: &[Value], path: Path) -> Range {
        let ranges = values.iter().map(|value| self.unsigned(*value, path));
        ranges.reduce(Range::or).unwrap_or(UNSIGNED)
    }

    /// What the zero extension of a block's parameter can be, unless a loop passes it on.
    fn passed(&mut self, param: Value, path: Path) -> Range {
        let ValueDef::Param(block, index) = self.func.dfg.value_def(param) else { return UNSIGNED };
        if self.loops.is_loop_header(block).is_some() {
            return UNSIGNED;
        }
        match self.arguments(block, index, |_| true) {
            Some(values) if !values.is_empty() => self.either(&values, path),
            _ => UNSIGNED,
        }
    }
}
