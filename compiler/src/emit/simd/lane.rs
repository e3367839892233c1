//! Constants, and operators that build vectors from lanes or take lanes out of them.

use super::VECTOR;
use crate::emit::{Emitted, FuncEmitter};
use cranelift_codegen::ir::types::{F32X4, F64X2, I8X16, I16X8, I32, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Type, Value};

by_method! {
    visit_i8x16_splat = splat(I8X16);
    visit_i16x8_splat = splat(I16X8);
    visit_i32x4_splat = splat(I32X4);
    visit_i64x2_splat = splat(I64X2);
    visit_f32x4_splat = splat(F32X4);
    visit_f64x2_splat = splat(F64X2);
    visit_i8x16_extract_lane_s = extract_signed(I8X16) with lane: u8;
    visit_i8x16_extract_lane_u = extract_unsigned(I8X16) with lane: u8;
    visit_i16x8_extract_lane_s = extract_signed(I16X8) with lane: u8;
    visit_i16x8_extract_lane_u = extract_unsigned(I16X8) with lane: u8;
    visit_i32x4_extract_lane = extract(I32X4) with lane: u8;
    visit_i64x2_extract_lane = extract(I64X2) with lane: u8;
    visit_f32x4_extract_lane = extract(F32X4) with lane: u8;
    visit_f64x2_extract_lane = extract(F64X2) with lane: u8;
    visit_i8x16_replace_lane = replace(I8X16) with lane: u8;
    visit_i16x8_replace_lane = replace(I16X8) with lane: u8;
    visit_i32x4_replace_lane = replace(I32X4) with lane: u8;
    visit_i64x2_replace_lane = replace(I64X2) with lane: u8;
    visit_f32x4_replace_lane = replace(F32X4) with lane: u8;
    visit_f64x2_replace_lane = replace(F64X2) with lane: u8;
}

binary! {
    visit_i8x16_swizzle = swizzle(I8X16);
}

impl FuncEmitter<'_> {
    pub(in crate::emit) fn visit_v128_const(&mut self, value: wasmparser::V128) -> Emitted {
        let value = self.vector_constant(VECTOR, *value.bytes());
        self.push_vector(value)
    }

    pub(in crate::emit) fn visit_i8x16_shuffle(&mut self, lanes: [u8; 16]) -> Emitted {
        let (left, right) = self.pop2_shaped(I8X16);
        let lanes = self.code.blocks().func.dfg.immediates.push(lanes.to_vec().into());
        let value = self.code.ins().shuffle(left, right, lanes);
        self.push_vector(value)
    }

    fn splat(&mut self, shape: Type) -> Emitted {
        let lane = self.pop_lane(shape);
        let value = self.code.ins().splat(shape, lane);
        self.push_vector(value)
    }

    fn replace(&mut self, lane: u8, shape: Type) -> Emitted {
        let value = self.pop_lane(shape);
        let vector = self.pop_shaped(shape);
        let vector = self.code.ins().insertlane(vector, value, lane);
        self.push_vector(vector)
    }

    /// Pops the number that goes into a lane; what is narrower than WebAssembly's numbers is the
    /// low bits of one.
    fn pop_lane(&mut self, shape: Type) -> Value {
        let value = self.pop();
        match shape {
            I8X16 | I16X8 => self.code.ins().ireduce(shape.lane_type(), value),
            _ => value,
        }
    }

    fn extract(&mut self, lane: u8, shape: Type) -> Emitted {
        let value = self.lane(lane, shape);
        self.push(value);
        Ok(())
    }

    fn extract_signed(&mut self, lane: u8, shape: Type) -> Emitted {
        let value = self.lane(lane, shape);
        let value = self.code.ins().sextend(I32, value);
        self.push(value);
        Ok(())
    }

    fn extract_unsigned(&mut self, lane: u8, shape: Type) -> Emitted {
        let value = self.lane(lane, shape);
        let value = self.code.ins().uextend(I32, value);
        self.push(value);
        Ok(())
    }

    /// Pops a vector, of which this is a lane.
    pub(super) fn lane(&mut self, lane: u8, shape: Type) -> Value {
        let vector = self.pop_shaped(shape);
        self.code.ins().extractlane(vector, lane)
    }
}
