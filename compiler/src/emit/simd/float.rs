//! Arithmetic and comparisons of float lanes.

use crate::emit::{Emitted, FuncEmitter};
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::types::{F32X4, F64X2};
use cranelift_codegen::ir::{InstBuilder, Type, Value};

unary! {
    visit_f32x4_abs = fabs(F32X4);
    visit_f64x2_abs = fabs(F64X2);
    visit_f32x4_neg = fneg(F32X4);
    visit_f64x2_neg = fneg(F64X2);
    visit_f32x4_ceil = ceil(F32X4);
    visit_f64x2_ceil = ceil(F64X2);
    visit_f32x4_floor = floor(F32X4);
    visit_f64x2_floor = floor(F64X2);
    visit_f32x4_trunc = trunc(F32X4);
    visit_f64x2_trunc = trunc(F64X2);
    visit_f32x4_nearest = nearest(F32X4);
    visit_f64x2_nearest = nearest(F64X2);
    visit_f32x4_sqrt = sqrt(F32X4);
    visit_f64x2_sqrt = sqrt(F64X2);
}

binary! {
    visit_f32x4_add = fadd(F32X4);
    visit_f64x2_add = fadd(F64X2);
    visit_f32x4_sub = fsub(F32X4);
    visit_f64x2_sub = fsub(F64X2);
    visit_f32x4_mul = fmul(F32X4);
    visit_f64x2_mul = fmul(F64X2);
    visit_f32x4_div = fdiv(F32X4);
    visit_f64x2_div = fdiv(F64X2);
    visit_f32x4_min = fmin(F32X4);
    visit_f64x2_min = fmin(F64X2);
    visit_f32x4_max = fmax(F32X4);
    visit_f64x2_max = fmax(F64X2);
}

by_method! {
    visit_f32x4_eq = compare_float_lanes(F32X4, FloatCC::Equal);
    visit_f64x2_eq = compare_float_lanes(F64X2, FloatCC::Equal);
    visit_f32x4_ne = compare_float_lanes(F32X4, FloatCC::NotEqual);
    visit_f64x2_ne = compare_float_lanes(F64X2, FloatCC::NotEqual);
    visit_f32x4_lt = compare_float_lanes(F32X4, FloatCC::LessThan);
    visit_f64x2_lt = compare_float_lanes(F64X2, FloatCC::LessThan);
    visit_f32x4_gt = compare_float_lanes(F32X4, FloatCC::GreaterThan);
    visit_f64x2_gt = compare_float_lanes(F64X2, FloatCC::GreaterThan);
    visit_f32x4_le = compare_float_lanes(F32X4, FloatCC::LessThanOrEqual);
    visit_f64x2_le = compare_float_lanes(F64X2, FloatCC::LessThanOrEqual);
    visit_f32x4_ge = compare_float_lanes(F32X4, FloatCC::GreaterThanOrEqual);
    visit_f64x2_ge = compare_float_lanes(F64X2, FloatCC::GreaterThanOrEqual);
    visit_f32x4_pmin = pseudo_minimum(F32X4);
    visit_f64x2_pmin = pseudo_minimum(F64X2);
    visit_f32x4_pmax = pseudo_maximum(F32X4);
    visit_f64x2_pmax = pseudo_maximum(F64X2);
}

impl FuncEmitter<'_> {
    fn compare_float_lanes(&mut self, shape: Type, condition: FloatCC) -> Emitted {
        let (left, right) = self.pop2_shaped(shape);
        let mask = self.code.ins().fcmp(condition, left, right);
        self.push_vector(mask)
    }

    /// `right < left ? right : left`, which decides what becomes of NaN and of zeros.
    fn pseudo_minimum(&mut self, shape: Type) -> Emitted {
        let (left, right) = self.pop2_shaped(shape);
        self.right_if_less(shape, (right, left), left, right)
    }

    /// `left < right ? right : left`.
    fn pseudo_maximum(&mut self, shape: Type) -> Emitted {
        let (left, right) = self.pop2_shaped(shape);
        self.right_if_less(shape, (left, right), left, right)
    }

    /// Pushes `right` in lanes where the first of `compared` is less than the second, else `left`.
    fn right_if_less(
        &mut self,
        shape: Type,
        compared: (Value, Value),
        left: Value,
        right: Value,
    ) -> Emitted {
        let mask = self.code.ins().fcmp(FloatCC::LessThan, compared.0, compared.1);
        let mask = self.cast(shape, mask);
        let value = self.code.ins().bitselect(mask, right, left);
        self.push_vector(value)
    }
}
