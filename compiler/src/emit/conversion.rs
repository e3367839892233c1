//! Conversions between number types.

use super::{Emitted, FuncEmitter};
use cranelift_codegen::ir::types::{F32, F64, I8, I16, I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type};

/// Conversions that are one instruction. Truncations fault by themselves, with the trap code of
/// their cause.
macro_rules! conversions {
    ($($visit:ident = $instruction:ident($ty:expr);)*) => {
        impl FuncEmitter<'_> {
            $(pub(super) fn $visit(&mut self) -> Emitted {
                let value = self.pop();
                let value = self.code.ins().$instruction($ty, value);
                self.push(value);
                Ok(())
            })*
        }
    };
}

conversions! {
    visit_i32_wrap_i64 = ireduce(I32);
    visit_i64_extend_i32_s = sextend(I64);
    visit_i64_extend_i32_u = uextend(I64);
    visit_i32_trunc_f32_s = fcvt_to_sint(I32);
    visit_i32_trunc_f32_u = fcvt_to_uint(I32);
    visit_i32_trunc_f64_s = fcvt_to_sint(I32);
    visit_i32_trunc_f64_u = fcvt_to_uint(I32);
    visit_i64_trunc_f32_s = fcvt_to_sint(I64);
    visit_i64_trunc_f32_u = fcvt_to_uint(I64);
    visit_i64_trunc_f64_s = fcvt_to_sint(I64);
    visit_i64_trunc_f64_u = fcvt_to_uint(I64);
    visit_i32_trunc_sat_f32_s = fcvt_to_sint_sat(I32);
    visit_i32_trunc_sat_f32_u = fcvt_to_uint_sat(I32);
    visit_i32_trunc_sat_f64_s = fcvt_to_sint_sat(I32);
    visit_i32_trunc_sat_f64_u = fcvt_to_uint_sat(I32);
    visit_i64_trunc_sat_f32_s = fcvt_to_sint_sat(I64);
    visit_i64_trunc_sat_f32_u = fcvt_to_uint_sat(I64);
    visit_i64_trunc_sat_f64_s = fcvt_to_sint_sat(I64);
    visit_i64_trunc_sat_f64_u = fcvt_to_uint_sat(I64);
    visit_f32_convert_i32_s = fcvt_from_sint(F32);
    visit_f32_convert_i32_u = fcvt_from_uint(F32);
    visit_f32_convert_i64_s = fcvt_from_sint(F32);
    visit_f32_convert_i64_u = fcvt_from_uint(F32);
    visit_f64_convert_i32_s = fcvt_from_sint(F64);
    visit_f64_convert_i32_u = fcvt_from_uint(F64);
    visit_f64_convert_i64_s = fcvt_from_sint(F64);
    visit_f64_convert_i64_u = fcvt_from_uint(F64);
    visit_f32_demote_f64 = fdemote(F32);
    visit_f64_promote_f32 = fpromote(F64);
}

/// Conversions by a method of the emitter.
macro_rules! by_method {
    ($($visit:ident = $method:ident($($ty:expr),*);)*) => {
        impl FuncEmitter<'_> {
            $(pub(super) fn $visit(&mut self) -> Emitted {
                self.$method($($ty),*)
            })*
        }
    };
}

by_method! {
    visit_i32_reinterpret_f32 = reinterpret(I32);
    visit_i64_reinterpret_f64 = reinterpret(I64);
    visit_f32_reinterpret_i32 = reinterpret(F32);
    visit_f64_reinterpret_i64 = reinterpret(F64);
    visit_i32_extend8_s = extend_sign(I8, I32);
    visit_i32_extend16_s = extend_sign(I16, I32);
    visit_i64_extend8_s = extend_sign(I8, I64);
    visit_i64_extend16_s = extend_sign(I16, I64);
    visit_i64_extend32_s = extend_sign(I32, I64);
}

impl FuncEmitter<'_> {
    fn reinterpret(&mut self, ty: Type) -> Emitted {
        let value = self.pop();
        let value = self.code.ins().bitcast(ty, MemFlagsData::new(), value);
        self.push(value);
        Ok(())
    }

    /// Extends the sign of the lowest bits, as many as `narrow` has.
    fn extend_sign(&mut self, narrow: Type, wide: Type) -> Emitted {
        let value = self.pop();
        let value = self.code.ins().ireduce(narrow, value);
        let value = self.code.ins().sextend(wide, value);
        self.push(value);
        Ok(())
    }
}
