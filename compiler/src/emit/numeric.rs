//! Constants, arithmetic and comparisons.

use super::{Emitted, FuncEmitter};
use cranelift_codegen::ir::condcodes::{CondCode, FloatCC, IntCC};
use cranelift_codegen::ir::immediates::{Ieee32, Ieee64};
use cranelift_codegen::ir::{InstBuilder, InstructionData, Opcode, Value, types};

impl FuncEmitter<'_> {
    pub(super) fn visit_i32_const(&mut self, value: i32) -> Emitted {
        // The code generator wants the unused upper half of the constant to be zero.
        let value = self.code.ins().iconst(types::I32, i64::from(value.cast_unsigned()));
        self.push(value);
        Ok(())
    }

    pub(super) fn visit_i64_const(&mut self, value: i64) -> Emitted {
        let value = self.code.ins().iconst(types::I64, value);
        self.push(value);
        Ok(())
    }

    pub(super) fn visit_f32_const(&mut self, value: wasmparser::Ieee32) -> Emitted {
        let value = self.code.ins().f32const(Ieee32::with_bits(value.bits()));
        self.push(value);
        Ok(())
    }

    pub(super) fn visit_f64_const(&mut self, value: wasmparser::Ieee64) -> Emitted {
        let value = self.code.ins().f64const(Ieee64::with_bits(value.bits()));
        self.push(value);
        Ok(())
    }

    pub(super) fn visit_i32_eqz(&mut self) -> Emitted {
        let value = self.pop();
        let zero = match self.complement(value) {
            Some(complement) => complement,
            None => self.code.ins().icmp_imm_u(IntCC::Equal, value, 0),
        };
        self.push_flag(zero)
    }

    /// The complement of the comparison whose outcome `value` is. WebAssembly has no operator "not less than" for floats,
    /// so compilers write `i32.eqz` behind `f64.lt`; and the code generator has no rule that makes one comparison of it.
    fn complement(&mut self, value: Value) -> Option<Value> {
        let dfg = &self.code.function_so_far().dfg;
        let made_by = |value: Value| dfg.value_def(value).inst().map(|inst| dfg.insts[inst]);
        let InstructionData::Unary { opcode: Opcode::Uextend, arg } = made_by(value)? else {
            return None;
        };
        match made_by(arg)? {
            InstructionData::FloatCompare { cond, args: [left, right], .. } => {
                Some(self.code.ins().fcmp(cond.complement(), left, right))
            }
            InstructionData::IntCompare { cond, args: [left, right], .. } => {
                Some(self.code.ins().icmp(cond.complement(), left, right))
            }
            _ => None,
        }
    }

    pub(super) fn visit_i64_eqz(&mut self) -> Emitted {
        self.visit_i32_eqz()
    }

    /// Pushes the outcome of a comparison as the number it is in WebAssembly.
    pub(super) fn push_flag(&mut self, flag: Value) -> Emitted {
        let number = self.code.ins().uextend(types::I32, flag);
        self.push(number);
        Ok(())
    }

    fn compare_ints(&mut self, condition: IntCC) -> Emitted {
        let (left, right) = self.pop2();
        let flag = self.code.ins().icmp(condition, left, right);
        self.push_flag(flag)
    }

    fn compare_floats(&mut self, condition: FloatCC) -> Emitted {
        let (left, right) = self.pop2();
        let flag = self.code.ins().fcmp(condition, left, right);
        self.push_flag(flag)
    }
}

/// Operators that are one instruction with one operand.
macro_rules! unary {
    ($($($visit:ident)+ = $instruction:ident;)*) => {
        impl FuncEmitter<'_> {
            $($(pub(super) fn $visit(&mut self) -> Emitted {
                let value = self.pop();
                let value = self.code.ins().$instruction(value);
                self.push(value);
                Ok(())
            })+)*
        }
    };
}

unary! {
    visit_i32_clz visit_i64_clz = clz;
    visit_i32_ctz visit_i64_ctz = ctz;
    visit_i32_popcnt visit_i64_popcnt = popcnt;
    visit_f32_abs visit_f64_abs = fabs;
    visit_f32_neg visit_f64_neg = fneg;
    visit_f32_ceil visit_f64_ceil = ceil;
    visit_f32_floor visit_f64_floor = floor;
    visit_f32_trunc visit_f64_trunc = trunc;
    visit_f32_nearest visit_f64_nearest = nearest;
    visit_f32_sqrt visit_f64_sqrt = sqrt;
}

/// Operators that are one instruction with two operands. Divisions fault by themselves, with the
/// trap code of their cause; shifts and rotations take their count modulo the width, as in
/// WebAssembly.
macro_rules! binary {
    ($($($visit:ident)+ = $instruction:ident;)*) => {
        impl FuncEmitter<'_> {
            $($(pub(super) fn $visit(&mut self) -> Emitted {
                let (left, right) = self.pop2();
                let value = self.code.ins().$instruction(left, right);
                self.push(value);
                Ok(())
            })+)*
        }
    };
}

binary! {
    visit_i32_add visit_i64_add = iadd;
    visit_i32_sub visit_i64_sub = isub;
    visit_i32_mul visit_i64_mul = imul;
    visit_i32_div_s visit_i64_div_s = sdiv;
    visit_i32_div_u visit_i64_div_u = udiv;
    visit_i32_rem_s visit_i64_rem_s = srem;
    visit_i32_rem_u visit_i64_rem_u = urem;
    visit_i32_and visit_i64_and = band;
    visit_i32_or visit_i64_or = bor;
    visit_i32_xor visit_i64_xor = bxor;
    visit_i32_shl visit_i64_shl = ishl;
    visit_i32_shr_s visit_i64_shr_s = sshr;
    visit_i32_shr_u visit_i64_shr_u = ushr;
    visit_i32_rotl visit_i64_rotl = rotl;
    visit_i32_rotr visit_i64_rotr = rotr;
    visit_f32_add visit_f64_add = fadd;
    visit_f32_sub visit_f64_sub = fsub;
    visit_f32_mul visit_f64_mul = fmul;
    visit_f32_div visit_f64_div = fdiv;
    visit_f32_min visit_f64_min = fmin;
    visit_f32_max visit_f64_max = fmax;
    visit_f32_copysign visit_f64_copysign = fcopysign;
}

/// Comparisons.
macro_rules! comparisons {
    ($($($visit:ident)+ = $compare:ident($condition:expr);)*) => {
        impl FuncEmitter<'_> {
            $($(pub(super) fn $visit(&mut self) -> Emitted {
                self.$compare($condition)
            })+)*
        }
    };
}

comparisons! {
    visit_i32_eq visit_i64_eq = compare_ints(IntCC::Equal);
    visit_i32_ne visit_i64_ne = compare_ints(IntCC::NotEqual);
    visit_i32_lt_s visit_i64_lt_s = compare_ints(IntCC::SignedLessThan);
    visit_i32_lt_u visit_i64_lt_u = compare_ints(IntCC::UnsignedLessThan);
    visit_i32_gt_s visit_i64_gt_s = compare_ints(IntCC::SignedGreaterThan);
    visit_i32_gt_u visit_i64_gt_u = compare_ints(IntCC::UnsignedGreaterThan);
    visit_i32_le_s visit_i64_le_s = compare_ints(IntCC::SignedLessThanOrEqual);
    visit_i32_le_u visit_i64_le_u = compare_ints(IntCC::UnsignedLessThanOrEqual);
    visit_i32_ge_s visit_i64_ge_s = compare_ints(IntCC::SignedGreaterThanOrEqual);
    visit_i32_ge_u visit_i64_ge_u = compare_ints(IntCC::UnsignedGreaterThanOrEqual);
    visit_f32_eq visit_f64_eq = compare_floats(FloatCC::Equal);
    visit_f32_ne visit_f64_ne = compare_floats(FloatCC::NotEqual);
    visit_f32_lt visit_f64_lt = compare_floats(FloatCC::LessThan);
    visit_f32_gt visit_f64_gt = compare_floats(FloatCC::GreaterThan);
    visit_f32_le visit_f64_le = compare_floats(FloatCC::LessThanOrEqual);
    visit_f32_ge visit_f64_ge = compare_floats(FloatCC::GreaterThanOrEqual);
}
