//! Known bits: how many low bits of values are zero, as LLVM's `KnownBits` counts trailing zeros.

use super::{Affine, Atom, ScalarEvolution};
use cranelift_codegen::ir::{InstructionData, Opcode, Value, ValueDef};

/// Arguments of a parameter that are looked at, and how often one of them may be a parameter itself.
const MOST_PASSED: usize = 4;

/// Loops in which an induction variable may be nested.
const MOST_NESTED: usize = 2;

impl ScalarEvolution<'_> {
    /// Whether a form is always a multiple of a power of two.
    pub(super) fn is_multiple(&mut self, form: &Affine, power: i64) -> bool {
        self.is_multiple_within(form, power, MOST_NESTED)
    }

    fn is_multiple_within(&mut self, form: &Affine, power: i64, nested: usize) -> bool {
        form.constant % power == 0
            && form.atoms.iter().all(|(atom, factor)| match atom {
                Atom::Unknown(value) => {
                    let bits = self.trailing_zeros(*value);
                    factor.saturating_mul(1 << bits) % power == 0
                }
                Atom::Induction(param) => {
                    factor % power == 0 || self.counts_by(*param, power, nested)
                }
            })
    }

    /// Whether an induction variable is always a multiple of a power of two.
    fn counts_by(&mut self, param: Value, power: i64, nested: usize) -> bool {
        let (Some(induction), Some(nested)) = (self.induction(param), nested.checked_sub(1)) else {
            return false;
        };
        let start = self.affine(induction.start);
        induction.step % power == 0 && self.is_multiple_within(&start, power, nested)
    }

    /// How many low bits of a value are zero, at most 31.
    pub(crate) fn trailing_zeros(&self, value: Value) -> u32 {
        self.trailing_zeros_within(value, MOST_PASSED)
    }

    fn trailing_zeros_within(&self, value: Value, depth: usize) -> u32 {
        if let Some(constant) = self.constant(value) {
            return constant.trailing_zeros().min(31);
        }
        match self.defining(value) {
            Some(InstructionData::Binary { opcode: Opcode::Band, args: [left, right] }) => {
                let mask = self.constant(*right).or_else(|| self.constant(*left));
                mask.map_or(0, |mask| mask.trailing_zeros().min(31))
            }
            Some(InstructionData::Binary { opcode: Opcode::Ishl, args: [_, right] }) => {
                self.constant(*right).map_or(0, |count| (count & 31) as u32)
            }
            Some(_) => 0,
            None => self.trailing_zeros_passed(value, depth).unwrap_or(0),
        }
    }

    /// How many low bits are zero of all arguments for a block's parameter.
    fn trailing_zeros_passed(&self, param: Value, depth: usize) -> Option<u32> {
        let depth = depth.checked_sub(1)?;
        let param = self.resolved(param);
        let ValueDef::Param(block, place) = self.flow.func.dfg.value_def(param) else {
            return None;
        };
        let arguments = self.flow.incoming(block, place).take(MOST_PASSED + 1);
        let values: Vec<Value> = arguments.map(|incoming| incoming.value).collect::<Option<_>>()?;
        let few = values.len() <= MOST_PASSED;
        let zeros = values.iter().map(|value| self.trailing_zeros_within(*value, depth));
        if few { zeros.min() } else { None }
    }
}
