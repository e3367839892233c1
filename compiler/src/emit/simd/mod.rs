//! Vectors: the operators of SIMD and relaxed SIMD, by family.
//!
//! WebAssembly has one type of vector, CLIF one for each shape of its lanes. On the operand stack,
//! and thereby in locals, globals, parameters of blocks, arguments and results, a vector always
//! has the type [`VECTOR`]. An operator casts its operands to the shape it works on, and its
//! result back. Casts are no machine code.

/// Operators that are one instruction with one operand of a shape.
macro_rules! unary {
    ($($visit:ident = $instruction:ident($shape:expr);)*) => {
        impl FuncEmitter<'_> {
            $(pub(in crate::emit) fn $visit(&mut self) -> Emitted {
                let operand = self.pop_shaped($shape);
                let result = self.code.ins().$instruction(operand);
                self.push_vector(result)
            })*
        }
    };
}

/// Operators that are one instruction with two operands of a shape.
macro_rules! binary {
    ($($visit:ident = $instruction:ident($shape:expr);)*) => {
        impl FuncEmitter<'_> {
            $(pub(in crate::emit) fn $visit(&mut self) -> Emitted {
                let (left, right) = self.pop2_shaped($shape);
                let result = self.code.ins().$instruction(left, right);
                self.push_vector(result)
            })*
        }
    };
}

/// Operators that are a method of the emitter, with these arguments after the operator's own.
macro_rules! by_method {
    ($($visit:ident = $method:ident($($argument:expr),*) $(with $immediate:ident: $ty:ty)?;)*) => {
        impl FuncEmitter<'_> {
            $(pub(in crate::emit) fn $visit(&mut self $(, $immediate: $ty)?) -> Emitted {
                self.$method($($immediate,)? $($argument),*)
            })*
        }
    };
}

mod bitwise;
mod convert;
mod float;
mod integer;
mod lane;
mod memory;
mod relaxed;
mod widening;

use super::{Emitted, FuncEmitter};
use cranelift_codegen::ir::types::I8X16;
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Type, Value};

/// The type of vectors on the operand stack.
const VECTOR: Type = I8X16;

impl FuncEmitter<'_> {
    /// Pops a vector as one of the type `shape`.
    fn pop_shaped(&mut self, shape: Type) -> Value {
        let value = self.pop();
        self.cast(shape, value)
    }

    /// Pops two vectors, in the order in which they were pushed.
    fn pop2_shaped(&mut self, shape: Type) -> (Value, Value) {
        let second = self.pop_shaped(shape);
        (self.pop_shaped(shape), second)
    }

    /// Pops three vectors, in the order in which they were pushed.
    fn pop3_shaped(&mut self, shape: Type) -> (Value, Value, Value) {
        let third = self.pop_shaped(shape);
        let (first, second) = self.pop2_shaped(shape);
        (first, second, third)
    }

    /// Pushes a vector of any shape.
    fn push_vector(&mut self, value: Value) -> Emitted {
        let value = self.cast(VECTOR, value);
        self.push(value);
        Ok(())
    }

    /// The same bits as lanes of another shape.
    fn cast(&mut self, shape: Type, value: Value) -> Value {
        if self.code.blocks().func.dfg.value_type(value) == shape {
            return value;
        }
        // Lane 0 is the one with the lowest address if the vector were in memory.
        let flags = MemFlagsData::new().with_endianness(Endianness::Little);
        self.code.ins().bitcast(shape, flags, value)
    }

    /// A constant vector of the type `shape`.
    pub(super) fn vector_constant(&mut self, shape: Type, bytes: [u8; 16]) -> Value {
        let constant = self.code.blocks().func.dfg.constants.insert(bytes.to_vec().into());
        self.code.ins().vconst(shape, constant)
    }
}
