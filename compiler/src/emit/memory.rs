//! Loads, stores, and the size of memories. Where they go to is decided in `address`.
//!
//! Memories that are not at BASE have slots with the same guard; their addresses are in the host
//! context.

use super::{Emitted, FuncEmitter};
use crate::CompileError;
use crate::emit::builder::Region;
use crate::emit::trap::clif_trap;
use crate::front::index::MemoryIndex;
use cranelift_codegen::entity::EntityRef;
use cranelift_codegen::ir::types::{F32, F64, I8, I16, I32, I64};
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Type, Value};
use std::mem::offset_of;
use wasmparser::MemArg;
use wfaas_abi::context::MemoryImport;
use wfaas_abi::state::MEMORY_PAGES_OFFSET;
use wfaas_abi::{Hostcall, TrapCode};

/// Loads: the type in memory, the instruction, and the type it widens to if it has a choice.
macro_rules! loads {
    ($($visit:ident = $ty:expr, $instruction:ident($($result:expr)?);)*) => {
        impl FuncEmitter<'_> {
            $(pub(super) fn $visit(&mut self, memarg: MemArg) -> Emitted {
                let (flags, address, offset) = self.pop_place(memarg, $ty)?;
                let value = self.code.ins().$instruction($($result,)? flags, address, offset);
                self.push(value);
                Ok(())
            })*
        }
    };
}

loads! {
    visit_i32_load = I32, load(I32);
    visit_i64_load = I64, load(I64);
    visit_f32_load = F32, load(F32);
    visit_f64_load = F64, load(F64);
    visit_i32_load8_s = I8, sload8(I32);
    visit_i32_load8_u = I8, uload8(I32);
    visit_i32_load16_s = I16, sload16(I32);
    visit_i32_load16_u = I16, uload16(I32);
    visit_i64_load8_s = I8, sload8(I64);
    visit_i64_load8_u = I8, uload8(I64);
    visit_i64_load16_s = I16, sload16(I64);
    visit_i64_load16_u = I16, uload16(I64);
    visit_i64_load32_s = I32, sload32();
    visit_i64_load32_u = I32, uload32();
}

/// Stores: the type in memory.
macro_rules! stores {
    ($($visit:ident = $ty:expr;)*) => {
        impl FuncEmitter<'_> {
            $(pub(super) fn $visit(&mut self, memarg: MemArg) -> Emitted {
                self.store(memarg, $ty)
            })*
        }
    };
}

stores! {
    visit_i32_store = I32;
    visit_i64_store = I64;
    visit_f32_store = F32;
    visit_f64_store = F64;
    visit_i32_store8 = I8;
    visit_i32_store16 = I16;
    visit_i64_store8 = I8;
    visit_i64_store16 = I16;
    visit_i64_store32 = I32;
}

impl FuncEmitter<'_> {
    pub(super) fn store(&mut self, memarg: MemArg, ty: Type) -> Emitted {
        let (index, value) = self.pop2();
        let (address, offset) = self.address(memarg, index, ty)?;
        let flags = self.guest_flags();
        let value = self.narrowed(value, ty);
        self.code.ins().store(flags, value, address, offset);
        Ok(())
    }

    /// The low bits of an operand that is stored as `ty`.
    pub(super) fn narrowed(&mut self, value: Value, ty: Type) -> Value {
        if self.code.type_of(value) == ty { value } else { self.code.ins().ireduce(ty, value) }
    }

    /// Pops an index: flags, address and offset for an instruction that loads a `ty` there.
    pub(super) fn pop_place(
        &mut self,
        memarg: MemArg,
        ty: Type,
    ) -> Result<(MemFlagsData, Value, i32), CompileError> {
        let index = self.pop();
        let (address, offset) = self.address(memarg, index, ty)?;
        Ok((self.guest_flags(), address, offset))
    }

    /// Flags for accesses that fault where the memory ends.
    pub(super) fn guest_flags(&mut self) -> MemFlagsData {
        let region = self.code.alias_region(Region::Memory);
        MemFlagsData::new()
            .with_endianness(Endianness::Little)
            .with_trap_code(Some(clif_trap(TrapCode::MemoryOutOfBounds)))
            .with_alias_region(Some(region))
    }

    /// The address of a memory's first byte.
    pub(super) fn memory_base(&mut self, memory: MemoryIndex) -> Value {
        if self.is_at_base(memory) {
            return self.code.base();
        }
        self.memory_record(memory, offset_of!(MemoryImport, base))
    }

    /// Whether a memory is the one at BASE; the others are reached through records.
    pub(super) fn is_at_base(&self, memory: MemoryIndex) -> bool {
        self.code.layout.is_at_base(self.code.module, memory)
    }

    /// The size of a memory in WebAssembly pages, 64 bits.
    pub(super) fn memory_pages(&mut self, memory: MemoryIndex) -> Value {
        if self.is_at_base(memory) {
            return self.code.state_load(I64, Region::Tables, MEMORY_PAGES_OFFSET);
        }
        let pages = self.memory_record(memory, offset_of!(MemoryImport, pages));
        let flags = self.code.trusted(Region::Runtime);
        if self.code.module.memories[memory].shared {
            // Others may grow it at any time.
            return self.code.ins().atomic_load(I64, flags, pages);
        }
        self.code.ins().load(I64, flags, pages, 0)
    }

    /// A pointer of a memory's record.
    fn memory_record(&mut self, memory: MemoryIndex, field: usize) -> Value {
        let record = self.code.layout.host.memories + memory.index() * size_of::<MemoryImport>();
        self.code.host_load(record + field)
    }

    pub(super) fn visit_memory_size(&mut self, memory: u32) -> Emitted {
        let memory = MemoryIndex::from_u32(memory);
        let pages = self.memory_pages(memory);
        self.push_size(pages, self.code.module.memories[memory].limits.index64);
        Ok(())
    }

    pub(super) fn visit_memory_grow(&mut self, memory: u32) -> Emitted {
        let delta = self.pop_extended();
        let index = self.code.index(memory);
        let memory = MemoryIndex::from_u32(memory);
        let old = self.code.hostcall(Hostcall::MemoryGrow, &[index, delta]);
        self.push_size(old, self.code.module.memories[memory].limits.index64);
        Ok(())
    }

    /// Pushes a size of 64 bits, or -1, as a number of the index type.
    pub(super) fn push_size(&mut self, size: Value, index64: bool) {
        let size = if index64 { size } else { self.code.ins().ireduce(I32, size) };
        self.push(size);
    }

    /// Pops an index or a length, of 32 or 64 bits, as the 64 bits that hostcalls take.
    pub(super) fn pop_extended(&mut self) -> Value {
        let value = self.pop();
        self.extended(value)
    }

    /// The 64 bits of an index or a length.
    pub(super) fn extended(&mut self, value: Value) -> Value {
        if self.code.type_of(value) == I64 { value } else { self.code.ins().uextend(I64, value) }
    }
}
