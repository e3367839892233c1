//! How many low bits of numbers are zero.

use super::{Atom, Linear, Numbers};
use cranelift_codegen::ir::{InstructionData, Opcode, Value, ValueDef};

/// How many values passed on to a parameter are looked at for their low bits, and how often one of
/// them may be a parameter itself.
const MOST_PASSED: usize = 4;

/// How many loops a counter may be nested in whose low bits are looked at.
const MOST_NESTED: usize = 2;

impl Numbers<'_> {
    /// Whether a number is a multiple of a power of two.
    pub(crate) fn is_multiple(&mut self, form: &Linear, power: i64) -> bool {
        self.is_multiple_within(form, power, MOST_NESTED)
    }

    fn is_multiple_within(&mut self, form: &Linear, power: i64, nested: usize) -> bool {
        form.constant % power == 0
            && form.atoms.iter().all(|(atom, factor)| match atom {
                Atom::Number(value) => {
                    let bits = self.trailing_zeros(*value);
                    factor.saturating_mul(1 << bits) % power == 0
                }
                Atom::Counter(param) => {
                    factor % power == 0 || self.counts_by(*param, power, nested)
                }
            })
    }

    /// Whether a counter is always a multiple of a power of two.
    fn counts_by(&mut self, param: Value, power: i64, nested: usize) -> bool {
        let (Some(counter), Some(nested)) = (self.counter(param), nested.checked_sub(1)) else {
            return false;
        };
        let start = self.linear(counter.start);
        counter.step % power == 0 && self.is_multiple_within(&start, power, nested)
    }

    /// How many low bits of a number are zero.
    pub(crate) fn trailing_zeros(&self, value: Value) -> u32 {
        self.trailing_zeros_within(value, MOST_PASSED)
    }

    fn trailing_zeros_within(&self, value: Value, depth: usize) -> u32 {
        if let Some(constant) = self.constant(value) {
            return constant.trailing_zeros().min(31);
        }
        match self.definition(value) {
            Some((_, InstructionData::Binary { opcode: Opcode::Band, args: [left, right] })) => {
                let mask = self.constant(*right).or_else(|| self.constant(*left));
                mask.map_or(0, |mask| mask.trailing_zeros().min(31))
            }
            Some((_, InstructionData::Binary { opcode: Opcode::Ishl, args: [_, right] })) => {
                self.constant(*right).map_or(0, |count| (count & 31) as u32)
            }
            Some(_) => 0,
            None => self.trailing_zeros_passed(value, depth).unwrap_or(0),
        }
    }

    /// How many low bits are zero of all that is passed on to a block's parameter.
    fn trailing_zeros_passed(&self, param: Value, depth: usize) -> Option<u32> {
        let depth = depth.checked_sub(1)?;
        let ValueDef::Param(block, index) = self.func.dfg.value_def(self.resolved(param)) else {
            return None;
        };
        if self.cfg.pred_iter(block).take(MOST_PASSED + 1).count() > MOST_PASSED {
            return None;
        }
        let values = self.arguments(block, index, |_| true)?;
        let few = values.len() <= MOST_PASSED;
        let zeros = values.iter().map(|value| self.trailing_zeros_within(*value, depth));
        if few { zeros.min() } else { None }
    }
}
