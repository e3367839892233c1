//! Loads and stores of vectors, of lanes, and of numbers that become vectors on the way.

use super::VECTOR;
use crate::CompileError;
use crate::emit::{Emitted, FuncEmitter};
use cranelift_codegen::ir::types::{F32X4, F64X2, I8X16, I16X8, I32X4, I64, I64X2};
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use wasmparser::MemArg;

// What is loaded into all lanes, or into the first alone, is a float to the code generator: it loads
// integers by way of other registers unless it can make one instruction of both steps.
by_method! {
    visit_v128_load = load_vector() with memarg: MemArg;
    visit_v128_store = store(VECTOR) with memarg: MemArg;
    visit_v128_load8_splat = load_splat(I8X16) with memarg: MemArg;
    visit_v128_load16_splat = load_splat(I16X8) with memarg: MemArg;
    visit_v128_load32_splat = load_splat(F32X4) with memarg: MemArg;
    visit_v128_load64_splat = load_splat(F64X2) with memarg: MemArg;
    visit_v128_load32_zero = load_zero(F32X4) with memarg: MemArg;
    visit_v128_load64_zero = load_zero(F64X2) with memarg: MemArg;
}

/// Loads of eight bytes whose lanes are extended to twice their width.
macro_rules! extending_loads {
    ($($visit:ident = $instruction:ident;)*) => {
        impl FuncEmitter<'_> {
            $(pub(in crate::emit) fn $visit(&mut self, memarg: MemArg) -> Emitted {
                let (flags, address, offset) = self.pop_place(memarg, I64)?;
                let value = self.code.ins().$instruction(flags, address, offset);
                self.push_vector(value)
            })*
        }
    };
}

extending_loads! {
    visit_v128_load8x8_s = sload8x8;
    visit_v128_load8x8_u = uload8x8;
    visit_v128_load16x4_s = sload16x4;
    visit_v128_load16x4_u = uload16x4;
    visit_v128_load32x2_s = sload32x2;
    visit_v128_load32x2_u = uload32x2;
}

/// Accesses of one lane of a shape.
macro_rules! lane_accesses {
    ($($visit:ident = $method:ident($shape:expr);)*) => {
        impl FuncEmitter<'_> {
            $(pub(in crate::emit) fn $visit(&mut self, memarg: MemArg, lane: u8) -> Emitted {
                self.$method(memarg, lane, $shape)
            })*
        }
    };
}

lane_accesses! {
    visit_v128_load8_lane = load_lane(I8X16);
    visit_v128_load16_lane = load_lane(I16X8);
    visit_v128_load32_lane = load_lane(I32X4);
    visit_v128_load64_lane = load_lane(I64X2);
    visit_v128_store8_lane = store_lane(I8X16);
    visit_v128_store16_lane = store_lane(I16X8);
    visit_v128_store32_lane = store_lane(I32X4);
    visit_v128_store64_lane = store_lane(I64X2);
}

impl FuncEmitter<'_> {
    fn load_vector(&mut self, memarg: MemArg) -> Emitted {
        let value = self.load(memarg, VECTOR)?;
        self.push_vector(value)
    }

    fn load_splat(&mut self, memarg: MemArg, shape: Type) -> Emitted {
        let lane = self.load(memarg, shape.lane_type())?;
        let value = self.code.ins().splat(shape, lane);
        self.push_vector(value)
    }

    /// Loads lane 0; the others are zero.
    fn load_zero(&mut self, memarg: MemArg, shape: Type) -> Emitted {
        let lane = self.load(memarg, shape.lane_type())?;
        let value = self.code.ins().scalar_to_vector(shape, lane);
        self.push_vector(value)
    }

    fn load_lane(&mut self, memarg: MemArg, lane: u8, shape: Type) -> Emitted {
        let vector = self.pop_shaped(shape);
        let value = self.load(memarg, shape.lane_type())?;
        let vector = self.code.ins().insertlane(vector, value, lane);
        self.push_vector(vector)
    }

    fn store_lane(&mut self, memarg: MemArg, lane: u8, shape: Type) -> Emitted {
        let value = self.lane(lane, shape);
        self.push(value);
        self.store(memarg, shape.lane_type())
    }

    /// Pops an index and loads the value there.
    fn load(&mut self, memarg: MemArg, ty: Type) -> Result<Value, CompileError> {
        let (flags, address, offset) = self.pop_place(memarg, ty)?;
        Ok(self.code.ins().load(ty, flags, address, offset))
    }
}
