//! Wide arithmetic: sums and differences of 128 bits, and products of 64 bits with all of theirs.
//!
//! A number of 128 bits is two operands, the low half first. It is one value between two halves only,
//! so it is in no local, parameter or block.

use super::{Emitted, FuncEmitter};
use cranelift_codegen::ir::{InstBuilder, Value, types::I128};

impl FuncEmitter<'_> {
    pub(super) fn visit_i64_add128(&mut self) -> Emitted {
        let (left, right) = self.pop_wide2();
        let sum = self.code.ins().iadd(left, right);
        self.push_wide(sum)
    }

    pub(super) fn visit_i64_sub128(&mut self) -> Emitted {
        let (left, right) = self.pop_wide2();
        let difference = self.code.ins().isub(left, right);
        self.push_wide(difference)
    }

    pub(super) fn visit_i64_mul_wide_s(&mut self) -> Emitted {
        let (left, right) = self.pop2();
        let left = self.code.ins().sextend(I128, left);
        let right = self.code.ins().sextend(I128, right);
        let product = self.code.ins().imul(left, right);
        self.push_wide(product)
    }

    pub(super) fn visit_i64_mul_wide_u(&mut self) -> Emitted {
        let (left, right) = self.pop2();
        let left = self.code.ins().uextend(I128, left);
        let right = self.code.ins().uextend(I128, right);
        let product = self.code.ins().imul(left, right);
        self.push_wide(product)
    }

    fn pop_wide2(&mut self) -> (Value, Value) {
        let right = self.pop_wide();
        (self.pop_wide(), right)
    }

    fn pop_wide(&mut self) -> Value {
        let (low, high) = self.pop2();
        self.code.ins().iconcat(low, high)
    }

    fn push_wide(&mut self, value: Value) -> Emitted {
        let (low, high) = self.code.ins().isplit(value);
        self.push(low);
        self.push(high);
        Ok(())
    }
}
