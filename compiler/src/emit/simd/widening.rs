//! Integer operators whose result has lanes twice as wide as their operands.

use crate::emit::{Emitted, FuncEmitter};
use cranelift_codegen::ir::types::{I8X16, I16X8, I32X4};
use cranelift_codegen::ir::{InstBuilder, Type, Value};

/// Products of the lanes of one half, which do not overflow.
macro_rules! extended_products {
    ($($visit:ident = $widen:ident($shape:expr);)*) => {
        impl FuncEmitter<'_> {
            $(pub(in crate::emit) fn $visit(&mut self) -> Emitted {
                let (left, right) = self.pop2_shaped($shape);
                let left = self.code.ins().$widen(left);
                let right = self.code.ins().$widen(right);
                let product = self.code.ins().imul(left, right);
                self.push_vector(product)
            })*
        }
    };
}

extended_products! {
    visit_i16x8_extmul_low_i8x16_s = swiden_low(I8X16);
    visit_i16x8_extmul_high_i8x16_s = swiden_high(I8X16);
    visit_i16x8_extmul_low_i8x16_u = uwiden_low(I8X16);
    visit_i16x8_extmul_high_i8x16_u = uwiden_high(I8X16);
    visit_i32x4_extmul_low_i16x8_s = swiden_low(I16X8);
    visit_i32x4_extmul_high_i16x8_s = swiden_high(I16X8);
    visit_i32x4_extmul_low_i16x8_u = uwiden_low(I16X8);
    visit_i32x4_extmul_high_i16x8_u = uwiden_high(I16X8);
    visit_i64x2_extmul_low_i32x4_s = swiden_low(I32X4);
    visit_i64x2_extmul_high_i32x4_s = swiden_high(I32X4);
    visit_i64x2_extmul_low_i32x4_u = uwiden_low(I32X4);
    visit_i64x2_extmul_high_i32x4_u = uwiden_high(I32X4);
}

/// Sums of neighbouring lanes, which do not overflow.
macro_rules! extended_sums {
    ($($visit:ident = $widen_low:ident $widen_high:ident($shape:expr);)*) => {
        impl FuncEmitter<'_> {
            $(pub(in crate::emit) fn $visit(&mut self) -> Emitted {
                let vector = self.pop_shaped($shape);
                let low = self.code.ins().$widen_low(vector);
                let high = self.code.ins().$widen_high(vector);
                let sums = self.code.ins().iadd_pairwise(low, high);
                self.push_vector(sums)
            })*
        }
    };
}

extended_sums! {
    visit_i16x8_extadd_pairwise_i8x16_s = swiden_low swiden_high(I8X16);
    visit_i16x8_extadd_pairwise_i8x16_u = uwiden_low uwiden_high(I8X16);
    visit_i32x4_extadd_pairwise_i16x8_s = swiden_low swiden_high(I16X8);
    visit_i32x4_extadd_pairwise_i16x8_u = uwiden_low uwiden_high(I16X8);
}

impl FuncEmitter<'_> {
    pub(in crate::emit) fn visit_i32x4_dot_i16x8_s(&mut self) -> Emitted {
        let sums = self.dot(I16X8);
        self.push_vector(sums)
    }

    /// Pops two vectors: the sums of the products of neighbouring lanes, as signed numbers. The
    /// products do not overflow, a sum wraps.
    pub(super) fn dot(&mut self, shape: Type) -> Value {
        let (left, right) = self.pop2_shaped(shape);
        let (left_low, left_high) = self.widen(left);
        let (right_low, right_high) = self.widen(right);
        let low = self.code.ins().imul(left_low, right_low);
        let high = self.code.ins().imul(left_high, right_high);
        self.code.ins().iadd_pairwise(low, high)
    }

    /// The lower and the upper half of a vector's lanes, as signed numbers of twice the width.
    pub(super) fn widen(&mut self, vector: Value) -> (Value, Value) {
        (self.code.ins().swiden_low(vector), self.code.ins().swiden_high(vector))
    }
}
