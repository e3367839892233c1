//! Operators on all bits, and those that reduce a vector to a number.

use super::VECTOR;
use crate::emit::{Emitted, FuncEmitter};
use cranelift_codegen::ir::types::{I8X16, I16X8, I32, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Type};

unary! {
    visit_v128_not = bnot(VECTOR);
}

binary! {
    visit_v128_and = band(VECTOR);
    visit_v128_andnot = band_not(VECTOR);
    visit_v128_or = bor(VECTOR);
    visit_v128_xor = bxor(VECTOR);
}

by_method! {
    visit_i8x16_all_true = all_true(I8X16);
    visit_i16x8_all_true = all_true(I16X8);
    visit_i32x4_all_true = all_true(I32X4);
    visit_i64x2_all_true = all_true(I64X2);
    visit_i8x16_bitmask = bitmask(I8X16);
    visit_i16x8_bitmask = bitmask(I16X8);
    visit_i32x4_bitmask = bitmask(I32X4);
    visit_i64x2_bitmask = bitmask(I64X2);
}

impl FuncEmitter<'_> {
    pub(in crate::emit) fn visit_v128_bitselect(&mut self) -> Emitted {
        let (if_one, if_zero, mask) = self.pop3_shaped(VECTOR);
        let value = self.code.ins().bitselect(mask, if_one, if_zero);
        self.push_vector(value)
    }

    pub(in crate::emit) fn visit_v128_any_true(&mut self) -> Emitted {
        let vector = self.pop_shaped(VECTOR);
        let flag = self.code.ins().vany_true(vector);
        self.push_flag(flag)
    }

    fn all_true(&mut self, shape: Type) -> Emitted {
        let vector = self.pop_shaped(shape);
        let flag = self.code.ins().vall_true(vector);
        self.push_flag(flag)
    }

    /// Collects the highest bit of each lane, lane 0 lowest.
    fn bitmask(&mut self, shape: Type) -> Emitted {
        let vector = self.pop_shaped(shape);
        let mask = self.code.ins().vhigh_bits(I32, vector);
        self.push(mask);
        Ok(())
    }
}
