//! Conversions between shapes: lanes that become wider, narrower, or another kind of number.

use crate::emit::{Emitted, FuncEmitter};
use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::types::{F32X4, F64X2, I8X16, I16X8, I32X4, I64X2};

unary! {
    visit_i16x8_extend_low_i8x16_s = swiden_low(I8X16);
    visit_i16x8_extend_high_i8x16_s = swiden_high(I8X16);
    visit_i16x8_extend_low_i8x16_u = uwiden_low(I8X16);
    visit_i16x8_extend_high_i8x16_u = uwiden_high(I8X16);
    visit_i32x4_extend_low_i16x8_s = swiden_low(I16X8);
    visit_i32x4_extend_high_i16x8_s = swiden_high(I16X8);
    visit_i32x4_extend_low_i16x8_u = uwiden_low(I16X8);
    visit_i32x4_extend_high_i16x8_u = uwiden_high(I16X8);
    visit_i64x2_extend_low_i32x4_s = swiden_low(I32X4);
    visit_i64x2_extend_high_i32x4_s = swiden_high(I32X4);
    visit_i64x2_extend_low_i32x4_u = uwiden_low(I32X4);
    visit_i64x2_extend_high_i32x4_u = uwiden_high(I32X4);
    visit_f32x4_demote_f64x2_zero = fvdemote(F64X2);
    visit_f64x2_promote_low_f32x4 = fvpromote_low(F32X4);
}

// Both read signed lanes; the suffix is about the range they are narrowed to.
binary! {
    visit_i8x16_narrow_i16x8_s = snarrow(I16X8);
    visit_i8x16_narrow_i16x8_u = unarrow(I16X8);
    visit_i16x8_narrow_i32x4_s = snarrow(I32X4);
    visit_i16x8_narrow_i32x4_u = unarrow(I32X4);
}

/// Conversions between integers and floats of the same width, to a shape from a shape.
macro_rules! conversions {
    ($($visit:ident = $instruction:ident($to:expr, $from:expr);)*) => {
        impl FuncEmitter<'_> {
            $(pub(in crate::emit) fn $visit(&mut self) -> Emitted {
                let value = self.pop_shaped($from);
                let value = self.code.ins().$instruction($to, value);
                self.push_vector(value)
            })*
        }
    };
}

conversions! {
    visit_i32x4_trunc_sat_f32x4_s = fcvt_to_sint_sat(I32X4, F32X4);
    visit_i32x4_trunc_sat_f32x4_u = fcvt_to_uint_sat(I32X4, F32X4);
    visit_f32x4_convert_i32x4_s = fcvt_from_sint(F32X4, I32X4);
    visit_f32x4_convert_i32x4_u = fcvt_from_uint(F32X4, I32X4);
}

/// Conversions of the two low integers, by way of wider ones, which is how the code generator
/// knows them.
macro_rules! conversions_of_low {
    ($($visit:ident = $instruction:ident($widen:ident);)*) => {
        impl FuncEmitter<'_> {
            $(pub(in crate::emit) fn $visit(&mut self) -> Emitted {
                let value = self.pop_shaped(I32X4);
                let value = self.code.ins().$widen(value);
                let value = self.code.ins().$instruction(F64X2, value);
                self.push_vector(value)
            })*
        }
    };
}

conversions_of_low! {
    visit_f64x2_convert_low_i32x4_s = fcvt_from_sint(swiden_low);
    visit_f64x2_convert_low_i32x4_u = fcvt_from_uint(uwiden_low);
}

/// Conversions of two floats to the two low integers, also by way of wider ones; the high integers
/// are zero.
macro_rules! conversions_to_low {
    ($($visit:ident = $instruction:ident($narrow:ident);)*) => {
        impl FuncEmitter<'_> {
            $(pub(in crate::emit) fn $visit(&mut self) -> Emitted {
                let value = self.pop_shaped(F64X2);
                let value = self.code.ins().$instruction(I64X2, value);
                let zero = self.vector_constant(I64X2, [0; 16]);
                let value = self.code.ins().$narrow(value, zero);
                self.push_vector(value)
            })*
        }
    };
}

conversions_to_low! {
    visit_i32x4_trunc_sat_f64x2_s_zero = fcvt_to_sint_sat(snarrow);
    visit_i32x4_trunc_sat_f64x2_u_zero = fcvt_to_uint_sat(uunarrow);
}
