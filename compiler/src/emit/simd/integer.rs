//! Arithmetic, shifts and comparisons of integer lanes.

use crate::emit::{Emitted, FuncEmitter};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8X16, I16X8, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Type};

unary! {
    visit_i8x16_abs = iabs(I8X16);
    visit_i16x8_abs = iabs(I16X8);
    visit_i32x4_abs = iabs(I32X4);
    visit_i64x2_abs = iabs(I64X2);
    visit_i8x16_neg = ineg(I8X16);
    visit_i16x8_neg = ineg(I16X8);
    visit_i32x4_neg = ineg(I32X4);
    visit_i64x2_neg = ineg(I64X2);
    visit_i8x16_popcnt = popcnt(I8X16);
}

binary! {
    visit_i8x16_add = iadd(I8X16);
    visit_i16x8_add = iadd(I16X8);
    visit_i32x4_add = iadd(I32X4);
    visit_i64x2_add = iadd(I64X2);
    visit_i8x16_sub = isub(I8X16);
    visit_i16x8_sub = isub(I16X8);
    visit_i32x4_sub = isub(I32X4);
    visit_i64x2_sub = isub(I64X2);
    visit_i16x8_mul = imul(I16X8);
    visit_i32x4_mul = imul(I32X4);
    visit_i64x2_mul = imul(I64X2);
    visit_i8x16_add_sat_s = sadd_sat(I8X16);
    visit_i16x8_add_sat_s = sadd_sat(I16X8);
    visit_i8x16_add_sat_u = uadd_sat(I8X16);
    visit_i16x8_add_sat_u = uadd_sat(I16X8);
    visit_i8x16_sub_sat_s = ssub_sat(I8X16);
    visit_i16x8_sub_sat_s = ssub_sat(I16X8);
    visit_i8x16_sub_sat_u = usub_sat(I8X16);
    visit_i16x8_sub_sat_u = usub_sat(I16X8);
    visit_i8x16_min_s = smin(I8X16);
    visit_i16x8_min_s = smin(I16X8);
    visit_i32x4_min_s = smin(I32X4);
    visit_i8x16_min_u = umin(I8X16);
    visit_i16x8_min_u = umin(I16X8);
    visit_i32x4_min_u = umin(I32X4);
    visit_i8x16_max_s = smax(I8X16);
    visit_i16x8_max_s = smax(I16X8);
    visit_i32x4_max_s = smax(I32X4);
    visit_i8x16_max_u = umax(I8X16);
    visit_i16x8_max_u = umax(I16X8);
    visit_i32x4_max_u = umax(I32X4);
    visit_i8x16_avgr_u = avg_round(I8X16);
    visit_i16x8_avgr_u = avg_round(I16X8);
    visit_i16x8_q15mulr_sat_s = sqmul_round_sat(I16X8);
}

/// Shifts take their count modulo the width of a lane, as in WebAssembly.
macro_rules! shifts {
    ($($visit:ident = $instruction:ident($shape:expr);)*) => {
        impl FuncEmitter<'_> {
            $(pub(in crate::emit) fn $visit(&mut self) -> Emitted {
                let count = self.pop();
                let vector = self.pop_shaped($shape);
                let vector = self.code.ins().$instruction(vector, count);
                self.push_vector(vector)
            })*
        }
    };
}

shifts! {
    visit_i8x16_shl = ishl(I8X16);
    visit_i16x8_shl = ishl(I16X8);
    visit_i32x4_shl = ishl(I32X4);
    visit_i64x2_shl = ishl(I64X2);
    visit_i8x16_shr_s = sshr(I8X16);
    visit_i16x8_shr_s = sshr(I16X8);
    visit_i32x4_shr_s = sshr(I32X4);
    visit_i64x2_shr_s = sshr(I64X2);
    visit_i8x16_shr_u = ushr(I8X16);
    visit_i16x8_shr_u = ushr(I16X8);
    visit_i32x4_shr_u = ushr(I32X4);
    visit_i64x2_shr_u = ushr(I64X2);
}

by_method! {
    visit_i8x16_eq = compare_int_lanes(I8X16, IntCC::Equal);
    visit_i16x8_eq = compare_int_lanes(I16X8, IntCC::Equal);
    visit_i32x4_eq = compare_int_lanes(I32X4, IntCC::Equal);
    visit_i64x2_eq = compare_int_lanes(I64X2, IntCC::Equal);
    visit_i8x16_ne = compare_int_lanes(I8X16, IntCC::NotEqual);
    visit_i16x8_ne = compare_int_lanes(I16X8, IntCC::NotEqual);
    visit_i32x4_ne = compare_int_lanes(I32X4, IntCC::NotEqual);
    visit_i64x2_ne = compare_int_lanes(I64X2, IntCC::NotEqual);
    visit_i8x16_lt_s = compare_int_lanes(I8X16, IntCC::SignedLessThan);
    visit_i16x8_lt_s = compare_int_lanes(I16X8, IntCC::SignedLessThan);
    visit_i32x4_lt_s = compare_int_lanes(I32X4, IntCC::SignedLessThan);
    visit_i64x2_lt_s = compare_int_lanes(I64X2, IntCC::SignedLessThan);
    visit_i8x16_lt_u = compare_int_lanes(I8X16, IntCC::UnsignedLessThan);
    visit_i16x8_lt_u = compare_int_lanes(I16X8, IntCC::UnsignedLessThan);
    visit_i32x4_lt_u = compare_int_lanes(I32X4, IntCC::UnsignedLessThan);
    visit_i8x16_gt_s = compare_int_lanes(I8X16, IntCC::SignedGreaterThan);
    visit_i16x8_gt_s = compare_int_lanes(I16X8, IntCC::SignedGreaterThan);
    visit_i32x4_gt_s = compare_int_lanes(I32X4, IntCC::SignedGreaterThan);
    visit_i64x2_gt_s = compare_int_lanes(I64X2, IntCC::SignedGreaterThan);
    visit_i8x16_gt_u = compare_int_lanes(I8X16, IntCC::UnsignedGreaterThan);
    visit_i16x8_gt_u = compare_int_lanes(I16X8, IntCC::UnsignedGreaterThan);
    visit_i32x4_gt_u = compare_int_lanes(I32X4, IntCC::UnsignedGreaterThan);
    visit_i8x16_le_s = compare_int_lanes(I8X16, IntCC::SignedLessThanOrEqual);
    visit_i16x8_le_s = compare_int_lanes(I16X8, IntCC::SignedLessThanOrEqual);
    visit_i32x4_le_s = compare_int_lanes(I32X4, IntCC::SignedLessThanOrEqual);
    visit_i64x2_le_s = compare_int_lanes(I64X2, IntCC::SignedLessThanOrEqual);
    visit_i8x16_le_u = compare_int_lanes(I8X16, IntCC::UnsignedLessThanOrEqual);
    visit_i16x8_le_u = compare_int_lanes(I16X8, IntCC::UnsignedLessThanOrEqual);
    visit_i32x4_le_u = compare_int_lanes(I32X4, IntCC::UnsignedLessThanOrEqual);
    visit_i8x16_ge_s = compare_int_lanes(I8X16, IntCC::SignedGreaterThanOrEqual);
    visit_i16x8_ge_s = compare_int_lanes(I16X8, IntCC::SignedGreaterThanOrEqual);
    visit_i32x4_ge_s = compare_int_lanes(I32X4, IntCC::SignedGreaterThanOrEqual);
    visit_i64x2_ge_s = compare_int_lanes(I64X2, IntCC::SignedGreaterThanOrEqual);
    visit_i8x16_ge_u = compare_int_lanes(I8X16, IntCC::UnsignedGreaterThanOrEqual);
    visit_i16x8_ge_u = compare_int_lanes(I16X8, IntCC::UnsignedGreaterThanOrEqual);
    visit_i32x4_ge_u = compare_int_lanes(I32X4, IntCC::UnsignedGreaterThanOrEqual);
}

impl FuncEmitter<'_> {
    fn compare_int_lanes(&mut self, shape: Type, condition: IntCC) -> Emitted {
        let (left, right) = self.pop2_shaped(shape);
        let mask = self.code.ins().icmp(condition, left, right);
        self.push_vector(mask)
    }
}
