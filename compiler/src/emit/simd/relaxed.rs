//! Relaxed SIMD. The specification leaves to implementations what these operators do at their
//! edges. Here each has one meaning of those that are allowed, the same on every CPU and with every
//! choice of CPU features:
//!
//! | operator | meaning |
//! |---|---|
//! | `relaxed_swizzle` | `swizzle`: 0 for indices out of range |
//! | `relaxed_trunc` | `trunc_sat`: saturates, 0 for NaN |
//! | `relaxed_laneselect` | `bitselect`: all bits of the mask count |
//! | `relaxed_min`, `relaxed_max` | `min`, `max`: NaN if any operand is one, -0 is less than +0 |
//! | `relaxed_q15mulr_s` | `q15mulr_sat_s`: saturates |
//! | `relaxed_dot_i8x16_i7x16` | both operands are signed, sums of 16 bits wrap |
//! | `relaxed_madd`, `relaxed_nmadd` | a multiplication, then an addition, each rounded |
//!
//! A fused multiplication and addition would be a call of a library function on CPUs without the
//! instruction, and with it a result that depends on the CPU.

use crate::emit::{Emitted, FuncEmitter};
use cranelift_codegen::ir::types::{F32X4, F64X2, I8X16, I32X4};
use cranelift_codegen::ir::{InstBuilder, Type};

by_method! {
    visit_i8x16_relaxed_swizzle = visit_i8x16_swizzle();
    visit_i32x4_relaxed_trunc_f32x4_s = visit_i32x4_trunc_sat_f32x4_s();
    visit_i32x4_relaxed_trunc_f32x4_u = visit_i32x4_trunc_sat_f32x4_u();
    visit_i32x4_relaxed_trunc_f64x2_s_zero = visit_i32x4_trunc_sat_f64x2_s_zero();
    visit_i32x4_relaxed_trunc_f64x2_u_zero = visit_i32x4_trunc_sat_f64x2_u_zero();
    visit_i8x16_relaxed_laneselect = visit_v128_bitselect();
    visit_i16x8_relaxed_laneselect = visit_v128_bitselect();
    visit_i32x4_relaxed_laneselect = visit_v128_bitselect();
    visit_i64x2_relaxed_laneselect = visit_v128_bitselect();
    visit_f32x4_relaxed_min = visit_f32x4_min();
    visit_f64x2_relaxed_min = visit_f64x2_min();
    visit_f32x4_relaxed_max = visit_f32x4_max();
    visit_f64x2_relaxed_max = visit_f64x2_max();
    visit_i16x8_relaxed_q15mulr_s = visit_i16x8_q15mulr_sat_s();
    visit_f32x4_relaxed_madd = multiply_add(F32X4);
    visit_f64x2_relaxed_madd = multiply_add(F64X2);
    visit_f32x4_relaxed_nmadd = multiply_subtract(F32X4);
    visit_f64x2_relaxed_nmadd = multiply_subtract(F64X2);
}

impl FuncEmitter<'_> {
    fn multiply_add(&mut self, shape: Type) -> Emitted {
        let (left, right, addend) = self.pop3_shaped(shape);
        let product = self.code.ins().fmul(left, right);
        let sum = self.code.ins().fadd(product, addend);
        self.push_vector(sum)
    }

    /// The third operand less the product of the others.
    fn multiply_subtract(&mut self, shape: Type) -> Emitted {
        let (left, right, minuend) = self.pop3_shaped(shape);
        let product = self.code.ins().fmul(left, right);
        let difference = self.code.ins().fsub(minuend, product);
        self.push_vector(difference)
    }

    pub(in crate::emit) fn visit_i16x8_relaxed_dot_i8x16_i7x16_s(&mut self) -> Emitted {
        let sums = self.dot(I8X16);
        self.push_vector(sums)
    }

    pub(in crate::emit) fn visit_i32x4_relaxed_dot_i8x16_i7x16_add_s(&mut self) -> Emitted {
        let addend = self.pop_shaped(I32X4);
        let sums = self.dot(I8X16);
        let (low, high) = self.widen(sums);
        let sums = self.code.ins().iadd_pairwise(low, high);
        let total = self.code.ins().iadd(sums, addend);
        self.push_vector(total)
    }
}
